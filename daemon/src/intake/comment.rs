//! A comment: who wrote it, whether they may ask, and to which command it goes.
//!
//! Strangers write comments in public repositories as often as they like: they cannot make the bot write
//! as often as that. Who may not ask hears so once a day, who asks too often once an hour.

use super::{
    Done, Intake, IntakeError,
    installation::{Standing, known_of},
};
use crate::{
    command::{
        self, Bisect, Command,
        repository_config::{self, Allow, RepositoryConfig},
    },
    db::{
        DbError, Tx, asked,
        deliveries::{Completion, LeasedDelivery},
        installations, repositories,
        repositories::RepositoryRow,
    },
    github::{GithubError, Permission, RepositoryInfo, RepositoryRef},
    outbox::Target,
    report::replies::Rejection,
    webhook::{self, event::Comment},
};
use std::time::Duration;

/// Commands of one user in one installation within [`FLOOD_WINDOW`], at most.
const FLOOD: u32 = 20;
const FLOOD_WINDOW: Duration = Duration::from_mins(10);

/// Everything that is known of a command before GitHub is asked.
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

/// What GitHub says of where it was asked and by whom.
pub(super) struct Heard {
    pub(super) repository: RepositoryInfo,
    pub(super) permission: Permission,
    pub(super) config: RepositoryConfig,
}

impl Intake {
    pub(super) async fn comment(&self, delivery: &LeasedDelivery, comment: Comment) -> Result<Done, IntakeError> {
        if comment.by_machine {
            return Ok(ignored("written by a bot or an App"));
        }
        let Some(request) = command::parse(&comment.body) else {
            return Ok(ignored(webhook::NO_COMMAND));
        };
        let asking =
            Asking { delivery, comment: &comment, repository: repository_of(&comment), further: request.further };
        match self.hear(asking, request.command).await {
            Err(IntakeError::Github(GithubError::Suspended { .. })) => Ok(ignored("the installation is suspended")),
            Err(IntakeError::Github(GithubError::NotFound { doing })) => {
                Ok(rejected(format!("{doing}: gone, or not to be seen by this App")))
            }
            other => other,
        }
    }

    async fn hear(
        &self,
        mut asking: Asking<'_>,
        asked: Result<Command, command::Mistake>,
    ) -> Result<Done, IntakeError> {
        if let Some(done) = self.refuse_flood(&asking).await? {
            return Ok(done);
        }
        match self.standing(asking.comment.installation).await? {
            Standing::Works => {}
            Standing::Suspended => return Ok(ignored("the installation is suspended")),
            Standing::Gone => return Ok(rejected("the installation is gone".into())),
        }
        let answered = match self.ask_github(&mut asking).await {
            Ok(Ok(heard)) => self.obey(&asking, &heard, asked).await,
            Ok(Err(done)) => return Ok(done),
            Err(error) => Err(error),
        };
        match answered {
            // What GitHub denies to this App is an answer, not a reason to ask again.
            Err(IntakeError::Github(GithubError::Forbidden { doing, message, .. })) => {
                let key = format!("denied:{}:{}", asking.repository.id, day(&asking));
                self.reject_once(&asking, &key, &Rejection::AppMayNot { doing, message }).await
            }
            other => other,
        }
    }

    /// Notes who asks, and ends what comes too often. The first one over the limit is told so, the others
    /// of that hour are not answered.
    async fn refuse_flood(&self, asking: &Asking<'_>) -> Result<Option<Done>, IntakeError> {
        let comment = asking.comment;
        let mut tx = self.db.begin().await?;
        let given = asked::count_command(&mut tx, &asking.delivery.id, comment.author.id, FLOOD_WINDOW).await?;
        let known = installations::is_suspended(&mut tx, comment.installation).await?;
        tx.commit().await?;
        if given <= FLOOD {
            return Ok(None);
        }
        let rejection = Rejection::TooManyCommands { limit: FLOOD, minutes: FLOOD_WINDOW.as_secs() / 60 };
        if known != Some(false) {
            return Ok(Some(rejected(rejection.reason())));
        }
        let hour = asking.delivery.received_at.format("%Y-%m-%dT%H");
        let key = format!("flood:{}:{}:{hour}", comment.installation, comment.author.id);
        self.reject_once(asking, &key, &rejection).await.map(Some)
    }

