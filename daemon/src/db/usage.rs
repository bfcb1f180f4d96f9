//! `usage_stats` and `rate_limits`: what an installation used this month, and what it may use.

use super::{DbError, Tx, installations};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};

/// An installation's tier and what it used of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// `free`, `pro`, `enterprise`.
    pub tier: String,
    /// Jobs per month; `None` for no limit.
    pub jobs_per_month: Option<u32>,
    /// Jobs of this month.
    pub used: u32,
    /// When the month ends (UTC).
    pub resets_at: DateTime<Utc>,
    /// The longest that one job may take, in minutes.
    pub max_duration_minutes: u32,
    /// Jobs at once.
    pub max_concurrent: u32,
}

impl Allowance {
    /// Whether one more job may be queued.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.jobs_per_month.is_none_or(|limit| self.used < limit)
    }
}

impl<'r> FromRow<'r, PgRow> for Allowance {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let count = |column| super::row::count(row, column);
        let limit: Option<i32> = row.try_get("jobs_per_month")?;
        Ok(Self {
            tier: row.try_get("tier")?,
            jobs_per_month: limit.and_then(|limit| u32::try_from(limit).ok()),
            used: count("used")?,
            resets_at: row.try_get("resets_at")?,
            max_duration_minutes: count("max_duration_minutes")?,
            max_concurrent: count("max_concurrent")?,
        })
    }
}

/// What the installation may use. Locks its row, so that two requests at once cannot both take the
/// last job of a month. `None`: there is no such installation.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn allowance(tx: &mut Tx, installation: i64) -> Result<Option<Allowance>, DbError> {
    // By a statement of its own: one that waits for the lock reads the other tables as they were before it waited.
    installations::lock(tx, installation).await?;
    tx.optional(
        sqlx::query_as(
            "SELECT l.tier, l.jobs_per_month, l.max_duration_minutes, l.max_concurrent, coalesce(u.jobs, 0) AS used, \
             (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC' AS resets_at \
             FROM installations i JOIN rate_limits l ON l.tier = i.tier LEFT JOIN usage_stats u \
               ON u.installation_id = i.installation_id \
               AND u.period = date_trunc('month', now() AT TIME ZONE 'UTC')::date \
             WHERE i.installation_id = $1",
        )
        .bind(installation),
    )
    .await
}

/// Counts a job that was queued.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn count_job(tx: &mut Tx, installation: i64) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO usage_stats (installation_id, period, jobs) \
             VALUES ($1, date_trunc('month', now() AT TIME ZONE 'UTC')::date, 1) \
             ON CONFLICT (installation_id, period) DO UPDATE SET jobs = usage_stats.jobs + 1, updated_at = now()",
        )
        .bind(installation),
    )
    .await
    .map(drop)
}

/// Counts what an ended job used, in the month in which it ended.
pub(crate) async fn count_end(tx: &mut Tx, job: bisect_shared::JobId) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO usage_stats (installation_id, period, jobs_completed, jobs_failed, probes, probe_seconds) \
             SELECT j.installation_id, date_trunc('month', now() AT TIME ZONE 'UTC')::date, \
               (j.status = 'completed')::int, (j.status = 'failed')::int, p.count, p.seconds \
             FROM bisect_jobs j, LATERAL (SELECT count(*)::int AS count, coalesce(sum(seconds), 0) AS seconds \
               FROM probes WHERE job_id = j.id AND ending <> 'stopped' AND NOT cached) p \
             WHERE j.id = $1 AND j.installation_id IS NOT NULL \
             ON CONFLICT (installation_id, period) DO UPDATE SET \
               jobs_completed = usage_stats.jobs_completed + excluded.jobs_completed, \
               jobs_failed = usage_stats.jobs_failed + excluded.jobs_failed, \
               probes = usage_stats.probes + excluded.probes, \
               probe_seconds = usage_stats.probe_seconds + excluded.probe_seconds, updated_at = now()",
        )
        .bind(job.0),
    )
    .await
    .map(drop)
}
