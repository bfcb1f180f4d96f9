//! `bisect_jobs`: one row per request. The queue decides; these are its statements.

use super::{DbError, Lease, Tx, row};
use bisect_shared::{Epoch, InstanceId, JobId, JobStatus, ResultKind, Sha};
use chrono::{DateTime, Utc};
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

macro_rules! columns {
    () => {
        "id, status, installation_id, repository_id, source, affinity, requested_by, issue_number, comment_id, \
         retry_of, request_key, good_sha, more_good_shas, bad_sha, command, setup, image, lanes, timeout_seconds, \
         max_seconds, spec, priority, worker_id, heartbeat_at, attempt_count, handover_count, claim_epoch, \
         event_seq, candidates_left, expected_probes, cancel_requested_by, result, culprit_sha, report, error, created_at, started_at, completed_at"
    };
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

/// Tells how far a job is, in the transaction of a write under its lease.
pub(super) async fn set_progress(tx: &mut Tx, job: JobId, progress: Progress) -> Result<(), DbError> {
    let sql = "UPDATE bisect_jobs SET candidates_left = $2, expected_probes = $3 WHERE id = $1";
    let left = i64::try_from(progress.candidates_left).unwrap_or(i64::MAX);
    tx.execute(sqlx::query(sql).bind(job.0).bind(left).bind(progress.expected_probes)).await.map(drop)
}

/// How long ago the job was first claimed, in seconds by the database's clock.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn seconds_since_start(tx: &mut Tx, job: JobId) -> Result<f64, DbError> {
    let sql = "SELECT extract(epoch FROM now() - coalesce(started_at, now()))::double precision FROM bisect_jobs WHERE id = $1";
    let row: Option<(f64,)> = tx.optional(sqlx::query_as(sql).bind(job.0)).await?;
    Ok(row.map_or(0.0, |(seconds,)| seconds))
}

/// The job, if there is one.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find(tx: &mut Tx, job: JobId) -> Result<Option<JobRow>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM bisect_jobs WHERE id = $1");
    tx.optional(sqlx::query_as(sql).bind(job.0)).await
}

/// Inserts a job, unless an unfinished one has the same `request_key`.
pub(crate) async fn insert(tx: &mut Tx, job: &NewJob) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "INSERT INTO bisect_jobs (installation_id, repository_id, user_id, issue_number, comment_id, source, \
         affinity, request_key, requested_by, retry_of, good_sha, more_good_shas, bad_sha, command, setup, image, \
         lanes, timeout_seconds, max_seconds, spec, priority, event_seq) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, 1) \
         ON CONFLICT (request_key) WHERE status IN ('pending', 'running') AND cancel_requested_at IS NULL \
         DO NOTHING RETURNING ",
        columns!()
    );
    let query = match &job.origin {
        Origin::GitHub { installation, repository, user, issue, comment } => sqlx::query_as(sql)
            .bind(Some(*installation))
            .bind(Some(*repository))
            .bind(*user)
            .bind(*issue)
            .bind(*comment)
            .bind(None::<&str>)
            .bind(None::<&str>),
        Origin::Local { source, affinity } => sqlx::query_as(sql)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(Some(source.as_str()))
            .bind(affinity.as_deref()),
    };
    tx.optional(
        query
            .bind(job.request_key.as_deref())
            .bind(job.requested_by.as_deref())
            .bind(job.retry_of.map(|retried| retried.0))
            .bind(job.good.to_string())
            .bind(job.more_good.iter().map(Sha::to_string).collect::<Vec<_>>())
            .bind(job.bad.to_string())
            .bind(job.command.as_slice())
            .bind(job.setup.as_deref())
            .bind(job.image.as_deref())
            .bind(i32::try_from(job.lanes).unwrap_or(i32::MAX))
            .bind(job.timeout.map(|limit| limit.as_secs_f64()))
            .bind(job.max_duration.map(|limit| limit.as_secs_f64()))
            .bind(&job.spec)
            .bind(job.priority),
    )
    .await
}

/// The unfinished job with this identity gets one more who waits for it.
pub(crate) async fn join(tx: &mut Tx, request_key: &str) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "UPDATE bisect_jobs SET event_seq = event_seq + 1 WHERE request_key = $1 \
         AND status IN ('pending', 'running') AND cancel_requested_at IS NULL RETURNING ",
        columns!()
    );
    tx.optional(sqlx::query_as(sql).bind(request_key)).await
}

