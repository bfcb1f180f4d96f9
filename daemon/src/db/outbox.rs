//! `outbox`: replies on their way to GitHub. One row per reply, however often it is asked for.
//!
//! A row is what is to be told; a status row holds no text: it is written anew from its job each
//! time it is sent, so that nothing old is ever told. Revisions say whether there is news.

use super::{
    DbError, Tx,
    notify::{self, Channel},
    row,
};
use bisect_shared::{InstanceId, JobId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sqlx::{FromRow, Row, postgres::PgRow};
use std::time::Duration;

/// What kind of reply a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyKind {
    /// A reaction on the comment that asked.
    Reaction,
    /// A comment that is written once.
    Reply,
    /// The one comment of a job, edited in place until it holds the result.
    Status,
    /// A short new comment for those who wait for a long job.
    Notice,
}

impl ReplyKind {
    const ALL: [Self; 4] = [Self::Reaction, Self::Reply, Self::Status, Self::Notice];

    /// The kind's name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reaction => "reaction",
            Self::Reply => "reply",
            Self::Status => "status",
            Self::Notice => "notice",
        }
    }
}

impl std::str::FromStr for ReplyKind {
    type Err = bisect_shared::UnknownName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || bisect_shared::UnknownName { what: "kind of reply", text: text.to_owned() };
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(unknown)
    }
}

/// A reply to be queued. `target` and `body` are the sender's own.
#[derive(Debug, Clone)]
pub struct NewReply<'a> {
    /// What makes it one reply: asked for again under this key, it is not queued again.
    pub key: &'a str,
    /// The job it speaks of.
    pub job: Option<JobId>,
    /// GitHub's number of the installation through which it goes.
    pub installation: i64,
    /// What it is.
    pub kind: ReplyKind,
    /// Where it goes.
    pub target: Value,
    /// What it says.
    pub body: Value,
}

/// A leased row of `outbox`.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Its number.
    pub id: i64,
    /// What makes it one reply.
    pub key: String,
    /// The job it speaks of.
    pub job: Option<JobId>,
    /// GitHub's number of the installation.
    pub installation: i64,
    /// What it is.
    pub kind: ReplyKind,
    /// Where it goes.
    pub target: Value,
    /// What it says.
    pub body: Value,
    /// The revision that this lease is to send.
    pub revision: i64,
    /// GitHub's number of the comment, once known.
    pub remote_id: Option<i64>,
    /// Whether it goes before progress.
    pub urgent: bool,
    /// How often progress was told by it.
    pub edits: u32,
    /// Tries since the last success, this one included.
    pub attempts: u32,
    /// How long it has waited since it was queued.
    pub age: Duration,
    /// Somebody deleted the comment that it was.
    pub comment_deleted: bool,
    /// The number of this lease.
    lease_epoch: i64,
}

impl OutboxRow {
    /// The target as its sender's type.
    ///
    /// # Errors
    /// When another program wrote it.
    pub fn target<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.target.clone())
    }
}

impl<'r> FromRow<'r, PgRow> for OutboxRow {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            key: row.try_get("reply_key")?,
            job: row.try_get::<Option<i64>, _>("job_id")?.map(JobId),
            installation: row.try_get("installation_id")?,
            kind: row::parsed(row, "kind")?,
            target: row.try_get("target")?,
            body: row.try_get("body")?,
            revision: row.try_get("revision")?,
            remote_id: row.try_get("remote_id")?,
            urgent: row.try_get("urgent")?,
            edits: row::count(row, "edits")?,
            attempts: row::count(row, "attempts")?,
            age: row::duration(row, "age")?.unwrap_or_default(),
            comment_deleted: row.try_get("comment_deleted")?,
            lease_epoch: row.try_get("lease_epoch")?,
        })
    }
}

/// When a row is due, in whole milliseconds from now: what senders are told with a notification.
macro_rules! due_in {
    ($when:literal) => {
        concat!("ceil(greatest(extract(epoch FROM ", $when, " - now()), 0) * 1000)::bigint::text")
    };
}

