//! Jobs as a table shows them: `bisect_jobs` with its repository's name and its runs counted. For operators, who see
//! everything; a page for others reads as its viewer (`viewer`).

use super::{DbError, Tx, row};
use bisect_shared::{
    Epoch, InstanceId, JobId, JobStatus,
    admin::{JobPage, JobView},
};
use sqlx::{FromRow, Row, postgres::PgRow};

pub(super) struct View(pub(super) JobView);

macro_rules! views {
    ($from:literal) => {
        concat!(
            "SELECT j.id, j.status, j.result, coalesce(r.full_name, j.source, '') AS repository, \
             coalesce(r.private, false) AS private, j.issue_number, j.requested_by, j.retry_of, j.candidates_left, \
             j.candidates, p.done, p.running, round(j.expected_probes)::int AS expected_probes, p.seconds, j.lanes, \
             j.culprit_sha, j.error, j.worker_id, j.heartbeat_at, j.attempt_count, j.claim_epoch, j.event_seq, \
             j.cancel_requested_by, j.created_at, j.started_at, j.completed_at FROM ",
            $from,
            " LEFT JOIN repositories r ON r.id = j.repository_id CROSS JOIN LATERAL \
             (SELECT count(*) FILTER (WHERE ending <> 'stopped') AS done, \
               count(*) FILTER (WHERE ending IS NULL) AS running, \
               avg(seconds) FILTER (WHERE ending <> 'stopped' AND NOT cached) AS seconds \
              FROM probes WHERE job_id = j.id) p ORDER BY j.id DESC"
        )
    };
}

impl<'r> FromRow<'r, PgRow> for View {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(JobView {
            id: JobId(row.try_get("id")?),
            status: row::parsed(row, "status")?,
            result: row::parsed_option(row, "result")?,
            repository: row.try_get("repository")?,
            private: row.try_get("private")?,
            issue: row.try_get("issue_number")?,
            requested_by: row.try_get("requested_by")?,
            retry_of: row.try_get::<Option<i64>, _>("retry_of")?.map(JobId),
            candidates_left: row.try_get("candidates_left")?,
            candidates: row.try_get("candidates")?,
            probes_done: row.try_get("done")?,
            probes_running: row.try_get("running")?,
            expected_probes: row.try_get("expected_probes")?,
            seconds_per_probe: row.try_get("seconds")?,
            lanes: row::count(row, "lanes")?,
            culprit: row::parsed_option(row, "culprit_sha")?,
            error: row.try_get("error")?,
            worker: row.try_get::<Option<String>, _>("worker_id")?.map(InstanceId),
            heartbeat_at: row.try_get("heartbeat_at")?,
            attempt: row.try_get("attempt_count")?,
            epoch: Epoch(row.try_get("claim_epoch")?),
            seq: row.try_get("event_seq")?,
            cancel_requested_by: row.try_get("cancel_requested_by")?,
            created_at: row.try_get("created_at")?,
            started_at: row.try_get("started_at")?,
            completed_at: row.try_get("completed_at")?,
        }))
    }
}

pub(super) fn opened(rows: Vec<View>) -> Vec<JobView> {
    rows.into_iter().map(|View(view)| view).collect()
}

/// The newest jobs, at most `limit`, of these states or of all; only those with a lower number than `before`, where
/// one is given.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn page(
    tx: &mut Tx,
    states: Option<&[JobStatus]>,
    before: Option<i64>,
    limit: u32,
) -> Result<JobPage, DbError> {
    // One job more tells whether there are more.
    let (before, most) = (before.unwrap_or(i64::MAX), i64::from(limit) + 1);
    let rows = match states {
        None => {
            let sql = views!("(SELECT * FROM bisect_jobs WHERE id < $1 ORDER BY id DESC LIMIT $2) j");
            tx.all(sqlx::query_as(sql).bind(before).bind(most)).await?
        }
        // Of each state by its index: few jobs of one may lie among many of another. As a range, for after an equation
        // PostgreSQL takes the order for that of the primary key, and reads all the others.
        Some(states) => {
            let sql = views!(
                "(SELECT job.* FROM unnest($3::text[]) AS s (status) CROSS JOIN LATERAL \
                  (SELECT * FROM bisect_jobs WHERE status BETWEEN s.status AND s.status AND id < $1 \
                   ORDER BY status, id DESC LIMIT $2) AS job \
                  ORDER BY job.id DESC LIMIT $2) j"
            );
            let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
            tx.all(sqlx::query_as(sql).bind(before).bind(most).bind(names)).await?
        }
    };
    let mut jobs = opened(rows);
    let more = jobs.len() > limit as usize;
    jobs.truncate(limit as usize);
    let next = jobs.last().filter(|_| more).map(|last| last.id.0);
    Ok(JobPage { jobs, next })
}

/// Those of these jobs that are there.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn of(tx: &mut Tx, jobs: &[JobId]) -> Result<Vec<JobView>, DbError> {
    let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    let sql = views!("(SELECT * FROM bisect_jobs WHERE id = ANY ($1)) j");
    Ok(opened(tx.all(sqlx::query_as(sql).bind(ids)).await?))
}

/// Every job that runs, anywhere.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn running(tx: &mut Tx) -> Result<Vec<JobView>, DbError> {
    let sql = views!("(SELECT * FROM bisect_jobs WHERE status = 'running') j");
    Ok(opened(tx.all(sqlx::query_as(sql)).await?))
}
