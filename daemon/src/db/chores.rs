//! `chores` and `redeliveries`: what one server does for the whole fleet, and what it remembers of it.

use super::{DbError, Tx};
use bisect_shared::InstanceId;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// So often GitHub is asked to send one delivery again, if the answer is another failure.
const MOST_ASKED: i32 = 3;

/// Something that is done now and then, by one server at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    /// Failed deliveries of webhooks are asked for again.
    Redelivery,
    /// Counts of ended jobs are added up.
    Totals,
}

impl Chore {
    const fn name(self) -> &'static str {
        match self {
            Self::Redelivery => "redelivery",
            Self::Totals => "totals",
        }
    }
}

/// A chore that is this server's to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// How long ago it was last done to the end, if ever.
    pub last_done: Option<Duration>,
}

/// Begins a chore, unless anybody began it within `every`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn begin(tx: &mut Tx, chore: Chore, instance: &InstanceId, every: Duration) -> Result<Option<Turn>, DbError> {
    let sql = "UPDATE chores SET begun_at = now(), begun_by = $2 \
               WHERE name = $1 AND begun_at <= now() - make_interval(secs => $3) \
               RETURNING CASE WHEN done_at > '-infinity' THEN extract(epoch FROM now() - done_at)::float8 END";
    let query = sqlx::query_as(sql).bind(chore.name()).bind(&instance.0).bind(every.as_secs_f64());
    let row: Option<(Option<f64>,)> = tx.optional(query).await?;
    Ok(row.map(|(ago,)| Turn { last_done: ago.map(|ago| Duration::from_secs_f64(ago.max(0.0))) }))
}

/// A chore that takes long is still this server's, and counts as begun just now; false when another server has begun it since.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn go_on(tx: &mut Tx, chore: Chore, instance: &InstanceId) -> Result<bool, DbError> {
    let query = sqlx::query("UPDATE chores SET begun_at = now() WHERE name = $1 AND begun_by = $2");
    tx.execute(query.bind(chore.name()).bind(&instance.0)).await.map(|rows| rows == 1)
}

/// A chore is done to the end, unless another server has begun it since.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn done(tx: &mut Tx, chore: Chore, instance: &InstanceId) -> Result<(), DbError> {
    let query = sqlx::query("UPDATE chores SET done_at = begun_at WHERE name = $1 AND begun_by = $2");
    tx.execute(query.bind(chore.name()).bind(&instance.0)).await.map(drop)
}

/// Whether GitHub may be asked for a delivery (again) whose newest failure was at `failed_at`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn may_ask(tx: &mut Tx, delivery: &str, failed_at: DateTime<Utc>) -> Result<bool, DbError> {
    let sql = "SELECT NOT EXISTS (SELECT FROM redeliveries WHERE delivery_id = $1 AND (asked >= $2 OR asked_at >= $3)) \
               AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE delivery_id = $1)";
    let query = sqlx::query_as(sql).bind(delivery).bind(MOST_ASKED).bind(failed_at);
    let (may,): (bool,) = tx.one(query).await?;
    Ok(may)
}

/// GitHub was asked for a delivery. What is older than `forget_after` is not remembered any more.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn asked(tx: &mut Tx, delivery: &str, forget_after: Duration) -> Result<(), DbError> {
    let sql = "INSERT INTO redeliveries (delivery_id) VALUES ($1) \
               ON CONFLICT (delivery_id) DO UPDATE SET asked = redeliveries.asked + 1, asked_at = now()";
    tx.execute(sqlx::query(sql).bind(delivery)).await?;
    let sql = "DELETE FROM redeliveries WHERE asked_at < now() - make_interval(secs => $1)";
    tx.execute(sqlx::query(sql).bind(forget_after.as_secs_f64())).await.map(drop)
}
