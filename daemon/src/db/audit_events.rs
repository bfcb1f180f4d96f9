//! `audit_events`: who did what, append-only.

use super::{DbError, Tx, job_events};
use crate::mask::mask_json;
use bisect_shared::{
    JobId,
    admin::{AuditEntry, AuditPage},
};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};

/// What somebody did.
#[derive(Debug, Clone)]
pub struct NewAuditEvent<'a> {
    /// Login, operator's name, or `system`.
    pub actor: &'a str,
    /// `github`, `web`, `console`, `shell`, `system`.
    pub channel: &'a str,
    /// What was done.
    pub action: &'a str,
    /// To which job.
    pub job: Option<JobId>,
    /// GitHub's number of the installation.
    pub installation: Option<i64>,
    /// What else there is to say: an object.
    pub detail: Value,
}

struct Entry(AuditEntry);

impl<'r> FromRow<'r, PgRow> for Entry {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(AuditEntry {
            id: row.try_get("id")?,
            at: row.try_get("created_at")?,
            actor: row.try_get("actor")?,
            channel: row.try_get("channel")?,
            action: row.try_get("action")?,
            job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
            detail: job_events::words(&row.try_get("detail")?),
        }))
    }
}

/// Appends one, and says so in the log; without secrets in both.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn append(tx: &mut Tx, event: &NewAuditEvent<'_>) -> Result<(), DbError> {
    insert(tx, event, None, None).await
}

/// Appends one that a user did who is signed in, from this address.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn append_of_user(
    tx: &mut Tx,
    event: &NewAuditEvent<'_>,
    user: i64,
    address: Option<&str>,
) -> Result<(), DbError> {
    insert(tx, event, Some(user), address).await
}

async fn insert(
    tx: &mut Tx,
    event: &NewAuditEvent<'_>,
    user: Option<i64>,
    address: Option<&str>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO audit_events (actor, channel, action, job_id, installation_id, detail, actor_user_id, address) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let NewAuditEvent { actor, channel, action, job, installation, .. } = *event;
    let (job, detail) = (job.map(|job| job.0), mask_json(event.detail.clone()));
    let query = sqlx::query(sql).bind(actor).bind(channel).bind(action).bind(job).bind(installation).bind(&detail);
    tx.execute(query.bind(user).bind(address)).await?;
    let detail = job_events::words(&detail);
    tracing::info!(
        audit.action = action,
        audit.actor = actor,
        audit.channel = channel,
        job.id = job,
        github.installation = installation,
        user.id = user,
        address,
        detail,
        "noted in the audit"
    );
    Ok(())
}

/// The newest ones, at most `limit`; only those with a lower number than `before`, where one is given.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn page(tx: &mut Tx, before: Option<i64>, limit: u32) -> Result<AuditPage, DbError> {
    let sql = "SELECT id, created_at, actor, channel, action, job_id, detail FROM audit_events \
               WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let query = sqlx::query_as(sql).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit) + 1);
    let rows: Vec<Entry> = tx.all(query).await?;
    let mut entries: Vec<AuditEntry> = rows.into_iter().map(|Entry(entry)| entry).collect();
    let more = entries.len() > limit as usize;
    entries.truncate(limit as usize);
    let next = entries.last().filter(|_| more).map(|last| last.id);
    Ok(AuditPage { entries, next })
}
