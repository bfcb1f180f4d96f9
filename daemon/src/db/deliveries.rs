//! `webhook_deliveries`: the inbox. A delivery is durable here before GitHub hears that it was
//! taken; intake leases it as often as it takes until it has its job or its recorded reason.

use super::{DbError, Tx, notify::Channel};
use bisect_shared::{InstanceId, JobId};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::{collections::HashSet, time::Duration};

/// A delivery whose signature was good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// `X-GitHub-Delivery`.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`, where it has one.
    pub action: Option<String>,
    /// GitHub's number of the installation, where the payload names one.
    pub installation: Option<i64>,
    /// GitHub's number of the comment, where there is one.
    pub comment: Option<i64>,
    /// Those with one key are worked off one after another; `None` goes beside everything.
    pub order_key: Option<String>,
    /// The body as received; empty for one that nobody will read again.
    pub payload: String,
    /// Why there is nothing to do; `None` for what intake has to read.
    pub ignored: Option<String>,
}

/// What became of a delivery on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is in the inbox now, or again, after it had been given up.
    Inserted,
    /// It was there before, under this or another delivery id.
    Duplicate,
}

/// When a delivery came, and when it was worked off.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Arrived {
    /// `X-GitHub-Delivery`.
    #[sqlx(rename = "delivery_id")]
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// When it was taken.
    pub received_at: DateTime<Utc>,
    /// When it had become a job.
    pub processed_at: Option<DateTime<Utc>>,
}

/// The deliveries that asked for a job.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn of_job(tx: &mut Tx, job: JobId) -> Result<Vec<Arrived>, DbError> {
    let sql = "SELECT delivery_id, event, received_at, processed_at FROM webhook_deliveries WHERE job_id = $1 \
               ORDER BY received_at";
    tx.all(sqlx::query_as(sql).bind(job.0)).await
}

/// A delivery that one process works on, until the lease is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedDelivery {
    /// `X-GitHub-Delivery`.
    pub id: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// GitHub's number of the installation, where the payload names one.
    pub installation: Option<i64>,
    /// The body as received.
    pub payload: String,
    /// How often it was leased, this time included.
    pub attempts: u32,
    /// When it came.
    pub received_at: DateTime<Utc>,
    worker: InstanceId,
}

/// What became of a delivery that was worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// It was done; the job that it made or joined, if it asked for one.
    Processed(Option<JobId>),
    /// There was nothing to do, and why.
    Ignored(String),
    /// What it asked for was refused, and why.
    Rejected(String),
    /// It cannot be done, however often it is tried, and why.
    Failed(String),
}

impl Completion {
    /// The name in `webhook_deliveries.state`.
    const fn state(&self) -> &'static str {
        match self {
            Self::Processed(_) => "processed",
            Self::Ignored(_) => "ignored",
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
        }
    }

    fn outcome(&self) -> Option<&str> {
        match self {
            Self::Processed(_) => None,
            Self::Ignored(why) | Self::Rejected(why) | Self::Failed(why) => Some(why),
        }
    }

    const fn job(&self) -> Option<i64> {
        match self {
            Self::Processed(Some(job)) => Some(job.0),
            _ => None,
        }
    }
}

impl<'r> FromRow<'r, PgRow> for LeasedDelivery {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("delivery_id")?,
            event: row.try_get("event")?,
            installation: row.try_get("installation_id")?,
            payload: row.try_get("payload")?,
            attempts: super::row::count(row, "attempts")?,
            received_at: row.try_get("received_at")?,
            worker: InstanceId(row.try_get("leased_by")?),
        })
    }
}

/// Gives leases back and wakes intake.
macro_rules! give_back {
    ($whose:literal) => {
        concat!(
            "WITH given AS (UPDATE webhook_deliveries SET leased_by = NULL, leased_until = NULL, available_at = now() \
             WHERE state = 'received' AND ",
            $whose,
            " RETURNING 1) SELECT pg_notify($1, '') FROM given"
        )
    };
}

