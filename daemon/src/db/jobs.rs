//! `bisect_jobs`: one row per request. The queue decides; these are its statements.

/// All columns; `visible` for those that a viewer may read, without what only the engine reads.
macro_rules! columns {
    () => {
        columns!("spec", "request_key")
    };
    (visible) => {
        columns!("'null'::jsonb AS spec", "NULL::text AS request_key")
    };
    ($spec:literal, $request_key:literal) => {
        concat!(
            "id, status, installation_id, repository_id, source, affinity, requested_by, issue_number, comment_id, \
             retry_of, ",
            $request_key,
            ", good_sha, more_good_shas, bad_sha, command, setup, image, lanes, timeout_seconds, max_seconds, ",
            $spec,
            ", priority, worker_id, heartbeat_at, attempt_count, handover_count, claim_epoch, event_seq, \
             candidates, candidates_left, expected_probes, cancel_requested_by, result, culprit_sha, report, error, created_at, \
             started_at, completed_at"
        )
    };
}

// After the macro, which they use.
mod claim;
mod row;
mod state;

#[cfg(test)]
pub(crate) use claim::KNOWN;
pub(crate) use claim::{take_local, take_of_installation, take_one};
pub use row::{End, JobRow, NewJob, Options, Origin, Outcome, Progress, Shown, Standing};
pub(crate) use state::{
    any_of_worker, beat, end, flag_cancel, lock_leased, lock_of_worker, lock_stale, lock_unfinished, put_back,
};

use super::{Database, DbError, Lease, LeaseError, Tx, lease, notify::Channel};
use bisect_shared::{JobId, Sha, admin::Strip};
use serde_json::Value;

/// Tells how far a job is, in the transaction of a write under its lease. How many candidates there were at
/// first is told once.
pub(super) async fn set_progress(tx: &mut Tx, job: JobId, standing: &Standing) -> Result<(), DbError> {
    let sql = "UPDATE bisect_jobs SET candidates_left = $2, expected_probes = $3, \
               candidates = coalesce(candidates, $4), strip = $5 WHERE id = $1";
    let count = |commits: u64| i64::try_from(commits).unwrap_or(i64::MAX);
    let query = sqlx::query(sql).bind(job.0).bind(count(standing.progress.candidates_left));
    let query = query.bind(standing.progress.expected_probes).bind(count(standing.candidates));
    tx.execute(query.bind(sqlx::types::Json(&standing.strip))).await.map(drop)
}

/// A good end was found, where none was named; until then the bad end stands in its place. How many candidates there are is
/// told anew.
///
/// # Errors
/// [`LeaseError::Lost`].
pub async fn set_good(db: &Database, lease: &Lease, good: Sha, spec: &Value) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "set_good").await?;
    let sql = "UPDATE bisect_jobs SET good_sha = $2, spec = $3, candidates = NULL WHERE id = $1";
    tx.execute(sqlx::query(sql).bind(lease.job().0).bind(good.to_string()).bind(spec)).await?;
    Ok(tx.commit().await?)
}

/// Notes what is known of a job's range at the end of its search. Written only while the lease holds; a lost one is no
/// matter here.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn note_range(db: &Database, lease: &Lease, strip: &Strip) -> Result<(), DbError> {
    let Some(mut tx) = lease::try_hold(db, lease).await? else { return Ok(()) };
    let query = sqlx::query("UPDATE bisect_jobs SET strip = $2 WHERE id = $1").bind(lease.job().0);
    tx.execute(query.bind(sqlx::types::Json(strip))).await?;
    tx.commit().await
}

/// What a job's page shows beside its row.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn shown(tx: &mut Tx, job: JobId) -> Result<Option<Shown>, DbError> {
    let sql = "SELECT strip, options, pulls FROM bisect_jobs WHERE id = $1";
    tx.optional(sqlx::query_as(sql).bind(job.0)).await
}

/// Notes the pull requests of an ended job's commits, and tells those who look at it.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn note_pulls(tx: &mut Tx, job: JobId, pulls: &Value) -> Result<(), DbError> {
    let sql = "WITH noted AS (UPDATE bisect_jobs SET pulls = $2 WHERE id = $1 AND completed_at IS NOT NULL \
                 AND pulls IS DISTINCT FROM $2 RETURNING id, event_seq, status) \
               SELECT pg_notify($3, id || ' ' || event_seq || ' ' || status) FROM noted";
    tx.execute(sqlx::query(sql).bind(job.0).bind(pulls).bind(Channel::Jobs.name())).await.map(drop)
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

/// Those of these jobs that wait or run.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn unfinished(tx: &mut Tx, jobs: &[JobId]) -> Result<Vec<JobId>, DbError> {
    let sql = "SELECT id FROM bisect_jobs WHERE id = ANY($1) AND status IN ('pending', 'running')";
    let numbers: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(numbers)).await?;
    Ok(rows.into_iter().map(|(id,)| JobId(id)).collect())
}

/// The job as a viewer may know it ([`super::Database::begin_as_viewer`]), who may not read the values of `--env`: without
/// spec and request key.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find_visible(tx: &mut Tx, job: JobId) -> Result<Option<JobRow>, DbError> {
    let sql = concat!("SELECT ", columns!(visible), " FROM bisect_jobs WHERE id = $1");
    tx.optional(sqlx::query_as(sql).bind(job.0)).await
}

/// Under this lease, what the name of the job's image means from now on.
///
/// # Errors
/// [`LeaseError::Lost`]: start nothing.
pub async fn set_image(db: &Database, lease: &Lease, image: &str) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "set_image").await?;
    let sql = "UPDATE bisect_jobs SET image_id = $2 WHERE id = $1 AND image_id IS DISTINCT FROM $2";
    tx.execute(sqlx::query(sql).bind(lease.job().0).bind(image)).await?;
    Ok(tx.commit().await?)
}

/// What the name of the job's image meant to whoever ran it last; `None` before its first run.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn image(tx: &mut Tx, job: JobId) -> Result<Option<String>, DbError> {
    let row: Option<(Option<String>,)> =
        tx.optional(sqlx::query_as("SELECT image_id FROM bisect_jobs WHERE id = $1").bind(job.0)).await?;
    Ok(row.and_then(|(image,)| image))
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