/// Gives leases back; `$1` is how long the rows wait then.
macro_rules! give_back {
    ($whose:literal) => {
        concat!(
            "WITH given AS (UPDATE outbox SET leased_by = NULL, leased_until = NULL, lease_epoch = lease_epoch + 1, \
             available_at = greatest(available_at, now() + make_interval(secs => $1)) WHERE state = 'waiting' AND ",
            $whose,
            " RETURNING 1"
        )
    };
}

/// Queues a reply, unless one with its key is there.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn insert(tx: &mut Tx, reply: &NewReply<'_>) -> Result<(), DbError> {
    tx.execute(
        sqlx::query(
            "INSERT INTO outbox (reply_key, job_id, installation_id, kind, target, body) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(reply.key)
        .bind(reply.job.map(|job| job.0))
        .bind(reply.installation)
        .bind(reply.kind.name())
        .bind(&reply.target)
        .bind(&reply.body),
    )
    .await?;
    notify::notify(tx, Channel::Outbox).await
}

/// There is news of a job. Progress waits for its time; an end, and a change that people wait for,
/// goes at once. Of a comment that somebody deleted only the end is news.
pub(crate) async fn touch_status(tx: &mut Tx, job: JobId, urgent: bool) -> Result<(), DbError> {
    let sql = concat!(
        "WITH touched AS (UPDATE outbox SET revision = revision + 1, state = 'waiting', \
         urgent = $2 OR (urgent AND state = 'waiting'), \
         urgent_revision = CASE WHEN $2 THEN revision + 1 ELSE urgent_revision END, \
         waiting_since = CASE WHEN state = 'waiting' AND (urgent OR NOT $2) THEN waiting_since ELSE now() END, \
         attempts = CASE WHEN state = 'waiting' THEN attempts ELSE 0 END, \
         available_at = CASE WHEN $2 THEN now() WHEN state = 'waiting' AND attempts > 0 THEN available_at \
                             ELSE greatest(edit_after, now()) END \
         WHERE job_id = $1 AND kind = 'status' AND state <> 'dropped' AND ($2 OR NOT comment_deleted) \
         RETURNING available_at) SELECT pg_notify($3, ",
        due_in!("available_at"),
        ") FROM touched"
    );
    tx.execute(sqlx::query(sql).bind(job.0).bind(urgent).bind(Channel::Outbox.name())).await.map(drop)
}

/// The jobs that wait behind one of this installation have another place in the queue now.
pub(crate) async fn touch_queued(tx: &mut Tx, installation: i64) -> Result<(), DbError> {
    // Two such statements at once must not wait for one another: what is locked is told by the other.
    let sql = concat!(
        "WITH touched AS (UPDATE outbox SET revision = revision + 1, urgent = urgent AND state = 'waiting', \
         waiting_since = CASE WHEN state = 'waiting' THEN waiting_since ELSE now() END, state = 'waiting', \
         attempts = CASE WHEN state = 'waiting' THEN attempts ELSE 0 END, \
         available_at = CASE WHEN state = 'waiting' THEN available_at ELSE greatest(edit_after, now()) END \
         WHERE id IN (SELECT o.id FROM outbox o JOIN bisect_jobs j ON j.id = o.job_id \
                      WHERE j.installation_id = $1 AND j.status = 'pending' AND o.kind = 'status' \
                      AND o.state <> 'dropped' AND NOT o.comment_deleted LIMIT 50 FOR UPDATE OF o SKIP LOCKED) \
         RETURNING available_at), first AS (SELECT min(available_at) AS at FROM touched) \
         SELECT pg_notify($2, ",
        due_in!("at"),
        ") FROM first WHERE at IS NOT NULL"
    );
    tx.execute(sqlx::query(sql).bind(installation).bind(Channel::Outbox.name())).await.map(drop)
}

