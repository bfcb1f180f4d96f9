//! A claimed job's way: signs of life, locks before a change, back to the queue, or to its end.

use super::{
    super::{DbError, Lease, Tx},
    JobRow, Outcome,
};
use bisect_shared::{Epoch, InstanceId, JobId, JobStatus, ResultKind};
use std::time::Duration;

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
