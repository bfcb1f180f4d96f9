//! A comment: who may ask for what, and the answers that need no new job.

use super::{Done, Intake, IntakeError, bisect::Accepted, installation::known_of, processed};
use crate::{
    command::{
        self, Bisect, Command,
        repository_config::{self, Allow, RepositoryConfig},
    },
    db::{
        DbError, Tx, asked,
        deliveries::{self, Completion, LeasedDelivery},
        installations, jobs, outbox,
        outbox::{NewReply, ReplyKind},
        repositories,
        repositories::RepositoryRow,
    },
    github::{GithubError, Permission, RepositoryRef},
    outbox::{ReplyBody, Target},
    report::{
        comment::Links,
        replies::{self as say, Rejection},
    },
    webhook::event::Comment,
};
use bisect_shared::JobId;
use std::time::Duration;

/// Commands of one user within [`FLOOD_WINDOW`], at most. The first one over it is told so, the next
/// ones are not answered.
const FLOOD: u32 = 20;
const FLOOD_WINDOW: Duration = Duration::from_mins(10);

/// Everything that is known when a command is obeyed.
pub(super) struct Asking<'a> {
    pub(super) delivery: &'a LeasedDelivery,
    pub(super) comment: &'a Comment,
    pub(super) repository: RepositoryRef,
    /// How many more command lines the comment has.
    pub(super) further: usize,
}

impl Asking<'_> {
    pub(super) fn target(&self) -> Target {
        Target { repository: self.repository.clone(), issue: self.comment.issue, comment: self.comment.id }
    }
}

impl Intake {
    pub(super) async fn comment(&self, delivery: &LeasedDelivery, comment: Comment) -> Result<Done, IntakeError> {
        if comment.by_machine {
            return Ok(ignored("written by a bot or an App"));
        }
        let Some(request) = command::parse(&comment.body) else {
            return Ok(ignored("no command"));
        };
        let asking =
            Asking { delivery, comment: &comment, repository: repository_of(&comment), further: request.further };
        if let Some(done) = self.refuse_unheard(&asking).await? {
            return Ok(done);
        }
        match self.obey(&asking, request.command).await {
            // What GitHub denies to this App is an answer, not a reason to ask again.
            Err(IntakeError::Github(GithubError::Forbidden { message, .. })) => {
                Ok(Done::Ended(Completion::Rejected(format!("GitHub does not let this App: {message}"))))
            }
            Err(IntakeError::Github(GithubError::NotFound { doing })) => {
                Ok(Done::Ended(Completion::Rejected(format!("{doing}: gone, or not to be seen by this App"))))
            }
            other => other,
        }
    }

    /// Stores who asks and where, and ends what is not even answered.
    async fn refuse_unheard(&self, asking: &Asking<'_>) -> Result<Option<Done>, IntakeError> {
        let comment = asking.comment;
        let mut tx = self.db.begin().await?;
        installations::ensure(&mut tx, comment.installation, &comment.repository.owner).await?;
        repositories::upsert(&mut tx, &known_of(&comment.repository, comment.installation)).await?;
        let suspended = installations::is_suspended(&mut tx, comment.installation).await?;
        let given = asked::count_command(&mut tx, &asking.delivery.id, comment.author.id, FLOOD_WINDOW).await?;
        tx.commit().await?;
        if suspended == Some(true) {
            return Ok(Some(ignored("the installation is suspended")));
        }
        if given == FLOOD + 1 {
            let minutes = FLOOD_WINDOW.as_secs() / 60;
            let rejection = Rejection::TooManyCommands { limit: FLOOD, minutes };
            return self.reject(asking, &rejection).await.map(Some);
        }
        Ok((given > FLOOD).then(|| Done::Ended(Completion::Rejected("too many commands by this user".into()))))
    }

    async fn obey(&self, asking: &Asking<'_>, asked: Result<Command, command::Mistake>) -> Result<Done, IntakeError> {
        let command = match asked {
            Ok(Command::Help) => return self.answer(asking, command::help::markdown()).await,
            Ok(command) => command,
            Err(mistake) => return self.reject(asking, &Rejection::Mistake(mistake)).await,
        };
        let (config, permission) = tokio::try_join!(
            self.github.file(&asking.repository, ".github/bisect.yml"),
            self.github.permission(&asking.repository, &asking.comment.author.login),
        )?;
        let config = match config.as_deref().map(|text| repository_config::parse(text.as_bytes())).transpose() {
            Ok(config) => config.unwrap_or_default(),
            Err(error) => return self.reject(asking, &Rejection::BadRepositoryConfig(error.to_string())).await,
        };
        if !may(config.allow, permission) || permission < Permission::Triage && asking.comment.locked {
            let rejection = Rejection::NotAllowed { needed: config.allow };
            return self.reject(asking, &rejection).await;
        }
        match command {
            Command::Bisect(asked) => self.bisect(asking, &asked, &config).await,
            Command::Retry { runs: _ } => self.retry(asking).await,
            Command::Cancel => self.cancel(asking).await,
            Command::Status => self.status(asking).await,
            Command::Wrong => self.wrong(asking).await,
            Command::Help => self.answer(asking, command::help::markdown()).await,
        }
    }

