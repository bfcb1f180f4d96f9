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
        comment::{self as say, Again, PullLink, State, StatusView},
        replies,
    },
};
use bisect_shared::{JobStatus, Sha};
use std::collections::BTreeMap;

/// So often a result waits for GitHub to tell the pull requests of its commits; then it goes without them.
const TRIES_FOR_PULLS: u32 = 3;

/// What a comment says now.
pub(super) struct View {
    pub(super) text: String,
    /// The short comment that follows the result of a long job.
    pub(super) notice: Option<String>,
    /// Nothing comes after it.
    pub(super) is_end: bool,
}

impl View {
    pub(super) fn of_text(text: String) -> Self {
        Self { text, notice: None, is_end: true }
    }
}

impl Outbox {
    /// What the status comment says now.
    pub(super) async fn of_job(&self, row: &OutboxRow, target: &Target) -> Result<View, SendError> {
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
                    candidates: job.candidates.unwrap_or(0),
                    seeking: job.goods().next().is_none(),
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
        let is_end = job.status.is_final();
        let state = if is_end { self.end_of(&job, row, target).await? } else { state };
        let links = links(self.base_url.as_deref(), &self.github_url, &target.repository, id);
        let took = job.completed_at.zip(job.started_at).and_then(|(ended, started)| (ended - started).to_std().ok());
        let again = job.retry_of.zip(job.requested_by.clone()).map(|(of, by)| Again { of: of.0, by });
        let view = StatusView { job: id.0, state, links, again };
        let notice = took.is_some_and(|took| took > self.pace.long).then(|| replies::notice(id, &view.links));
        Ok(View { text: say::status(&view), notice, is_end })
    }

    async fn end_of(&self, job: &JobRow, row: &OutboxRow, target: &Target) -> Result<State, SendError> {
        if job.status == JobStatus::Cancelled {
            return Ok(State::Cancelled { by: job.cancel_requested_by.clone() });
        }
        let report = job.report.clone().and_then(|report| serde_json::from_value::<Report>(report).ok());
        let Some(report) = report else {
            let reason = job.error.clone().unwrap_or_else(|| "it ended without a result".into());
            return Ok(State::Failed { reason });
        };
        let pulls = self.pulls_of(&report, row, target).await?;
        let mut tx = self.db.begin().await?;
        jobs::note_pulls(&mut tx, job.id, &serde_json::json!(pulls)).await?;
        tx.commit().await?;
        Ok(State::Ended { report: Box::new(report), pulls })
    }

    /// The pull requests of the culprit. What GitHub does not tell is left out; a moment in which it
    /// tells nothing is waited for, since a result is written once.
    async fn pulls_of(
        &self,
        report: &Report,
        row: &OutboxRow,
        target: &Target,
    ) -> Result<BTreeMap<Sha, Vec<PullLink>>, SendError> {
        let mut pulls = BTreeMap::new();
        for commit in report.culprit.iter().chain(report.suspects.iter().take(3)) {
            match self.github.pulls(&target.repository, commit).await {
                Ok(found) => {
                    let links = found.into_iter().map(|pull| PullLink { number: pull.number, title: pull.title });
                    pulls.insert(*commit, links.collect());
                }
                Err(error) if error.retry_after().is_some() && row.attempts <= TRIES_FOR_PULLS => {
                    return Err(error.into());
                }
                Err(error) => tracing::info!(error = %error, "the pull requests of a commit are not told"),
            }
        }
        Ok(pulls)
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
