//! What a job's repository is reached with: nothing for one of a shell, a token of the installation
//! for one on GitHub. Tokens pass through; none is kept or printed here.

use super::mirror::MirrorName;
use crate::{
    db::{self, jobs::JobRow, repositories},
    git::{GitError, check_address},
    github::{CloneToken, Github, GithubError, RepositoryRef},
};
use async_trait::async_trait;
use secrecy::SecretString;

/// A repository on GitHub, as a job's mirror needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosted {
    /// Where it is fetched from now, whatever it was called when the job began.
    pub address: String,
    /// Its mirror.
    pub mirror: MirrorName,
}

/// How the repositories of jobs are reached. [`GitError::Failed`] may be tried again.
#[async_trait]
pub trait Credentials: Send + Sync {
    /// The repository of a job on GitHub; `None` for a job whose stored address says it all.
    ///
    /// # Errors
    /// When it is not known (any more), or the database does not answer.
    async fn repository(&self, job: &JobRow) -> Result<Option<Hosted>, GitError>;

    /// The token with which the job's repository is fetched, asked for only when something is to be
    /// fetched; `None` when none is needed.
    ///
    /// # Errors
    /// When GitHub gives none.
    async fn of(&self, job: &JobRow) -> Result<Option<SecretString>, GitError>;

    /// A fetch with this token failed: the next one must not get it from a memory.
    async fn failed(&self, job: &JobRow, token: &SecretString);
}

/// For jobs given at a shell: no address of theirs holds or needs a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCredentials;

#[async_trait]
impl Credentials for NoCredentials {
    async fn repository(&self, job: &JobRow) -> Result<Option<Hosted>, GitError> {
        match job.repository {
            None => Ok(None),
            Some(_) => Err(GitError::Input("this process serves no jobs of GitHub: run `bisectd serve`".to_owned())),
        }
    }

    async fn of(&self, _: &JobRow) -> Result<Option<SecretString>, GitError> {
        Ok(None)
    }

    async fn failed(&self, _: &JobRow, _: &SecretString) {}
}

/// For jobs of GitHub; those of a shell, beside them, need nothing.
#[derive(Debug, Clone)]
pub struct GithubCredentials {
    db: db::Database,
    github: Github,
    url: String,
}

impl GithubCredentials {
    /// `url` is `GITHUB_URL`: tokens go to it and to nobody else.
    ///
    /// # Errors
    /// When git may not fetch from it; the message names the variable.
    pub fn new(db: db::Database, github: Github, url: &str) -> Result<Self, GitError> {
        let url = url.trim_end_matches('/').to_owned();
        let wrong = |why: String| GitError::Input(format!("GITHUB_URL: {why}; for example https://github.com"));
        check_address(&url).map_err(|error| wrong(error.to_string()))?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(wrong("it must begin with https:// or http://".to_owned()));
        }
        Ok(Self { db, github, url })
    }

    /// The mirror's name of the repository with GitHub's number `id`.
    #[must_use]
    pub fn mirror_name(&self, id: i64) -> MirrorName {
        MirrorName::hosted(&self.url, id)
    }

    async fn find(&self, job: &JobRow) -> Result<Option<RepositoryRef>, GitError> {
        let Some(id) = job.repository else { return Ok(None) };
        let read = async {
            let mut tx = self.db.begin().await?;
            let row = repositories::find(&mut tx, id).await?;
            tx.commit().await.map(|()| row)
        };
        let row = read.await.map_err(|error: db::DbError| again("look-up of the repository", &error))?;
        let row = row.ok_or_else(|| GitError::Input("the repository was removed from the installation".to_owned()))?;
        Ok(Some(RepositoryRef { installation: row.installation, id: row.github_id, owner: row.owner, name: row.name }))
    }
}

#[async_trait]
impl Credentials for GithubCredentials {
    async fn repository(&self, job: &JobRow) -> Result<Option<Hosted>, GitError> {
        let found = self.find(job).await?;
        Ok(found.map(|repository| Hosted {
            address: format!("{}/{}/{}.git", self.url, repository.owner, repository.name),
            mirror: self.mirror_name(repository.id),
        }))
    }

    async fn of(&self, job: &JobRow) -> Result<Option<SecretString>, GitError> {
        let Some(repository) = self.find(job).await? else { return Ok(None) };
        match self.github.clone_token(&repository).await {
            Ok(token) => Ok(Some(token.token)),
            Err(error @ (GithubError::RateLimited { .. } | GithubError::Unavailable { .. })) => {
                Err(again("preparation of a fetch", &error))
            }
            Err(error) => Err(GitError::Input(error.to_string())),
        }
    }

    async fn failed(&self, job: &JobRow, token: &SecretString) {
        if let Ok(Some(repository)) = self.find(job).await {
            self.github.forget_clone_token(&repository, &CloneToken { token: token.clone() }).await;
        }
    }
}

/// An error that another try may not meet.
fn again(doing: &str, error: &dyn std::fmt::Display) -> GitError {
    GitError::Failed { command: doing.to_owned(), reason: error.to_string() }
}