/// Leases the next reply that is due, results and answers first; none of an installation of which
/// GitHub wants to hear nothing now. Nobody else sends it until the lease ends; after that, somebody
/// must find out whether it was sent.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn lease_next(tx: &mut Tx, instance: &InstanceId, lease: Duration) -> Result<Option<OutboxRow>, DbError> {
    tx.optional(
        sqlx::query_as(
            "UPDATE outbox SET leased_by = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1, \
             lease_epoch = lease_epoch + 1 \
             WHERE id = (SELECT o.id FROM outbox o WHERE o.state = 'waiting' AND o.available_at <= now() \
                         AND (o.leased_until IS NULL OR o.leased_until < now()) \
                         AND NOT EXISTS (SELECT FROM installations i WHERE i.installation_id = o.installation_id \
                                         AND i.quiet_until > now()) \
                         ORDER BY o.urgent DESC, o.available_at LIMIT 1 FOR UPDATE OF o SKIP LOCKED) \
             RETURNING id, reply_key, job_id, installation_id, kind, target, body, revision, remote_id, urgent, edits, \
                       attempts, extract(epoch FROM now() - created_at)::float8 AS age, comment_deleted, lease_epoch",
        )
        .bind(&instance.0)
        .bind(lease.as_secs_f64()),
    )
    .await
}

/// How long until the next reply is due, if any waits.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn next_due(tx: &mut Tx) -> Result<Option<Duration>, DbError> {
    let sql = "SELECT extract(epoch FROM min(greatest(o.available_at, o.leased_until, i.quiet_until)) - now())::float8 \
               FROM outbox o LEFT JOIN installations i ON i.installation_id = o.installation_id WHERE o.state = 'waiting'";
    let (due,): (Option<f64>,) = tx.one(sqlx::query_as(sql)).await?;
    Ok(due.map(|due| Duration::from_secs_f64(due.clamp(0.0, 86_400.0))))
}

/// The comment's number is known: from now on it is edited. Written as soon as GitHub answers, by
/// whoever learns it: the comment is there, whose lease it may be.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn remember(tx: &mut Tx, row: &OutboxRow, remote_id: i64) -> Result<(), DbError> {
    let query = sqlx::query("UPDATE outbox SET remote_id = coalesce(remote_id, $2) WHERE id = $1");
    tx.execute(query.bind(row.id).bind(remote_id)).await.map(drop)
}

/// The comment is not there any more: somebody deleted it.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn comment_is_gone(tx: &mut Tx, row: &OutboxRow) -> Result<(), DbError> {
    let query = sqlx::query("UPDATE outbox SET remote_id = NULL, comment_deleted = true WHERE id = $1");
    tx.execute(query.bind(row.id)).await.map(drop)
}

/// What was leased is told. News that came meanwhile is told next, progress not before `pause`.
/// `false`: the lease is over, and nothing was written.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn sent(tx: &mut Tx, row: &OutboxRow, pause: Duration) -> Result<bool, DbError> {
    let query = sqlx::query(
        "UPDATE outbox SET sent_revision = greatest(sent_revision, $2), sent_at = now(), leased_by = NULL, \
         leased_until = NULL, last_error = NULL, attempts = 0, \
         edit_after = now() + make_interval(secs => $3), \
         edits = edits + CASE WHEN $4 THEN 0 ELSE 1 END, \
         state = CASE WHEN revision > $2 AND (urgent_revision > $2 OR NOT comment_deleted) THEN 'waiting' ELSE 'sent' END, \
         urgent = urgent_revision > $2, waiting_since = now(), \
         available_at = CASE WHEN urgent_revision > $2 THEN now() ELSE now() + make_interval(secs => $3) END \
         WHERE id = $1 AND lease_epoch = $5",
    );
    let query = query.bind(row.id).bind(row.revision).bind(pause.as_secs_f64()).bind(row.urgent).bind(row.lease_epoch);
    Ok(tx.execute(query).await? == 1)
}

