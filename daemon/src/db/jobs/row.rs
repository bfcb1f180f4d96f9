//! What a job is made of: a new one, its row, and what it ends with. No statements.

use super::super::row;
use bisect_shared::{Epoch, InstanceId, JobId, JobStatus, ResultKind, Sha, admin::Strip};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// A request, ready to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Whose it is: see [`Origin`].
    pub origin: Origin,
    /// The request's identity: while a job with it is unfinished, this one joins it.
    pub request_key: Option<String>,
    /// Who asked, as shown to people.
    pub requested_by: Option<String>,
    /// The job this repeats.
    pub retry_of: Option<JobId>,
    /// The commit where the command passes.
    pub good: Sha,
    /// Further commits known to pass.
    pub more_good: Vec<Sha>,
    /// The commit where it fails.
    pub bad: Sha,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Run before the command at every commit.
    pub setup: Option<String>,
    /// The image it runs in; `None` for the configured one.
    pub image: Option<String>,
    /// Probes at once, at most.
    pub lanes: u32,
    /// The longest that one probe may take.
    pub timeout: Option<Duration>,
    /// The longest that the whole job may take.
    pub max_duration: Option<Duration>,
    /// Everything else that only the engine reads.
    pub spec: Value,
    /// Higher is earlier; 0 is usual.
    pub priority: i16,
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A comment on GitHub.
    GitHub {
        /// GitHub's number of the installation.
        installation: i64,
        /// Our number of the repository (`repositories.id`).
        repository: i64,
        /// Our number of the user, where they have signed in (`users.id`).
        user: Option<i64>,
        /// The issue or pull request.
        issue: Option<i64>,
        /// The comment.
        comment: Option<i64>,
    },
    /// A path or URL given at a shell.
    Local {
        /// The path or URL.
        source: String,
        /// Machine and `DATA_DIR`, where only processes with the same may run it.
        affinity: Option<String>,
    },
}

/// A row of `bisect_jobs`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// GitHub's number of the installation it belongs to.
    pub installation: Option<i64>,
    /// Our number of its repository.
    pub repository: Option<i64>,
    /// The path or URL of a local job.
    pub source: Option<String>,
    /// Machine and `DATA_DIR` of a job on a local path.
    pub affinity: Option<String>,
    /// Who asked.
    pub requested_by: Option<String>,
    /// The issue or pull request it was asked on.
    pub issue: Option<i64>,
    /// The comment that asked.
    pub comment: Option<i64>,
    /// The job this repeats.
    pub retry_of: Option<JobId>,
    /// The request's identity.
    pub request_key: Option<String>,
    /// The commit where the command passes.
    pub good: Sha,
    /// Further commits known to pass.
    pub more_good: Vec<Sha>,
    /// The commit where it fails.
    pub bad: Sha,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Run before the command at every commit.
    pub setup: Option<String>,
    /// The image it runs in; `None` for the configured one.
    pub image: Option<String>,
    /// Probes at once, at most.
    pub lanes: u32,
    /// The longest that one probe may take.
    pub timeout: Option<Duration>,
    /// The longest that the whole job may take.
    pub max_duration: Option<Duration>,
    /// Everything else that only the engine reads.
    pub spec: Value,
    /// Higher is earlier.
    pub priority: i16,
    /// The process that runs it, or ran it last.
    pub worker: Option<InstanceId>,
    /// When that process was last heard of.
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// Attempts so far, the running one included; hand-overs are not counted.
    pub attempts: u32,
    /// How often a worker gave it back.
    pub handovers: u32,
    /// The number of its last claim.
    pub epoch: Epoch,
    /// The number of its last event.
    pub event_seq: i64,
    /// How far it is; `None` before its first probe.
    pub progress: Option<Progress>,
    /// Who asked to stop it.
    pub cancel_requested_by: Option<String>,
    /// What it ended with.
    pub result: Option<ResultKind>,
    /// The culprit, if that is the result.
    pub culprit: Option<Sha>,
    /// The whole result.
    pub report: Option<Value>,
    /// Why there is none.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it was first claimed.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// What was asked for besides ends and command, as everybody may know it who may know of the job.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Options {
    /// Follow only first parents.
    pub first_parent: bool,
    /// Find the commit that fixed it.
    pub fixed: bool,
    /// So many runs for each step of the search at most, where the test is known to fail by chance.
    pub runs: Option<u32>,
    /// How sure the answer of such a search is to be, 0 to 1.
    pub confidence: Option<f64>,
    /// Only the failure of the bad end counts.
    pub same_failure: bool,
    /// Only failures that print a line which matches this count.
    pub failure_line: Option<String>,
    /// Nothing of earlier jobs was recalled.
    pub no_cache: bool,
    /// Ends and proofs were recalled, too.
    pub trust_cache: bool,
    /// Consider only commits that touch these.
    pub paths: Vec<String>,
    /// Never test these.
    pub skip: Vec<Sha>,
    /// Nor these.
    pub skip_ranges: Vec<String>,
    /// `none` or `egress`.
    pub network: Option<String>,
    /// The longest that a run may print nothing, in seconds.
    pub silence: Option<f64>,
    /// The names of the variables that are set for the command.
    pub env: Vec<String>,
}

