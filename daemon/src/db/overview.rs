//! What is counted over whole tables, for people and for Prometheus.

use super::{DbError, Tx};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use std::time::Duration;

/// How many jobs there are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct Stats {
    /// They wait.
    pub pending: i64,
    /// They run, anywhere.
    pub running: i64,
    /// They have a result.
    pub completed: i64,
    /// Infrastructure kept them from one.
    pub failed: i64,
    /// They were stopped.
    pub cancelled: i64,
    /// Of those that run: whose worker was not heard of for too long.
    pub stale: i64,
}

/// How full the queues are.
#[derive(Debug, Clone, Copy, PartialEq, FromRow)]
pub struct Depths {
    /// Jobs that wait.
    pub pending: i64,
    /// Jobs that run, anywhere.
    pub running: i64,
    /// Deliveries that wait.
    pub inbox: i64,
    /// The age of the oldest of them in seconds; 0 without any.
    pub inbox_age: f64,
    /// Replies that wait, progress included.
    pub outbox: i64,
    /// How long, in seconds, the oldest answer or result has waited; 0 without any. Progress waits for its
    /// time, which is no trouble.
    pub outbox_age: f64,
    /// How full PostgreSQL's notification queue is, 0 to 1.
    pub notifications: f64,
}

/// What counts jobs; `$1` is after how many seconds without a sign of life a worker is stale. Of
/// `bisect_jobs` only what has not ended is read, however many have.
pub const STATS: &str = "SELECT (SELECT count(*) FROM bisect_jobs WHERE status = 'pending') AS pending, r.running, r.stale, \
     t.completed, t.failed, t.cancelled FROM \
     (SELECT count(*) AS running, \
        count(*) FILTER (WHERE heartbeat_at < now() - make_interval(secs => $1)) AS stale \
      FROM bisect_jobs WHERE status = 'running') r, \
     (SELECT coalesce(sum(jobs) FILTER (WHERE status = 'completed'), 0)::bigint AS completed, \
        coalesce(sum(jobs) FILTER (WHERE status = 'failed'), 0)::bigint AS failed, \
        coalesce(sum(jobs) FILTER (WHERE status = 'cancelled'), 0)::bigint AS cancelled FROM job_totals) t";

/// Counts every job.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn stats(tx: &mut Tx, stale_after: Duration) -> Result<Stats, DbError> {
    tx.one(sqlx::query_as(STATS).bind(stale_after.as_secs_f64())).await
}

/// Makes few rows of the many that count ended jobs. May be done by several at once: each row is
/// added up by one of them.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn fold_totals(tx: &mut Tx) -> Result<(), DbError> {
    let sql = "WITH gone AS (DELETE FROM job_totals RETURNING status, jobs) \
               INSERT INTO job_totals SELECT status, sum(jobs) FROM gone GROUP BY status";
    tx.execute(sqlx::query(sql)).await.map(drop)
}

/// Measures the queues; reads what waits only, by its index.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn depths(tx: &mut Tx) -> Result<Depths, DbError> {
    let sql = "SELECT (SELECT count(*) FROM bisect_jobs WHERE status = 'pending') AS pending, \
               (SELECT count(*) FROM bisect_jobs WHERE status = 'running') AS running, i.*, o.*, \
               pg_notification_queue_usage() AS notifications FROM \
               (SELECT count(*) AS inbox, coalesce(extract(epoch FROM now() - min(received_at)), 0)::float8 AS inbox_age \
                FROM webhook_deliveries WHERE state = 'received') i, \
               (SELECT count(*) AS outbox, coalesce(extract(epoch FROM now() - min(waiting_since) FILTER (WHERE urgent)), 0)::float8 AS outbox_age \
                FROM outbox WHERE state = 'waiting') o";
    tx.one(sqlx::query_as(sql)).await
}

/// Whether the database answers.
///
/// # Errors
/// [`DbError`], when it does not.
pub async fn answers(tx: &mut Tx) -> Result<(), DbError> {
    tx.execute(sqlx::query("SELECT 1")).await.map(drop)
}

/// The database's clock.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn clock(tx: &mut Tx) -> Result<DateTime<Utc>, DbError> {
    let (now,): (DateTime<Utc>,) = tx.one(sqlx::query_as("SELECT clock_timestamp()")).await?;
    Ok(now)
}

/// The major version of the database's server.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn version(tx: &mut Tx) -> Result<u32, DbError> {
    let (number,): (i32,) = tx.one(sqlx::query_as("SELECT current_setting('server_version_num')::int")).await?;
    Ok(number.unsigned_abs() / 10_000)
}
