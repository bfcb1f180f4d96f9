//! `audit_events`: who did what, append-only.

use super::{DbError, Tx};
use bisect_shared::JobId;

/// What somebody did.
#[derive(Debug, Clone, Copy)]
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
}

/// Appends one.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn append(tx: &mut Tx, event: &NewAuditEvent<'_>) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO audit_events (actor, channel, action, job_id, installation_id) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(event.actor)
        .bind(event.channel)
        .bind(event.action)
        .bind(event.job.map(|job| job.0))
        .bind(event.installation),
    )
    .await
    .map(drop)
}
