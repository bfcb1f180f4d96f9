//! `job_events`: the append-only history of every job, written with each change of its state.

use super::{
    Database, DbError, Lease, Tx,
    jobs::JobRow,
    notify::{self, Channel},
    outbox, row, usage,
};
use bisect_shared::{Epoch, InstanceId, JobId, UnknownName};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::{fmt, str::FromStr, time::Duration};

/// What happened to a job. The last three are its end, and happen once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEventKind {
    /// It was accepted.
    Queued,
    /// The same request came again and joined it.
    Joined,
    /// A worker took it.
    Claimed,
    /// Its worker gave it back.
    Released,
    /// It was taken from a worker that no longer answers.
    Reclaimed,
    /// Somebody asked its worker to stop.
    CancelRequested,
    /// A write of a lost lease was refused.
    WriteRefused,
    /// It has a result.
    Completed,
    /// Infrastructure kept it from a result.
    Failed,
    /// It was stopped.
    Cancelled,
}

impl JobEventKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Joined,
        Self::Claimed,
        Self::Released,
        Self::Reclaimed,
        Self::CancelRequested,
        Self::WriteRefused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name in `job_events.kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Joined => "joined",
            Self::Claimed => "claimed",
            Self::Released => "released",
            Self::Reclaimed => "reclaimed",
            Self::CancelRequested => "cancel_requested",
            Self::WriteRefused => "write_refused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing comes after it but refusals.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for JobEventKind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let unknown = || UnknownName { what: "job event", text: text.to_owned() };
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(unknown)
    }
}

/// A row of `job_events`.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEventRow {
    /// Unique over all jobs; not in the order of commits.
    pub id: i64,
    /// The job.
    pub job: JobId,
    /// 1, 2, 3, … within the job, in the order of its changes.
    pub seq: i64,
    /// What happened.
    pub kind: JobEventKind,
    /// The claim's number at that time.
    pub epoch: Epoch,
    /// The process that did it, where one did.
    pub worker: Option<InstanceId>,
    /// What else there is to say.
    pub detail: Value,
    /// When, by the database's clock.
    pub at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, job_id, seq, kind, epoch, worker_id, detail, created_at"
    };
}

impl<'r> FromRow<'r, PgRow> for JobEventRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            job: JobId(row.try_get("job_id")?),
            seq: row.try_get("seq")?,
            kind: row::parsed(row, "kind")?,
            epoch: Epoch(row.try_get("epoch")?),
            worker: row.try_get::<Option<String>, _>("worker_id")?.map(InstanceId),
            detail: row.try_get("detail")?,
            at: row.try_get("created_at")?,
        })
    }
}

/// Appends what just happened to `job`, whose row this transaction has changed.
///
/// Every change of a job's state passes here, so this is where listeners are told, in the same
/// statement, and where its comment on GitHub learns that there is news.
pub(crate) async fn append(
    tx: &mut Tx,
    job: &JobRow,
    kind: JobEventKind,
    worker: Option<&InstanceId>,
    detail: Value,
) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "WITH event AS (INSERT INTO job_events (job_id, seq, kind, epoch, worker_id, detail) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id) SELECT pg_notify($7, $8) FROM event",
        )
        .bind(job.id.0)
        .bind(job.event_seq)
        .bind(kind.name())
        .bind(job.epoch.0)
        .bind(worker.map(|worker| &worker.0))
        .bind(detail)
        .bind(Channel::Jobs.name())
        .bind(notify::payload(job.id, job.event_seq, kind.name())),
    )
    .await?;
    let Some(installation) = job.installation else { return Ok(()) };
    // Those who wait for an end hear of it at once.
    let ended = matches!(kind, JobEventKind::Completed | JobEventKind::Failed | JobEventKind::Cancelled);
    outbox::touch_status(tx, job.id, ended).await?;
    if ended {
        usage::count_end(tx, job.id).await?;
    }
    if ended || kind == JobEventKind::Claimed {
        outbox::touch_queued(tx, installation).await?;
    }
    Ok(())
}

/// What else there is to say of something, as words: `by ada`, `reason: shutdown`.
#[must_use]
pub fn words(detail: &Value) -> String {
    let Some(fields) = detail.as_object() else { return String::new() };
    let said = fields.iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(if name == "by" { format!("by {value}") } else { format!("{}: {value}", name.replace('_', " ")) })
    });
    said.collect::<Vec<_>>().join(", ")
}

/// Appends that a write of an old claim was refused.
pub(super) async fn record_refusal(db: &Database, lease: &Lease, write: &str) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    tx.execute(
        sqlx::query(
            "WITH job AS (UPDATE bisect_jobs SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq) \
             INSERT INTO job_events (job_id, seq, kind, epoch, worker_id, detail) \
             SELECT $1, event_seq, 'write_refused', $2, $3, $4 FROM job",
        )
        .bind(lease.job().0)
        .bind(lease.epoch().0)
        .bind(&lease.worker().0)
        .bind(json!({ "write": write })),
    )
    .await?;
    tx.commit().await
}

/// Jobs that one process ended lately, that one or all of them, and how.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn ended_by(
    tx: &mut Tx,
    worker: &InstanceId,
    job: Option<JobId>,
    within: Duration,
) -> Result<Vec<(JobId, JobEventKind)>, DbError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        " FROM job_events WHERE created_at >= now() - make_interval(secs => $1) AND worker_id = $2 \
         AND kind IN ('completed', 'failed', 'cancelled') AND ($3::bigint IS NULL OR job_id = $3)"
    );
    let query = sqlx::query_as(sql).bind(within.as_secs_f64()).bind(&worker.0).bind(job.map(|job| job.0));
    let rows: Vec<JobEventRow> = tx.all(query).await?;
    Ok(rows.into_iter().map(|row| (row.job, row.kind)).collect())
}

/// The jobs of the events that were written within `within`, each with the number of its event. By the time at which
/// their transactions began: in the order of their numbers they become visible at any time.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn recent(tx: &mut Tx, within: Duration) -> Result<Vec<(i64, JobId)>, DbError> {
    let sql = "SELECT id, job_id FROM job_events WHERE created_at >= now() - make_interval(secs => $1)";
    let rows: Vec<(i64, i64)> = tx.all(sqlx::query_as(sql).bind(within.as_secs_f64())).await?;
    Ok(rows.into_iter().map(|(event, job)| (event, JobId(job))).collect())
}

/// The whole history of a job, in order.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn history(tx: &mut Tx, job: JobId) -> Result<Vec<JobEventRow>, DbError> {
    let sql = concat!("SELECT ", columns!(), " FROM job_events WHERE job_id = $1 ORDER BY seq");
    tx.all(sqlx::query_as(sql).bind(job.0)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_told_in_words() {
        let told = [json!({}), json!({ "by": "ada" }), json!({ "by": null }), json!({ "reason": "shutdown" })];
        assert_eq!(told.map(|detail| words(&detail)), ["", "by ada", "", "reason: shutdown"]);
        assert_eq!(words(&json!({ "by": "ada", "new_job": 7 })), "by ada, new job: 7");
    }
}
