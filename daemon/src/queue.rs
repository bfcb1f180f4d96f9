//! The queue of jobs: enqueue, claim, renew, release, finish, reclaim, cancel.
//!
//! Knows `db` and decides; the statements are in `db`. Every change of a job's state leaves an
//! event in the same transaction. All times are the database's.

mod claim;
mod clocks;
mod instance;
mod reclaim;

pub use claim::Claim;
pub use clocks::Clocks;
pub use instance::Left;
pub use reclaim::Reclaimed;

pub use crate::db::{
    Lease, LeaseError,
    instances::{InstanceRow, Means},
    jobs::{End, JobRow, NewJob, Origin, Outcome},
};

use crate::db::{
    Database, DbError, Tx,
    job_events::{self, JobEventKind},
    jobs, probes, refused,
};
use bisect_shared::{InstanceId, JobId, JobStatus};
use serde_json::{Value, json};
use std::time::Duration;

/// Hand-overs of one job at most: servers that are stopped again and again must not keep a job
/// going round for ever.
pub const MAX_HANDOVERS: u32 = 50;

/// One process's view of the queue.
#[derive(Debug, Clone)]
pub struct Queue {
    db: Database,
    instance: InstanceId,
    clocks: Clocks,
    affinity: String,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job that answers it.
    pub job: JobId,
    /// Whether the job was there before.
    pub joined: bool,
}

/// The answer to a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Who asked to stop the job, if anybody did.
    pub cancel_requested_by: Option<String>,
}

/// Why a worker gives a job back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// The process was told to end.
    Shutdown,
    /// The instance takes no more jobs.
    Drain,
    /// Something that the job needs is away here, Docker for example. The job waits for
    /// [`Clocks::recovery_interval`] before it is claimed again.
    Unavailable,
}

impl ReleaseReason {
    const fn name(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Drain => "drain",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Queue {
    /// The queue as seen by `instance`. `affinity` names machine and `DATA_DIR`.
    #[must_use]
    pub fn new(db: Database, instance: InstanceId, clocks: Clocks, affinity: String) -> Self {
        Self { db, instance, clocks, affinity }
    }

    /// The database behind it.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// This process, under whose name it works.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// The clocks it goes by.
    #[must_use]
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Adds a job, or joins the unfinished one with the same `request_key`.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn enqueue(&self, job: &NewJob) -> Result<Enqueued, DbError> {
        let mut tx = self.db.begin().await?;
        let enqueued = enqueue_in(&mut tx, job).await?;
        tx.commit().await?;
        Ok(enqueued)
    }

    /// Tells that this worker lives.
    ///
    /// # Errors
    /// [`LeaseError::Lost`]: stop the job's containers at once.
    pub async fn renew(&self, lease: &Lease) -> Result<Renewal, LeaseError> {
        let mut tx = self.db.begin().await?;
        let answer = jobs::beat(&mut tx, lease).await?;
        tx.commit().await?;
        match answer {
            Some(cancel_requested_by) => Ok(Renewal { cancel_requested_by }),
            None => Err(refused(&self.db, lease, "renew").await),
        }
    }

    /// Gives the job back, for another worker to go on with. It is not counted as an attempt. A
    /// job that was to be cancelled ends here, and so does one that was given back
    /// [`MAX_HANDOVERS`] times.
    ///
    /// # Errors
    /// [`LeaseError::Lost`]: somebody else has it already.
    pub async fn release(&self, lease: &Lease, reason: ReleaseReason) -> Result<JobStatus, LeaseError> {
        let mut tx = self.db.begin().await?;
        let Some(job) = jobs::lock_leased(&mut tx, lease).await? else {
            tx.rollback().await?;
            return Err(refused(&self.db, lease, "release").await);
        };
        let detail = json!({ "reason": reason.name() });
        let status = if job.cancel_requested_by.is_some() {
            self.end(&mut tx, &job, &Outcome::cancelled(), detail).await?
        } else if job.handovers >= MAX_HANDOVERS {
            let error = format!("given back {} times by servers that were stopped", job.handovers);
            self.end(&mut tx, &job, &Outcome::failed(error), detail).await?
        } else {
            let delay = match reason {
                ReleaseReason::Unavailable => self.clocks.recovery_interval,
                ReleaseReason::Shutdown | ReleaseReason::Drain => Duration::ZERO,
            };
            self.put_back(&mut tx, &job, JobEventKind::Released, delay, detail).await?
        };
        tx.commit().await?;
        Ok(status)
    }

    /// Ends the job. May be said twice: the answer to the first commit may have been lost.
    ///
    /// # Errors
    /// [`LeaseError::Lost`]: the result is somebody else's to give.
    pub async fn finish(&self, lease: &Lease, outcome: &Outcome) -> Result<(), LeaseError> {
        let mut tx = self.db.begin().await?;
        if self.finish_in(&mut tx, lease, outcome).await? {
            return Ok(tx.commit().await?);
        }
        let row = jobs::find(&mut tx, lease.job()).await?;
        tx.rollback().await?;
        if row.is_some_and(|row| ended_so(&row, lease, outcome)) {
            return Ok(());
        }
        Err(refused(&self.db, lease, "finish").await)
    }

    /// Ends the job in a transaction of the caller, who adds what must come with it (the reply).
    /// `false`: the lease is lost and nothing was written.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn finish_in(&self, tx: &mut Tx, lease: &Lease, outcome: &Outcome) -> Result<bool, DbError> {
        let Some(job) = jobs::lock_leased(tx, lease).await? else {
            return Ok(false);
        };
        self.end(tx, &job, outcome, json!({})).await?;
        Ok(true)
    }

    /// Asks for a job to be stopped: a pending one ends at once, a running one's worker learns of
    /// it at its next [`Queue::renew`]. `false` where nothing changed: it has ended, or was asked
    /// before, or does not exist.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn request_cancel(&self, job: JobId, by: &str) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let changed = self.request_cancel_in(&mut tx, job, by).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// The same in a transaction of the caller, who records who did it.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn request_cancel_in(&self, tx: &mut Tx, job: JobId, by: &str) -> Result<bool, DbError> {
        let Some(job) = jobs::lock_unfinished(tx, job).await? else {
            return Ok(false);
        };
        let Some(job) = jobs::flag_cancel(tx, &job, by).await? else {
            return Ok(false);
        };
        let detail = json!({ "by": by });
        job_events::append(tx, &job, JobEventKind::CancelRequested, None, detail.clone()).await?;
        if job.status == JobStatus::Pending {
            self.end(tx, &job, &Outcome::cancelled(), detail).await?;
        }
        Ok(true)
    }

