//! Who asked for what: the jobs of an issue and of a user, and how many commands somebody gave.

use super::{DbError, Tx};
use bisect_shared::JobId;
use std::time::Duration;

/// The jobs asked for on an issue, the newest first; with `unfinished`, only those that still run or wait;
/// with `by`, only those that this user (by GitHub's number) asked for.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn jobs_of_issue(
    tx: &mut Tx,
    repository: i64,
    issue: i64,
    unfinished: bool,
    by: Option<i64>,
) -> Result<Vec<JobId>, DbError> {
    let sql = "SELECT id FROM bisect_jobs WHERE repository_id = $1 AND issue_number = $2 \
               AND (NOT $3 OR (status IN ('pending', 'running') AND cancel_requested_at IS NULL)) \
               AND ($4::bigint IS NULL OR user_id = (SELECT id FROM users WHERE github_id = $4)) \
               ORDER BY id DESC LIMIT 10";
    let query = sqlx::query_as(sql).bind(repository).bind(issue).bind(unfinished).bind(by);
    let rows: Vec<(i64,)> = tx.all(query).await?;
    Ok(rows.into_iter().map(|(id,)| JobId(id)).collect())
}

/// How many unfinished jobs a repository has.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn unfinished_of_repository(tx: &mut Tx, repository: i64) -> Result<u32, DbError> {
    let sql = "SELECT count(*)::int FROM bisect_jobs WHERE repository_id = $1 AND status IN ('pending', 'running')";
    let (count,): (i32,) = tx.one(sqlx::query_as(sql).bind(repository)).await?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// How many unfinished jobs a user has in an installation: what somebody waits for elsewhere is no
/// business of this one's owner.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn unfinished_of_user(tx: &mut Tx, user: i64, installation: i64) -> Result<u32, DbError> {
    let sql = "SELECT count(*)::int FROM bisect_jobs WHERE user_id = $1 AND installation_id = $2 \
               AND status IN ('pending', 'running')";
    let (count,): (i32,) = tx.one(sqlx::query_as(sql).bind(user).bind(installation)).await?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// Notes who wrote the command of a delivery, and answers how many this sender gave in its installation
/// within `window` before it, this one included: the same number, however often and however late it is asked.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn count_command(tx: &mut Tx, delivery: &str, sender: i64, window: Duration) -> Result<u32, DbError> {
    let note = sqlx::query("UPDATE webhook_deliveries SET sender_id = $2 WHERE delivery_id = $1");
    tx.execute(note.bind(delivery).bind(sender)).await?;
    let sql = "SELECT count(*)::int FROM webhook_deliveries this JOIN webhook_deliveries given \
               ON given.sender_id = this.sender_id AND given.installation_id = this.installation_id \
               AND (given.received_at, given.comment_id) <= (this.received_at, this.comment_id) \
               AND given.received_at > this.received_at - make_interval(secs => $2) WHERE this.delivery_id = $1";
    let (count,): (i32,) = tx.one(sqlx::query_as(sql).bind(delivery).bind(window.as_secs_f64())).await?;
    Ok(u32::try_from(count).unwrap_or(0))
}

/// The place of a pending job in the queue of its installation, from 1, and how many wait there.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn place_in_queue(tx: &mut Tx, job: JobId) -> Result<(u32, u32), DbError> {
    let sql = "SELECT count(*) FILTER (WHERE (other.priority, -other.id) >= (job.priority, -job.id))::int, count(*)::int \
               FROM bisect_jobs job JOIN bisect_jobs other ON other.status = 'pending' \
                 AND other.installation_id IS NOT DISTINCT FROM job.installation_id WHERE job.id = $1";
    let (place, of): (i32, i32) = tx.one(sqlx::query_as(sql).bind(job.0)).await?;
    Ok((u32::try_from(place).unwrap_or(1).max(1), u32::try_from(of).unwrap_or(1).max(1)))
}
