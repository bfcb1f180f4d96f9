//! One reply's way to GitHub: what it says now, whether it is there already, written or edited.

use super::{Outbox, ReplyBody, SendError, Target, view::View};
use crate::{
    db::{
        DbError, Tx,
        outbox::{self, NewReply, OutboxRow, ReplyKind},
    },
    github::GithubError,
    report::comment as say,
};
use bisect_shared::JobId;
use std::time::SystemTime;

impl Outbox {
    pub(super) async fn send(&self, row: &OutboxRow) -> Result<(), SendError> {
        let unreadable = |error: serde_json::Error| SendError::Useless(format!("the row cannot be read: {error}"));
        let target: Target = row.target().map_err(unreadable)?;
        let body: ReplyBody = serde_json::from_value(row.body.clone()).map_err(unreadable)?;
        if !row.urgent {
            self.take_edit(row).await?;
        }
        let view = match body {
            ReplyBody::Reaction(reaction) => {
                self.github.react(&target.repository, target.comment, &reaction).await?;
                return self.sent(row, None).await;
            }
            ReplyBody::Text(text) => View::of_text(text),
            ReplyBody::OfJob => self.of_job(row, &target).await?,
        };
        let text = say::marked(&view.text, &self.markers.new_mark(row.kind.name(), &row.key));
        let began = SystemTime::now();
        self.write(row, &target, &view, &text).await?;
        if let Some(job) = row.job {
            self.observers.replied(job, row.kind.name(), began);
        }
        self.sent(row, view.notice.map(|notice| (target, notice))).await
    }

    /// Edits the comment that this reply is, or writes it. Who deleted it wants no progress: then only the
    /// end is written again, once.
    async fn write(&self, row: &OutboxRow, target: &Target, view: &View, text: &str) -> Result<(), SendError> {
        let again = row.kind == ReplyKind::Status && view.is_end;
        if let Some(comment) = self.comment_of(row, target).await? {
            match self.github.update_comment(&target.repository, comment, text).await {
                Err(GithubError::NotFound { .. } | GithubError::Refused { status: 410, .. }) => {
                    tracing::info!(outbox.key = row.key, "the comment of a reply was deleted");
                    self.comment_is_gone(row).await?;
                    if !again || row.comment_deleted {
                        return Ok(());
                    }
                }
                edited => return Ok(edited?),
            }
        } else if row.comment_deleted && !again {
            return Ok(());
        }
        let comment = self.github.create_comment(&target.repository, target.issue, text).await?;
        self.remember(row, comment).await
    }

    /// The comment that this reply already is: as remembered, or, when an earlier try may have
    /// written it without our hearing of it, as found in the issue.
    async fn comment_of(&self, row: &OutboxRow, target: &Target) -> Result<Option<i64>, SendError> {
        if row.remote_id.is_some() || row.attempts <= 1 {
            return Ok(row.remote_id);
        }
        // GitHub's clock and ours may differ.
        let since = chrono::Utc::now() - row.age - chrono::TimeDelta::hours(1);
        let comments = self.github.comments(&target.repository, target.issue, since).await?;
        let ours = |body: &str| self.markers.stands_in(body, row.kind.name(), &row.key);
        let found = comments.into_iter().find(|comment| comment.ours && ours(&comment.body));
        let Some(found) = found else { return Ok(None) };
        self.remember(row, found.id).await?;
        Ok(Some(found.id))
    }

    async fn remember(&self, row: &OutboxRow, comment: i64) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        outbox::remember(&mut tx, row, comment).await?;
        Ok(tx.commit().await?)
    }

    async fn comment_is_gone(&self, row: &OutboxRow) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        outbox::comment_is_gone(&mut tx, row).await?;
        Ok(tx.commit().await?)
    }

    async fn take_edit(&self, row: &OutboxRow) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        let wait = outbox::take_edit(&mut tx, row.installation, self.pace.edits_per_hour).await?;
        tx.commit().await?;
        wait.map_or(Ok(()), |wait| Err(SendError::EnoughForNow(wait)))
    }

    async fn sent(&self, row: &OutboxRow, notice: Option<(Target, String)>) -> Result<(), SendError> {
        let mut tx = self.db.begin().await?;
        if !outbox::sent(&mut tx, row, self.pace.after(row.edits)).await? {
            tracing::info!(outbox.key = row.key, "a reply was told after its lease was over");
        }
        if let (Some((target, notice)), Some(job)) = (notice, row.job) {
            queue_notice(&mut tx, row, job, target, notice).await?;
        }
        Ok(tx.commit().await?)
    }
}

async fn queue_notice(tx: &mut Tx, row: &OutboxRow, job: JobId, target: Target, text: String) -> Result<(), DbError> {
    let reply = NewReply {
        key: &format!("job:{job}:notice"),
        job: Some(job),
        installation: row.installation,
        kind: ReplyKind::Notice,
        target: serde_json::to_value(target).unwrap_or_default(),
        body: serde_json::to_value(ReplyBody::Text(text)).unwrap_or_default(),
    };
    outbox::insert(tx, &reply).await
}
