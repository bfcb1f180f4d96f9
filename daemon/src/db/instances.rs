//! `instances`: the processes of the daemon, and whether they live.

use super::{
    DbError, Tx,
    notify::{self, Channel},
    row,
};
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
    /// Probes at once, at most, where it said so.
    pub max_probes: Option<u32>,
    /// Whether its Docker answered at its last sign of life, where it said so.
    pub docker: Option<bool>,
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
    pub(crate) means: Means,
}

/// What an instance can do, as it says with each sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Means {
    /// Jobs at once, at most; 0 for a process that claims none by itself.
    pub max_jobs: u32,
    /// Probes at once, at most.
    pub max_probes: Option<u32>,
    /// Whether its Docker answers.
    pub docker: Option<bool>,
}

macro_rules! columns {
    () => {
        "id, host, affinity, version, max_jobs, max_probes, docker, started_at, heartbeat_at, drain_requested_by, retired_at"
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
            max_probes: row::count_option(row, "max_probes")?,
            docker: row.try_get("docker")?,
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
        "INSERT INTO instances (id, host, affinity, version, max_jobs, max_probes, docker) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), \
         max_jobs = excluded.max_jobs, max_probes = excluded.max_probes, docker = excluded.docker RETURNING ",
        columns!()
    );
    tx.one(
        sqlx::query_as(sql)
            .bind(&sign.id.0)
            .bind(sign.host)
            .bind(sign.affinity)
            .bind(env!("CARGO_PKG_VERSION"))
            .bind(i32::try_from(sign.means.max_jobs).unwrap_or(i32::MAX))
            .bind(sign.means.max_probes.map(|probes| i32::try_from(probes).unwrap_or(i32::MAX)))
            .bind(sign.means.docker),
    )
    .await
}

/// What becomes of the wish that an instance takes no more jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// It is what was wished for from now on.
    Changed,
    /// It was so before.
    Already,
    /// The instance has ended.
    Retired,
    /// There is no such instance.
    Unknown,
}

/// Wishes that an instance takes no more jobs, or takes jobs again (`None`), and tells it so when this transaction
/// commits.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn drain(tx: &mut Tx, id: &InstanceId, by: Option<&str>) -> Result<Drained, DbError> {
    let sql = "SELECT drain_requested_by IS NOT NULL, retired_at IS NOT NULL FROM instances WHERE id = $1 FOR UPDATE";
    let Some((drains, retired)): Option<(bool, bool)> = tx.optional(sqlx::query_as(sql).bind(&id.0)).await? else {
        return Ok(Drained::Unknown);
    };
    if retired {
        return Ok(Drained::Retired);
    }
    if drains == by.is_some() {
        return Ok(Drained::Already);
    }
    let sql = "UPDATE instances SET drain_requested_by = $2, \
               drain_requested_at = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END WHERE id = $1";
    tx.execute(sqlx::query(sql).bind(&id.0).bind(by)).await?;
    notify::notify(tx, Channel::Instances).await?;
    Ok(Drained::Changed)
}

/// Who asked an instance to take no more jobs, if anybody did.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn drain_of(tx: &mut Tx, id: &InstanceId) -> Result<Option<String>, DbError> {
    let sql = "SELECT drain_requested_by FROM instances WHERE id = $1";
    let row: Option<(Option<String>,)> = tx.optional(sqlx::query_as(sql).bind(&id.0)).await?;
    Ok(row.and_then(|(by,)| by))
}

/// Whether an instance lives that may run jobs of this machine and `DATA_DIR`: neither ended, nor silent for
/// `stale_after`, nor asked to take no more jobs.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn any_takes(tx: &mut Tx, affinity: &str, stale_after: Duration) -> Result<bool, DbError> {
    let sql = "SELECT EXISTS (SELECT FROM instances WHERE affinity = $1 AND retired_at IS NULL AND max_jobs > 0 \
               AND drain_requested_by IS NULL AND heartbeat_at >= now() - make_interval(secs => $2))";
    let (any,): (bool,) = tx.one(sqlx::query_as(sql).bind(affinity).bind(stale_after.as_secs_f64())).await?;
    Ok(any)
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
