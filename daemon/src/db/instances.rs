//! `instances`: the processes of the daemon, and whether they live.

use super::{DbError, Tx, row};
use bisect_shared::{InstanceId, JobId};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// A row of `instances`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// The process.
    pub id: InstanceId,
    /// Its machine.
    pub host: String,
    /// Machine and `DATA_DIR`: which local jobs it may run.
    pub affinity: String,
    /// The program's version.
    pub version: String,
    /// Jobs at once, at most.
    pub max_jobs: u32,
    /// When it was first heard of.
    pub started_at: DateTime<Utc>,
    /// When it was last heard of.
    pub heartbeat_at: DateTime<Utc>,
    /// Who asked it to take no more jobs.
    pub drain_requested_by: Option<String>,
    /// When it ended in order.
    pub retired_at: Option<DateTime<Utc>>,
}

/// What an instance says about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sign<'a> {
    pub(crate) id: &'a InstanceId,
    pub(crate) host: &'a str,
    pub(crate) affinity: &'a str,
    pub(crate) max_jobs: u32,
}

macro_rules! columns {
    () => {
        "id, host, affinity, version, max_jobs, started_at, heartbeat_at, drain_requested_by, retired_at"
    };
}

impl<'r> FromRow<'r, PgRow> for InstanceRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: InstanceId(row.try_get("id")?),
            host: row.try_get("host")?,
            affinity: row.try_get("affinity")?,
            version: row.try_get("version")?,
            max_jobs: row::count(row, "max_jobs")?,
            started_at: row.try_get("started_at")?,
            heartbeat_at: row.try_get("heartbeat_at")?,
            drain_requested_by: row.try_get("drain_requested_by")?,
            retired_at: row.try_get("retired_at")?,
        })
    }
}

/// Tells that an instance lives. One that has retired stays so.
pub(crate) async fn beat(tx: &mut Tx, sign: Sign<'_>) -> Result<InstanceRow, DbError> {
    let sql = concat!(
        "INSERT INTO instances (id, host, affinity, version, max_jobs) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), max_jobs = excluded.max_jobs RETURNING ",
        columns!()
    );
    tx.one(
        sqlx::query_as(sql)
            .bind(&sign.id.0)
            .bind(sign.host)
            .bind(sign.affinity)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(i32::try_from(sign.max_jobs).unwrap_or(i32::MAX)),
    )
    .await
}

/// Tells that an instance ends in order.
pub(crate) async fn retire(tx: &mut Tx, id: &InstanceId) -> Result<(), DbError> {
    let query = sqlx::query("UPDATE instances SET retired_at = coalesce(retired_at, now()) WHERE id = $1");
    tx.execute(query.bind(&id.0)).await.map(drop)
}

/// The instances that were heard of within `stale_after` and have not retired.
pub(crate) async fn alive(tx: &mut Tx, stale_after: Duration) -> Result<Vec<InstanceRow>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM instances WHERE retired_at IS NULL AND heartbeat_at >= now() - make_interval(secs => $1) ORDER BY id"
    );
    tx.all(sqlx::query_as(sql).bind(stale_after.as_secs_f64())).await
}

/// Tells which job the person at an instance waits for; `None` when for none any more.
pub(crate) async fn watch(tx: &mut Tx, id: &InstanceId, job: Option<JobId>) -> Result<(), DbError> {
    let query = sqlx::query("UPDATE instances SET watches_job = $2 WHERE id = $1");
    tx.execute(query.bind(&id.0).bind(job.map(|job| job.0))).await.map(drop)
}

/// The instances at which somebody waits for a job, as far as they were heard of within `stale_after`.
pub(crate) async fn watchers(tx: &mut Tx, job: JobId, stale_after: Duration) -> Result<Vec<InstanceId>, DbError> {
    let sql = "SELECT id FROM instances WHERE watches_job = $1 AND retired_at IS NULL \
               AND heartbeat_at >= now() - make_interval(secs => $2) ORDER BY id";
    let rows: Vec<(String,)> = tx.all(sqlx::query_as(sql).bind(job.0).bind(stale_after.as_secs_f64())).await?;
    Ok(rows.into_iter().map(|(id,)| InstanceId(id)).collect())
}
