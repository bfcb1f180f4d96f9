//! `users`: people, by GitHub's number. Somebody who only wrote a comment has a row without tokens.

use super::{DbError, Tx};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// Who signed in, as GitHub says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// GitHub's number.
    pub github_id: i64,
    /// The login now.
    pub login: &'a str,
    /// The name that is shown.
    pub name: Option<&'a str>,
    /// The public e-mail address.
    pub email: Option<&'a str>,
    /// The picture's address.
    pub avatar_url: Option<&'a str>,
}

/// A user with what is stored to speak for them; tokens are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokensRow {
    /// Our number.
    pub id: i64,
    /// GitHub's number.
    pub github_id: i64,
    /// The login.
    pub login: String,
    /// The token.
    pub access: Option<Vec<u8>>,
    /// What the next one is had with.
    pub refresh: Option<Vec<u8>>,
    /// How long the token is good still, where it ends.
    pub left: Option<Duration>,
}

impl<'r> FromRow<'r, PgRow> for TokensRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let left: Option<f64> = row.try_get("seconds_left")?;
        Ok(Self {
            id: row.try_get("id")?,
            github_id: row.try_get("github_id")?,
            login: row.try_get("github_login")?,
            access: row.try_get("access_token")?,
            refresh: row.try_get("refresh_token")?,
            left: left.map(|left| Duration::try_from_secs_f64(left).unwrap_or_default()),
        })
    }
}

macro_rules! tokens {
    () => {
        "SELECT id, github_id, github_login, access_token, refresh_token, \
         extract(epoch FROM token_expires_at - now())::float8 AS seconds_left FROM users "
    };
}

/// Our number of the user, who now has this login.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn upsert(tx: &mut Tx, github_id: i64, login: &str) -> Result<i64, DbError> {
    let (id,): (i64,) = tx
        .one(
            sqlx::query_as(
                "INSERT INTO users (github_id, github_login) VALUES ($1, $2) ON CONFLICT (github_id) DO UPDATE SET \
                 github_login = excluded.github_login, updated_at = now() RETURNING id",
            )
            .bind(github_id)
            .bind(login),
        )
        .await?;
    Ok(id)
}

/// Our number of who signed in; what GitHub says now is stored.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn sign_in(tx: &mut Tx, known: &Known<'_>) -> Result<i64, DbError> {
    let sql = "INSERT INTO users (github_id, github_login, github_name, email, avatar_url, last_login_at) \
               VALUES ($1, $2, $3, $4, $5, now()) ON CONFLICT (github_id) DO UPDATE SET \
               github_login = excluded.github_login, github_name = excluded.github_name, email = excluded.email, \
               avatar_url = excluded.avatar_url, last_login_at = now(), updated_at = now() RETURNING id";
    let query = sqlx::query_as(sql).bind(known.github_id).bind(known.login).bind(known.name).bind(known.email);
    let (id,): (i64,) = tx.one(query.bind(known.avatar_url)).await?;
    Ok(id)
}

/// Our number and the login of somebody, by GitHub's number.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find_by_github(tx: &mut Tx, github_id: i64) -> Result<Option<(i64, String)>, DbError> {
    tx.optional(sqlx::query_as("SELECT id, github_login FROM users WHERE github_id = $1").bind(github_id)).await
}

/// Stores sealed tokens in the place of the former ones, or takes them away.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn store_tokens(
    tx: &mut Tx,
    user: i64,
    access: Option<&[u8]>,
    refresh: Option<&[u8]>,
    life: Option<Duration>,
) -> Result<(), DbError> {
    let sql = "UPDATE users SET access_token = $2, refresh_token = $3, \
               token_expires_at = now() + make_interval(secs => $4), updated_at = now() WHERE id = $1";
    let query = sqlx::query(sql).bind(user).bind(access).bind(refresh).bind(life.map(|life| life.as_secs_f64()));
    tx.execute(query).await.map(drop)
}

/// What is stored to speak for a user.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn tokens(tx: &mut Tx, user: i64) -> Result<Option<TokensRow>, DbError> {
    tx.optional(sqlx::query_as(concat!(tokens!(), "WHERE id = $1")).bind(user)).await
}

/// The next users of whom tokens are stored, locked, in the order of our numbers.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn lock_tokens(tx: &mut Tx, after: i64, limit: u32) -> Result<Vec<TokensRow>, DbError> {
    let sql = concat!(
        tokens!(),
        "WHERE id > $1 AND (access_token IS NOT NULL OR refresh_token IS NOT NULL) ORDER BY id LIMIT $2 FOR NO KEY UPDATE"
    );
    tx.all(sqlx::query_as(sql).bind(after).bind(i64::from(limit))).await
}

/// The same tokens, sealed anew.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn reseal(tx: &mut Tx, user: i64, access: Option<&[u8]>, refresh: Option<&[u8]>) -> Result<(), DbError> {
    let sql = "UPDATE users SET access_token = $2, refresh_token = $3 WHERE id = $1";
    tx.execute(sqlx::query(sql).bind(user).bind(access).bind(refresh)).await.map(drop)
}
