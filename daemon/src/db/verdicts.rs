//! `verdicts`: how a commit's run ended under exactly the same circumstances in an earlier job of the same repository.

use super::{Database, DbError, Lease, Tx, lease, row};
use bisect_shared::{Ending, ProbeId, Sha, Verdict};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// Whose memory it is, and under which circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who may reuse it: an installation's repository, or a local source. Never shared between scopes.
    pub scope: String,
    /// SHA-256 over all that may change how a run ends, but for the commit.
    pub circumstances: [u8; 32],
    /// GitHub's number of the installation, so that it is forgotten with it.
    pub installation: Option<i64>,
    /// Our number of the repository, likewise.
    pub repository: Option<i64>,
}

/// What is remembered of a commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Remembered {
    /// The commit.
    pub commit: Sha,
    /// How its run ended.
    pub ending: Ending,
    /// How long it took.
    pub took: Duration,
    /// What it said last, as `search::Fingerprint` is written.
    pub fingerprint: String,
}

impl<'r> FromRow<'r, PgRow> for Remembered {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let code: Option<i16> = row.try_get("exit_code")?;
        let name: &str = row.try_get("ending")?;
        let ending = Ending::from_parts(name, code.and_then(|code| u8::try_from(code).ok()))
            .ok_or_else(|| row::undecodable("ending", format!("`{name}` with exit code {code:?} is no ending")))?;
        let seconds: f64 = row.try_get("seconds")?;
        Ok(Self {
            commit: row::parsed(row, "commit_sha")?,
            ending,
            took: Duration::try_from_secs_f64(seconds).unwrap_or_default(),
            fingerprint: row.try_get("fingerprint")?,
        })
    }
}

/// Everything that is remembered in this place.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn all(tx: &mut Tx, place: &Place) -> Result<Vec<Remembered>, DbError> {
    let sql = "SELECT commit_sha, ending, exit_code, seconds, fingerprint FROM verdicts WHERE scope = $1 AND circumstances = $2";
    tx.all(sqlx::query_as(sql).bind(&place.scope).bind(place.circumstances.as_slice())).await
}

/// Remembers how a probe of this claim ended. Where something else is remembered, one of the two is wrong, and nothing is
/// remembered any more. Nothing happens once the lease is lost.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn remember(
    db: &Database,
    lease: &Lease,
    place: &Place,
    run: &Remembered,
    verdict: Verdict,
    probe: ProbeId,
) -> Result<(), DbError> {
    let Some(mut tx) = lease::try_hold(db, lease).await? else { return Ok(()) };
    let sql = "DELETE FROM verdicts WHERE scope = $1 AND circumstances = $2 AND commit_sha = $3 AND verdict <> $4";
    let contradicted = tx
        .execute(
            sqlx::query(sql)
                .bind(&place.scope)
                .bind(place.circumstances.as_slice())
                .bind(run.commit.to_string())
                .bind(verdict.name()),
        )
        .await?;
    if contradicted == 0 {
        let sql = "INSERT INTO verdicts (scope, circumstances, commit_sha, installation_id, repository_id, verdict, ending, \
                   exit_code, seconds, fingerprint, probe_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
                   ON CONFLICT (scope, circumstances, commit_sha) DO UPDATE SET runs = verdicts.runs + 1, used_at = now()";
        tx.execute(
            sqlx::query(sql)
                .bind(&place.scope)
                .bind(place.circumstances.as_slice())
                .bind(run.commit.to_string())
                .bind(place.installation)
                .bind(place.repository)
                .bind(verdict.name())
                .bind(run.ending.name())
                .bind(run.ending.exit_code().map(i16::from))
                .bind(run.took.as_secs_f64())
                .bind(&run.fingerprint)
                .bind(probe.0),
        )
        .await?;
    }
    tx.commit().await
}

/// Forgets everything in this place. Nothing happens once the lease is lost.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn forget(db: &Database, lease: &Lease, place: &Place) -> Result<(), DbError> {
    let Some(mut tx) = lease::try_hold(db, lease).await? else { return Ok(()) };
    let sql = "DELETE FROM verdicts WHERE scope = $1 AND circumstances = $2";
    tx.execute(sqlx::query(sql).bind(&place.scope).bind(place.circumstances.as_slice())).await?;
    tx.commit().await
}

/// Notes that these were of use, so that they are kept for longer.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn touch(tx: &mut Tx, place: &Place, commits: &[Sha]) -> Result<(), DbError> {
    let commits: Vec<String> = commits.iter().map(Sha::to_string).collect();
    let sql = "UPDATE verdicts SET used_at = now() WHERE scope = $1 AND circumstances = $2 AND commit_sha = ANY($3)";
    tx.execute(sqlx::query(sql).bind(&place.scope).bind(place.circumstances.as_slice()).bind(commits)).await.map(drop)
}
