//! Taking jobs from workers that no longer answer, or are known to be dead.

use super::{DbError, JobRow, Outcome, Queue};
use crate::db::{Tx, job_events::JobEventKind, jobs};
use bisect_shared::{InstanceId, JobId, JobStatus};
use serde_json::json;
use std::time::Duration;

/// A job that was taken from a worker that no longer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reclaimed {
    /// The job.
    pub job: JobId,
    /// Who had it.
    pub worker: Option<InstanceId>,
    /// Pending again, or failed because its attempts are used up, or cancelled because that was
    /// asked for.
    pub status: JobStatus,
}

impl Queue {
    /// Takes jobs from workers that were not heard of for `stale_after`, one transaction each.
    ///
    /// # Errors
    /// [`DbError`]; what was reclaimed before it stays reclaimed.
    pub async fn reclaim_stale(&self) -> Result<Vec<Reclaimed>, DbError> {
        let mut reclaimed = Vec::new();
        loop {
            let mut tx = self.db.begin().await?;
            let Some(job) = jobs::lock_stale(&mut tx, self.clocks.stale_after).await? else {
                tx.rollback().await?;
                return Ok(reclaimed);
            };
            let status = self.reclaim(&mut tx, &job).await?;
            tx.commit().await?;
            reclaimed.push(Reclaimed { job: job.id, worker: job.worker, status });
        }
    }

    /// Takes the jobs of a worker that is known to be dead, however fresh its heartbeat is.
    ///
    /// # Errors
    /// [`DbError`]; what was reclaimed before it stays reclaimed.
    pub async fn reclaim_dead(&self, worker: &InstanceId) -> Result<Vec<Reclaimed>, DbError> {
        let mut reclaimed = Vec::new();
        loop {
            let mut tx = self.db.begin().await?;
            let Some(job) = jobs::lock_of_worker(&mut tx, worker).await? else {
                tx.rollback().await?;
                return Ok(reclaimed);
            };
            let status = self.reclaim(&mut tx, &job).await?;
            tx.commit().await?;
            reclaimed.push(Reclaimed { job: job.id, worker: job.worker, status });
        }
    }

    async fn reclaim(&self, tx: &mut Tx, job: &JobRow) -> Result<JobStatus, DbError> {
        let lost = job.worker.as_ref().map_or("unknown", |worker| worker.0.as_str());
        let detail = json!({ "from": lost, "heartbeat_at": job.heartbeat_at });
        if job.cancel_requested_by.is_some() {
            self.end(tx, job, &Outcome::cancelled(), detail).await
        } else if job.attempts >= self.clocks.max_attempts {
            let error = format!(
                "attempt {} of {}: its worker {lost} stopped answering",
                job.attempts, self.clocks.max_attempts
            );
            self.end(tx, job, &Outcome::failed(error), detail).await
        } else {
            self.put_back(tx, job, JobEventKind::Reclaimed, Duration::ZERO, detail).await
        }
    }

    /// Whether a job is running under the name of `worker`.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn owns_jobs(&self, worker: &InstanceId) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let owns = jobs::any_of_worker(&mut tx, worker).await?;
        tx.commit().await?;
        Ok(owns)
    }
}
