//! The right to write as the owner of a job.

use super::{Database, DbError, Tx, job_events, jobs::JobRow};
use bisect_shared::{Epoch, InstanceId, JobId};

/// A claim of a job, as a value: only the queue makes one, and every write of a worker takes it.
#[derive(Debug)]
pub struct Lease {
    job: JobId,
    epoch: Epoch,
    worker: InstanceId,
    attempt: u32,
}

/// Why a write under a lease did not happen.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The job belongs to somebody else now, or has ended: stop its containers at once.
    #[error("the lease is lost: another worker owns the job now, or it has ended")]
    Lost,
    /// The database failed; the lease may still be good.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Lease {
    pub(super) fn of(row: &JobRow, worker: &InstanceId) -> Self {
        Self { job: row.id, epoch: row.epoch, worker: worker.clone(), attempt: row.attempts }
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> JobId {
        self.job
    }

    /// The number of this claim.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The process that holds it.
    #[must_use]
    pub fn worker(&self) -> &InstanceId {
        &self.worker
    }

    /// Which attempt this is; the first is 1. Hand-overs are not counted.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// Opens a transaction in which the lease is good until it ends: the job's row is locked against
/// a reclaim, and one that is being committed is waited for.
pub(super) async fn hold(db: &Database, lease: &Lease, write: &'static str) -> Result<Tx, LeaseError> {
    match try_hold(db, lease).await? {
        Some(tx) => Ok(tx),
        None => Err(refused(db, lease, write).await),
    }
}

/// The same for a write that matters to nobody once the lease is lost: `None`, and no trace of it.
pub(super) async fn try_hold(db: &Database, lease: &Lease) -> Result<Option<Tx>, DbError> {
    let mut tx = db.begin().await?;
    let held: Option<(i64,)> = tx
        .optional(
            sqlx::query_as(
                "SELECT id FROM bisect_jobs WHERE id = $1 AND claim_epoch = $2 AND status = 'running' FOR SHARE",
            )
            .bind(lease.job.0)
            .bind(lease.epoch.0),
        )
        .await?;
    if held.is_some() {
        return Ok(Some(tx));
    }
    tx.rollback().await?;
    Ok(None)
}

/// Leaves a trace of a refused write in the job's history. A trace that fails changes nothing
/// about the refusal.
pub(crate) async fn refused(db: &Database, lease: &Lease, write: &'static str) -> LeaseError {
    tracing::warn!(job.id = lease.job.0, job.epoch = lease.epoch.0, write, "a write of a lost lease was refused");
    if let Err(error) = job_events::record_refusal(db, lease, write).await {
        tracing::warn!(job.id = lease.job.0, error = %error, "the refusal could not be recorded");
    }
    LeaseError::Lost
}
