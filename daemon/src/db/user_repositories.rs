//! `user_repositories`: what GitHub said a user may see, until it must be asked again; and, in `users`, until when that
//! is and who asks. Row-level security reads the rows: one that has expired shows nothing.

use super::{DbError, Tx};
use std::time::Duration;

/// How long what is known holds still; zero: GitHub is to be asked.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn left(tx: &mut Tx, user: i64) -> Result<Duration, DbError> {
    let sql = "SELECT greatest(0, coalesce(extract(epoch FROM repositories_until - now()), 0))::float8 \
               FROM users WHERE id = $1";
    let row: Option<(f64,)> = tx.optional(sqlx::query_as(sql).bind(user)).await?;
    Ok(row.map_or(Duration::ZERO, |(left,)| Duration::try_from_secs_f64(left).unwrap_or_default()))
}

/// GitHub is to be asked by the caller, who has so long for it: what is known holds for no longer than `due`, and
/// nobody else asks. Answers the version that the answer is to be stored with.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn begin_asking(tx: &mut Tx, user: i64, due: Duration, lease: Duration) -> Result<Option<i64>, DbError> {
    let sql = "UPDATE users SET repositories_asking_until = now() + make_interval(secs => $3) WHERE id = $1 \
               AND coalesce(repositories_until, '-infinity') <= now() + make_interval(secs => $2) \
               AND coalesce(repositories_asking_until, '-infinity') <= now() RETURNING repositories_version";
    let query = sqlx::query_as(sql).bind(user).bind(due.as_secs_f64()).bind(lease.as_secs_f64());
    Ok(tx.optional(query).await?.map(|(version,): (i64,)| version))
}

/// GitHub did not say: it is not asked again before so long. What is known stays, for as long as it would have.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn give_up(tx: &mut Tx, user: i64, pause: Duration) -> Result<(), DbError> {
    let sql = "UPDATE users SET repositories_asking_until = now() + make_interval(secs => $2), \
               repositories_until = greatest(repositories_until, now() + make_interval(secs => $2)) WHERE id = $1";
    tx.execute(sqlx::query(sql).bind(user).bind(pause.as_secs_f64())).await.map(drop)
}

/// Stores what GitHub said, by GitHub's numbers of the repositories, in the place of all that was known. `false`: something
/// was dropped since it was asked, so nothing is stored, and it must be asked again.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn replace(
    tx: &mut Tx,
    user: i64,
    version: i64,
    repositories: &[i64],
    permissions: &[&str],
    life: Duration,
) -> Result<bool, DbError> {
    let sql = "UPDATE users SET repositories_asking_until = NULL, repositories_until = now() + make_interval(secs => $3) \
               WHERE id = $1 AND repositories_version = $2";
    if tx.execute(sqlx::query(sql).bind(user).bind(version).bind(life.as_secs_f64())).await? == 0 {
        let sql = "UPDATE users SET repositories_asking_until = NULL WHERE id = $1";
        tx.execute(sqlx::query(sql).bind(user)).await?;
        return Ok(false);
    }
    tx.execute(sqlx::query("DELETE FROM user_repositories WHERE user_id = $1").bind(user)).await?;
    let sql = "INSERT INTO user_repositories (user_id, repository_id, permission, expires_at) \
               SELECT DISTINCT ON (r.id) $1, r.id, said.permission, now() + make_interval(secs => $4) \
               FROM unnest($2::bigint[], $3::text[]) AS said (github_id, permission) \
               JOIN repositories r ON r.github_id = said.github_id";
    let query = sqlx::query(sql).bind(user).bind(repositories).bind(permissions).bind(life.as_secs_f64());
    tx.execute(query).await?;
    Ok(true)
}

/// Drops what is known by a condition on `user_repositories`. The users first, as [`replace`] has them.
macro_rules! forget {
    ($tx:expr, $which:literal, $bound:expr) => {{
        let lock = concat!(
            "SELECT FROM users WHERE id IN (SELECT user_id FROM user_repositories WHERE ",
            $which,
            ") OR repositories_asking_until > now() ORDER BY id FOR NO KEY UPDATE"
        );
        $tx.execute(sqlx::query(lock).bind($bound)).await?;
        let forget = concat!(
            "WITH gone AS (DELETE FROM user_repositories WHERE ",
            $which,
            " RETURNING user_id) UPDATE users SET repositories_until = NULL, \
             repositories_version = repositories_version + 1 \
             WHERE id IN (SELECT user_id FROM gone) OR repositories_asking_until > now()"
        );
        $tx.execute(sqlx::query(forget).bind($bound)).await.map(drop)
    }};
}

/// Somebody's right to a repository changed: nobody is believed to see it until GitHub says so again.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn forget_repository(tx: &mut Tx, github_id: i64) -> Result<(), DbError> {
    forget!(tx, "repository_id IN (SELECT id FROM repositories WHERE github_id = $1)", github_id)
}

/// The same for all repositories of an installation.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn forget_installation(tx: &mut Tx, installation: i64) -> Result<(), DbError> {
    forget!(tx, "repository_id IN (SELECT id FROM repositories WHERE installation_id = $1)", installation)
}

/// Nothing that is known of a user holds any more.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn forget_user(tx: &mut Tx, user: i64) -> Result<(), DbError> {
    tx.execute(sqlx::query("DELETE FROM user_repositories WHERE user_id = $1").bind(user)).await?;
    ask_again(tx, user).await
}

/// GitHub is to be asked at the next occasion; until then what is known holds.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn ask_again(tx: &mut Tx, user: i64) -> Result<(), DbError> {
    let sql =
        "UPDATE users SET repositories_until = NULL, repositories_version = repositories_version + 1 WHERE id = $1";
    tx.execute(sqlx::query(sql).bind(user)).await.map(drop)
}

/// Repositories that are worth asking about one by one, for a user whose token lists none: what the user saw before,
/// what the user asked jobs for, and what else is on the same accounts. Our numbers, the likeliest first.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn candidates(tx: &mut Tx, user: i64, limit: u32) -> Result<Vec<i64>, DbError> {
    let sql = "WITH near AS (\
                 SELECT repository_id AS id FROM user_repositories WHERE user_id = $1 \
                 UNION SELECT repository_id FROM bisect_jobs WHERE user_id = $1 AND repository_id IS NOT NULL) \
               SELECT r.id FROM repositories r JOIN installations i USING (installation_id) \
               WHERE i.suspended_at IS NULL AND (r.id IN (SELECT id FROM near) OR i.installed_by_user_id = $1 \
                 OR i.account_id = (SELECT github_id FROM users WHERE id = $1) \
                 OR r.installation_id IN (SELECT n.installation_id FROM repositories n WHERE n.id IN (SELECT id FROM near))) \
               ORDER BY (r.id IN (SELECT id FROM near)) DESC, r.id DESC LIMIT $2";
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(user).bind(i64::from(limit))).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
