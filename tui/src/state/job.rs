//! One job on the screen: everything about it, and where one is in its panes.

use super::list::{List, Step};
use crate::{clock::Clock, text, theme::Signs};
use bisect_shared::{
    JobId, ProbeId,
    admin::{JobDetail, ProbeView},
};

/// A pane of the view of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pane {
    /// What was tested.
    #[default]
    Probes,
    /// What happened to it.
    History,
    /// What came of it.
    Result,
}

impl Pane {
    /// All, from left to right.
    pub const ALL: [Self; 3] = [Self::Probes, Self::History, Self::Result];

    /// Its heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Probes => "Probes",
            Self::History => "History",
            Self::Result => "Result",
        }
    }

    fn moved(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|pane| *pane == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// How large the panes are: columns and rows of each.
pub type Sizes = [(usize, usize); 3];

/// The job.
#[derive(Debug)]
pub struct JobScreen {
    id: JobId,
    detail: Option<Box<JobDetail>>,
    /// Whether there is no such job, as the daemon says.
    missing: bool,
    /// The pane that keys act upon.
    pub pane: Pane,
    lists: [List; 3],
    chosen: Option<ProbeId>,
    follow: bool,
    sizes: Sizes,
}

impl JobScreen {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(id: JobId) -> Self {
        Self {
            id,
            detail: None,
            missing: false,
            pane: Pane::default(),
            lists: [List::default(); 3],
            chosen: None,
            follow: true,
            sizes: [(80, 10); 3],
        }
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> JobId {
        self.id
    }

    /// Everything about it.
    #[must_use]
    pub fn detail(&self) -> Option<&JobDetail> {
        self.detail.as_deref()
    }

    /// Whether there is no such job.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.missing
    }

    /// Where a pane is scrolled to.
    #[must_use]
    pub const fn list(&self, pane: Pane) -> List {
        self.lists[pane as usize]
    }

    /// The panes have other sizes.
    pub fn resize(&mut self, sizes: Sizes, clock: &Clock, signs: &Signs) {
        if self.sizes != sizes {
            self.sizes = sizes;
            self.fit(clock, signs);
        }
    }

    fn fit(&mut self, clock: &Clock, signs: &Signs) {
        for pane in Pane::ALL {
            let rows = self.rows(pane, clock, signs);
            self.lists[pane as usize].fit(rows, self.sizes[pane as usize].1);
        }
    }

    /// It was told of.
    pub fn tell(&mut self, detail: Option<Box<JobDetail>>, clock: &Clock, signs: &Signs) {
        let Some(detail) = detail else {
            self.missing = true;
            return;
        };
        let older = self.detail.as_ref().is_some_and(|known| known.job.seq > detail.job.seq);
        if older {
            return;
        }
        let first = self.detail.is_none();
        if first && detail.job.status.is_final() && detail.report.is_some() {
            self.pane = Pane::Result;
        }
        self.missing = false;
        self.detail = Some(detail);
        self.settle();
        self.fit(clock, signs);
    }

    /// The cursor finds its probe again, or stays with the last one.
    fn settle(&mut self) {
        let Some(detail) = &self.detail else { return };
        let (rows, height) = (detail.probes.len(), self.sizes[Pane::Probes as usize].1);
        let found = self.chosen.and_then(|id| detail.probes.iter().position(|probe| probe.id == id));
        let list = &mut self.lists[Pane::Probes as usize];
        match found {
            Some(row) if !self.follow => list.follow(row, rows, height),
            _ => list.go_to(rows.saturating_sub(1), rows, height),
        }
        self.chosen = detail.probes.get(list.row).map(|probe| probe.id);
    }

    /// The probe at the cursor.
    #[must_use]
    pub fn chosen(&self) -> Option<&ProbeView> {
        self.detail.as_ref()?.probes.get(self.list(Pane::Probes).row)
    }

    /// Moves within the pane.
    pub fn step(&mut self, step: Step, clock: &Clock, signs: &Signs) {
        let (pane, rows) = (self.pane, self.rows(self.pane, clock, signs));
        let height = self.sizes[pane as usize].1;
        let list = &mut self.lists[pane as usize];
        if pane == Pane::Probes {
            list.step(step, rows, height);
            self.choose(rows);
        } else {
            list.step_window(step, rows, height);
        }
    }

    /// Moves the window of a pane.
    pub fn scroll(&mut self, pane: Pane, by: isize, clock: &Clock, signs: &Signs) {
        let rows = self.rows(pane, clock, signs);
        self.lists[pane as usize].scroll(by, rows, self.sizes[pane as usize].1);
        if pane == Pane::Probes {
            self.choose(rows);
        }
    }

    /// Puts the cursor on a probe.
    pub fn go_to(&mut self, row: usize) {
        let rows = self.detail.as_ref().map_or(0, |detail| detail.probes.len());
        self.lists[Pane::Probes as usize].go_to(row, rows, self.sizes[Pane::Probes as usize].1);
        self.choose(rows);
    }

    fn choose(&mut self, rows: usize) {
        self.chosen = self.chosen().map(|probe| probe.id);
        self.follow = self.list(Pane::Probes).row + 1 >= rows;
    }

    /// To the next pane, or the one before.
    pub fn next_pane(&mut self, back: bool) {
        self.pane = self.pane.moved(if back { Pane::ALL.len() - 1 } else { 1 });
    }

    fn rows(&self, pane: Pane, clock: &Clock, signs: &Signs) -> usize {
        let Some(detail) = &self.detail else { return 0 };
        let width = self.sizes[pane as usize].0;
        match pane {
            Pane::Probes => detail.probes.len(),
            Pane::History => history_lines(detail, width, clock, signs).len(),
            Pane::Result => result_lines(detail, width).len(),
        }
    }
}

/// The history as lines of at most `width` columns; the first of an entry begins with its time.
#[must_use]
pub fn history_lines(detail: &JobDetail, width: usize, clock: &Clock, signs: &Signs) -> Vec<String> {
    const INDENT: usize = 13;
    let mut lines = Vec::new();
    for entry in &detail.history {
        let mut said = match entry.kind.as_str() {
            "write_refused" => "a write of an old claim was refused".to_owned(),
            other => text::clean(other).replace('_', " "),
        };
        if !entry.detail.is_empty() {
            said += &format!(" {} {}", signs.dot, text::clean(&entry.detail));
        }
        if let Some(worker) = &entry.worker {
            said += &format!(" {} {}", signs.dot, text::clean(&worker.0));
        }
        if entry.epoch.0 > 1 {
            said += &format!(" {} claim {}", signs.dot, entry.epoch);
        }
        for (number, part) in text::wrap(&said, width.saturating_sub(INDENT)).into_iter().enumerate() {
            let time = if number == 0 { clock.moment(entry.at) } else { String::new() };
            lines.push(format!("{time:<INDENT$}{part}"));
        }
    }
    lines
}

/// The result as lines of at most `width` columns, then the links.
#[must_use]
pub fn result_lines(detail: &JobDetail, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut wrapped = |line: &str| {
        // What is indented stays so; only what does not fit is broken.
        let clean = line.trim_end();
        let indent = clean.len() - clean.trim_start_matches(' ').len();
        let body = text::clean(clean);
        for part in text::wrap(&body, width.saturating_sub(indent)) {
            lines.push(format!("{:indent$}{part}", ""));
        }
    };
    match (&detail.report, &detail.job.error) {
        (Some(report), _) => report.lines().for_each(&mut wrapped),
        (None, Some(error)) => error.lines().for_each(&mut wrapped),
        (None, None) => {}
    }
    if !detail.links.is_empty() {
        wrapped("");
        detail.links.iter().for_each(|link| wrapped(link));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{samples, theme::Colours, theme::Theme};

    fn clock() -> Clock {
        Clock::new(samples::now(), |_| chrono::FixedOffset::east_opt(0).unwrap(), true)
    }

    fn told(detail: JobDetail) -> JobScreen {
        let mut screen = JobScreen::new(detail.job.id);
        let signs = Theme::new(Colours::None, true).signs;
        screen.resize([(80, 4); 3], &clock(), signs);
        screen.tell(Some(Box::new(detail)), &clock(), signs);
        screen
    }

    #[test]
    fn the_cursor_stays_with_the_last_probe_until_it_is_moved() {
        let signs = Theme::new(Colours::None, true).signs;
        let mut screen = told(samples::detail());
        assert_eq!(screen.chosen().unwrap().id, ProbeId(1009));
        let mut more = samples::detail();
        more.probes.push(samples::probe(10, Some(5), None));
        screen.tell(Some(Box::new(more.clone())), &clock(), signs);
        assert_eq!(screen.chosen().unwrap().id, ProbeId(1010));
        screen.step(Step::Up, &clock(), signs);
        more.probes.push(samples::probe(11, Some(6), None));
        screen.tell(Some(Box::new(more)), &clock(), signs);
        assert_eq!(screen.chosen().unwrap().id, ProbeId(1009));
    }

    #[test]
    fn an_older_look_changes_nothing() {
        let mut screen = told(samples::detail());
        let mut older = samples::detail();
        older.job.seq = 1;
        older.probes.clear();
        screen.tell(Some(Box::new(older)), &clock(), Theme::new(Colours::None, true).signs);
        assert_eq!(screen.detail().unwrap().probes.len(), 10);
    }

    #[test]
    fn one_that_has_ended_shows_its_result_first() {
        assert_eq!(told(samples::detail_done()).pane, Pane::Result);
        assert_eq!(told(samples::detail()).pane, Pane::Probes);
    }

    #[test]
    fn the_result_is_broken_to_the_width_and_stays_indented() {
        let lines = result_lines(&samples::detail_done(), 40);
        assert!(lines.iter().all(|line| text::width(line) <= 40), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("  author  Ada")));
    }
}
