//! Repositories, who may do what there, and the issues and pull requests on them.

use super::{
    World,
    state::{Issue, Pull, Repository, Role, State},
};
use crate::git;
use anyhow::{Context, anyhow};
use std::path::{Path, PathBuf};

/// A repository to be made.
#[derive(Debug, Clone)]
pub struct NewRepository {
    full_name: String,
    private: bool,
    source: Option<PathBuf>,
    default_branch: Option<String>,
}

impl NewRepository {
    /// `owner/name`; public and empty, with the branch `main`.
    #[must_use]
    pub fn new(full_name: &str) -> Self {
        Self { full_name: full_name.to_owned(), private: false, source: None, default_branch: None }
    }

    /// Only collaborators may know of it.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// With the branches, tags and commits of a local repository, which is copied.
    #[must_use]
    pub fn copied_from(mut self, path: &Path) -> Self {
        self.source = Some(path.to_owned());
        self
    }

    /// HEAD means this branch.
    #[must_use]
    pub fn default_branch(mut self, branch: &str) -> Self {
        self.default_branch = Some(branch.to_owned());
        self
    }
}

impl World {
    /// Makes a repository with a real bare git repository. The owner, if unknown, becomes a user.
    ///
    /// # Errors
    /// When the name is not `owner/name` or git fails.
    pub fn add_repository(&self, new: &NewRepository) -> anyhow::Result<i64> {
        let (owner, name) = new.full_name.split_once('/').context("a repository's name is owner/name")?;
        let owner = self.add_user(owner);
        let id = self.change(State::next_id);
        let git_dir = self.folder().join(format!("{id}.git"));
        let default_branch = git::create(&git_dir, new.source.as_deref(), new.default_branch.as_deref())?;
        self.change(|state| {
            let created_at = state.now();
            state.former_names.remove(&new.full_name.to_lowercase());
            state.repositories.push(Repository {
                id,
                owner,
                name: name.to_owned(),
                private: new.private,
                archived: false,
                default_branch,
                git_dir,
                created_at,
            });
        });
        Ok(id)
    }

    /// The bare git repository, into which a test may push with the real git.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn git_dir(&self, repository: &str) -> anyhow::Result<PathBuf> {
        Ok(self.repository(repository)?.git_dir)
    }

    /// A repository as it is now, by `owner/name`.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn repository(&self, full_name: &str) -> anyhow::Result<Repository> {
        self.read()
            .repository_named(full_name)
            .cloned()
            .ok_or_else(|| anyhow!("the world has no repository {full_name}"))
    }

    /// `user` has `role` in the repository; `None` takes it away.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn permission(&self, repository: &str, user: &str, role: Option<Role>) -> anyhow::Result<()> {
        let repository = self.repository(repository)?.id;
        let user = self.add_user(user);
        self.change(|state| match role {
            Some(role) => state.roles.insert((repository, user), role),
            None => state.roles.remove(&(repository, user)),
        });
        Ok(())
    }

    /// Opens an issue and answers its number in the repository. Sends nothing.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn add_issue(&self, repository: &str, user: &str, title: &str, body: &str) -> anyhow::Result<i64> {
        self.open(repository, user, title, body, None)
    }

    /// Opens a pull request that brought `commits`, merged by `merged` if given; answers its number.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn add_pull(
        &self,
        repository: &str,
        user: &str,
        title: &str,
        commits: &[String],
        merged: Option<&str>,
    ) -> anyhow::Result<i64> {
        let pull = Pull { commits: commits.to_vec(), head: "topic".to_owned(), merged: merged.map(str::to_owned) };
        self.open(repository, user, title, "", Some(pull))
    }

    fn open(&self, repository: &str, user: &str, title: &str, body: &str, pull: Option<Pull>) -> anyhow::Result<i64> {
        let repository = self.repository(repository)?.id;
        let user = self.add_user(user);
        Ok(self.change(|state| {
            let number = state.issues.iter().filter(|i| i.repository == repository).map(|i| i.number).max();
            let number = number.unwrap_or(0) + 1;
            let (id, created_at) = (state.next_id(), state.now());
            state.issues.push(Issue {
                id,
                repository,
                number,
                user,
                title: title.to_owned(),
                body: body.to_owned(),
                locked: false,
                deleted: false,
                created_at,
                pull,
            });
            number
        }))
    }

    /// Locks or unlocks an issue: only collaborators may comment on a locked one, and no App.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn lock_issue(&self, repository: &str, number: i64, locked: bool) -> anyhow::Result<()> {
        self.change_issue(repository, number, |issue| issue.locked = locked)
    }

    /// Deletes an issue: GitHub answers 410 from then on.
    ///
    /// # Errors
    /// When there is no such repository.
    pub fn delete_issue(&self, repository: &str, number: i64) -> anyhow::Result<()> {
        self.change_issue(repository, number, |issue| issue.deleted = true)
    }

    /// Somebody with that right deletes a comment. Sends nothing.
    pub fn delete_comment(&self, comment: i64) {
        self.change(|state| {
            state.comments.retain(|known| known.id != comment);
            state.reactions.retain(|reaction| reaction.comment != comment);
        });
    }

    fn change_issue(&self, repository: &str, number: i64, change: impl FnOnce(&mut Issue)) -> anyhow::Result<()> {
        let id = self.repository(repository)?.id;
        self.change(|state| {
            let issue = state.issues.iter_mut().find(|i| i.repository == id && i.number == number);
            issue.map(change).ok_or_else(|| anyhow!("{repository} has no issue {number}"))
        })
    }
}
