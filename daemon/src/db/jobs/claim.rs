//! How a pending job becomes a worker's: by its turn, or by its number.

use super::{
    super::{DbError, Lease, Tx},
    JobRow,
};
use bisect_shared::{InstanceId, JobId};

/// What a job may ask for, as far as this program knows: the keys of `bisect_jobs.spec` (`runner::spec::JobSpec`).
///
/// While a fleet is updated, a newer server may store a job with an option that an older one would run without. So the older
/// one leaves it to a newer.
pub(crate) const KNOWN: [&str; 25] = [
    "source",
    "good",
    "bad",
    "command",
    "setup",
    "image",
    "env",
    "network",
    "sandbox",
    "timeout",
    "silence",
    "job_timeout",
    "lanes",
    "first_parent",
    "fixed",
    "paths",
    "skip",
    "skip_ranges",
    "runs",
    "confidence",
    "auto",
    "same_failure",
    "failure_line",
    "no_cache",
    "trust_cache",
];

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
          AND j.spec - $3::text[] = '{}' ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS job LIMIT 1"
    );
    let row = tx.optional(sqlx::query_as(sql).bind(&worker.0).bind(affinity).bind(&KNOWN[..])).await?;
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
         AND coalesce(j.affinity, '') = '' AND j.available_at <= now() AND j.spec - $3::text[] = '{}' AND ",
        below_limit!(),
        " ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED"
    ));
    let row = tx.optional(sqlx::query_as(sql).bind(&worker.0).bind(installation).bind(&KNOWN[..])).await?;
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
         AND coalesce(j.affinity, '') IN ('', $4) AND j.available_at <= now() AND j.spec - $5::text[] = '{}' AND ($2 IS NULL OR ",
        below_limit!(),
        ") FOR UPDATE SKIP LOCKED"
    ));
    let query = sqlx::query_as(sql).bind(&worker.0).bind(installation).bind(job.0).bind(affinity).bind(&KNOWN[..]);
    let row = tx.optional(query).await?;
    Ok(leased(row, worker))
}

fn leased(row: Option<JobRow>, worker: &InstanceId) -> Option<(Lease, JobRow)> {
    row.map(|row| (Lease::of(&row, worker), row))
}
