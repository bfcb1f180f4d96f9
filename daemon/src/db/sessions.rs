//! `sessions`: who is signed in, by the SHA-256 of what the browser's cookie holds.

use super::{DbError, Tx};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::{collections::HashSet, time::Duration};

/// SHA-256 of a session's token.
pub type TokenHash = [u8; 32];

/// A live session with the user whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Our number of the user.
    pub user: i64,
    /// GitHub's number of the user.
    pub github_id: i64,
    /// The login.
    pub login: String,
    /// The picture's address.
    pub avatar_url: Option<String>,
    /// How long it lives still.
    pub left: Duration,
    /// How long what is known of the user's repositories holds still; zero: GitHub is to be asked.
    pub repositories_left: Duration,
}

impl<'r> FromRow<'r, PgRow> for SessionRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let seconds = |column: &str| {
            let seconds: f64 = row.try_get(column)?;
            Ok::<_, sqlx::Error>(Duration::try_from_secs_f64(seconds).unwrap_or_default())
        };
        Ok(Self {
            user: row.try_get("id")?,
            github_id: row.try_get("github_id")?,
            login: row.try_get("github_login")?,
            avatar_url: row.try_get("avatar_url")?,
            left: seconds("seconds_left")?,
            repositories_left: seconds("repositories_seconds_left")?,
        })
    }
}

/// Begins a session that lives for so long.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn begin(
    tx: &mut Tx,
    hash: &TokenHash,
    user: i64,
    lifetime: Duration,
    user_agent: Option<&str>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO sessions (token_hash, user_id, expires_at, user_agent) \
               VALUES ($1, $2, now() + make_interval(secs => $3), $4)";
    let query = sqlx::query(sql).bind(&hash[..]).bind(user).bind(lifetime.as_secs_f64()).bind(user_agent);
    tx.execute(query).await.map(drop)
}

/// A session that has not expired.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find(tx: &mut Tx, hash: &TokenHash) -> Result<Option<SessionRow>, DbError> {
    let sql = "SELECT u.id, u.github_id, u.github_login, u.avatar_url, \
               extract(epoch FROM s.expires_at - now())::float8 AS seconds_left, \
               greatest(0, coalesce(extract(epoch FROM u.repositories_until - now()), 0))::float8 AS repositories_seconds_left \
               FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1 AND s.expires_at > now()";
    tx.optional(sqlx::query_as(sql).bind(&hash[..])).await
}

/// Those of these sessions that live.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn live(tx: &mut Tx, hashes: &[TokenHash]) -> Result<HashSet<TokenHash>, DbError> {
    let sql = "SELECT token_hash FROM sessions WHERE token_hash = ANY ($1) AND expires_at > now()";
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let rows: Vec<(Vec<u8>,)> = tx.all(sqlx::query_as(sql).bind(hashes)).await?;
    Ok(rows.into_iter().filter_map(|(hash,)| TokenHash::try_from(hash).ok()).collect())
}

/// A session that is used lives on: for this long from now.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn renew(tx: &mut Tx, hash: &TokenHash, lifetime: Duration) -> Result<bool, DbError> {
    let sql = "UPDATE sessions SET last_seen_at = now(), expires_at = now() + make_interval(secs => $2) \
               WHERE token_hash = $1 AND expires_at > now()";
    Ok(tx.execute(sqlx::query(sql).bind(&hash[..]).bind(lifetime.as_secs_f64())).await? > 0)
}

/// Ends one session.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn end(tx: &mut Tx, hash: &TokenHash) -> Result<bool, DbError> {
    Ok(tx.execute(sqlx::query("DELETE FROM sessions WHERE token_hash = $1").bind(&hash[..])).await? > 0)
}

/// Ends every session of a user; answers how many there were.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn end_all(tx: &mut Tx, user: i64) -> Result<u64, DbError> {
    tx.execute(sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user)).await
}

/// How many sessions of a user live.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn count(tx: &mut Tx, user: i64) -> Result<u32, DbError> {
    let sql = "SELECT count(*) FROM sessions WHERE user_id = $1 AND expires_at > now()";
    let (count,): (i64,) = tx.one(sqlx::query_as(sql).bind(user)).await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Removes what has expired; answers how many there were.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn remove_expired(tx: &mut Tx) -> Result<u64, DbError> {
    tx.execute(sqlx::query("DELETE FROM sessions WHERE expires_at <= now()")).await
}
