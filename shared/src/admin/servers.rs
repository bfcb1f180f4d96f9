//! The fleet: its instances, its numbers, who did what.

use crate::{InstanceId, JobId, ResultKind};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The answer of `/v1/instances`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InstanceList {
    /// Those that serve, then those that were heard of within a day; by host and start.
    pub instances: Vec<InstanceView>,
}

/// One process of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceView {
    /// The process.
    pub id: InstanceId,
    /// Its machine.
    pub host: String,
    /// The program's version.
    pub version: String,
    /// Jobs at once, at most; 0 for a process that only watches.
    pub max_jobs: u32,
    /// Probes at once, at most.
    pub max_probes: Option<u32>,
    /// Jobs it runs.
    pub running_jobs: i64,
    /// Probes it runs.
    pub running_probes: i64,
    /// When it was first heard of.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub heartbeat_at: DateTime<Utc>,
    /// Whether it was heard of so long ago that its jobs are given to others.
    pub stale: bool,
    /// Who asked it to take no more jobs.
    pub drain_requested_by: Option<String>,
    /// When it ended in order.
    pub retired_at: Option<DateTime<Utc>>,
    /// Whether its Docker answered at its last heartbeat; `None` where it did not say.
    pub docker: Option<bool>,
    /// Whether this one answers here.
    pub this: bool,
}

/// The answer of `/v1/stats`: what the overview shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Overview {
    /// Jobs that wait.
    pub pending: i64,
    /// Jobs that run, anywhere.
    pub running: i64,
    /// Ended with a result.
    pub completed: i64,
    /// Ended by infrastructure.
    pub failed: i64,
    /// Stopped.
    pub cancelled: i64,
    /// Running, by a worker that was not heard of for too long.
    pub stale: i64,
    /// How long the oldest waiting job has waited, in seconds.
    pub oldest_pending: Option<f64>,
    /// Deliveries that wait, and the age of the oldest in seconds.
    pub inbox: i64,
    /// See [`Overview::inbox`].
    pub inbox_age: f64,
    /// Replies that wait, and how long the oldest answer or result has waited, in seconds.
    pub outbox: i64,
    /// See [`Overview::outbox`].
    pub outbox_age: f64,
    /// Jobs that waited, at the end of each of the last 60 minutes; oldest first.
    pub depth_by_minute: Vec<i64>,
    /// Jobs that ended, in each of the last 60 minutes; oldest first.
    pub ended_by_minute: Vec<i64>,
    /// How the jobs of the last 24 hours ended, most first.
    pub results: Vec<ResultCount>,
    /// What GitHub still allows, as this instance heard last; empty where no App is configured.
    pub github: Vec<Rate>,
}

/// How many jobs ended so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultCount {
    /// `None` for jobs that failed without one.
    pub result: Option<ResultKind>,
    /// How many.
    pub jobs: i64,
}

/// What GitHub allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// `app`, or `installation 17`.
    pub whose: String,
    /// Calls left.
    pub left: i64,
    /// Of so many.
    pub limit: i64,
    /// Until then.
    pub resets_at: DateTime<Utc>,
}

/// What `/v1/audit` is asked for. Newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditQuery {
    /// Only those with a lower number than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// So many at most; 200 without it, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditPage {
    /// Highest number first.
    pub entries: Vec<AuditEntry>,
    /// Ask with `before` this number for more; `None` at the end.
    pub next: Option<i64>,
}

/// Somebody did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Login, operator's name, or `system`.
    pub actor: String,
    /// `github`, `web`, `console`, `shell`, `system`.
    pub channel: String,
    /// What was done: `job.cancel`, `job.retry`, `instance.drain`, ….
    pub action: String,
    /// To which job.
    pub job: Option<JobId>,
    /// What else there is to say, as words; may be empty.
    pub detail: String,
}
