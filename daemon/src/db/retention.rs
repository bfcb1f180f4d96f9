//! What has been kept for long enough is removed: output of probes, deliveries, events, names of instances.
//!
//! In pieces, each a transaction of its own, so that nobody waits for it and no call runs into its limit.

use super::{Database, DbError, sessions};
use std::time::Duration;

/// Rows that one statement removes.
const PIECE: i64 = 5_000;

/// How much was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Pieces of output of ended jobs.
    pub log_chunks: u64,
    /// Webhook deliveries that were worked off.
    pub deliveries: u64,
    /// Events of ended jobs.
    pub events: u64,
    /// Instances that ended.
    pub instances: u64,
    /// Sessions that expired.
    pub sessions: u64,
    /// Verdicts that nobody had a use for.
    pub verdicts: u64,
}

const LOG_CHUNKS: &str = "DELETE FROM log_chunks WHERE (probe_id, seq) IN (SELECT c.probe_id, c.seq FROM log_chunks c \
     JOIN probes p ON p.id = c.probe_id JOIN bisect_jobs j ON j.id = p.job_id \
     WHERE c.created_at < now() - make_interval(secs => $1) AND j.completed_at < now() - make_interval(secs => $1) LIMIT $2)";
const DELIVERIES: &str = "DELETE FROM webhook_deliveries WHERE delivery_id IN (SELECT delivery_id FROM webhook_deliveries \
     WHERE received_at < now() - make_interval(secs => $1) AND state <> 'received' LIMIT $2)";
const EVENTS: &str = "DELETE FROM job_events WHERE id IN (SELECT e.id FROM job_events e JOIN bisect_jobs j ON j.id = e.job_id \
     WHERE e.created_at < now() - make_interval(secs => $1) AND j.completed_at < now() - make_interval(secs => $1) LIMIT $2)";
const INSTANCES: &str = "DELETE FROM instances WHERE id IN (SELECT i.id FROM instances i \
     WHERE i.heartbeat_at < now() - make_interval(secs => $1) \
     AND NOT EXISTS (SELECT FROM bisect_jobs j WHERE j.worker_id = i.id AND j.status = 'running') LIMIT $2)";
const VERDICTS: &str = "DELETE FROM verdicts WHERE (scope, circumstances, commit_sha) IN (SELECT scope, circumstances, commit_sha \
     FROM verdicts WHERE used_at < now() - make_interval(secs => $1) LIMIT $2)";

/// Removes what is older than `kept`. Nothing of a job that has not ended goes.
///
/// # Errors
/// [`DbError`], as for every call; what was removed until then is gone.
pub async fn remove_older_than(db: &Database, kept: Duration) -> Result<Removed, DbError> {
    Ok(Removed {
        log_chunks: in_pieces(db, LOG_CHUNKS, kept).await?,
        deliveries: in_pieces(db, DELIVERIES, kept).await?,
        events: in_pieces(db, EVENTS, kept).await?,
        instances: in_pieces(db, INSTANCES, kept).await?,
        sessions: expired_sessions(db).await?,
        verdicts: in_pieces(db, VERDICTS, kept).await?,
    })
}

async fn expired_sessions(db: &Database) -> Result<u64, DbError> {
    let mut tx = db.begin().await?;
    let removed = sessions::remove_expired(&mut tx).await?;
    tx.commit().await?;
    Ok(removed)
}

async fn in_pieces(db: &Database, sql: &'static str, kept: Duration) -> Result<u64, DbError> {
    let mut all = 0;
    loop {
        let mut tx = db.begin().await?;
        let removed = tx.execute(sqlx::query(sql).bind(kept.as_secs_f64()).bind(PIECE)).await?;
        tx.commit().await?;
        all += removed;
        if removed < PIECE.unsigned_abs() {
            return Ok(all);
        }
    }
}
