//! The commands about jobs that are there: again, stop, which, and that one was wrong.

use super::{Done, Intake, IntakeError, bisect::Accepted, comment::Asking, comment::Heard, processed};
use crate::{
    db::{DbError, Tx, asked, audit_events, jobs},
    github::Permission,
    report::replies::{self as say, Rejection},
};
use bisect_shared::JobId;
use serde_json::json;

impl Intake {
    /// The last ended job of this issue once more, exactly as it was asked for.
    pub(super) async fn retry(&self, asking: &Asking<'_>, heard: &Heard) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking, heard).await?;
        let last = asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false, None).await?.first().copied();
        let job = match last {
            Some(job) => jobs::find(&mut tx, job).await?,
            None => None,
        };
        tx.commit().await?;
        let Some(job) = job else { return self.reject(asking, &Rejection::NothingToRetry).await };
        if !job.status.is_final() {
            return self.reject(asking, &Rejection::StillRunning { job: job.id }).await;
        }
        match serde_json::from_value(job.spec.clone()) {
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
        let row = self.row_of(&mut tx, asking, heard).await?;
        let last = asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false, None).await?.first().copied();
        let job = match last {
            Some(job) => jobs::find(&mut tx, job).await?,
            None => None,
        };
        let refused = match &job {
            None => Some(Rejection::NothingToRetry),
            Some(job) if !job.status.is_final() => Some(Rejection::StillRunning { job: job.id }),
            Some(_) => None,
        };
        let (Some(job), None) = (job, &refused) else {
            tx.commit().await?;
            return self.reject(asking, &refused.unwrap_or(Rejection::NothingToRetry)).await;
        };
        self.audit(&mut tx, asking, "answer.disputed", job.id).await?;
        self.reply(&mut tx, asking, &say::disputed(job.id)).await?;
        self.commit(tx, asking, processed(Some(job.id))).await
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
