//! The servers, and who did what, on the screen.

use super::list::{List, Step};
use bisect_shared::{
    InstanceId,
    admin::{AuditEntry, AuditPage, InstanceView},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// The servers.
#[derive(Debug, Default)]
pub struct Servers {
    instances: Vec<InstanceView>,
    loaded: bool,
    list: List,
    chosen: Option<InstanceId>,
    height: usize,
}

/// What holds up a job that runs: something at its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldUp {
    /// It was not heard of for too long: others take its jobs.
    NoPulse,
    /// Its Docker does not answer.
    NoDocker,
    /// The runs of other jobs take all its slots.
    NoSlot,
}

impl HeldUp {
    /// In at most ten columns.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoPulse => "no pulse",
            Self::NoDocker => "no Docker",
            Self::NoSlot => "no slot",
        }
    }
}

impl Servers {
    /// All, in order.
    #[must_use]
    pub fn all(&self) -> &[InstanceView] {
        &self.instances
    }

    /// Whether they were told of.
    #[must_use]
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Cursor and window.
    #[must_use]
    pub const fn list(&self) -> List {
        self.list
    }

    /// The one at the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&InstanceView> {
        self.instances.get(self.list.row)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &InstanceId) -> Option<&InstanceView> {
        self.instances.iter().find(|instance| instance.id == *id)
    }

    /// They are told of.
    pub fn tell(&mut self, instances: Vec<InstanceView>) {
        (self.instances, self.loaded) = (instances, true);
        let row = self.instances.iter().position(|instance| Some(&instance.id) == self.chosen.as_ref());
        match row {
            Some(row) => self.list.follow(row, self.instances.len(), self.height),
            None => self.list.fit(self.instances.len(), self.height),
        }
        self.choose();
    }

    /// The window has another height.
    pub fn resize(&mut self, height: usize) {
        self.height = height;
        self.list.fit(self.instances.len(), height);
    }

    /// Moves the cursor.
    pub fn step(&mut self, step: Step) {
        self.list.step(step, self.instances.len(), self.height);
        self.choose();
    }

    /// Puts the cursor on a row.
    pub fn go_to(&mut self, row: usize) {
        self.list.go_to(row, self.instances.len(), self.height);
        self.choose();
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.list.scroll(by, self.instances.len(), self.height);
        self.choose();
    }

    fn choose(&mut self) {
        self.chosen = self.chosen().map(|instance| instance.id.clone());
    }
}

/// How long an answer with older entries is waited for.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(10);

/// Who did what, the newest first.
#[derive(Debug, Default)]
pub struct Audit {
    /// By their numbers.
    entries: BTreeMap<i64, AuditEntry>,
    /// The lowest number up to which nothing is missing, with which older ones are asked for.
    older: Option<i64>,
    loaded: bool,
    /// When they were asked for, while nothing is told.
    asked: Option<DateTime<Utc>>,
    list: List,
    chosen: Option<i64>,
    height: usize,
}

impl Audit {
    /// The entries, the newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &AuditEntry> {
        self.entries.values().rev()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether they were told of.
    #[must_use]
    pub const fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// Whether there are older ones.
    #[must_use]
    pub const fn has_older(&self) -> bool {
        self.older.is_some()
    }

    /// Cursor and window.
    #[must_use]
    pub const fn list(&self) -> List {
        self.list
    }

