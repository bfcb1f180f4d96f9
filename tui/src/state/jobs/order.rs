//! Which jobs are shown, and in which order.

use bisect_shared::{JobId, JobStatus, admin::JobView};
use chrono::{DateTime, TimeDelta, Utc};
use std::cmp::Ordering;

/// Jobs of which states are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    /// All.
    #[default]
    All,
    /// Those that have not ended.
    Active,
    /// Those of one state.
    Only(JobStatus),
}

impl Filter {
    /// Every one, in the order in which a key goes through them.
    pub const ALL: [Self; 7] = [
        Self::All,
        Self::Active,
        Self::Only(JobStatus::Pending),
        Self::Only(JobStatus::Running),
        Self::Only(JobStatus::Completed),
        Self::Only(JobStatus::Failed),
        Self::Only(JobStatus::Cancelled),
    ];

    /// Its name, as `:filter` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Active => "active",
            Self::Only(status) => status.name(),
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|filter| filter.name() == name)
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|filter| *filter == self).unwrap_or(0);
        Self::ALL[(at + 1) % Self::ALL.len()]
    }

    fn takes(self, job: &JobView) -> bool {
        match self {
            Self::All => true,
            Self::Active => !job.status.is_final(),
            Self::Only(status) => job.status == status,
        }
    }
}

/// A column of the table of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The number.
    Id,
    /// State, or result.
    State,
    /// The repository.
    Repository,
    /// Who asked.
    Requester,
    /// Candidates left; the culprit once it is found.
    Progress,
    /// Probes done, and running.
    Probes,
    /// How long it runs, ran, or waits.
    Elapsed,
    /// In how long it is expected to end.
    Ends,
    /// Who works on it.
    Worker,
    /// The number of the attempt.
    Attempt,
}

impl Column {
    /// Every one, from left to right.
    pub const ALL: [Self; 10] = [
        Self::Id,
        Self::State,
        Self::Repository,
        Self::Requester,
        Self::Progress,
        Self::Probes,
        Self::Elapsed,
        Self::Ends,
        Self::Worker,
        Self::Attempt,
    ];

    /// Its head, which in small letters is its name for `:sort`.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Id => "JOB",
            Self::State => "STATE",
            Self::Repository => "REPOSITORY",
            Self::Requester => "BY",
            Self::Progress => "LEFT",
            Self::Probes => "PROBES",
            Self::Elapsed => "TIME",
            Self::Ends => "ETA",
            Self::Worker => "WORKER",
            Self::Attempt => "TRY",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.title().eq_ignore_ascii_case(name))
    }

    /// Whether its values change by themselves.
    pub(super) const fn moves(self) -> bool {
        matches!(self, Self::Elapsed | Self::Ends)
    }
}

/// How the table is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// By which column.
    pub column: Column,
    /// The largest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { column: Column::Id, descending: true }
    }
}

/// What decides about which jobs are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    pub(super) filter: Filter,
    /// As it was typed; all its words must be found.
    pub(super) text: String,
}

impl Query {
    pub(super) fn takes(&self, job: &JobView) -> bool {
        self.filter.takes(job) && (self.text.trim().is_empty() || self.is_said_of(job))
    }

    fn is_said_of(&self, job: &JobView) -> bool {
        let words = format!(
            "{} {} {} {} {} {} {} {} {}",
            job.id,
            job.status,
            job.result.map_or("", |result| result.name()),
            job.repository,
            job.requested_by.as_deref().unwrap_or_default(),
            job.worker.as_ref().map_or("", |worker| worker.0.as_str()),
            job.culprit.map(|culprit| culprit.to_string()).unwrap_or_default(),
            job.error.as_deref().unwrap_or_default(),
            job.issue.map(|issue| format!("#{issue}")).unwrap_or_default(),
        );
        let words = words.to_lowercase();
        self.text.to_lowercase().split_whitespace().all(|word| words.contains(word))
    }
}