/// Takes deliveries in, in one statement, and wakes intake; the answers are in their order. Whoever
/// takes the same delivery at the same moment is waited for, so that a duplicate is durable too. One that
/// had been given up is taken up again: that is what it is sent again for.
///
/// # Errors
/// [`DbError`]: then none of them was taken.
pub async fn insert(tx: &mut Tx, deliveries: &[NewDelivery]) -> Result<Vec<Taken>, DbError> {
    // One row per line of the arrays. The CTE that notifies is read, else it would not run.
    let sql = "WITH added AS (INSERT INTO webhook_deliveries (delivery_id, event, action, installation_id, comment_id, \
               order_key, payload, state, outcome, processed_at) \
               SELECT id, event, action, installation, comment, order_key, payload, \
               CASE WHEN ignored IS NULL THEN 'received' ELSE 'ignored' END, ignored, \
               CASE WHEN ignored IS NULL THEN NULL ELSE now() END \
               FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], \
                 $8::text[]) AS new (id, event, action, installation, comment, order_key, payload, ignored) \
               ON CONFLICT DO NOTHING RETURNING delivery_id, state), \
               told AS (SELECT pg_notify($9, '') FROM added WHERE state = 'received' LIMIT 1) \
               SELECT delivery_id, (SELECT count(*) FROM told) FROM added";
    let query = sqlx::query_as(sql)
        .bind(deliveries.iter().map(|new| new.id.as_str()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.event.as_str()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.action.as_deref()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.installation).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.comment).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.order_key.as_deref()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.payload.as_str()).collect::<Vec<_>>())
        .bind(deliveries.iter().map(|new| new.ignored.as_deref()).collect::<Vec<_>>())
        .bind(Channel::Inbox.name());
    let rows: Vec<(String, i64)> = tx.all(query).await?;
    let mut inserted: HashSet<String> = rows.into_iter().map(|(id, _)| id).collect();
    // Of two with one id in the same batch, the first is the one.
    let mut taken = Vec::with_capacity(deliveries.len());
    for new in deliveries {
        let fresh = inserted.remove(&new.id) || take_up_again(tx, new).await?;
        taken.push(if fresh { Taken::Inserted } else { Taken::Duplicate });
    }
    Ok(taken)
}

/// A delivery that was given up, under this or another id, waits anew; `false` for every other one.
async fn take_up_again(tx: &mut Tx, new: &NewDelivery) -> Result<bool, DbError> {
    let sql = "WITH again AS (UPDATE webhook_deliveries SET state = 'received', outcome = NULL, processed_at = NULL, \
               attempts = 0, available_at = now() WHERE state = 'failed' AND (delivery_id = $1 \
               OR (comment_id = $2 AND event = 'issue_comment' AND action = 'created')) RETURNING delivery_id) \
               SELECT delivery_id, pg_notify($3, '')::text FROM again";
    let query = sqlx::query_as(sql).bind(&new.id).bind(new.comment).bind(Channel::Inbox.name());
    let again: Option<(String, Option<String>)> = tx.optional(query).await?;
    Ok(again.is_some())
}

/// How often a delivery may fail before those with the same key, which come after it, go past it.
const HOLDS_UP: i32 = 6;

/// Leases the delivery that has waited longest, for `lease`: if it is neither completed nor
/// postponed by then, another process may have it. One that comes after an unfinished one of the same key
/// waits for it: comments in the order in which they were written. What needs the token of an installation
/// waits while GitHub wants to hear nothing of it.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn lease_next(tx: &mut Tx, worker: &InstanceId, lease: Duration) -> Result<Option<LeasedDelivery>, DbError> {
    // available_at moves with the lease, so that the index passes over what is leased.
    let sql = "UPDATE webhook_deliveries SET leased_by = $1, attempts = attempts + 1, \
               leased_until = now() + make_interval(secs => $2), available_at = now() + make_interval(secs => $2) \
               WHERE delivery_id = (SELECT d.delivery_id FROM webhook_deliveries d WHERE d.state = 'received' \
               AND d.available_at <= now() AND NOT EXISTS (SELECT FROM webhook_deliveries e WHERE e.state = 'received' \
                 AND e.order_key = d.order_key AND e.attempts < $3 AND (coalesce(e.comment_id, 0), e.received_at, \
                 e.delivery_id) < (coalesce(d.comment_id, 0), d.received_at, d.delivery_id)) \
               AND (d.event = 'installation' OR NOT EXISTS (SELECT FROM installations i \
                 WHERE i.installation_id = d.installation_id AND i.quiet_until > now())) \
               ORDER BY d.available_at LIMIT 1 FOR UPDATE OF d SKIP LOCKED) \
               RETURNING delivery_id, event, installation_id, payload, attempts, received_at, leased_by";
    tx.optional(sqlx::query_as(sql).bind(&worker.0).bind(lease.as_secs_f64()).bind(HOLDS_UP)).await
}

