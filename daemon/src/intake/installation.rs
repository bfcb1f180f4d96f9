//! Deliveries about installations, accounts and repositories.
//!
//! They come in any order and any number of times, so none is believed about what *is*: GitHub is
//! asked, and what it says now is stored. Only what cannot be asked any more is taken from them.

use super::{Done, Intake, IntakeError, processed};
use crate::{
    db::{
        DbError, Tx,
        audit_events::{self, NewAuditEvent},
        deliveries::{self, Completion, LeasedDelivery},
        installations, outbox, repositories,
        repositories::RepositoryRow,
        user_repositories, users,
    },
    github::{GithubError, InstallationInfo, RepositoryInfo, RepositoryRef},
    signin,
    webhook::event::{Account, Event, Installation, Repository},
};
use serde_json::{Value, json};

/// So many names of repositories are kept in the audit with one delivery.
const NOTED: usize = 20;

/// Whether an installation may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Yes.
    Works,
    /// Its owner wants to hear nothing now.
    Suspended,
    /// There is no such installation.
    Gone,
}

/// What a delivery says of the repositories of its installation.
#[derive(Default)]
struct Repositories {
    /// That came to it.
    added: Vec<Repository>,
    /// That left it, by GitHub's numbers.
    removed: Vec<i64>,
    /// As GitHub describes them now.
    described: Vec<RepositoryInfo>,
}

/// What the audit keeps of a delivery: what was done, and by whom.
pub(super) struct Note {
    pub(super) action: String,
    pub(super) by: Option<String>,
}

impl Note {
    /// Keeps it; `what` is `installation` or `repository`.
    async fn keep(&self, tx: &mut Tx, what: &str, installation: i64, detail: Value) -> Result<(), DbError> {
        let event = NewAuditEvent {
            actor: self.by.as_deref().unwrap_or("system"),
            channel: "github",
            action: &format!("{what}.{}", self.action),
            job: None,
            installation: Some(installation),
            detail,
        };
        audit_events::append(tx, &event).await
    }
}

impl Intake {
    pub(super) async fn installation(
        &self,
        delivery: &LeasedDelivery,
        event: Event,
        note: &Note,
    ) -> Result<Done, IntakeError> {
        match event {
            Event::Installed(told, added) => {
                let described = self.described_anew(told.id).await?;
                self.changed(delivery, told, Repositories { added, described, removed: Vec::new() }, note).await
            }
            Event::Suspended(told) => self.changed(delivery, told, Repositories::default(), note).await,
            Event::RepositoriesChanged { installation, added, removed } => {
                let repositories = Repositories { added, removed, described: Vec::new() };
                self.changed(delivery, installation, repositories, note).await
            }
            Event::Uninstalled { installation } => self.uninstalled(delivery, installation, note).await,
            Event::AccountRenamed { installation } => self.account_renamed(delivery, installation, note).await,
            Event::RepositoryChanged { installation: _, repository } => {
                self.repository_changed(delivery, &repository, note).await
            }
            Event::MembershipChanged { repository, installation } => {
                self.membership_changed(delivery, repository, installation).await
            }
            Event::AuthorizationRevoked { user } => self.authorization_revoked(delivery, user).await,
            Event::RepositoryDeleted { repository } => self.repository_gone(delivery, repository).await,
            Event::Ping | Event::Comment(_) | Event::Ignored(_) => Ok(Done::Ended(processed(None))),
        }
    }

    /// How an installation is. GitHub is asked about one that is not known (its own delivery comes later, or
    /// was the one that removed it), or of which we heard last that it is suspended.
    pub(super) async fn standing(&self, installation: i64) -> Result<Standing, IntakeError> {
        let mut tx = self.db.begin().await?;
        let suspended = installations::is_suspended(&mut tx, installation).await?;
        tx.commit().await?;
        if suspended == Some(false) {
            return Ok(Standing::Works);
        }
        let Some(now) = self.installation_now(installation).await? else { return Ok(Standing::Gone) };
        let mut tx = self.db.begin().await?;
        store(&mut tx, &now, None).await?;
        tx.commit().await?;
        Ok(if now.suspended { Standing::Suspended } else { Standing::Works })
    }