    /// `job` is locked by this transaction, so the statement that checks its state again must
    /// find it as it was.
    async fn end(&self, tx: &mut Tx, job: &JobRow, outcome: &Outcome, detail: Value) -> Result<JobStatus, DbError> {
        let ended = jobs::end(tx, job.id, job.epoch, job.status, outcome).await?;
        let ended = ended.ok_or_else(|| gone(job.id))?;
        probes::stop_all(tx, job.id).await?;
        let kind = match outcome.end {
            End::Completed => JobEventKind::Completed,
            End::Failed => JobEventKind::Failed,
            End::Cancelled => JobEventKind::Cancelled,
        };
        job_events::append(tx, &ended, kind, Some(&self.instance), detail).await?;
        Ok(ended.status)
    }

    async fn put_back(
        &self,
        tx: &mut Tx,
        job: &JobRow,
        kind: JobEventKind,
        delay: Duration,
        detail: Value,
    ) -> Result<JobStatus, DbError> {
        let handover = kind == JobEventKind::Released;
        let back = jobs::put_back(tx, job, handover, delay).await?;
        let back = back.ok_or_else(|| gone(job.id))?;
        probes::stop_all(tx, job.id).await?;
        job_events::append(tx, &back, kind, Some(&self.instance), detail).await?;
        Ok(back.status)
    }
}

/// Whether this claim ended the job with these very words.
fn ended_so(row: &JobRow, lease: &Lease, outcome: &Outcome) -> bool {
    row.epoch == lease.epoch()
        && row.worker.as_ref() == Some(lease.worker())
        && row.status == outcome.end.status()
        && row.result == outcome.result
        && row.culprit == outcome.culprit
        && row.error == outcome.error
}

fn gone(job: JobId) -> DbError {
    DbError::Missing { what: format!("job {job} as it was when it was locked") }
}

/// Adds a job, or joins the unfinished one, in a transaction of the caller.
///
/// # Errors
/// [`DbError`], as for every call.
pub async fn enqueue_in(tx: &mut Tx, job: &NewJob) -> Result<Enqueued, DbError> {
    // The one to join may end between the two statements: then this one is new after all.
    loop {
        if let Some(row) = jobs::insert(tx, job).await? {
            let detail = json!({ "by": job.requested_by });
            job_events::append(tx, &row, JobEventKind::Queued, None, detail).await?;
            return Ok(Enqueued { job: row.id, joined: false });
        }
        let Some(key) = &job.request_key else {
            return Err(DbError::Missing { what: "the job that was just inserted".to_owned() });
        };
        if let Some(row) = jobs::join(tx, key).await? {
            let detail = json!({ "by": job.requested_by });
            job_events::append(tx, &row, JobEventKind::Joined, None, detail).await?;
            return Ok(Enqueued { job: row.id, joined: true });
        }
    }
}
