//! `installations`, as far as the queue needs it: they take turns.

use super::{DbError, Tx};
use std::time::Duration;

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

/// What GitHub says of an installation.
#[derive(Debug, Clone, PartialEq)]
pub struct Known<'a> {
    /// GitHub's number of it.
    pub installation: i64,
    /// `User` or `Organization`.
    pub account_type: &'a str,
    /// The account's login.
    pub account_login: &'a str,
    /// GitHub's number of the account.
    pub account_id: i64,
    /// Permission name to `read` or `write`.
    pub permissions: &'a serde_json::Value,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Our number of who installed it, where that is known.
    pub installed_by: Option<i64>,
}

/// Stores what GitHub says now; what was chosen here (the tier) stays.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn upsert(tx: &mut Tx, known: &Known<'_>) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO installations (installation_id, account_type, account_login, account_id, permissions, \
             suspended_at, installed_by_user_id) VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN now() END, $7) \
             ON CONFLICT (installation_id) DO UPDATE SET account_type = excluded.account_type, \
             account_login = excluded.account_login, account_id = excluded.account_id, \
             permissions = excluded.permissions, updated_at = now(), \
             installed_by_user_id = coalesce(installations.installed_by_user_id, excluded.installed_by_user_id), \
             suspended_at = CASE WHEN $6 THEN coalesce(installations.suspended_at, now()) END",
        )
        .bind(known.installation)
        .bind(known.account_type)
        .bind(known.account_login)
        .bind(known.account_id)
        .bind(known.permissions)
        .bind(known.suspended)
        .bind(known.installed_by),
    )
    .await
    .map(drop)
}

/// Makes sure that there is a row, for a comment that came before its installation did.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn ensure(tx: &mut Tx, installation: i64, account_login: &str) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO installations (installation_id, account_type, account_login, account_id) \
             VALUES ($1, 'unknown', $2, 0) ON CONFLICT DO NOTHING",
        )
        .bind(installation)
        .bind(account_login),
    )
    .await
    .map(drop)
}

/// Whether it is suspended; `None` when there is no such installation.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn is_suspended(tx: &mut Tx, installation: i64) -> Result<Option<bool>, DbError> {
    let sql = "SELECT suspended_at IS NOT NULL FROM installations WHERE installation_id = $1";
    Ok(tx.optional(sqlx::query_as(sql).bind(installation)).await?.map(|(suspended,): (bool,)| suspended))
}

/// The account of these installations has another login now.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn rename_account(tx: &mut Tx, account_id: i64, login: &str) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "WITH renamed AS (UPDATE installations SET account_login = $2, updated_at = now() WHERE account_id = $1 \
             RETURNING installation_id) \
             UPDATE repositories SET owner = $2, full_name = $2 || '/' || name, updated_at = now() \
             WHERE installation_id IN (SELECT installation_id FROM renamed)",
        )
        .bind(account_id)
        .bind(login),
    )
    .await
    .map(drop)
}

/// Forgets an installation, and by cascade its repositories, jobs, probes, logs, verdicts and
/// replies. Answers GitHub's numbers of its repositories, whose mirrors are to go.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn remove(tx: &mut Tx, installation: i64) -> Result<Vec<i64>, DbError> {
    let sql = "SELECT github_id FROM repositories WHERE installation_id = $1";
    let repositories: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(installation)).await?;
    tx.execute(sqlx::query("DELETE FROM installations WHERE installation_id = $1").bind(installation)).await?;
    Ok(repositories.into_iter().map(|(id,)| id).collect())
}

/// The jobs of an installation that have not ended.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn unfinished_jobs(tx: &mut Tx, installation: i64) -> Result<Vec<bisect_shared::JobId>, DbError> {
    let sql = "SELECT id FROM bisect_jobs WHERE installation_id = $1 AND status IN ('pending', 'running') ORDER BY id";
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(installation)).await?;
    Ok(rows.into_iter().map(|(id,)| bisect_shared::JobId(id)).collect())
}

/// GitHub wants to hear nothing of this installation for so long, from whatever server.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn keep_quiet(tx: &mut Tx, installation: i64, wait: Duration) -> Result<(), DbError> {
    let sql = "UPDATE installations SET quiet_until = greatest(quiet_until, now() + make_interval(secs => $2)) \
               WHERE installation_id = $1";
    tx.execute(sqlx::query(sql).bind(installation).bind(wait.as_secs_f64())).await.map(drop)
}
