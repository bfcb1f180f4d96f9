//! Replies on their way to GitHub: each is told once, however often it is tried, and the one comment
//! of a job always tells how the job is *now*.
//!
//! It leases rows, asks `report::comment` for the words and `github` to send them. After an answer
//! that was lost it looks for its own marker in the issue before it writes a second comment.

mod fate;
mod marker;
mod send;
mod view;

pub use fate::Refusals;
pub use marker::Markers;

use crate::{
    db::{
        Database, DbError,
        again::until_reached,
        outbox::{self, OutboxRow},
    },
    github::{Github, GithubError, RepositoryRef},
    observers::Observers,
    report::comment::Links,
    vitals::Vital,
};
use bisect_shared::{InstanceId, JobId};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How long one reply may take: longer than the calls of GitHub that it needs. Whoever has not sent
/// it by then stops, before somebody else begins.
const LEASE: Duration = Duration::from_mins(3);
const LEASE_END: Duration = Duration::from_secs(10);
/// How many replies one process sends at once.
const SENDERS: usize = 4;
/// So long GitHub may still be at what a sender asked for that is not there any more.
pub const SETTLE: Duration = Duration::from_secs(2);

/// Where a reply goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// The repository.
    pub repository: RepositoryRef,
    /// The issue or pull request.
    pub issue: i64,
    /// The comment that it answers.
    pub comment: i64,
}

/// What a reply says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyBody {
    /// This Markdown.
    Text(String),
    /// This reaction.
    Reaction(String),
    /// How the job is when it is sent.
    OfJob,
}

/// How often progress is told.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At least so long between two edits of one comment at first.
    pub first: Duration,
    /// And at last.
    pub last: Duration,
    /// Progress edits of one installation in an hour, at most.
    pub edits_per_hour: u32,
    /// Whoever waited longer than this for a result gets a comment of its own: an edit notifies nobody.
    pub long: Duration,
}

impl Default for Pace {
    /// design.md 6: every 15 s, backing off to 2 minutes; 300 an hour; ten minutes.
    fn default() -> Self {
        Self {
            first: Duration::from_secs(15),
            last: Duration::from_mins(2),
            edits_per_hour: 300,
            long: Duration::from_mins(10),
        }
    }
}

impl Pace {
    fn after(self, edits: u32) -> Duration {
        self.first.mul_f64(1.25_f64.powi(i32::try_from(edits.min(64)).unwrap_or(64))).min(self.last)
    }
}

/// What sends replies.
#[derive(Clone)]
pub struct Outbox {
    /// The database.
    pub db: Database,
    /// GitHub.
    pub github: Github,
    /// This process.
    pub instance: InstanceId,
    /// The public address of this service; without one there is nothing to link to.
    pub base_url: Option<String>,
    /// GitHub's address.
    pub github_url: String,
    /// The marks that only this App can write.
    pub markers: Markers,
    /// How often progress is told.
    pub pace: Pace,
    /// What the log says once and not with each reply.
    pub refusals: Refusals,
    /// Who hears of each reply that was written.
    pub observers: Observers,
}

/// Why a reply was not sent now.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error(transparent)]
    Database(#[from] DbError),
    /// Its share of this hour is used.
    #[error("the installation had its progress edits of this hour")]
    EnoughForNow(Duration),
    /// It is of no use any more.
    #[error("{0}")]
    Useless(String),
    /// The lease is nearly over.
    #[error("it took longer than its lease")]
    TooSlow,
}

impl Outbox {
    /// Sends what waits, woken by `wake`, when something is due, and every `pause`. After `stopping` nothing
    /// is begun, and what is under way is waited for; what still is when the future is dropped is cut short.
    pub async fn run(self, wake: Arc<Notify>, pause: Duration, stopping: CancellationToken, vital: Vital) {
        let mut sending = JoinSet::new();
        while !stopping.is_cancelled() {
            vital.beat();
            let wait = match self.fill(&mut sending).await {
                Ok(due) => due.unwrap_or(pause).min(pause),
                Err(error) => {
                    tracing::warn!(error = %error, "the outbox could not be read; trying again");
                    pause
                }
            };
            tokio::select! {
                () = wake.notified() => {}
                Some(ended) = sending.join_next() => report(ended),
                () = tokio::time::sleep(wait) => {}
                () = stopping.cancelled() => {}
            }
        }
        while let Some(ended) = sending.join_next().await {
            report(ended);
        }
    }

    /// Leases and sends as many as may be sent at once; answers how long until the next one is due.
    async fn fill(&self, sending: &mut JoinSet<()>) -> Result<Option<Duration>, DbError> {
        while sending.len() < SENDERS {
            let mut tx = self.db.begin().await?;
            let leased = outbox::lease_next(&mut tx, &self.instance, LEASE).await?;
            let due = match &leased {
                Some(_) => None,
                None => outbox::next_due(&mut tx).await?,
            };
            tx.commit().await?;
            let Some(row) = leased else { return Ok(due) };
            let outbox = self.clone();
            sending.spawn(async move { outbox.tell(&row).await });
        }
        // The end of one of them is what is waited for.
        Ok(None)
    }

    /// Sends one reply; `false` when none is due.
    ///
    /// # Errors
    /// [`DbError`], when the outbox cannot be read.
    pub async fn next(&self) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let leased = outbox::lease_next(&mut tx, &self.instance, LEASE).await?;
        tx.commit().await?;
        let Some(row) = leased else { return Ok(false) };
        self.tell(&row).await;
        Ok(true)
    }

    async fn tell(&self, row: &OutboxRow) {
        let sent = tokio::time::timeout(LEASE - LEASE_END, self.send(row)).await;
        let settled = match sent.unwrap_or(Err(SendError::TooSlow)) {
            Ok(()) => {
                count(row, "sent");
                Ok(())
            }
            // It stays leased until this is written, so a database that is away is waited for.
            Err(error) => until_reached(LEASE, || self.not_sent(row, &error)).await,
        };
        if let Err(error) = settled {
            // Its lease ends by itself, and then somebody finds out whether it was sent.
            tracing::warn!(outbox.key = row.key, error = %error, "what became of a reply could not be written");
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %error, "a reply's task failed; it is tried again when its lease is over");
    }
}

fn count(row: &OutboxRow, outcome: &'static str) {
    metrics::counter!("bisectd_replies_total", "kind" => row.kind.name(), "outcome" => outcome).increment(1);
}

/// The links of a job's replies. `base_url` is the public address of this service.
#[must_use]
pub fn links(base_url: Option<&str>, github_url: &str, repository: &RepositoryRef, job: JobId) -> Links {
    Links {
        job: base_url.map(|base| format!("{}/jobs/{job}", base.trim_end_matches('/'))),
        repository: format!("{}/{}/{}", github_url.trim_end_matches('/'), repository.owner, repository.name),
    }
}