    async fn bisect(
        &self,
        asking: &Asking<'_>,
        asked: &Bisect,
        config: &RepositoryConfig,
    ) -> Result<Done, IntakeError> {
        match self.understand(asking, asked, config).await? {
            Ok(accepted) => self.queue_job(asking, accepted).await,
            Err(rejection) => self.reject(asking, &rejection).await,
        }
    }

    /// The last ended job of this issue once more, exactly as it was asked for.
    async fn retry(&self, asking: &Asking<'_>) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking).await?;
        let last = asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false).await?.first().copied();
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
            Ok(spec) => self.queue_job(asking, Accepted { spec, retry_of: Some(job.id) }).await,
            Err(_) => self.reject(asking, &Rejection::NothingToRetry).await,
        }
    }

    async fn cancel(&self, asking: &Asking<'_>) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking).await?;
        let unfinished = asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, true).await?;
        if unfinished.is_empty() {
            tx.rollback().await?;
            return self.reject(asking, &Rejection::NothingToCancel).await;
        }
        for &job in &unfinished {
            self.queue.request_cancel_in(&mut tx, job, &asking.comment.author.login).await?;
        }
        self.react(&mut tx, asking).await?;
        self.note_further(&mut tx, asking).await?;
        self.commit(tx, asking, processed(unfinished.first().copied())).await
    }

    async fn status(&self, asking: &Asking<'_>) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking).await?;
        let mut lines = Vec::new();
        for job in asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false).await? {
            if let Some(job) = jobs::find(&mut tx, job).await? {
                lines.push(say::JobLine { job: job.id, status: job.status, result: job.result, culprit: job.culprit });
            }
        }
        tx.commit().await?;
        self.answer(asking, say::status_list(&lines, |job| self.links(asking, job))).await
    }

    /// Somebody says that an answer is wrong: that is kept for the operators, and what can be done is said.
    async fn wrong(&self, asking: &Asking<'_>) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = self.row_of(&mut tx, asking).await?;
        let last = asked::jobs_of_issue(&mut tx, row.id, asking.comment.issue, false).await?.first().copied();
        if let Some(job) = last {
            let event = crate::db::audit_events::NewAuditEvent {
                actor: &asking.comment.author.login,
                channel: "github",
                action: "answer.disputed",
                job: Some(job),
                installation: Some(asking.comment.installation),
            };
            crate::db::audit_events::append(&mut tx, &event).await?;
        }
        tx.commit().await?;
        match last {
            Some(job) => self.answer(asking, say::disputed(job)).await,
            None => self.reject(asking, &Rejection::NothingToRetry).await,
        }
    }

    /// Ends the delivery with a reply that says why nothing was queued.
    pub(super) async fn reject(&self, asking: &Asking<'_>, rejection: &Rejection) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let text = say::rejection(rejection);
        self.reply(&mut tx, asking, "reply", None, &text).await?;
        self.commit(tx, asking, Completion::Rejected(rejection.reason())).await
    }

    async fn answer(&self, asking: &Asking<'_>, text: String) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        self.reply(&mut tx, asking, "reply", None, &text).await?;
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

    pub(super) async fn row_of(&self, tx: &mut Tx, asking: &Asking<'_>) -> Result<RepositoryRow, DbError> {
        repositories::upsert(tx, &known_of(&asking.comment.repository, asking.comment.installation)).await
    }

    pub(super) async fn react(&self, tx: &mut Tx, asking: &Asking<'_>) -> Result<(), DbError> {
        let key = format!("comment:{}:eyes", asking.comment.id);
        self.queue_reply(tx, asking, &key, None, ReplyKind::Reaction, &ReplyBody::Reaction("eyes".into())).await
    }

    pub(super) async fn note_further(&self, tx: &mut Tx, asking: &Asking<'_>) -> Result<(), DbError> {
        if asking.further == 0 {
            return Ok(());
        }
        self.reply(tx, asking, "further", None, &say::further_commands(asking.further)).await
    }

    pub(super) async fn reply(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        what: &str,
        job: Option<JobId>,
        text: &str,
    ) -> Result<(), DbError> {
        let key = format!("comment:{}:{what}", asking.comment.id);
        self.queue_reply(tx, asking, &key, job, ReplyKind::Reply, &ReplyBody::Text(text.to_owned())).await
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

fn ignored(reason: &str) -> Done {
    Done::Ended(Completion::Ignored(reason.to_owned()))
}

fn repository_of(comment: &Comment) -> RepositoryRef {
    RepositoryRef {
        installation: comment.installation,
        id: comment.repository.id,
        owner: comment.repository.owner.clone(),
        name: comment.repository.name.clone(),
    }
}

/// Who may give commands. Even where anyone may, GitHub must know them as readers.
fn may(allow: Allow, permission: Permission) -> bool {
    permission
        >= match allow {
            Allow::Write => Permission::Write,
            Allow::Triage => Permission::Triage,
            Allow::Anyone => Permission::Read,
        }
}