macro_rules! take {
    ($pick:expr) => {
        concat!(
            "UPDATE bisect_jobs SET status = 'running', worker_id = $1, heartbeat_at = now(), \
             claim_epoch = claim_epoch + 1, attempt_count = attempt_count + 1, \
             started_at = coalesce(started_at, now()), event_seq = event_seq + 1 WHERE id = (",
            $pick,
            ") RETURNING ",
            columns!()
        )
    };
}

macro_rules! below_limit {
    () => {
        "(SELECT count(*) FROM bisect_jobs r WHERE r.installation_id = $2 AND r.status = 'running') < \
         (SELECT l.max_concurrent FROM installations i JOIN rate_limits l ON l.tier = i.tier \
          WHERE i.installation_id = $2 AND i.suspended_at IS NULL)"
    };
}

/// Takes the next job that belongs to no installation and may run here.
pub(crate) async fn take_local(
    tx: &mut Tx,
    worker: &InstanceId,
    affinity: &str,
) -> Result<Option<(Lease, JobRow)>, DbError> {
    let sql = take!(
        "SELECT job.id FROM unnest(ARRAY[$2, '']) AS place (affinity) CROSS JOIN LATERAL \
         (SELECT j.id FROM bisect_jobs j WHERE j.status = 'pending' AND j.installation_id IS NULL \
          AND coalesce(j.affinity, '') = place.affinity AND j.available_at <= now() \
          ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS job LIMIT 1"
    );
    let row = tx.optional(sqlx::query_as(sql).bind(&worker.0).bind(affinity)).await?;
    Ok(leased(row, worker))
}

/// Takes the next job of an installation whose row this transaction has locked, unless as many
/// of its jobs run as its tier allows.
pub(crate) async fn take_of_installation(
    tx: &mut Tx,
    worker: &InstanceId,
    installation: i64,
) -> Result<Option<(Lease, JobRow)>, DbError> {
    let sql = take!(concat!(
        "SELECT j.id FROM bisect_jobs j WHERE j.status = 'pending' AND j.installation_id = $2 \
         AND coalesce(j.affinity, '') = '' AND j.available_at <= now() AND ",
        below_limit!(),
        " ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED"
    ));
    let row = tx.optional(sqlx::query_as(sql).bind(&worker.0).bind(installation)).await?;
    Ok(leased(row, worker))
}

/// Takes one certain job, under the same conditions.
pub(crate) async fn take_one(
    tx: &mut Tx,
    worker: &InstanceId,
    job: JobId,
    installation: Option<i64>,
    affinity: &str,
) -> Result<Option<(Lease, JobRow)>, DbError> {
    let sql = take!(concat!(
        "SELECT j.id FROM bisect_jobs j WHERE j.id = $3 AND j.status = 'pending' \
         AND coalesce(j.affinity, '') IN ('', $4) AND j.available_at <= now() AND ($2 IS NULL OR ",
        below_limit!(),
        ") FOR UPDATE SKIP LOCKED"
    ));
    let query = sqlx::query_as(sql).bind(&worker.0).bind(installation).bind(job.0).bind(affinity);
    let row = tx.optional(query).await?;
    Ok(leased(row, worker))
}

fn leased(row: Option<JobRow>, worker: &InstanceId) -> Option<(Lease, JobRow)> {
    row.map(|row| (Lease::of(&row, worker), row))
}

/// Tells that the worker lives; `None` where it no longer owns the job. Inside: who asked to
/// stop, if anybody did.
pub(crate) async fn beat(tx: &mut Tx, lease: &Lease) -> Result<Option<Option<String>>, DbError> {
    let row: Option<(Option<String>,)> = tx
        .optional(
            sqlx::query_as(
                "UPDATE bisect_jobs SET heartbeat_at = now() \
                 WHERE id = $1 AND claim_epoch = $2 AND status = 'running' RETURNING cancel_requested_by",
            )
            .bind(lease.job().0)
            .bind(lease.epoch().0),
        )
        .await?;
    Ok(row.map(|(by,)| by))
}

