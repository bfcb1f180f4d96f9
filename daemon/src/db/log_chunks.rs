//! `log_chunks`: what probes print, as bytes.

use super::{Database, DbError, Lease, LeaseError, Tx, lease, row};
use bisect_shared::{JobId, JobStatus, ProbeId};
use chrono::{DateTime, Utc};
use sqlx::{FromRow, Row, postgres::PgRow};
use std::collections::BTreeMap;

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

/// The last bytes of a probe's output, at least `bytes` of them where there are so many, and the number of the last piece.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn end_of(tx: &mut Tx, probe: ProbeId, bytes: usize) -> Result<(Vec<u8>, Option<i64>), DbError> {
    let sql = "SELECT seq, bytes FROM (SELECT seq, bytes, sum(octet_length(bytes)) OVER (ORDER BY seq DESC) \
               - octet_length(bytes) AS behind FROM \
                 (SELECT seq, bytes FROM log_chunks WHERE probe_id = $1 ORDER BY seq DESC LIMIT 1000) newest) c \
               WHERE behind < $2 ORDER BY seq";
    let limit = i64::try_from(bytes).unwrap_or(i64::MAX);
    let chunks: Vec<(i64, Vec<u8>)> = tx.all(sqlx::query_as(sql).bind(probe.0).bind(limit)).await?;
    let last = chunks.last().map(|(seq, _)| *seq);
    Ok((chunks.into_iter().flat_map(|(_, bytes)| bytes).collect(), last))
}

/// How far a reader is: the last piece that it knows of each probe.
pub type Position = BTreeMap<ProbeId, i64>;

/// One piece of a job's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Whose output.
    pub probe: ProbeId,
    /// 0, 1, 2, … within the probe.
    pub seq: i64,
    /// Any bytes.
    pub bytes: Vec<u8>,
    /// When it was stored.
    pub at: DateTime<Utc>,
}

impl<'r> FromRow<'r, PgRow> for Piece {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            probe: ProbeId(row.try_get("probe_id")?),
            seq: row.try_get("seq")?,
            bytes: row.try_get("bytes")?,
            at: row.try_get("created_at")?,
        })
    }
}

/// The pieces of a job's output, or of one of its probes', that come after `position`: by probe, then in the order of
/// printing; at most `limit`.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn page(
    tx: &mut Tx,
    job: JobId,
    probe: Option<ProbeId>,
    position: &Position,
    limit: u32,
) -> Result<Vec<Piece>, DbError> {
    let sql = "SELECT c.* FROM probes p LEFT JOIN unnest($3::bigint[], $4::bigint[]) AS known (probe, seq) \
                 ON known.probe = p.id CROSS JOIN LATERAL \
                 (SELECT probe_id, seq, bytes, created_at FROM log_chunks WHERE probe_id = p.id \
                  AND seq > coalesce(known.seq, -1) ORDER BY seq LIMIT $5) c \
               WHERE p.job_id = $1 AND ($2::bigint IS NULL OR p.id = $2) ORDER BY p.id, c.seq LIMIT $5";
    let (probes, seqs) = columns_of(position);
    let query = sqlx::query_as(sql).bind(job.0).bind(probe.map(|probe| probe.0));
    tx.all(query.bind(probes).bind(seqs).bind(i64::from(limit))).await
}

/// The last piece of each probe of a job that runs, or ended a moment ago.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn heads(tx: &mut Tx, job: JobId) -> Result<Position, DbError> {
    let sql = "SELECT p.id, c.seq FROM probes p CROSS JOIN LATERAL \
                 (SELECT seq FROM log_chunks WHERE probe_id = p.id ORDER BY seq DESC LIMIT 1) c \
               WHERE p.job_id = $1 AND (p.ending IS NULL OR p.finished_at > now() - interval '5 seconds')";
    let rows: Vec<(i64, i64)> = tx.all(sqlx::query_as(sql).bind(job.0)).await?;
    Ok(rows.into_iter().map(|(probe, seq)| (ProbeId(probe), seq)).collect())
}

/// What a followed job has come to since it was looked at last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// The job.
    pub job: JobId,
    /// Where it stands. Once it has ended nothing more is stored.
    pub status: JobStatus,
    /// A new piece; `None` in the only row of a job without one.
    pub piece: Option<Piece>,
}

impl<'r> FromRow<'r, PgRow> for News {
    fn from_row(row: &'r PgRow) -> Result<Self, sqlx::Error> {
        let piece = row.try_get::<Option<i64>, _>("probe_id")?.map(|_| Piece::from_row(row)).transpose()?;
        Ok(Self { job: JobId(row.try_get("job_id")?), status: row::parsed(row, "status")?, piece })
    }
}

/// What came to these jobs after `position`, by one query for all of them. Looked at are the probes that run, and those
/// that ended a moment ago; of each at most `limit` pieces.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn news(tx: &mut Tx, jobs: &[JobId], position: &Position, limit: u32) -> Result<Vec<News>, DbError> {
    let sql = "SELECT j.id AS job_id, j.status, c.* FROM bisect_jobs j LEFT JOIN LATERAL \
                 (SELECT l.* FROM probes p LEFT JOIN unnest($2::bigint[], $3::bigint[]) AS known (probe, seq) \
                    ON known.probe = p.id CROSS JOIN LATERAL \
                    (SELECT probe_id, seq, bytes, created_at FROM log_chunks WHERE probe_id = p.id \
                     AND seq > coalesce(known.seq, -1) ORDER BY seq LIMIT $4) l \
                  WHERE p.job_id = j.id AND (p.ending IS NULL OR p.finished_at > now() - interval '5 seconds')) c ON true \
               WHERE j.id = ANY ($1) ORDER BY j.id, c.created_at, c.probe_id, c.seq";
    let (probes, seqs) = columns_of(position);
    let ids: Vec<i64> = jobs.iter().map(|job| job.0).collect();
    tx.all(sqlx::query_as(sql).bind(ids).bind(probes).bind(seqs).bind(i64::from(limit))).await
}

fn columns_of(position: &Position) -> (Vec<i64>, Vec<i64>) {
    position.iter().map(|(probe, seq)| (probe.0, *seq)).unzip()
}