/// What a job's page shows beside its row.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// Its range, once that is read.
    pub strip: Option<Strip>,
    /// What else was asked for.
    pub options: Options,
    /// The pull requests of its commits, once they are known.
    pub pulls: Option<Value>,
}

impl<'r> FromRow<'r, PgRow> for Shown {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        // What another version wrote that cannot be read is not shown, and keeps nothing else from being shown.
        let options: Option<Value> = row.try_get("options")?;
        let options = options.and_then(|options| serde_json::from_value(options).ok()).unwrap_or_default();
        let strip: Option<sqlx::types::Json<Strip>> = row.try_get("strip")?;
        Ok(Self { strip: strip.map(|strip| strip.0), options, pulls: row.try_get("pulls")? })
    }
}

/// Everything that a worker tells of a search with each start of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// How far it is.
    pub progress: Progress,
    /// Commits that were under suspicion at first.
    pub candidates: u64,
    /// What is known of the range.
    pub strip: Strip,
}

/// How far a search is, as its worker saw it last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Commits under suspicion.
    pub candidates_left: u64,
    /// Runs still to be finished, an estimate.
    pub expected_probes: f64,
}

/// What a job ends with.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The final state.
    pub end: End,
    /// The result's name.
    pub result: Option<ResultKind>,
    /// The culprit, if that is the result.
    pub culprit: Option<Sha>,
    /// The whole result.
    pub report: Option<Value>,
    /// Why there is none, for people.
    pub error: Option<String>,
}

/// The three states that are never left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It has a result.
    Completed,
    /// Infrastructure kept it from one.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl End {
    /// The state's name.
    #[must_use]
    pub const fn status(self) -> JobStatus {
        match self {
            Self::Completed => JobStatus::Completed,
            Self::Failed => JobStatus::Failed,
            Self::Cancelled => JobStatus::Cancelled,
        }
    }
}

impl Outcome {
    /// Stopped because somebody asked for it.
    #[must_use]
    pub fn cancelled() -> Self {
        Self { end: End::Cancelled, result: Some(ResultKind::Cancelled), culprit: None, report: None, error: None }
    }

    /// Kept from a result.
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        let result = Some(ResultKind::Infrastructure);
        Self { end: End::Failed, result, culprit: None, report: None, error: Some(error.into()) }
    }
}

impl<'r> FromRow<'r, PgRow> for JobRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: JobId(row.try_get("id")?),
            status: row::parsed(row, "status")?,
            installation: row.try_get("installation_id")?,
            repository: row.try_get("repository_id")?,
            source: row.try_get("source")?,
            affinity: row.try_get("affinity")?,
            requested_by: row.try_get("requested_by")?,
            issue: row.try_get("issue_number")?,
            comment: row.try_get("comment_id")?,
            retry_of: row.try_get::<Option<i64>, _>("retry_of")?.map(JobId),
            request_key: row.try_get("request_key")?,
            good: row::parsed(row, "good_sha")?,
            more_good: row::parsed_list(row, "more_good_shas")?,
            bad: row::parsed(row, "bad_sha")?,
            command: row.try_get("command")?,
            setup: row.try_get("setup")?,
            image: row.try_get("image")?,
            lanes: row::count(row, "lanes")?,
            timeout: row::duration(row, "timeout_seconds")?,
            max_duration: row::duration(row, "max_seconds")?,
            spec: row.try_get("spec")?,
            priority: row.try_get("priority")?,
            worker: row.try_get::<Option<String>, _>("worker_id")?.map(InstanceId),
            heartbeat_at: row.try_get("heartbeat_at")?,
            attempts: row::count(row, "attempt_count")?,
            handovers: row::count(row, "handover_count")?,
            epoch: Epoch(row.try_get("claim_epoch")?),
            event_seq: row.try_get("event_seq")?,
            progress: progress(row)?,
            cancel_requested_by: row.try_get("cancel_requested_by")?,
            result: row::parsed_option(row, "result")?,
            culprit: row::parsed_option(row, "culprit_sha")?,
            report: row.try_get("report")?,
            error: row.try_get("error")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            completed_at: row.try_get("completed_at")?,
        })
    }
}

fn progress(row: &PgRow) -> Result<Option<Progress>, sqlx::Error> {
    let left: Option<i64> = row.try_get("candidates_left")?;
    let expected: Option<f64> = row.try_get("expected_probes")?;
    Ok(left
        .zip(expected)
        .map(|(left, expected_probes)| Progress { candidates_left: left.unsigned_abs(), expected_probes }))
}