/// Locks the job for a change, as long as the lease is good.
pub(crate) async fn lock_leased(tx: &mut Tx, lease: &Lease) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM bisect_jobs WHERE id = $1 AND claim_epoch = $2 AND status = 'running' FOR UPDATE"
    );
    tx.optional(sqlx::query_as(sql).bind(lease.job().0).bind(lease.epoch().0)).await
}

/// Locks an unfinished job for a change.
pub(crate) async fn lock_unfinished(tx: &mut Tx, job: JobId) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM bisect_jobs WHERE id = $1 AND status IN ('pending', 'running') FOR UPDATE"
    );
    tx.optional(sqlx::query_as(sql).bind(job.0)).await
}

/// Locks one job whose worker was not heard of for longer than `stale_after`. One that is being
/// written just now is left for the next look.
pub(crate) async fn lock_stale(tx: &mut Tx, stale_after: Duration) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM bisect_jobs WHERE status = 'running' AND heartbeat_at < now() - make_interval(secs => $1) \
         ORDER BY heartbeat_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    tx.optional(sqlx::query_as(sql).bind(stale_after.as_secs_f64())).await
}

/// Locks one running job of a certain worker.
pub(crate) async fn lock_of_worker(tx: &mut Tx, worker: &InstanceId) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM bisect_jobs WHERE status = 'running' AND worker_id = $1 LIMIT 1 FOR UPDATE SKIP LOCKED"
    );
    tx.optional(sqlx::query_as(sql).bind(&worker.0)).await
}

/// Whether any job runs under this worker's name.
pub(crate) async fn any_of_worker(tx: &mut Tx, worker: &InstanceId) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT FROM bisect_jobs WHERE status = 'running' AND worker_id = $1)";
    let (any,): (bool,) = tx.one(sqlx::query_as(sql).bind(&worker.0)).await?;
    Ok(any)
}

/// Running → pending, to be claimed after `delay`. A hand-over gives the attempt back; a take-over
/// does not.
pub(crate) async fn put_back(
    tx: &mut Tx,
    job: &JobRow,
    handover: bool,
    delay: Duration,
) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "UPDATE bisect_jobs SET status = 'pending', available_at = now() + make_interval(secs => $4), \
         attempt_count = greatest(attempt_count - $3::int, 0), handover_count = handover_count + $3::int, \
         event_seq = event_seq + 1 WHERE id = $1 AND claim_epoch = $2 AND status = 'running' RETURNING ",
        columns!()
    );
    let query = sqlx::query_as(sql).bind(job.id.0).bind(job.epoch.0);
    tx.optional(query.bind(i32::from(handover)).bind(delay.as_secs_f64())).await
}

/// Into a final state, from where the caller saw the job.
pub(crate) async fn end(
    tx: &mut Tx,
    job: JobId,
    epoch: Epoch,
    from: JobStatus,
    outcome: &Outcome,
) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "UPDATE bisect_jobs SET status = $4, result = $5, culprit_sha = $6, report = $7, error = $8, \
         completed_at = now(), event_seq = event_seq + 1 WHERE id = $1 AND claim_epoch = $2 AND status = $3 RETURNING ",
        columns!()
    );
    tx.optional(
        sqlx::query_as(sql)
            .bind(job.0)
            .bind(epoch.0)
            .bind(from.name())
            .bind(outcome.end.status().name())
            .bind(outcome.result.map(ResultKind::name))
            .bind(outcome.culprit.map(|sha| sha.to_string()))
            .bind(&outcome.report)
            .bind(outcome.error.as_deref()),
    )
    .await
}

/// Asks the worker of a running job to stop, unless somebody did before.
pub(crate) async fn flag_cancel(tx: &mut Tx, job: &JobRow, by: &str) -> Result<Option<JobRow>, DbError> {
    let sql = concat!(
        "UPDATE bisect_jobs SET cancel_requested_at = now(), cancel_requested_by = $2, event_seq = event_seq + 1 \
         WHERE id = $1 AND status IN ('pending', 'running') AND cancel_requested_at IS NULL RETURNING ",
        columns!()
    );
    tx.optional(sqlx::query_as(sql).bind(job.id.0).bind(by)).await
}
