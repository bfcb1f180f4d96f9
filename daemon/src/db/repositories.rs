//! `repositories`: what GitHub said of each, found by GitHub's number, which survives every rename.

use super::{DbError, Tx};
use sqlx::{FromRow, Row, postgres::PgRow};

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<'a> {
    /// GitHub's number of it.
    pub github_id: i64,
    /// GitHub's number of the installation through which it is reached.
    pub installation: i64,
    /// The owner's login.
    pub owner: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether only some may read it.
    pub private: bool,
    /// Whether it can be written to.
    pub archived: bool,
    /// Its main branch, where it is known.
    pub default_branch: Option<&'a str>,
}

/// A row of `repositories`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryRow {
    /// Our number.
    pub id: i64,
    /// GitHub's number.
    pub github_id: i64,
    /// GitHub's number of the installation.
    pub installation: i64,
    /// The owner's login.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Its main branch, where it is known.
    pub default_branch: Option<String>,
}

macro_rules! columns {
    () => {
        "id, github_id, installation_id, owner, name, private, default_branch"
    };
}

impl<'r> FromRow<'r, PgRow> for RepositoryRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            github_id: row.try_get("github_id")?,
            installation: row.try_get("installation_id")?,
            owner: row.try_get("owner")?,
            name: row.try_get("name")?,
            private: row.try_get("private")?,
            default_branch: row.try_get("default_branch")?,
        })
    }
}

/// Stores what is known now, and answers our row.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn upsert(tx: &mut Tx, known: &Known<'_>) -> Result<RepositoryRow, DbError> {
    let sql = concat!(
        "INSERT INTO repositories (github_id, installation_id, owner, name, full_name, private, archived, default_branch) \
         VALUES ($1, $2, $3, $4, $3 || '/' || $4, $5, $6, $7) ON CONFLICT (github_id) DO UPDATE SET \
         installation_id = excluded.installation_id, owner = excluded.owner, name = excluded.name, \
         full_name = excluded.full_name, private = excluded.private, archived = excluded.archived, \
         default_branch = coalesce(excluded.default_branch, repositories.default_branch), updated_at = now() \
         RETURNING ",
        columns!()
    );
    tx.one(
        sqlx::query_as(sql)
            .bind(known.github_id)
            .bind(known.installation)
            .bind(known.owner)
            .bind(known.name)
            .bind(known.private)
            .bind(known.archived)
            .bind(known.default_branch),
    )
    .await
}

/// Stores a repository that is not known yet; one that is known stays as GitHub described it last.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn ensure(tx: &mut Tx, known: &Known<'_>) -> Result<(), DbError> {
    let sql = "INSERT INTO repositories (github_id, installation_id, owner, name, full_name, private, archived, \
               default_branch) VALUES ($1, $2, $3, $4, $3 || '/' || $4, $5, $6, $7) ON CONFLICT (github_id) DO NOTHING";
    let query = sqlx::query(sql).bind(known.github_id).bind(known.installation).bind(known.owner).bind(known.name);
    tx.execute(query.bind(known.private).bind(known.archived).bind(known.default_branch)).await.map(drop)
}

/// The repositories of an installation.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn of_installation(tx: &mut Tx, installation: i64) -> Result<Vec<RepositoryRow>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM repositories WHERE installation_id = $1 ORDER BY id");
    tx.all(sqlx::query_as(sql).bind(installation)).await
}

/// Those of them for which something was asked.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn with_jobs(tx: &mut Tx, installation: i64) -> Result<Vec<RepositoryRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM repositories r WHERE installation_id = $1 \
         AND EXISTS (SELECT FROM bisect_jobs WHERE repository_id = r.id) ORDER BY id"
    );
    tx.all(sqlx::query_as(sql).bind(installation)).await
}

/// Which of GitHub's numbers no repository here has.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn unknown(tx: &mut Tx, github_ids: &[i64]) -> Result<Vec<i64>, DbError> {
    let sql = "SELECT id FROM unnest($1::bigint[]) AS asked (id) \
               WHERE NOT EXISTS (SELECT FROM repositories WHERE github_id = asked.id)";
    let rows: Vec<(i64,)> = tx.all(sqlx::query_as(sql).bind(github_ids)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The repository with our number.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find(tx: &mut Tx, id: i64) -> Result<Option<RepositoryRow>, DbError> {
    tx.optional(sqlx::query_as(concat!("SELECT ", columns!(), " FROM repositories WHERE id = $1")).bind(id)).await
}

/// The repository with GitHub's number.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn find_by_github(tx: &mut Tx, github_id: i64) -> Result<Option<RepositoryRow>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM repositories WHERE github_id = $1");
    tx.optional(sqlx::query_as(sql).bind(github_id)).await
}

/// Forgets repositories, and by cascade everything that was done for them. Only those that still
/// belong to `installation`, where one is given.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn remove(tx: &mut Tx, github_ids: &[i64], installation: Option<i64>) -> Result<u64, DbError> {
    let sql = "DELETE FROM repositories WHERE github_id = ANY ($1) AND ($2::bigint IS NULL OR installation_id = $2)";
    tx.execute(sqlx::query(sql).bind(github_ids).bind(installation)).await
}
