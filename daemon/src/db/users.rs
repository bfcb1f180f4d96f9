//! `users`: people, by GitHub's number. Somebody who only wrote a comment has a row without tokens.

use super::{DbError, Tx};

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