/// It was not told: tried again after `pause`, or never, when that is `None`. A result that came meanwhile
/// does not wait for the progress that could not be told. `false`: the lease is over, and nothing was written.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn failed(tx: &mut Tx, row: &OutboxRow, pause: Option<Duration>, error: &str) -> Result<bool, DbError> {
    let query = sqlx::query(
        "UPDATE outbox SET leased_by = NULL, leased_until = NULL, last_error = $2, \
         state = CASE WHEN $3::float8 IS NULL THEN 'dropped' ELSE state END, \
         available_at = CASE WHEN urgent_revision > $4 THEN now() \
                             ELSE now() + make_interval(secs => coalesce($3, 0)) END WHERE id = $1 AND lease_epoch = $5",
    );
    let query = query.bind(row.id).bind(error).bind(pause.map(|pause| pause.as_secs_f64())).bind(row.revision);
    Ok(tx.execute(query.bind(row.lease_epoch)).await? == 1)
}

/// Takes back what `sender` has leased, which sends no more. Due after `settle`, in which GitHub may
/// still do what it was asked for last.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn give_back(tx: &mut Tx, sender: &InstanceId, settle: Duration) -> Result<u64, DbError> {
    let sql = concat!(
        give_back!("leased_by = $2"),
        ") SELECT pg_notify($3, ",
        due_in!("now() + make_interval(secs => $1)"),
        ") FROM given"
    );
    tx.execute(sqlx::query(sql).bind(settle.as_secs_f64()).bind(&sender.0).bind(Channel::Outbox.name())).await
}

/// The same for every sender that ended, or was not heard of for `stale_after`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn give_back_stale(tx: &mut Tx, stale_after: Duration, settle: Duration) -> Result<u64, DbError> {
    let sql = concat!(
        give_back!(
            "leased_by IS NOT NULL AND NOT EXISTS (SELECT FROM instances i WHERE i.id = leased_by \
             AND i.retired_at IS NULL AND i.heartbeat_at >= now() - make_interval(secs => $2))"
        ),
        ") SELECT pg_notify($3, ",
        due_in!("now() + make_interval(secs => $1)"),
        ") FROM given"
    );
    let query = sqlx::query(sql).bind(settle.as_secs_f64()).bind(stale_after.as_secs_f64());
    tx.execute(query.bind(Channel::Outbox.name())).await
}

/// Nothing more is told to an installation that wants to hear nothing, or is gone: not what waits, and not
/// how the jobs end that run still.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn drop_all(tx: &mut Tx, installation: i64, reason: &str) -> Result<(), DbError> {
    let sql = "UPDATE outbox SET state = 'dropped', last_error = $2 WHERE installation_id = $1 AND (state = 'waiting' \
               OR (kind = 'status' AND EXISTS (SELECT FROM bisect_jobs WHERE id = job_id AND completed_at IS NULL)))";
    tx.execute(sqlx::query(sql).bind(installation).bind(reason)).await.map(drop)
}

/// Counts an edit that tells progress. When the installation had its share, how long until the next one.
///
/// At most `per_hour` in any hour: a bucket (ITU-T I.371) that holds a third of them leaks the others in an hour.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn take_edit(tx: &mut Tx, installation: i64, per_hour: u32) -> Result<Option<Duration>, DbError> {
    let holds = per_hour.div_ceil(3);
    let pause = 3600.0 / f64::from((per_hour - holds).max(1));
    // `edits` is how full it was at `edits_since`, the moment at which the last one leaked out.
    let sql = "WITH bucket AS (SELECT greatest(edits - leaked, 0)::int AS level, \
               CASE WHEN leaked >= edits THEN now() ELSE edits_since + make_interval(secs => leaked * $3) END AS since \
               FROM (SELECT edits, edits_since, floor(extract(epoch FROM now() - edits_since)::float8 / $3) AS leaked \
                     FROM installations WHERE installation_id = $1 FOR UPDATE) before) \
               UPDATE installations SET edits = least(level + 1, $2), edits_since = since FROM bucket \
               WHERE installation_id = $1 RETURNING level >= $2, extract(epoch FROM since - now())::float8 + $3";
    let query = sqlx::query_as(sql).bind(installation).bind(i32::try_from(holds).unwrap_or(i32::MAX)).bind(pause);
    let (over, left): (bool, f64) = tx.one(query).await?;
    Ok(over.then(|| Duration::from_secs_f64(left.max(1.0))))
}
