//! GitHub's REST API, as far as the bot calls it: one method a question, one error that tells apart
//! what a caller must tell apart. Knows `bisect_shared` only; never the database, never a job.
//!
//! Tokens live here and nowhere else: they are made when needed, narrowed to one repository and to
//! the permissions of the call, kept in memory until shortly before they expire, and never printed.

use bisect_shared::Sha;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A repository as GitHub's calls name it, with the installation through which it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// GitHub's number of the installation.
    pub installation: i64,
    /// GitHub's number of the repository, which survives a rename.
    pub id: i64,
    /// The owner's login, as last seen.
    pub owner: String,
    /// The name, as last seen.
    pub name: String,
}

/// What somebody may do in a repository, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing, or nobody knows them.
    None,
    /// Read and comment.
    Read,
    /// Manage issues.
    Triage,
    /// Push.
    Write,
    /// Push and manage most settings.
    Maintain,
    /// Everything.
    Admin,
}

/// A repository as GitHub describes it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryInfo {
    /// Its number.
    pub id: i64,
    /// Its owner's login now.
    pub owner: String,
    /// Its name now.
    pub name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Whether nothing can be written to it any more.
    pub archived: bool,
    /// The branch that HEAD means.
    pub default_branch: String,
    /// Where git fetches it from, over HTTPS, without credentials.
    pub clone_url: String,
}

/// A pull request that brought a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Its number in the repository.
    pub number: i64,
    /// Its title, as its author wrote it.
    pub title: String,
    /// Its page.
    pub url: String,
}

/// A comment of an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueComment {
    /// GitHub's number of it.
    pub id: i64,
    /// What it says.
    pub body: String,
    /// Whether this App wrote it.
    pub ours: bool,
}

/// A delivery of a webhook that GitHub recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookDelivery {
    /// GitHub's number of this attempt.
    pub id: i64,
    /// `X-GitHub-Delivery`, the same for every attempt.
    pub guid: String,
    /// Whether it was answered with success.
    pub delivered: bool,
}

/// What a fetch of git needs: a name and a token that reads this one repository.
#[derive(Debug, Clone)]
pub struct CloneToken {
    /// The token, given to git through a credential helper only.
    pub token: SecretString,
}

/// Why GitHub did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GithubError {
    /// 404: not there, or this App may not know of it.
    #[error("{doing}: GitHub knows no such thing (404)")]
    NotFound {
        /// What was being done.
        doing: String,
    },
    /// 401 or 403 without a rate limit: suspended, not installed, or without the permission.
    #[error("{doing}: GitHub does not allow it ({status}): {message}")]
    Forbidden {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What GitHub said.
        message: String,
    },
    /// 410, 422 and every other 4xx: sent again, it would be refused again.
    #[error("{doing}: GitHub refuses it ({status}): {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The HTTP status.
        status: u16,
        /// What GitHub said.
        message: String,
    },
    /// 429, or 403 with GitHub's headers of a rate limit.
    #[error("{doing}: GitHub's rate limit is used up; again in {} s", retry_after.as_secs())]
    RateLimited {
        /// What was being done.
        doing: String,
        /// How long GitHub wants nothing more of this kind.
        retry_after: Duration,
    },
    /// 5xx, a timeout, or no connection: it may have been done or not.
    #[error("{doing}: GitHub did not answer: {reason}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// What was seen.
        reason: String,
    },
    /// An answer that is not what GitHub documents.
    #[error("{doing}: GitHub's answer is not understood: {reason}")]
    Misunderstood {
        /// What was being done.
        doing: String,
        /// What was wrong with it.
        reason: String,
    },
    /// The App's key or address cannot be used: nothing will work before that is changed.
    #[error("{0}")]
    Configuration(String),
}

impl GithubError {
    /// How long to wait before the same is tried again; `None` when that is of no use.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::Unavailable { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }
}

/// The client's calls are added by the file of each question.
#[derive(Debug, Clone)]
pub struct Github;

impl Github {
    /// What `login` may do in the repository; [`Permission::None`] for somebody GitHub does not know.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn permission(&self, _repository: &RepositoryRef, _login: &str) -> Result<Permission, GithubError> {
        unimplemented!()
    }

    /// The repository as it is now.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn repository(&self, _repository: &RepositoryRef) -> Result<RepositoryInfo, GithubError> {
        unimplemented!()
    }

    /// A small file of the default branch; `None` when there is none.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn file(&self, _repository: &RepositoryRef, _path: &str) -> Result<Option<String>, GithubError> {
        unimplemented!()
    }

    /// The commit that a branch, tag or SHA (full or short) means; `None` when nothing has that name.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn resolve(&self, _repository: &RepositoryRef, _name: &str) -> Result<Option<Sha>, GithubError> {
        unimplemented!()
    }

    /// The pull requests that brought a commit, merged ones first.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn pulls(&self, _repository: &RepositoryRef, _commit: &Sha) -> Result<Vec<Pull>, GithubError> {
        unimplemented!()
    }

    /// Adds a reaction (`eyes`) to a comment. Done twice, it is there once.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn react(&self, _repository: &RepositoryRef, _comment: i64, _reaction: &str) -> Result<(), GithubError> {
        unimplemented!()
    }

    /// Writes a comment and answers its number.
    ///
    /// # Errors
    /// [`GithubError`]; after [`GithubError::Unavailable`] it may be there nevertheless.
    pub async fn create_comment(
        &self,
        _repository: &RepositoryRef,
        _issue: i64,
        _body: &str,
    ) -> Result<i64, GithubError> {
        unimplemented!()
    }

    /// Replaces what a comment says.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn update_comment(
        &self,
        _repository: &RepositoryRef,
        _comment: i64,
        _body: &str,
    ) -> Result<(), GithubError> {
        unimplemented!()
    }

    /// The comments of an issue since a moment, all pages.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn comments(
        &self,
        _repository: &RepositoryRef,
        _issue: i64,
        _since: chrono::DateTime<chrono::Utc>,
    ) -> Result<Vec<IssueComment>, GithubError> {
        unimplemented!()
    }

    /// A token with which git reads this repository.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn clone_token(&self, _repository: &RepositoryRef) -> Result<CloneToken, GithubError> {
        unimplemented!()
    }

    /// The App's newest deliveries of webhooks.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn deliveries(&self) -> Result<Vec<HookDelivery>, GithubError> {
        unimplemented!()
    }

    /// Asks GitHub to send a delivery again.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn redeliver(&self, _delivery: i64) -> Result<(), GithubError> {
        unimplemented!()
    }
}
