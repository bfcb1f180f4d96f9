//! GitHub's REST API, as far as the bot calls it: one method a question, one error that tells apart
//! what a caller must tell apart. Knows `bisect_shared` only; never the database, never a job.
//!
//! Tokens live here and nowhere else: they are made when needed, narrowed to one repository and to
//! the permissions of the call, kept in memory until shortly before they expire, and never printed.

mod answer;
mod app;
mod app_token;
mod client;
mod comments;
mod commits;
mod error;
mod hooks;
mod manifest;
mod oauth;
mod rate;
mod repository;
mod settings;
mod time;

pub use error::GithubError;
pub use manifest::{MadeApp, Manifest, convert as convert_manifest};
pub use oauth::{Departure, OAuth, OAuthError, OAuthSettings, Reached, UserInfo, UserTokens};
pub use rate::RateLeft;
pub use settings::GithubSettings;
pub use time::Clock;

use app_token::{App, Permissions, Tokens};
use chrono::{DateTime, Utc};
use client::{Answer, Call, Client};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

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

impl Permission {
    /// GitHub's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Triage => "triage",
            Self::Write => "write",
            Self::Maintain => "maintain",
            Self::Admin => "admin",
        }
    }
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
    /// The event's name, as in `X-GitHub-Event`.
    pub event: String,
    /// Whether it was answered with success.
    pub delivered: bool,
    /// When.
    pub delivered_at: DateTime<Utc>,
}

/// The App as GitHub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppInfo {
    /// Its name in addresses, `github.com/apps/<slug>`; its comments are by `<slug>[bot]`.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it asks for: permission name to `read` or `write`.
    pub permissions: BTreeMap<String, String>,
}

/// An installation as GitHub describes it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationInfo {
    /// GitHub's number of it.
    pub id: i64,
    /// GitHub's number of the account.
    pub account_id: i64,
    /// The account's login.
    pub account_login: String,
    /// `User`, `Organization` or `Enterprise`.
    pub account_type: String,
    /// What it grants: permission name to `read` or `write`.
    pub permissions: BTreeMap<String, String>,
    /// Whether it works no more until it is unsuspended.
    pub suspended: bool,
}

/// What a fetch of git needs: a token that reads this one repository.
#[derive(Debug, Clone)]
pub struct CloneToken {
    /// The token, given to git through a credential helper only.
    pub token: SecretString,
}

/// GitHub, as one App. Clones share connections, tokens and what is known of rate limits.
#[derive(Debug, Clone)]
pub struct Github {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    app: App,
    tokens: Tokens,
}