/// How long a job runs or ran; how long it waits.
#[must_use]
pub fn elapsed(job: &JobView, now: DateTime<Utc>) -> TimeDelta {
    let from = job.started_at.unwrap_or(job.created_at);
    let to = job.completed_at.unwrap_or(now);
    (to - from).max(TimeDelta::zero())
}

/// In how long a running job is expected to end.
#[must_use]
pub fn ends_in(job: &JobView) -> Option<TimeDelta> {
    if job.status != JobStatus::Running {
        return None;
    }
    let rounds = (f64::from(job.expected_probes?) / f64::from(job.lanes.max(1))).ceil();
    Some(crate::clock::delta(rounds * job.seconds_per_probe?))
}

/// Which of two jobs comes first. What has no value is last either way; newer jobs are first among equals.
pub(super) fn compare(a: &JobView, b: &JobView, sort: Sort, now: DateTime<Utc>) -> Ordering {
    let newest = b.id.cmp(&a.id);
    let by = match sort.column {
        Column::Id => return if sort.descending { newest } else { newest.reverse() },
        Column::State => known(Some((a.status, a.result)), Some((b.status, b.result)), sort),
        Column::Repository => known(Some(&a.repository), Some(&b.repository), sort),
        Column::Requester => known(a.requested_by.as_ref(), b.requested_by.as_ref(), sort),
        Column::Progress => known(a.candidates_left, b.candidates_left, sort),
        Column::Probes => known(Some(a.probes_done), Some(b.probes_done), sort),
        Column::Elapsed => known(Some(elapsed(a, now)), Some(elapsed(b, now)), sort),
        Column::Ends => known(ends_in(a), ends_in(b), sort),
        Column::Worker => known(a.worker.as_ref().map(|w| &w.0), b.worker.as_ref().map(|w| &w.0), sort),
        Column::Attempt => known(Some(a.attempt), Some(b.attempt), sort),
    };
    by.then(newest)
}

fn known<T: Ord>(a: Option<T>, b: Option<T>, sort: Sort) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if sort.descending => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

/// The jobs that are shown, in order.
pub(super) fn shown<'a>(
    jobs: impl Iterator<Item = &'a JobView>,
    query: &Query,
    sort: Sort,
    now: DateTime<Utc>,
) -> Vec<JobId> {
    let mut shown: Vec<&JobView> = jobs.filter(|job| query.takes(job)).collect();
    shown.sort_unstable_by(|a, b| compare(a, b, sort, now));
    shown.into_iter().map(|job| job.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn names_are_read_back() {
        for filter in Filter::ALL {
            assert_eq!(Filter::named(filter.name()), Some(filter));
        }
        for column in Column::ALL {
            assert_eq!(Column::named(&column.title().to_lowercase()), Some(column));
        }
        let round = (0..Filter::ALL.len()).fold(Filter::All, |filter, _| filter.next());
        assert_eq!(round, Filter::All);
    }

    #[test]
    fn every_word_must_be_found() {
        let job = samples::job(17);
        let takes = |text: &str| Query { filter: Filter::All, text: text.to_owned() }.takes(&job);
        assert!(takes("") && takes("  ") && takes("17") && takes("ADA demo") && takes("running"));
        assert!(!takes("ada nothing"));
    }

    #[test]
    fn what_has_no_value_comes_last() {
        let (some, none) = (samples::job(1), JobView { candidates_left: None, ..samples::job(2) });
        for descending in [true, false] {
            let sort = Sort { column: Column::Progress, descending };
            let order = shown([&none, &some].into_iter(), &Query::default(), sort, samples::now());
            assert_eq!(order, [JobId(1), JobId(2)]);
        }
    }

    #[test]
    fn the_end_is_expected_by_rounds_of_lanes() {
        let job = JobView { expected_probes: Some(5), seconds_per_probe: Some(10.0), lanes: 2, ..samples::job(1) };
        assert_eq!(ends_in(&job), Some(TimeDelta::seconds(30)));
        assert_eq!(ends_in(&JobView { status: JobStatus::Pending, ..job }), None);
    }
}
