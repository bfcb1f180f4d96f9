//! `log_chunks`: what probes print, as bytes.

use super::{Database, DbError, Lease, LeaseError, Tx, lease};
use bisect_shared::{JobId, ProbeId};
use chrono::{DateTime, Utc};
use sqlx::FromRow;

/// A row of `log_chunks`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LogChunkRow {
    /// 0, 1, 2, … within the probe.
    pub seq: i64,
    /// Any bytes: NUL and invalid UTF-8 too.
    pub bytes: Vec<u8>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Stores one piece of a probe's output. The same piece twice, after a doubtful answer, is
/// stored once.
///
/// # Errors
/// [`LeaseError::Lost`]; [`DbError::Missing`] for a probe of another job or claim.
pub async fn append_log(
    db: &Database,
    lease: &Lease,
    probe: ProbeId,
    seq: i64,
    bytes: &[u8],
) -> Result<(), LeaseError> {
    let mut tx = lease::hold(db, lease, "append_log").await?;
    let (known,): (bool,) = tx
        .one(
            sqlx::query_as(
                "WITH probe AS (SELECT id FROM probes WHERE id = $1 AND job_id = $2 AND epoch = $3), \
                 chunk AS (INSERT INTO log_chunks (probe_id, seq, bytes) SELECT id, $4, $5 FROM probe \
                           ON CONFLICT (probe_id, seq) DO NOTHING) \
                 SELECT EXISTS (SELECT FROM probe)",
            )
            .bind(probe.0)
            .bind(lease.job().0)
            .bind(lease.epoch().0)
            .bind(seq)
            .bind(bytes),
        )
        .await?;
    if !known {
        return Err(DbError::Missing { what: format!("probe {probe} of this claim") }.into());
    }
    Ok(tx.commit().await?)
}

/// The pieces of a probe's output after `after` (all for `None`), in order, at most `limit`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn log(
    tx: &mut Tx,
    job: JobId,
    probe: ProbeId,
    after: Option<i64>,
    limit: u32,
) -> Result<Vec<LogChunkRow>, DbError> {
    tx.all(
        sqlx::query_as(
            "SELECT c.seq, c.bytes, c.created_at FROM log_chunks c JOIN probes p ON p.id = c.probe_id \
             WHERE c.probe_id = $1 AND p.job_id = $2 AND c.seq > $3 ORDER BY c.seq LIMIT $4",
        )
        .bind(probe.0)
        .bind(job.0)
        .bind(after.unwrap_or(-1))
        .bind(i64::from(limit)),
    )
    .await
}

/// The last bytes of a probe's output, at least `bytes` of them where there are so many.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn tail(tx: &mut Tx, probe: ProbeId, bytes: usize) -> Result<Vec<u8>, DbError> {
    let sql = "SELECT bytes FROM log_chunks WHERE probe_id = $1 ORDER BY seq DESC LIMIT 64";
    let newest: Vec<(Vec<u8>,)> = tx.all(sqlx::query_as(sql).bind(probe.0)).await?;
    let mut kept = 0;
    let mut chunks: Vec<Vec<u8>> = newest
        .into_iter()
        .map(|(chunk,)| chunk)
        .take_while(|chunk| {
            let wanted = kept < bytes;
            kept += chunk.len();
            wanted
        })
        .collect();
    chunks.reverse();
    Ok(chunks.concat())
}
