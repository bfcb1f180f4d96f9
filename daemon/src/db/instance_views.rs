//! The fleet as operators see it: `instances` with what each runs.

use super::{DbError, Tx, row};
use bisect_shared::{InstanceId, admin::InstanceView};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

struct View(InstanceView);

impl<'r> FromRow<'r, PgRow> for View {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(InstanceView {
            id: InstanceId(row.try_get("id")?),
            host: row.try_get("host")?,
            version: row.try_get("version")?,
            max_jobs: row::count(row, "max_jobs")?,
            max_probes: row::count_option(row, "max_probes")?,
            running_jobs: row.try_get("running_jobs")?,
            running_probes: row.try_get("running_probes")?,
            started_at: row.try_get("started_at")?,
            heartbeat_at: row.try_get("heartbeat_at")?,
            stale: row.try_get("stale")?,
            drain_requested_by: row.try_get("drain_requested_by")?,
            retired_at: row.try_get("retired_at")?,
            docker: row.try_get("docker")?,
            this: row.try_get("this")?,
        }))
    }
}

/// Those that serve, then those that were heard of within a day; by host and start. A process that takes no jobs by itself
/// (`bisectd bisect`) is not told once it has ended. `this` is the one that asks, and
/// after `stale_after` of silence others take an instance's jobs.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn list(tx: &mut Tx, this: &InstanceId, stale_after: Duration) -> Result<Vec<InstanceView>, DbError> {
    let sql = "WITH busy AS (SELECT j.worker_id, count(DISTINCT j.id) AS jobs, count(p.id) AS probes FROM bisect_jobs j \
                 LEFT JOIN probes p ON p.job_id = j.id AND p.ending IS NULL WHERE j.status = 'running' GROUP BY j.worker_id), \
               seen AS (SELECT i.*, i.retired_at IS NULL AND i.heartbeat_at < now() - make_interval(secs => $1) AS stale \
                 FROM instances i WHERE i.heartbeat_at > now() - make_interval(secs => greatest($1, 86400)) \
                   AND NOT (i.retired_at IS NOT NULL AND i.max_jobs = 0)) \
               SELECT i.id, i.host, i.version, i.max_jobs, i.max_probes, coalesce(b.jobs, 0) AS running_jobs, \
                 coalesce(b.probes, 0) AS running_probes, i.started_at, i.heartbeat_at, i.stale, i.drain_requested_by, \
                 i.retired_at, i.docker, i.id = $2 AS this \
               FROM seen i LEFT JOIN busy b ON b.worker_id = i.id \
               ORDER BY i.stale OR i.retired_at IS NOT NULL, i.host, i.started_at, i.id";
    let rows: Vec<View> = tx.all(sqlx::query_as(sql).bind(stale_after.as_secs_f64()).bind(&this.0)).await?;
    Ok(rows.into_iter().map(|View(view)| view).collect())
}
