//! The table of jobs: which are shown, in which order, and which are chosen.
//!
//! What is shown is kept, not computed for each frame: a change moves one row. The cursor sticks to its job, not to its
//! row, unless it is told to follow the newest.

mod known;
mod order;

use super::list::{List, Step};
use bisect_shared::{
    JobId,
    admin::{JobPage, JobView},
};
use chrono::{DateTime, Utc};
use known::{Known, Merged};
pub use order::{Column, Filter, Sort, elapsed, ends_in};
use order::{Query, compare, shown};
use std::collections::BTreeSet;

/// The table.
#[derive(Debug, Default)]
pub struct JobTable {
    known: Known,
    /// Whether a whole snapshot was told.
    loaded: bool,
    query: Query,
    sort: Sort,
    shown: Vec<JobId>,
    chosen: Option<JobId>,
    marked: BTreeSet<JobId>,
    follow: bool,
    list: List,
    height: usize,
    now: DateTime<Utc>,
}

impl JobTable {
    /// An empty one, that follows the newest.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { follow: true, height: 1, now, ..Self::default() }
    }

    /// One job.
    #[must_use]
    pub fn get(&self, id: JobId) -> Option<&JobView> {
        self.known.get(id)
    }

    /// All that are known, whatever is shown, by their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &JobView> {
        self.known.all()
    }

    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.len() == 0
    }

    /// Whether they are all there.
    #[must_use]
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// The rows of the table.
    #[must_use]
    pub fn shown(&self) -> &[JobId] {
        &self.shown
    }

    /// Cursor and window.
    #[must_use]
    pub const fn list(&self) -> List {
        self.list
    }

    /// The job at the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&JobView> {
        self.chosen.and_then(|id| self.get(id))
    }

    /// Those that are marked.
    #[must_use]
    pub const fn marked(&self) -> &BTreeSet<JobId> {
        &self.marked
    }

    /// What an action is for: those that are marked, else the one at the cursor.
    #[must_use]
    pub fn targets(&self) -> Vec<JobId> {
        if self.marked.is_empty() { self.chosen.into_iter().collect() } else { self.marked.iter().copied().collect() }
    }

    /// Which states are shown.
    #[must_use]
    pub const fn filter(&self) -> Filter {
        self.query.filter
    }

    /// What is searched for.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.query.text
    }

    /// How it is sorted.
    #[must_use]
    pub const fn sort(&self) -> Sort {
        self.sort
    }

    /// Whether the cursor stays with the newest.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.follow
    }

    /// The window has another height.
    pub fn resize(&mut self, height: usize) {
        self.height = height.max(1);
        self.list.fit(self.shown.len(), self.height);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        self.now = now;
        if self.sort.column.moves() {
            self.rebuild();
        }
    }

    /// Changes are told from now on, and a snapshot follows.
    pub fn start_turn(&mut self) {
        self.known.start_turn();
    }

    /// A page of a snapshot.
    pub fn page(&mut self, page: JobPage, first: bool, last: bool) {
        let changed = self.known.page(page, first, last);
        self.loaded |= last;
        if changed || last {
            self.rebuild();
        }
    }

    /// A job as it is now.
    pub fn change(&mut self, view: JobView) {
        let id = view.id;
        let before = self.known.get(id).cloned();
        if self.known.change(view) != Merged::Same {
            self.move_row(id, before.as_ref());
        }
    }

    /// A closer look at a job, which may be gone by now.
    pub fn look(&mut self, view: &JobView) {
        if self.known.get(view.id).is_some() {
            self.change(view.clone());
        }
    }

    /// A job is no more.
    pub fn remove(&mut self, id: JobId) {
        if self.known.remove(id) {
            self.marked.remove(&id);
            self.shown.retain(|shown| *shown != id);
            self.settle();
        }
    }

    /// Puts one row where it belongs.
    fn move_row(&mut self, id: JobId, before: Option<&JobView>) {
        let Some(job) = self.known.get(id) else { return };
        let takes = self.query.takes(job);
        let (sort, now) = (self.sort, self.now);
        let stays = before.is_some_and(|old| compare(old, job, sort, now).is_eq() && self.query.takes(old) == takes);
        if stays {
            return;
        }
        if before.is_some() {
            self.shown.retain(|shown| *shown != id);
        }
        if takes {
            let goes_before =
                |other: &JobId| self.known.get(*other).is_some_and(|other| compare(other, job, sort, now).is_lt());
            let place = self.shown.partition_point(goes_before);
            self.shown.insert(place, id);
        } else {
            self.marked.remove(&id);
        }
        self.settle();
    }

    fn rebuild(&mut self) {
        self.shown = shown(self.known.all(), &self.query, self.sort, self.now);
        if !self.marked.is_empty() {
            let still: BTreeSet<JobId> = self.shown.iter().copied().collect();
            self.marked.retain(|id| still.contains(id));
        }
        self.settle();
    }

    /// The rows are others: the cursor finds its job again, or takes the one that is in its place now.
    fn settle(&mut self) {
        let rows = self.shown.len();
        let newest = if self.follow { self.newest() } else { None };
        let wanted = newest.or(self.chosen);
        let found = wanted.and_then(|id| self.shown.iter().position(|shown| *shown == id));
        match found {
            Some(row) if newest.is_some() => self.list.go_to(row, rows, self.height),
            Some(row) => self.list.follow(row, rows, self.height),
            None => self.list.fit(rows, self.height),
        }
        self.chosen = self.shown.get(self.list.row).copied();
    }

    fn newest(&self) -> Option<JobId> {
        match self.sort {
            Sort { column: Column::Id, descending: true } => self.shown.first().copied(),
            Sort { column: Column::Id, descending: false } => self.shown.last().copied(),
            _ => self.shown.iter().max().copied(),
        }
    }

    /// Moves the cursor.
    pub fn step(&mut self, step: Step) {
        self.list.step(step, self.shown.len(), self.height);
        self.choose_row();
    }

    /// Puts the cursor on a row.
    pub fn go_to(&mut self, row: usize) {
        self.list.go_to(row, self.shown.len(), self.height);
        self.choose_row();
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.list.scroll(by, self.shown.len(), self.height);
        self.choose_row();
    }

    /// The cursor was moved: it stays where it is, unless that is the newest.
    fn choose_row(&mut self) {
        self.chosen = self.shown.get(self.list.row).copied();
        self.follow &= self.chosen == self.newest();
    }

    /// Puts the cursor on a job, if it is shown.
    pub fn choose(&mut self, id: JobId) {
        if let Some(row) = self.shown.iter().position(|shown| *shown == id) {
            self.go_to(row);
        }
    }

    /// Follows the newest, or no longer.
    pub fn toggle_follow(&mut self) {
        self.follow = !self.follow;
        self.settle();
    }

    /// Marks the job at the cursor, or no longer, and goes on.
    pub fn mark(&mut self) {
        let Some(id) = self.chosen else { return };
        if !self.marked.remove(&id) {
            self.marked.insert(id);
        }
        self.step(Step::Down);
    }

    /// Marks all that are shown.
    pub fn mark_all(&mut self) {
        self.marked = self.shown.iter().copied().collect();
    }

    /// Marks none; says whether any was.
    pub fn unmark(&mut self) -> bool {
        let any = !self.marked.is_empty();
        self.marked.clear();
        any
    }

    /// Shows jobs of some states only.
    pub fn set_filter(&mut self, filter: Filter) {
        self.query.filter = filter;
        self.rebuild();
    }

    /// Shows jobs only of which all these words are said.
    pub fn set_text(&mut self, text: &str) {
        text.clone_into(&mut self.query.text);
        self.rebuild();
    }

    /// Sorts by a column; by the same one again: the other way round.
    pub fn sort_by(&mut self, column: Column) {
        let descending = if self.sort.column == column {
            !self.sort.descending
        } else {
            matches!(column, Column::Id | Column::Elapsed | Column::Probes | Column::Attempt)
        };
        self.sort = Sort { column, descending };
        self.rebuild();
    }

    /// Sorts by the next column.
    pub fn sort_next(&mut self) {
        let at = Column::ALL.iter().position(|column| *column == self.sort.column).unwrap_or(0);
        self.sort_by(Column::ALL[(at + 1) % Column::ALL.len()]);
    }

    /// Sorts the other way round.
    pub fn sort_round(&mut self) {
        self.sort_by(self.sort.column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use bisect_shared::JobStatus;
    use proptest::prelude::*;

    fn table(ids: &[i64]) -> JobTable {
        let mut table = JobTable::new(samples::now());
        table.resize(5);
        let jobs = ids.iter().rev().map(|id| samples::job(*id)).collect();
        table.page(JobPage { jobs, next: None }, true, true);
        table
    }

    fn rows(table: &JobTable) -> Vec<i64> {
        table.shown().iter().map(|id| id.0).collect()
    }

    fn chosen(table: &JobTable) -> i64 {
        table.chosen().map_or(0, |job| job.id.0)
    }

    #[test]
    fn the_cursor_follows_the_newest_until_it_is_moved() {
        let mut table = table(&[1, 2, 3]);
        assert_eq!((rows(&table), chosen(&table), table.follows()), (vec![3, 2, 1], 3, true));
        table.change(samples::job(4));
        assert_eq!(chosen(&table), 4);
        table.step(Step::Down);
        table.change(samples::job(5));
        assert_eq!((rows(&table), chosen(&table), table.follows()), (vec![5, 4, 3, 2, 1], 3, false));
        table.toggle_follow();
        assert_eq!(chosen(&table), 5);
    }

    #[test]
    fn the_cursor_sticks_to_its_job_and_the_screen_stays_still() {
        let mut table = table(&(1..=100).collect::<Vec<_>>());
        table.go_to(50);
        let (job, on_screen) = (chosen(&table), table.list().row - table.list().top);
        for id in 101..120 {
            table.change(samples::job(id));
        }
        assert_eq!((chosen(&table), table.list().row - table.list().top), (job, on_screen));
        table.remove(JobId(job));
        assert_eq!(chosen(&table), job - 1, "the one that is in its place");
    }

    #[test]
    fn marks_go_with_what_is_no_longer_shown() {
        let mut table = table(&[1, 2, 3]);
        table.mark_all();
        table.set_text("nothing of the kind");
        assert!(table.targets().is_empty(), "nothing is done to what is not seen");
        table.set_text("");
        table.mark();
        table.mark();
        assert_eq!(table.targets(), [JobId(2), JobId(3)]);
        table.remove(JobId(3));
        assert_eq!(table.targets(), [JobId(2)]);
    }

    #[test]
    fn filters_take_changes_into_account() {
        let mut table = table(&[1, 2, 3]);
        table.set_filter(Filter::Active);
        let ended = JobView { status: JobStatus::Completed, seq: 99, ..samples::job(2) };
        table.change(ended);
        assert_eq!(rows(&table), [3, 1]);
        table.set_filter(Filter::Only(JobStatus::Completed));
        assert_eq!(rows(&table), [2]);
    }

    #[test]
    fn a_column_twice_is_the_other_way_round() {
        let mut table = table(&[1, 2, 3]);
        table.sort_by(Column::Id);
        assert_eq!((rows(&table), chosen(&table)), (vec![1, 2, 3], 3));
        table.sort_by(Column::Repository);
        assert!(!table.sort().descending);
        table.sort_next();
        assert_eq!(table.sort().column, Column::Requester);
    }

    proptest! {
        #[test]
        fn a_moved_row_is_where_sorting_anew_would_put_it(
            changes in proptest::collection::vec((1_i64..20, 0_i64..50, 0_usize..5), 0..40), column in 0_usize..10
        ) {
            let mut table = table(&[1, 2, 3]);
            table.set_filter(Filter::Active);
            table.sort_by(Column::ALL[column]);
            for (number, (id, left, status)) in changes.into_iter().enumerate() {
                table.change(JobView {
                    seq: 100 + number as i64,
                    candidates_left: Some(left),
                    probes_done: left % 7,
                    status: JobStatus::ALL[status],
                    ..samples::job(id)
                });
            }
            let anew = shown(table.known.all(), &table.query, table.sort, table.now);
            prop_assert_eq!(&anew, &table.shown);
            prop_assert_eq!(table.chosen, table.shown.get(table.list.row).copied());
        }
    }
}