    /// An installation as GitHub describes it now, if there is one.
    async fn installation_now(&self, installation: i64) -> Result<Option<InstallationInfo>, GithubError> {
        match self.github.installation(installation).await {
            Ok(now) => Ok(Some(now)),
            Err(GithubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores an installation as GitHub describes it now. Of one that is gone by now nothing is stored.
    async fn changed(
        &self,
        delivery: &LeasedDelivery,
        told: Installation,
        repositories: Repositories,
        note: &Note,
    ) -> Result<Done, IntakeError> {
        let Some(now) = self.installation_now(told.id).await? else {
            return self.uninstalled(delivery, told.id, note).await;
        };
        let removed = self.really_removed(told.id, repositories.removed).await?;
        let mut tx = self.db.begin().await?;
        store(&mut tx, &now, told.sender.as_ref()).await?;
        for repository in &repositories.added {
            repositories::ensure(&mut tx, &told_of(repository, told.id)).await?;
        }
        for repository in &repositories.described {
            repositories::upsert(&mut tx, &known_of(repository, told.id)).await?;
        }
        repositories::remove(&mut tx, &removed, Some(told.id)).await?;
        let names: Vec<String> =
            repositories.added.iter().take(NOTED).map(|it| format!("{}/{}", it.owner, it.name)).collect();
        let (added, removed_count) = (repositories.added.len(), removed.len());
        let detail = json!({ "account": now.account_login, "added": added, "names": names, "removed": removed_count });
        note.keep(&mut tx, "installation", told.id, detail).await?;
        user_repositories::forget_installation(&mut tx, told.id).await?;
        if now.suspended {
            self.silence(&mut tx, told.id, "the installation is suspended").await?;
        }
        let done = self.done(tx, delivery).await?;
        self.remove_mirrors(&removed).await;
        Ok(done)
    }

    /// Those of these repositories that the installation does not cover now: a delivery that comes late tells
    /// of one that may be back.
    async fn really_removed(&self, installation: i64, told: Vec<i64>) -> Result<Vec<i64>, IntakeError> {
        let mut tx = self.db.begin().await?;
        let rows = repositories::of_installation(&mut tx, installation).await?;
        tx.commit().await?;
        let mut removed = Vec::new();
        for row in rows.iter().filter(|row| told.contains(&row.github_id)) {
            if self.github.installation_of(&reference(row)).await? != Some(installation) {
                removed.push(row.github_id);
            }
        }
        Ok(removed)
    }

    /// The repositories of an installation that have jobs, as they are now: while it was suspended they may
    /// have become private.
    async fn described_anew(&self, installation: i64) -> Result<Vec<RepositoryInfo>, IntakeError> {
        let mut tx = self.db.begin().await?;
        let rows = repositories::with_jobs(&mut tx, installation).await?;
        tx.commit().await?;
        let mut described = Vec::new();
        for row in rows {
            match self.github.repository(&reference(&row)).await {
                Ok(now) if now.id == row.github_id => described.push(now),
                // Another one has its name now, or it is not for this App to see: its own delivery comes.
                Ok(_)
                | Err(GithubError::NotFound { .. } | GithubError::Forbidden { .. } | GithubError::Suspended { .. }) => {
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(described)
    }

    async fn uninstalled(
        &self,
        delivery: &LeasedDelivery,
        installation: i64,
        note: &Note,
    ) -> Result<Done, IntakeError> {
        self.github.forget_installation(installation);
        let mut tx = self.db.begin().await?;
        // Their workers find their leases gone with the rows, and stop their containers.
        let gone = installations::remove(&mut tx, installation).await?;
        // Whatever told of it: what happened is that it is gone.
        let note = Note { action: "deleted".to_owned(), by: note.by.clone() };
        note.keep(&mut tx, "installation", installation, json!({ "removed": gone.len() })).await?;
        let done = self.done(tx, delivery).await?;
        self.remove_mirrors(&gone).await;
        Ok(done)
    }

    async fn account_renamed(
        &self,
        delivery: &LeasedDelivery,
        installation: i64,
        note: &Note,
    ) -> Result<Done, IntakeError> {
        let Some(now) = self.installation_now(installation).await? else {
            return self.uninstalled(delivery, installation, note).await;
        };
        let mut tx = self.db.begin().await?;
        store(&mut tx, &now, None).await?;
        note.keep(&mut tx, "installation", installation, json!({ "account": now.account_login })).await?;
        installations::rename_account(&mut tx, now.account_id, &now.account_login).await?;
        self.done(tx, delivery).await
    }

    /// A repository is not what it was: what it is now, and whose, GitHub says.
    async fn repository_changed(
        &self,
        delivery: &LeasedDelivery,
        told: &Repository,
        note: &Note,
    ) -> Result<Done, IntakeError> {
        let ignored = |why: &str| Ok(Done::Ended(Completion::Ignored(why.to_owned())));
        let place = RepositoryRef { installation: 0, id: told.id, owner: told.owner.clone(), name: told.name.clone() };
        let Some(installation) = self.github.installation_of(&place).await? else {
            return self.repository_gone(delivery, told.id).await;
        };
        match self.standing(installation).await? {
            Standing::Works => {}
            Standing::Suspended => return ignored("the installation is suspended"),
            Standing::Gone => return self.uninstalled(delivery, installation, note).await,
        }
        let now = match self.github.repository(&RepositoryRef { installation, ..place }).await {
            Ok(now) if now.id == told.id => now,
            Ok(_) => return ignored("another repository has this name now"),
            Err(GithubError::NotFound { .. } | GithubError::Forbidden { .. }) => {
                return ignored("it is not for this App to see now");
            }
            Err(error) => return Err(error.into()),
        };
        let mut tx = self.db.begin().await?;
        installations::lock(&mut tx, installation).await?;
        repositories::upsert(&mut tx, &known_of(&now, installation)).await?;
        let detail = json!({ "repository": format!("{}/{}", now.owner, now.name), "private": now.private });
        note.keep(&mut tx, "repository", installation, detail).await?;
        // One that became private, or another owner's, is not seen by the same people.
        user_repositories::forget_repository(&mut tx, now.id).await?;
        self.done(tx, delivery).await
    }

    async fn membership_changed(
        &self,
        delivery: &LeasedDelivery,
        repository: Option<i64>,
        installation: Option<i64>,
    ) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        match (repository, installation) {
            (Some(repository), _) => user_repositories::forget_repository(&mut tx, repository).await?,
            (None, Some(installation)) => user_repositories::forget_installation(&mut tx, installation).await?,
            (None, None) => {}
        }
        self.done(tx, delivery).await
    }

    async fn authorization_revoked(&self, delivery: &LeasedDelivery, user: i64) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        if let Some((user, login)) = users::find_by_github(&mut tx, user).await? {
            signin::sign_out_in(&mut tx, user, &login, "the authorization was taken back on GitHub").await?;
        }
        self.done(tx, delivery).await
    }

    async fn repository_gone(&self, delivery: &LeasedDelivery, gone: i64) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        repositories::remove(&mut tx, &[gone], None).await?;
        let done = self.done(tx, delivery).await?;
        self.remove_mirrors(&[gone]).await;
        Ok(done)
    }

    /// Cancels what runs and drops what is still to be told.
    async fn silence(&self, tx: &mut Tx, installation: i64, reason: &str) -> Result<(), IntakeError> {
        for job in installations::unfinished_jobs(tx, installation).await? {
            self.queue.request_cancel_in(tx, job, reason).await?;
        }
        outbox::drop_all(tx, installation, reason).await?;
        self.github.forget_installation(installation);
        Ok(())
    }

    async fn done(&self, mut tx: Tx, delivery: &LeasedDelivery) -> Result<Done, IntakeError> {
        match deliveries::complete(&mut tx, delivery, &processed(None)).await? {
            true => tx.commit().await?,
            false => tx.rollback().await?,
        }
        Ok(Done::Recorded)
    }
}

/// Stores what GitHub says of an installation.
async fn store(tx: &mut Tx, now: &InstallationInfo, sender: Option<&Account>) -> Result<(), IntakeError> {
    installations::lock(tx, now.id).await?;
    let installed_by = match sender {
        Some(sender) => {
            let sender = users::upsert(tx, sender.id, &sender.login).await?;
            // Who installs it looks at once whether it is there.
            user_repositories::ask_again(tx, sender).await?;
            Some(sender)
        }
        None => None,
    };
    let known = installations::Known {
        installation: now.id,
        account_type: &now.account_type,
        account_login: &now.account_login,
        account_id: now.account_id,
        permissions: &serde_json::json!(now.permissions),
        suspended: now.suspended,
        installed_by,
    };
    Ok(installations::upsert(tx, &known).await?)
}

fn reference(row: &RepositoryRow) -> RepositoryRef {
    RepositoryRef {
        installation: row.installation,
        id: row.github_id,
        owner: row.owner.clone(),
        name: row.name.clone(),
    }
}

pub(super) fn known_of(repository: &RepositoryInfo, installation: i64) -> repositories::Known<'_> {
    repositories::Known {
        github_id: repository.id,
        installation,
        owner: &repository.owner,
        name: &repository.name,
        private: repository.private,
        archived: repository.archived,
        default_branch: Some(&repository.default_branch),
    }
}

fn told_of(repository: &Repository, installation: i64) -> repositories::Known<'_> {
    repositories::Known {
        github_id: repository.id,
        installation,
        owner: &repository.owner,
        name: &repository.name,
        private: repository.private,
        archived: repository.archived,
        default_branch: repository.default_branch.as_deref(),
    }
}