    /// Asks what the repository is now, and what the author may do in it. The inner error is how the
    /// delivery ends for somebody who may not.
    async fn ask_github(&self, asking: &mut Asking<'_>) -> Result<Result<Heard, Done>, IntakeError> {
        let (place, author) = (&asking.repository, &asking.comment.author);
        let (repository, permission, config) = tokio::try_join!(
            self.github.repository(place),
            self.github.permission(place, &author.login, author.id),
            self.config(place),
        )?;
        if repository.id != place.id {
            return Ok(Err(rejected("another repository has this one's former name".into())));
        }
        asking.repository.owner.clone_from(&repository.owner);
        asking.repository.name.clone_from(&repository.name);
        let allow = config.as_ref().map_or(Allow::default(), |config| config.allow);
        if !may(allow, permission) || permission < Permission::Triage && asking.comment.locked {
            let key = format!("may-not:{}:{}:{}", repository.id, asking.comment.author.id, day(asking));
            let rejection = Rejection::NotAllowed { needed: allow };
            return self.reject_once(asking, &key, &rejection).await.map(Err);
        }
        match config {
            Ok(config) => Ok(Ok(Heard { repository, permission, config })),
            Err(why) => self.reject(asking, &Rejection::BadRepositoryConfig(why)).await.map(Err),
        }
    }

    /// `.github/bisect.yml`; the inner error is what is wrong with it.
    async fn config(&self, repository: &RepositoryRef) -> Result<Result<RepositoryConfig, String>, GithubError> {
        let text = match self.github.file(repository, ".github/bisect.yml").await {
            Ok(text) => text,
            // Too large, or no text.
            Err(GithubError::Refused { status: 200, message, .. }) => return Ok(Err(message)),
            Err(error) => return Err(error),
        };
        let read = text.map(|text| repository_config::parse(text.as_bytes())).transpose();
        Ok(read.map(Option::unwrap_or_default).map_err(|error| error.to_string()))
    }

    async fn obey(
        &self,
        asking: &Asking<'_>,
        heard: &Heard,
        asked: Result<Command, command::Mistake>,
    ) -> Result<Done, IntakeError> {
        match asked {
            Err(mistake) => self.reject(asking, &Rejection::Mistake(mistake)).await,
            Ok(Command::Help) => self.answer(asking, &command::help::markdown()).await,
            Ok(Command::Bisect(asked)) => self.bisect(asking, heard, &asked).await,
            Ok(Command::Retry { runs }) => self.retry(asking, heard, runs).await,
            Ok(Command::Cancel) => self.cancel(asking, heard).await,
            Ok(Command::Status) => self.status(asking, heard).await,
            Ok(Command::Wrong) => self.wrong(asking, heard).await,
        }
    }

    async fn bisect(&self, asking: &Asking<'_>, heard: &Heard, asked: &Bisect) -> Result<Done, IntakeError> {
        match self.understand(asking, heard, asked).await? {
            Ok(accepted) => self.queue_job(asking, heard, accepted).await,
            Err(rejection) => self.reject(asking, &rejection).await,
        }
    }

    /// Our row of the repository, as GitHub described it just now.
    pub(super) async fn row_of(
        &self,
        tx: &mut Tx,
        asking: &Asking<'_>,
        heard: &Heard,
    ) -> Result<RepositoryRow, DbError> {
        // Whoever changes what belongs to an installation locks it first, so that no two wait for one another.
        installations::lock(tx, asking.comment.installation).await?;
        repositories::upsert(tx, &known_of(&heard.repository, asking.comment.installation)).await
    }
}

fn ignored(reason: &str) -> Done {
    Done::Ended(Completion::Ignored(reason.to_owned()))
}

fn rejected(reason: String) -> Done {
    Done::Ended(Completion::Rejected(reason))
}

/// The day on which the comment came (UTC).
fn day(asking: &Asking<'_>) -> String {
    asking.delivery.received_at.format("%Y-%m-%d").to_string()
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