    /// The one at the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&AuditEntry> {
        self.newest_first().nth(self.list.row)
    }

    /// A page is told of. A page of the newest that does not reach what is known leaves a gap: then it begins anew.
    pub fn tell(&mut self, page: AuditPage, older: bool) {
        let lowest = page.entries.last().map(|entry| entry.id);
        if older {
            (self.older, self.asked) = (page.next, None);
        } else {
            let newest_known = self.entries.keys().next_back().copied();
            let joins = newest_known.is_some_and(|known| lowest.is_none_or(|lowest| lowest <= known + 1));
            if !joins {
                self.entries.clear();
                (self.older, self.asked) = (page.next, None);
            }
        }
        self.loaded = true;
        let follow = self.list.row == 0;
        self.entries.extend(page.entries.into_iter().map(|entry| (entry.id, entry)));
        let row = self.chosen.and_then(|id| self.newest_first().position(|entry| entry.id == id));
        match row {
            Some(row) if !follow => self.list.follow(row, self.entries.len(), self.height),
            _ => self.list.fit(self.entries.len(), self.height),
        }
        self.choose();
    }

    /// The window has another height.
    pub fn resize(&mut self, height: usize) {
        self.height = height;
        self.list.fit(self.entries.len(), height);
    }

    /// What has to be asked for, because the end is seen: entries before that number. Once more, if nothing is told for a while.
    pub fn want_older(&mut self, now: DateTime<Utc>) -> Option<i64> {
        let near_the_end = self.list.top + 2 * self.height >= self.entries.len();
        let waits = self.asked.is_some_and(|asked| now - asked < ASK_AGAIN);
        if waits || !near_the_end {
            return None;
        }
        self.asked = self.older.map(|_| now);
        self.older
    }

    /// What was asked for will not be told: the connection is another one.
    pub const fn forget_asked(&mut self) {
        self.asked = None;
    }

    /// Moves the cursor.
    pub fn step(&mut self, step: Step) {
        self.list.step(step, self.entries.len(), self.height);
        self.choose();
    }

    /// Puts the cursor on a row.
    pub fn go_to(&mut self, row: usize) {
        self.list.go_to(row, self.entries.len(), self.height);
        self.choose();
    }

    /// Moves the window.
    pub fn scroll(&mut self, by: isize) {
        self.list.scroll(by, self.entries.len(), self.height);
        self.choose();
    }

    fn choose(&mut self) {
        self.chosen = self.chosen().map(|entry| entry.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn the_cursor_sticks_to_its_server() {
        let mut servers = Servers::default();
        servers.resize(4);
        servers.tell(samples::instances().instances);
        servers.go_to(2);
        let mut others = samples::instances().instances;
        others.remove(0);
        servers.tell(others);
        assert_eq!(servers.chosen().unwrap().id, samples::worker(3));
    }

    fn page(ids: &[i64], next: Option<i64>) -> AuditPage {
        let entry = samples::audit().entries.remove(0);
        AuditPage { entries: ids.iter().map(|id| AuditEntry { id: *id, ..entry.clone() }).collect(), next }
    }

    fn ids(audit: &Audit) -> Vec<i64> {
        audit.newest_first().map(|entry| entry.id).collect()
    }

    #[test]
    fn older_entries_are_asked_for_once_as_the_end_comes_near() {
        let mut audit = Audit::default();
        audit.resize(3);
        audit.tell(page(&[20, 19, 18, 17, 16, 15, 14, 13], Some(13)), false);
        let now = DateTime::UNIX_EPOCH;
        assert_eq!(audit.want_older(now), None);
        audit.step(Step::Last);
        assert_eq!((audit.want_older(now), audit.want_older(now)), (Some(13), None));
        assert_eq!(audit.want_older(now + ASK_AGAIN), Some(13), "the answer may have been an error");
        audit.tell(page(&[12, 11], None), true);
        assert_eq!((audit.len(), audit.want_older(now), audit.chosen().unwrap().id), (10, None, 13));
    }

    #[test]
    fn a_gap_is_never_hidden() {
        let mut audit = Audit::default();
        audit.resize(3);
        audit.tell(page(&[5, 4, 3], Some(3)), false);
        audit.tell(page(&[6, 5, 4], Some(4)), false);
        assert_eq!(ids(&audit), [6, 5, 4, 3]);
        audit.tell(page(&[20, 19, 18], Some(18)), false);
        assert_eq!((ids(&audit), audit.older), (vec![20, 19, 18], Some(18)));
    }
}
