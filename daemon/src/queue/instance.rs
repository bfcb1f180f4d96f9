//! What the queue knows of this process and of others: who lives, and who waits for which job.

use super::{DbError, Enqueued, InstanceRow, NewJob, Queue, enqueue_in};
use crate::db::{
    instances::{self, Means, Sign},
    jobs,
};
use bisect_shared::{InstanceId, JobId};

/// What became of a job whose watcher left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// Nobody else waits for it: it is cancelled, unless it had ended.
    Cancelled,
    /// So many others wait for it: it goes on.
    Others(usize),
}

impl Queue {
    /// The same, and somebody at this instance waits for the job from now on.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn enqueue_and_watch(&self, job: &NewJob) -> Result<Enqueued, DbError> {
        let mut tx = self.db.begin().await?;
        let enqueued = enqueue_in(&mut tx, job).await?;
        instances::watch(&mut tx, &self.instance, Some(enqueued.job)).await?;
        tx.commit().await?;
        Ok(enqueued)
    }

    /// Nobody at this instance waits for a job any more, whatever becomes of it.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn watch_no_more(&self) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        instances::watch(&mut tx, &self.instance, None).await?;
        tx.commit().await
    }

    /// The same, and the job is cancelled if nobody else waits for it. `is_dead` knows of processes
    /// that can wait no more, however fresh their sign of life is. Who joins meanwhile is either seen
    /// here, or finds the job cancelled and begins a new one: both lock its row.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn leave(&self, job: JobId, by: &str, is_dead: impl Fn(&InstanceId) -> bool) -> Result<Left, DbError> {
        let mut tx = self.db.begin().await?;
        let unfinished = jobs::lock_unfinished(&mut tx, job).await?.is_some();
        instances::watch(&mut tx, &self.instance, None).await?;
        let watchers = instances::watchers(&mut tx, job, self.clocks.stale_after).await?;
        let others = watchers.iter().filter(|id| !is_dead(id)).count();
        let left = if unfinished && others > 0 {
            Left::Others(others)
        } else {
            self.request_cancel_in(&mut tx, job, by).await?;
            Left::Cancelled
        };
        tx.commit().await?;
        Ok(left)
    }

    /// Tells that this instance lives, and learns whether it is to take no more jobs.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn heartbeat_instance(&self, means: Means) -> Result<InstanceRow, DbError> {
        let host = gethostname::gethostname();
        let host = host.to_string_lossy();
        let sign = Sign { id: &self.instance, host: &host, affinity: &self.affinity, means };
        let mut tx = self.db.begin().await?;
        let row = instances::beat(&mut tx, sign).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// Who asked this instance to take no more jobs, if anybody did.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn drain_requested_by(&self) -> Result<Option<String>, DbError> {
        let mut tx = self.db.begin().await?;
        let by = instances::drain_of(&mut tx, &self.instance).await?;
        tx.commit().await?;
        Ok(by)
    }

    /// Tells that this instance ends in order.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn retire_instance(&self) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        instances::retire(&mut tx, &self.instance).await?;
        tx.commit().await
    }

    /// The instances that live: what containers and volumes of others are left may be removed.
    ///
    /// # Errors
    /// [`DbError`], as for every call.
    pub async fn alive_instances(&self) -> Result<Vec<InstanceRow>, DbError> {
        let mut tx = self.db.begin().await?;
        let rows = instances::alive(&mut tx, self.clocks.stale_after).await?;
        tx.commit().await?;
        Ok(rows)
    }
}
