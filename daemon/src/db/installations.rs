//! `installations`, as far as the queue needs it: they take turns.

use super::{DbError, Tx};

macro_rules! next {
    ($lock:literal) => {
        concat!(
            "SELECT i.installation_id FROM installations i JOIN rate_limits l ON l.tier = i.tier \
             WHERE i.turn_at IS NOT NULL AND i.suspended_at IS NULL AND i.installation_id <> ALL ($1) \
             AND (SELECT count(*) FROM bisect_jobs r WHERE r.installation_id = i.installation_id \
                  AND r.status = 'running') < l.max_concurrent \
             ORDER BY i.turn_at, i.installation_id LIMIT 1",
            $lock
        )
    };
}

/// Whether to wait for an installation that another claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Pass it over.
    Skip,
    /// Wait: nothing else is left. Only while holding no other installation.
    Wait,
}

/// Locks the installation that has waited longest for its turn and is below its limit.
pub(crate) async fn lock_next_in_turn(tx: &mut Tx, tried: &[i64], busy: Busy) -> Result<Option<i64>, DbError> {
    let sql = match busy {
        Busy::Skip => next!(" FOR NO KEY UPDATE OF i SKIP LOCKED"),
        Busy::Wait => next!(""),
    };
    let row: Option<(i64,)> = tx.optional(sqlx::query_as(sql).bind(tried)).await?;
    let installation = row.map(|(installation,)| installation);
    // Not by the same statement: having waited, it would go on to a second row and keep the lock
    // of the first, and two such claims can wait for one another.
    if let (Busy::Wait, Some(installation)) = (busy, installation) {
        lock(tx, installation).await?;
    }
    Ok(installation)
}

/// Locks one certain installation.
pub(crate) async fn lock(tx: &mut Tx, installation: i64) -> Result<(), DbError> {
    tx.execute(sqlx::query("SELECT FROM installations WHERE installation_id = $1 FOR NO KEY UPDATE").bind(installation))
        .await
        .map(drop)
}

/// After a claim the installation goes to the end of the queue; without pending jobs it leaves it.
pub(crate) async fn settle_turn(tx: &mut Tx, installation: i64, claimed: bool) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "UPDATE installations SET turn_at = CASE WHEN NOT EXISTS (SELECT FROM bisect_jobs \
             WHERE installation_id = $1 AND status = 'pending') THEN NULL \
             WHEN $2 THEN clock_timestamp() ELSE turn_at END WHERE installation_id = $1",
        )
        .bind(installation)
        .bind(claimed),
    )
    .await
    .map(drop)
}