/// Ends a delivery, in the transaction that does what it asked for. `false`: the lease is over and
/// somebody else has it, so that transaction must be rolled back.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn complete(tx: &mut Tx, delivery: &LeasedDelivery, completion: &Completion) -> Result<bool, DbError> {
    let sql = "UPDATE webhook_deliveries SET state = $4, outcome = $5, job_id = $6, processed_at = now(), \
               leased_by = NULL, leased_until = NULL \
               WHERE delivery_id = $1 AND leased_by = $2 AND attempts = $3 AND state = 'received'";
    let query = held(sql, delivery).bind(completion.state()).bind(completion.outcome()).bind(completion.job());
    Ok(tx.execute(query).await? == 1)
}

/// Gives a delivery back, to be leased again after `delay`; `why` is kept for people. `false`: the
/// lease is over.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn postpone(tx: &mut Tx, delivery: &LeasedDelivery, delay: Duration, why: &str) -> Result<bool, DbError> {
    let sql = "UPDATE webhook_deliveries SET outcome = $4, available_at = now() + make_interval(secs => $5), \
               leased_by = NULL, leased_until = NULL \
               WHERE delivery_id = $1 AND leased_by = $2 AND attempts = $3 AND state = 'received'";
    Ok(tx.execute(held(sql, delivery).bind(why).bind(delay.as_secs_f64())).await? == 1)
}

/// Gives back what `worker` has leased, which works no more, to be leased again at once.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn give_back(tx: &mut Tx, worker: &InstanceId) -> Result<u64, DbError> {
    let sql = give_back!("leased_by = $2");
    tx.execute(sqlx::query(sql).bind(Channel::Inbox.name()).bind(&worker.0)).await
}

/// The same for every worker that ended, or was not heard of for `stale_after`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn give_back_stale(tx: &mut Tx, stale_after: Duration) -> Result<u64, DbError> {
    let sql = give_back!(
        "leased_by IS NOT NULL AND NOT EXISTS (SELECT FROM instances i WHERE i.id = leased_by \
         AND i.retired_at IS NULL AND i.heartbeat_at >= now() - make_interval(secs => $2))"
    );
    tx.execute(sqlx::query(sql).bind(Channel::Inbox.name()).bind(stale_after.as_secs_f64())).await
}

/// How long until the next delivery is due, if any waits.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn next_due(tx: &mut Tx) -> Result<Option<Duration>, DbError> {
    let sql = "SELECT extract(epoch FROM min(greatest(d.available_at, \
               CASE WHEN d.event <> 'installation' THEN i.quiet_until END)) - now())::float8 FROM webhook_deliveries d \
               LEFT JOIN installations i ON i.installation_id = d.installation_id WHERE d.state = 'received'";
    let (due,): (Option<f64>,) = tx.one(sqlx::query_as(sql)).await?;
    Ok(due.map(|due| Duration::from_secs_f64(due.clamp(0.0, 86_400.0))))
}

/// A statement on a row that is still leased as it was: who leased it later raised `attempts`.
fn held<'q>(
    sql: &'static str,
    delivery: &'q LeasedDelivery,
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    let attempts = i32::try_from(delivery.attempts).unwrap_or(i32::MAX);
    sqlx::query(sql).bind(&delivery.id).bind(&delivery.worker.0).bind(attempts)
}
