//! `GET /stats` and `GET /job/<id>`: what anybody may know.

use super::{NoAnswer, Viewer, address::Limited};
use crate::{
    db::{Database, jobs::JobRow, overview},
    queue::Clocks,
};
use bisect_shared::{JobId, Sha};
use chrono::{DateTime, Utc};
use rocket::{State, serde::json::Json};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

#[rocket::get("/stats")]
pub(super) async fn stats(
    _limited: Limited,
    monitor: &State<super::Monitor>,
    clocks: &State<Clocks>,
) -> Result<Json<Value>, NoAnswer> {
    let mut tx = monitor.db.begin().await?;
    let stats = overview::stats(&mut tx, clocks.stale_after).await?;
    tx.commit().await?;
    let mut answer = json!(stats);
    answer["running_on_this_instance"] = json!(monitor.running.load(Ordering::Acquire));
    Ok(Json(answer))
}

/// The public fields of a job.
#[derive(Debug, Serialize)]
pub(super) struct PublicJob {
    id: i64,
    status: &'static str,
    result: Option<&'static str>,
    worker_id: Option<String>,
    heartbeat_at: Option<DateTime<Utc>>,
    attempt_count: u32,
    issue_number: Option<i64>,
    requested_by: Option<String>,
    good_sha: String,
    bad_sha: String,
    culprit_sha: Option<String>,
    candidates_left: Option<u64>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    completed_at: Option<DateTime<Utc>>,
}

impl From<JobRow> for PublicJob {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id.0,
            status: row.status.name(),
            result: row.result.map(bisect_shared::ResultKind::name),
            worker_id: row.worker.map(|worker| worker.0),
            heartbeat_at: row.heartbeat_at,
            attempt_count: row.attempts,
            issue_number: row.issue,
            requested_by: row.requested_by,
            good_sha: row.good.to_string(),
            bad_sha: row.bad.to_string(),
            culprit_sha: row.culprit.as_ref().map(Sha::to_string),
            candidates_left: row.progress.map(|progress| progress.candidates_left),
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
        }
    }
}

/// Read as its viewer: jobs of private repositories are there for those who may read them, and those of a shell for
/// nobody.
#[rocket::get("/job/<id>")]
pub(super) async fn job(
    _limited: Limited,
    viewer: Viewer,
    id: Option<i64>,
    monitor: &State<super::Monitor>,
) -> Result<Json<PublicJob>, NoAnswer> {
    // What is no number is no job.
    let row = find(&monitor.db, viewer.id(), JobId(id.ok_or(NoAnswer::NotFound)?)).await?;
    Ok(Json(row.ok_or(NoAnswer::NotFound)?.into()))
}

async fn find(db: &Database, viewer: Option<i64>, id: JobId) -> Result<Option<JobRow>, crate::db::DbError> {
    let mut tx = db.begin_as_viewer(viewer).await?;
    let row = crate::db::jobs::find_visible(&mut tx, id).await?;
    tx.rollback().await?;
    Ok(row)
}
