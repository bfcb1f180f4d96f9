//! Deliveries about installations, accounts and repositories.
//!
//! They come in any order and any number of times, so none is believed about what *is*: GitHub is
//! asked, and what it says now is stored. Only what cannot be asked any more is taken from them.

use super::{Done, Intake, IntakeError, processed};
use crate::{
    db::{
        Tx,
        deliveries::{self, Completion, LeasedDelivery},
        installations, outbox, repositories, users,
    },
    github::GithubError,
    webhook::event::{Event, Installation, Repository},
};

impl Intake {
    pub(super) async fn installation(&self, delivery: &LeasedDelivery, event: Event) -> Result<Done, IntakeError> {
        match event {
            Event::Installed(told, repositories) => self.changed(delivery, told, repositories, &[]).await,
            Event::Suspended(told) => self.changed(delivery, told, Vec::new(), &[]).await,
            Event::RepositoriesChanged { installation, added, removed } => {
                self.changed(delivery, installation, added, &removed).await
            }
            Event::Uninstalled { installation } => self.uninstalled(delivery, installation).await,
            Event::AccountRenamed { account, login, .. } => {
                let mut tx = self.db.begin().await?;
                installations::rename_account(&mut tx, account, &login).await?;
                self.done(tx, delivery).await
            }
            Event::RepositoryChanged { installation, repository } => {
                self.repository_changed(delivery, installation, repository).await
            }
            Event::RepositoryDeleted { repository } => {
                let mut tx = self.db.begin().await?;
                repositories::remove(&mut tx, &[repository], None).await?;
                let done = self.done(tx, delivery).await?;
                self.remove_mirrors(&[repository]).await;
                Ok(done)
            }
            Event::Ping | Event::Comment(_) | Event::Ignored(_) => Ok(Done::Ended(processed(None))),
        }
    }

    /// Stores an installation as GitHub describes it now. Of one that is gone by now nothing is stored.
    async fn changed(
        &self,
        delivery: &LeasedDelivery,
        told: Installation,
        added: Vec<Repository>,
        removed: &[i64],
    ) -> Result<Done, IntakeError> {
        let now = match self.github.installation(told.id).await {
            Ok(now) => now,
            Err(GithubError::NotFound { .. }) => return self.uninstalled(delivery, told.id).await,
            Err(error) => return Err(error.into()),
        };
        let mut tx = self.db.begin().await?;
        let installed_by = match &told.sender {
            Some(sender) => Some(users::upsert(&mut tx, sender.id, &sender.login).await?),
            None => None,
        };
        let permissions = serde_json::json!(now.permissions);
        let known = installations::Known {
            installation: told.id,
            account_type: &now.account_type,
            account_login: &now.account_login,
            account_id: now.account_id,
            permissions: &permissions,
            suspended: now.suspended,
            installed_by,
        };
        installations::upsert(&mut tx, &known).await?;
        for repository in &added {
            repositories::upsert(&mut tx, &known_of(repository, told.id)).await?;
        }
        repositories::remove(&mut tx, removed, Some(told.id)).await?;
        if now.suspended {
            self.silence(&mut tx, told.id, "the installation is suspended").await?;
        }
        let done = self.done(tx, delivery).await?;
        self.remove_mirrors(removed).await;
        Ok(done)
    }

    async fn uninstalled(&self, delivery: &LeasedDelivery, installation: i64) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        // Their workers find their leases gone with the rows, and stop their containers.
        let gone = installations::remove(&mut tx, installation).await?;
        let done = self.done(tx, delivery).await?;
        self.remove_mirrors(&gone).await;
        Ok(done)
    }

    async fn repository_changed(
        &self,
        delivery: &LeasedDelivery,
        installation: Option<i64>,
        told: Repository,
    ) -> Result<Done, IntakeError> {
        let mut tx = self.db.begin().await?;
        let row = repositories::find_by_github(&mut tx, told.id).await?;
        let Some(installation) = installation.or_else(|| row.as_ref().map(|row| row.installation)) else {
            tx.rollback().await?;
            return Ok(Done::Ended(Completion::Ignored("a repository of no installation that is known".into())));
        };
        installations::ensure(&mut tx, installation, &told.owner).await?;
        repositories::upsert(&mut tx, &known_of(&told, installation)).await?;
        self.done(tx, delivery).await
    }

    /// Cancels what runs and drops what is still to be told.
    async fn silence(&self, tx: &mut Tx, installation: i64, reason: &str) -> Result<(), IntakeError> {
        for job in installations::unfinished_jobs(tx, installation).await? {
            self.queue.request_cancel_in(tx, job, reason).await?;
        }
        outbox::drop_all(tx, installation, reason).await?;
        Ok(())
    }

    async fn done(&self, mut tx: Tx, delivery: &LeasedDelivery) -> Result<Done, IntakeError> {
        match deliveries::complete(&mut tx, delivery, &processed(None)).await? {
            true => tx.commit().await?,
            false => tx.rollback().await?,
        }
        Ok(Done::Recorded)
    }

    async fn remove_mirrors(&self, repositories: &[i64]) {
        for &repository in repositories {
            if let Err(error) = self.mirrors.remove(&self.credentials.mirror_name(repository)).await {
                tracing::warn!(github.repository = repository, error = %error, "a mirror was left");
            }
        }
    }
}

pub(super) fn known_of(repository: &Repository, installation: i64) -> repositories::Known<'_> {
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
