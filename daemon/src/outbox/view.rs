//! How a job is now, read from its rows and put into words.

use super::{Outbox, SendError, Target, links};
use crate::{
    db::{
        asked,
        jobs::{self, JobRow},
        outbox::OutboxRow,
        probes::{self, ProbeState},
    },
    report::{
        Report,
        comment::{self as say, PullLink, State, StatusView},
        replies,
    },
};
use bisect_shared::{JobStatus, Sha};
use std::collections::BTreeMap;

/// Whoever waited longer than this for a result gets a comment of its own, since an edit notifies nobody.
const LONG: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

impl Outbox {
    /// What the status comment says now, and the short notice that follows a long job's result.
    pub(super) async fn of_job(&self, row: &OutboxRow, target: &Target) -> Result<(String, Option<String>), SendError> {
        let useless = || SendError::Useless("its job is gone".into());
        let id = row.job.ok_or_else(useless)?;
        let mut tx = self.db.begin().await?;
        let job = jobs::find(&mut tx, id).await?.ok_or_else(useless)?;
        let state = match job.status {
            JobStatus::Pending => {
                let (position, of) = asked::place_in_queue(&mut tx, id).await?;
                State::Queued { position: position.into(), of: of.into() }
            }
            JobStatus::Running => {
                let rows = probes::probes(&mut tx, id).await?;
                let count =
                    |wanted: fn(&ProbeState) -> bool| rows.iter().filter(|row| wanted(&row.state)).count() as u64;
                State::Running {
                    candidates_left: job.progress.map_or(0, |progress| progress.candidates_left),
                    probes_done: count(|state| matches!(state, ProbeState::Ended(_))),
                    probes_running: count(|state| matches!(state, ProbeState::Running)),
                    // What is still expected, and what is behind it.
                    expected_probes: count(|state| matches!(state, ProbeState::Ended(_)))
                        + job.progress.map_or(0, |progress| progress.expected_probes.round() as u64),
                    seconds_left: seconds_left(&job, &rows),
                }
            }
            JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => State::Queued { position: 0, of: 0 },
        };
        tx.commit().await?;
        let state = if job.status.is_final() { self.end_of(&job, target).await } else { state };
        let links = links(&self.base_url, &self.github_url, &target.repository, id);
        let took = job.completed_at.zip(job.started_at).map(|(ended, started)| ended - started);
        let view = StatusView { job: id.0, state, links };
        let notice = took.is_some_and(|took| took > LONG).then(|| replies::notice(id, &view.links));
        Ok((say::status(&view), notice))
    }

    async fn end_of(&self, job: &JobRow, target: &Target) -> State {
        if job.status == JobStatus::Cancelled {
            return State::Cancelled { by: job.cancel_requested_by.clone() };
        }
        let report = job.report.clone().and_then(|report| serde_json::from_value::<Report>(report).ok());
        let Some(report) = report else {
            return State::Failed { reason: job.error.clone().unwrap_or_else(|| "it ended without a result".into()) };
        };
        let pulls = self.pulls_of(&report, target).await;
        State::Ended { report: Box::new(report), pulls }
    }

    /// The pull requests of the culprit. What GitHub does not tell is left out.
    async fn pulls_of(&self, report: &Report, target: &Target) -> BTreeMap<Sha, Vec<PullLink>> {
        let mut pulls = BTreeMap::new();
        for commit in report.culprit.iter().chain(report.suspects.iter().take(3)) {
            match self.github.pulls(&target.repository, commit).await {
                Ok(found) => {
                    let links = found.into_iter().map(|pull| PullLink { number: pull.number, title: pull.title });
                    pulls.insert(*commit, links.collect());
                }
                Err(error) => tracing::info!(error = %error, "the pull requests of a commit are not told"),
            }
        }
        pulls
    }
}

/// What is left at the pace so far: runs still expected, by the mean of those that ended, on so many lanes.
fn seconds_left(job: &JobRow, rows: &[probes::ProbeRow]) -> Option<f64> {
    let expected = job.progress?.expected_probes;
    let took: Vec<f64> = rows.iter().filter_map(|row| row.seconds).collect();
    (!took.is_empty()).then(|| {
        let mean = took.iter().sum::<f64>() / took.len() as f64;
        expected * mean / f64::from(job.lanes.max(1))
    })
}
