//! Replies on their way to GitHub: each is told once, however often it is tried, and the one comment
//! of a job always tells how the job is *now*.
//!
//! It leases rows, asks `report::comment` for the words and `github` to send them. After an answer
//! that was lost it looks for its own marker in the issue before it writes a second comment.

mod view;

use crate::{
    db::{
        Database, DbError, Tx,
        outbox::{self, NewReply, OutboxRow, ReplyKind},
    },
    github::{Github, GithubError, RepositoryRef},
    report::comment::{self as say, Links},
};
use bisect_shared::{InstanceId, JobId};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long one reply may take: longer than the calls of GitHub that it needs.
const LEASE: Duration = Duration::from_mins(3);
/// Progress edits of one installation in an hour, at most (design.md 6).
const EDITS_PER_HOUR: u32 = 300;
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// What could not be told for so long is of no use to anybody.
const TOO_LATE: Duration = Duration::from_hours(48);
/// How many replies one process sends at once.
const SENDERS: usize = 2;

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
}

impl Default for Pace {
    /// design.md 6: every 15 s, backing off to 2 minutes.
    fn default() -> Self {
        Self { first: Duration::from_secs(15), last: Duration::from_mins(2) }
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
    /// The public address of this service.
    pub base_url: String,
    /// GitHub's address.
    pub github_url: String,
    /// Makes the markers that only this App can write.
    pub marker_secret: Arc<SecretString>,
    /// How often progress is told.
    pub pace: Pace,
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
}

impl Outbox {
    /// Sends what waits until `stopping`, woken by `wake` and every `pause`.
    pub async fn run(self, wake: Arc<Notify>, pause: Duration, stopping: CancellationToken) {
        let senders = (0..SENDERS).map(|_| self.clone().sender(Arc::clone(&wake), pause, stopping.clone()));
        futures::future::join_all(senders).await;
    }

    async fn sender(self, wake: Arc<Notify>, pause: Duration, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            match self.next().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %error, "the outbox could not be read; trying again"),
            }
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    /// Sends one reply; `false` when none is due.
    ///
    /// # Errors
    /// [`DbError`], when the outbox cannot be read or written.
    pub async fn next(&self) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let leased = outbox::lease_next(&mut tx, &self.instance, LEASE).await?;
        tx.commit().await?;
        let Some(row) = leased else { return Ok(false) };
        if let Err(error) = self.send(&row).await {
            self.not_sent(&row, &error).await?;
        }
        Ok(true)
    }

    async fn send(&self, row: &OutboxRow) -> Result<(), SendError> {
        let unreadable = |error: serde_json::Error| SendError::Useless(format!("the row cannot be read: {error}"));
        let target: Target = row.target().map_err(unreadable)?;
        let body: ReplyBody = serde_json::from_value(row.body.clone()).map_err(unreadable)?;
        if !row.urgent {
            self.take_edit(row).await?;
        }
        let (text, notice) = match body {
            ReplyBody::Reaction(reaction) => {
                self.github.react(&target.repository, target.comment, &reaction).await?;
                return self.sent(row, None).await;
            }
            ReplyBody::Text(text) => (text, None),
            ReplyBody::OfJob => self.of_job(row, &target).await?,
        };
        let marker = say::marker(row.kind.name(), &row.key, &self.tag(&row.key));
        let text = format!("{text}\n{marker}\n");
        match self.comment_of(row, &target, &marker).await? {
            Some(comment) => self.github.update_comment(&target.repository, comment, &text).await?,
            None => {
                let comment = self.github.create_comment(&target.repository, target.issue, &text).await?;
                self.remember(row, comment).await?;
            }
        }
        self.sent(row, notice.map(|notice| (target, notice))).await
    }

    /// The comment that this reply already is: as remembered, or, when an earlier try may have
    /// written it without our hearing of it, as found in the issue.
    async fn comment_of(&self, row: &OutboxRow, target: &Target, marker: &str) -> Result<Option<i64>, SendError> {
        if row.remote_id.is_some() || row.attempts <= 1 {
            return Ok(row.remote_id);
        }
        // GitHub's clock and ours may differ.
        let since = chrono::Utc::now() - row.age - chrono::TimeDelta::hours(1);
        let comments = self.github.comments(&target.repository, target.issue, since).await?;
        let found = comments.into_iter().find(|comment| comment.ours && comment.body.contains(marker));
        let Some(found) = found else { return Ok(None) };
        self.remember(row, found.id).await?;
        Ok(Some(found.id))
    }

    async fn remember(&self, row: &OutboxRow, comment: i64) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        outbox::remember(&mut tx, row, comment).await?;
        Ok(tx.commit().await?)
    }

    async fn take_edit(&self, row: &OutboxRow) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        let wait = outbox::take_edit(&mut tx, row.installation, EDITS_PER_HOUR).await?;
        tx.commit().await?;
        wait.map_or(Ok(()), |wait| Err(SendError::EnoughForNow(wait)))
    }

    async fn sent(&self, row: &OutboxRow, notice: Option<(Target, String)>) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        outbox::sent(&mut tx, row, self.pace.after(row.edits)).await?;
        if let (Some((target, notice)), Some(job)) = (notice, row.job) {
            self.queue_notice(&mut tx, row, job, target, notice).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn queue_notice(
        &self,
        tx: &mut Tx,
        row: &OutboxRow,
        job: JobId,
        target: Target,
        text: String,
    ) -> Result<(), DbError> {
        let reply = NewReply {
            key: &format!("job:{job}:notice"),
            job: Some(job),
            installation: row.installation,
            kind: ReplyKind::Notice,
            target: serde_json::to_value(target).unwrap_or_default(),
            body: serde_json::to_value(ReplyBody::Text(text)).unwrap_or_default(),
        };
        outbox::insert(tx, &reply).await
    }

    /// Tried again later, or never.
    async fn not_sent(&self, row: &OutboxRow, error: &SendError) -> Result<(), DbError> {
        let backoff = Duration::from_secs(1 << row.attempts.min(10)).min(LONGEST_PAUSE);
        let pause = match error {
            SendError::EnoughForNow(wait) => Some(*wait),
            SendError::Database(_) => Some(backoff),
            SendError::Github(GithubError::Configuration(_) | GithubError::Misunderstood { .. }) => Some(backoff),
            SendError::Github(error) => error.retry_after().map(|wait| wait.max(backoff.min(LONGEST_PAUSE))),
            SendError::Useless(_) => None,
        };
        let pause = pause.filter(|_| row.age < TOO_LATE);
        let reason = error.to_string();
        match pause {
            Some(_) => tracing::info!(outbox.key = row.key, error = reason, "a reply is tried again later"),
            None => tracing::warn!(outbox.key = row.key, error = reason, "a reply is not told"),
        }
        let mut tx = self.db.begin().await?;
        outbox::failed(&mut tx, row, pause, &reason).await?;
        tx.commit().await
    }

    /// A text that nobody else can make for this key.
    fn tag(&self, key: &str) -> String {
        let secret = self.marker_secret.expose_secret().as_bytes();
        // HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
        mac.update(b"bisect-bot marker\0");
        mac.update(key.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..16])
    }
}

/// The links of a job's replies.
#[must_use]
pub fn links(base_url: &str, github_url: &str, repository: &RepositoryRef, job: JobId) -> Links {
    Links {
        job: format!("{}/job/{job}", base_url.trim_end_matches('/')),
        repository: format!("{}/{}/{}", github_url.trim_end_matches('/'), repository.owner, repository.name),
    }
}
