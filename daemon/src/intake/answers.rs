//! The commands about jobs that are there: again, stop, which, and that one was wrong.

use super::{Done, Intake, IntakeError, bisect::Accepted, comment::Asking, comment::Heard, processed};
use crate::{
    db::{
        DbError, Tx, asked, audit_events,
        jobs::{self, JobRow},
    },
    github::Permission,
    report::replies::{self as say, Rejection},
    runner::spec::JobSpec,
};
use bisect_shared::JobId;
use serde_json::json;

impl Intake {
    /// The last ended job of this issue once more, as it was asked for but for the number of `runs`.
    pub(super) async fn retry(
        &self,
        asking: &Asking<'_>,
        heard: &Heard,
        runs: Option<u32>,
    ) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let last = self.last_ended(&mut tx, asking, heard).await?;
        tx.commit().await?;
        let job = match last {
            Ok(job) => job,
            Err(rejection) => return self.reject(asking, &rejection).await,
        };
        match serde_json::from_value::<JobSpec>(job.spec.clone()).map(|spec| spec.with_runs(runs)) {
            Ok(spec) => self.queue_job(asking, heard, Accepted { spec, retry_of: Some(job.id) }).await,
            Err(_) => self.reject(asking, &Rejection::NothingToRetry).await,
        }
    }

    /// Stops the jobs of this issue. Who may not manage issues can stop his own only.
    pub(super) async fn cancel(&self, asking: &Asking<'_>, heard: &Heard) -> Result<Done, IntakeError> {
        let (comment, mut tx) = (asking.comment, self.db.begin().await?);
        let row = self.row_of(&mut tx, asking, heard).await?;
        let own = (heard.permission < Permission::Triage).then_some(comment.author.id);
        let unfinished = asked::jobs_of_issue(&mut tx, row.id, comment.issue, true, own).await?;
        if unfinished.is_empty() {
            let others = asked::jobs_of_issue(&mut tx, row.id, comment.issue, true, None).await?;
            tx.rollback().await?;
            let nothing = if others.is_empty() { Rejection::NothingToCancel } else { Rejection::NotYours };
            return self.reject(asking, &nothing).await;
        }
        for &job in &unfinished {
            if self.queue.request_cancel_in(&mut tx, job, &comment.author.login).await? {
                self.audit(&mut tx, asking, "job.cancel", job).await?;
            }
        }
        self.react(&mut tx, asking).await?;
        self.note_further(&mut tx, asking).await?;
        self.commit(tx, asking, processed(unfinished.first().copied())).await
    }

    pub(super) async fn status(&self, asking: &Asking<'_>, heard: &Heard) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking, heard).await?;
        let mut lines = Vec::new();
        for job in asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false, None).await? {
            if let Some(job) = jobs::find(&mut tx, job).await? {
                lines.push(say::JobLine { job: job.id, status: job.status, result: job.result, culprit: job.culprit });
            }
        }
        tx.commit().await?;
        self.answer(asking, &say::status_list(&lines, |job| self.links(asking, job))).await
    }

    /// Somebody says that an answer is wrong: that is kept for the operators, and what can be done is said.
    pub(super) async fn wrong(&self, asking: &Asking<'_>, heard: &Heard) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let job = match self.last_ended(&mut tx, asking, heard).await? {
            Ok(job) => job,
            Err(rejection) => {
                tx.commit().await?;
                return self.reject(asking, &rejection).await;
            }
        };
        self.audit(&mut tx, asking, "answer.disputed", job.id).await?;
        self.reply(&mut tx, asking, &say::disputed(job.id)).await?;
        self.commit(tx, asking, processed(Some(job.id))).await
    }

    /// The last job of this issue, if it has ended.
    async fn last_ended(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        heard: &Heard,
    ) -> Result<Result<JobRow, Rejection>, IntakeError> {
        let row = self.row_of(tx, asking, heard).await?;
        let last = asked::jobs_of_issue(tx, row.id, asking.comment.issue, false, None).await?.first().copied();
        let job = match last {
            Some(job) => jobs::find(tx, job).await?,
            None => None,
        };
        Ok(match job {
            None => Err(Rejection::NothingToRetry),
            Some(job) if !job.status.is_final() => Err(Rejection::StillRunning { job: job.id }),
            Some(job) => Ok(job),
        })
    }

    /// Keeps who did what for the operators.
    pub(super) async fn audit(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        action: &str,
        job: JobId,
    ) -> Result<(), DbError> {
        let event = audit_events::NewAuditEvent {
            actor: &asking.comment.author.login,
            channel: "github",
            action,
            job: Some(job),
            installation: Some(asking.comment.installation),
            detail: json!({}),
        };
        audit_events::append(tx, &event).await
    }
}
