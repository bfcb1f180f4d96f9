//! How a delivery ends with a reply: both are written in one transaction, and each reply once.

use super::{Done, Intake, IntakeError, comment::Asking, processed};
use crate::{
    db::{
        DbError, Tx,
        deliveries::{self, Completion},
        outbox,
        outbox::{NewReply, ReplyKind},
    },
    outbox::ReplyBody,
    report::{
        comment::Links,
        replies::{self as say, Rejection},
    },
};
use bisect_shared::JobId;

impl Intake {
    /// Ends the delivery with a reply that says why nothing was queued.
    pub(super) async fn reject(&self, asking: &Asking<'_>, rejection: &Rejection) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        self.reply(&mut tx, asking, &say::rejection(rejection)).await?;
        self.commit(tx, asking, Completion::Rejected(rejection.reason())).await
    }

    /// The same where the reply is told only once, however many comments are refused for this reason: the
    /// others get none.
    pub(super) async fn reject_once(
        &self,
        asking: &Asking<'_>,
        key: &str,
        rejection: &Rejection,
    ) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let body = ReplyBody::Text(say::rejection(rejection));
        self.queue_reply(&mut tx, asking, key, None, ReplyKind::Reply, &body).await?;
        if matches!(rejection, Rejection::NotAllowed { .. }) {
            self.audit(&mut tx, asking, "permission.denied", None).await?;
        }
        self.commit(tx, asking, Completion::Rejected(rejection.reason())).await
    }

    pub(super) async fn answer(&self, asking: &Asking<'_>, text: &str) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        self.reply(&mut tx, asking, text).await?;
        self.commit(tx, asking, processed(None)).await
    }

    pub(super) async fn commit(
        &self,
        mut tx: Tx,
        asking: &Asking<'_>,
        outcome: Completion,
    ) -> Result<Done, IntakeError> {
        // Whose lease is over by now leaves everything to who has it.
        match deliveries::complete(&mut tx, asking.delivery, &outcome).await? {
            true => tx.commit().await?,
            false => tx.rollback().await?,
        }
        Ok(Done::Recorded)
    }

    /// The one reply to a comment. What else there is to say of the comment stands below it.
    pub(super) async fn reply(&self, tx: &mut Tx, asking: &Asking<'_>, text: &str) -> Result<(), DbError> {
        let further = match asking.further {
            0 => String::new(),
            further => format!("\n{}", say::further_commands(further)),
        };
        let key = format!("comment:{}:reply", asking.comment.id);
        let body = ReplyBody::Text(format!("{text}{further}"));
        self.queue_reply(tx, asking, &key, None, ReplyKind::Reply, &body).await
    }

    /// For a comment that is answered by no reply of its own.
    pub(super) async fn note_further(&self, tx: &mut Tx, asking: &Asking<'_>) -> Result<(), DbError> {
        if asking.further == 0 {
            return Ok(());
        }
        let key = format!("comment:{}:further", asking.comment.id);
        let body = ReplyBody::Text(say::further_commands(asking.further));
        self.queue_reply(tx, asking, &key, None, ReplyKind::Reply, &body).await
    }

    pub(super) async fn react(&self, tx: &mut Tx, asking: &Asking<'_>) -> Result<(), DbError> {
        let key = format!("comment:{}:eyes", asking.comment.id);
        self.queue_reply(tx, asking, &key, None, ReplyKind::Reaction, &ReplyBody::Reaction("eyes".into())).await
    }

    pub(super) async fn queue_reply(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        key: &str,
        job: Option<JobId>,
        kind: ReplyKind,
        body: &ReplyBody,
    ) -> Result<(), DbError> {
        let reply = NewReply {
            key,
            job,
            installation: asking.comment.installation,
            kind,
            target: serde_json::to_value(asking.target()).unwrap_or_default(),
            body: serde_json::to_value(body).unwrap_or_default(),
        };
        outbox::insert(tx, &reply).await
    }

    pub(super) fn links(&self, asking: &Asking<'_>, job: JobId) -> Links {
        crate::outbox::links(self.defaults.base_url.as_deref(), &self.defaults.github_url, &asking.repository, job)
    }
}
