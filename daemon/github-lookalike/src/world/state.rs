//! What is true in the small GitHub: plain data, no I/O, no HTTP. One lock is around all of it
//! ([`crate::World`]); everything else reads it, and only `World` and the routes change it.

use crate::faults::{Fault, WebhookFault};
use crate::limits::Limits;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

/// A person, an organization, or an App's bot.
#[derive(Debug, Clone)]
pub struct User {
    /// GitHub's number.
    pub id: i64,
    /// The login, which a rename changes.
    pub login: String,
    /// `User`, `Organization` or `Bot`.
    pub kind: &'static str,
}

/// A GitHub App.
#[derive(Debug, Clone)]
pub struct App {
    /// Its number, the `iss` of its tokens.
    pub id: i64,
    /// Its short name; its bot is `<slug>[bot]`.
    pub slug: String,
    /// Its client id, which GitHub accepts as `iss` too.
    pub client_id: String,
    /// What it proves itself with when somebody signs in.
    pub client_secret: String,
    /// Where those who sign in are sent back to.
    pub callback_url: Option<String>,
    /// Where those who installed it are sent to.
    pub setup_url: Option<String>,
    /// The user number of its bot.
    pub bot: i64,
    /// The RSA public key, PKCS#1 DER.
    pub public_key: Vec<u8>,
    /// Signs the webhooks.
    pub webhook_secret: String,
    /// Where webhooks go; nowhere while `None`.
    pub webhook_url: Option<String>,
    /// Who registered it.
    pub owner: i64,
    /// The permissions it asks for.
    pub permissions: Permissions,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
}

/// Names and levels, as in `{"issues": "write"}`.
pub type Permissions = BTreeMap<String, String>;

/// An App on an account.
#[derive(Debug, Clone)]
pub struct Installation {
    /// GitHub's number.
    pub id: i64,
    /// The App.
    pub app: i64,
    /// The account it is on.
    pub account: i64,
    /// What the account granted, which may be less than the App asks for.
    pub permissions: Permissions,
    /// The chosen repositories; `None` means all of the account.
    pub selected: Option<Vec<i64>>,
    /// Since when and by whom it is suspended.
    pub suspended: Option<(DateTime<Utc>, i64)>,
    /// When it was installed.
    pub created_at: DateTime<Utc>,
}

/// A repository with its real git directory.
#[derive(Debug, Clone)]
pub struct Repository {
    /// GitHub's number, which a rename and a transfer keep.
    pub id: i64,
    /// The account that owns it.
    pub owner: i64,
    /// Its name.
    pub name: String,
    /// Whether only some may know of it.
    pub private: bool,
    /// Whether it is read-only.
    pub archived: bool,
    /// The branch that HEAD means.
    pub default_branch: String,
    /// The bare git repository.
    pub git_dir: PathBuf,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What somebody may do in a repository, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Read,
    /// Read and manage issues.
    Triage,
    /// Push.
    Write,
    /// Push and manage settings.
    Maintain,
    /// Everything.
    Admin,
}

impl Role {
    /// `role_name` and the older, coarser `permission` of GitHub's answer.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => ("read", "read"),
            Self::Triage => ("triage", "read"),
            Self::Write => ("write", "write"),
            Self::Maintain => ("maintain", "write"),
            Self::Admin => ("admin", "admin"),
        }
    }
}

/// An issue, or the conversation of a pull request.
#[derive(Debug, Clone)]
pub struct Issue {
    /// GitHub's number over all repositories.
    pub id: i64,
    /// The repository.
    pub repository: i64,
    /// The number in the repository.
    pub number: i64,
    /// Who opened it.
    pub user: i64,
    /// Its title.
    pub title: String,
    /// Its first text.
    pub body: String,
    /// Whether only collaborators may comment.
    pub locked: bool,
    /// Whether it was deleted: GitHub answers 410.
    pub deleted: bool,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// Set when it is a pull request.
    pub pull: Option<Pull>,
}

/// What a pull request has beside its conversation.
#[derive(Debug, Clone)]
pub struct Pull {
    /// The commits that it brought.
    pub commits: Vec<String>,
    /// The name of its branch.
    pub head: String,
    /// The commit by which it was merged; open while `None`.
    pub merged: Option<String>,
}

/// A comment of an issue.
#[derive(Debug, Clone)]
pub struct Comment {
    /// GitHub's number.
    pub id: i64,
    /// The repository.
    pub repository: i64,
    /// The issue's number in the repository.
    pub issue: i64,
    /// Who wrote it.
    pub user: i64,
    /// The App through which it was written.
    pub app: Option<i64>,
    /// What it says now.
    pub body: String,
    /// Everything it ever said, the first text first.
    pub history: Vec<String>,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
}

/// A reaction to a comment.
#[derive(Debug, Clone)]
pub struct Reaction {
    /// GitHub's number.
    pub id: i64,
    /// The comment.
    pub comment: i64,
    /// Who reacted.
    pub user: i64,
    /// `eyes`, `+1` and so on.
    pub content: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// An installation token that was given out.
#[derive(Debug, Clone)]
pub struct Token {
    /// The secret text.
    pub token: String,
    /// The installation that it speaks for.
    pub installation: i64,
    /// The repositories it was narrowed to.
    pub repositories: Option<Vec<i64>>,
    /// What it may do.
    pub permissions: Permissions,
    /// Until when, by the look-alike's clock.
    pub expires_at: DateTime<Utc>,
}

/// An OAuth App: it can sign people in, and is installed nowhere.
#[derive(Debug, Clone)]
pub(crate) struct OAuthApp {
    pub name: String,
    pub client_id: String,
    pub client_secret: String,
    pub callback_url: String,
}

/// What a browser brings back from the consent page.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub code: String,
    pub client_id: String,
    pub user: i64,
    pub redirect_uri: String,
    /// PKCE: base64url of the SHA-256 of what must come with the code.
    pub challenge: Option<String>,
    pub scope: String,
    pub good_until: DateTime<Utc>,
}

/// A token that speaks for a user.
#[derive(Debug, Clone)]
pub(crate) struct UserToken {
    pub token: String,
    pub refresh: Option<String>,
    pub user: i64,
    pub client_id: String,
    /// Set for a GitHub App's, whose tokens see its installations.
    pub app: Option<i64>,
    pub scope: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub refresh_until: Option<DateTime<Utc>>,
}

/// One attempt to deliver a webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The number of this attempt.
    pub id: i64,
    /// `X-GitHub-Delivery`, the same for every attempt.
    pub guid: String,
    /// The App.
    pub app: i64,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`.
    pub action: Option<String>,
    /// The installation it is about.
    pub installation: Option<i64>,
    /// The repository it is about.
    pub repository: Option<i64>,
    /// Whether it was asked for again.
    pub redelivery: bool,
    /// When it was sent.
    pub delivered_at: DateTime<Utc>,
    /// Seconds until the answer.
    pub seconds: f64,
    /// The HTTP status of the answer; 502 when there was none, 504 after GitHub's 10 s.
    pub status: u16,
    /// GitHub's word for it: `OK`, `failed to connect to host`.
    pub outcome: String,
    /// The headers that were sent.
    pub headers: BTreeMap<String, String>,
    /// The exact bytes that were signed and sent.
    pub body: String,
    /// What was answered.
    pub answer: String,
}

/// A webhook before it is sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `X-GitHub-Delivery`.
    pub guid: String,
    /// The App it goes to.
    pub app: i64,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`.
    pub action: Option<String>,
    /// The installation it is about.
    pub installation: Option<i64>,
    /// The repository it is about.
    pub repository: Option<i64>,
    /// Whether it was asked for again.
    pub redelivery: bool,
    /// The exact bytes.
    pub body: String,
}

/// A comment that a test expects of the App.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub repository: String,
    pub issue: i64,
    pub contains: String,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub url: String,
    pub clock_offset: TimeDelta,
    pub last_id: i64,
    pub users: Vec<User>,
    pub apps: Vec<App>,
    pub installations: Vec<Installation>,
    pub repositories: Vec<Repository>,
    /// Former full names in lower case, which GitHub redirects.
    pub former_names: BTreeMap<String, i64>,
    pub roles: BTreeMap<(i64, i64), Role>,
    pub issues: Vec<Issue>,
    pub comments: Vec<Comment>,
    pub reactions: Vec<Reaction>,
    pub tokens: Vec<Token>,
    pub token_life: Option<TimeDelta>,
    pub oauth_apps: Vec<OAuthApp>,
    pub codes: Vec<Code>,
    pub made_apps: Vec<crate::manifest::MadeApp>,
    pub user_tokens: Vec<UserToken>,
    /// Whether Apps' user tokens expire and have refresh tokens, which is for an App's owner to choose.
    pub user_tokens_expire: bool,
    pub user_token_life: Option<TimeDelta>,
    pub deliveries: Vec<Delivery>,
    pub faults: Vec<Fault>,
    pub webhook_faults: VecDeque<WebhookFault>,
    pub gates: Vec<super::Closed>,
    pub holding: bool,
    pub held: Vec<Outgoing>,
    pub limits: Limits,
    pub violations: Vec<String>,
    pub expected: Vec<Expected>,
    /// What the pages propose to write: the comment, and what it is for.
    pub hints: Vec<(String, String)>,
    /// `METHOD /path status` of every call that was answered, in order.
    pub calls: Vec<String>,
}

impl State {
    /// The look-alike's own time, which may differ from the machine's.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.clock_offset
    }

    /// A number that nothing has yet.
    pub fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub fn user(&self, id: i64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub fn user_named(&self, login: &str) -> Option<&User> {
        self.users.iter().find(|user| user.login.eq_ignore_ascii_case(login))
    }

    pub fn app(&self, id: i64) -> Option<&App> {
        self.apps.iter().find(|app| app.id == id)
    }

    pub fn installation(&self, id: i64) -> Option<&Installation> {
        self.installations.iter().find(|installation| installation.id == id)
    }

    pub fn repository(&self, id: i64) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.id == id)
    }

    /// `owner/name` of a repository as it is called now.
    pub fn full_name(&self, repository: &Repository) -> String {
        let owner = self.user(repository.owner).map_or("ghost", |user| user.login.as_str());
        format!("{owner}/{}", repository.name)
    }

    pub fn repository_named(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| self.full_name(repository).eq_ignore_ascii_case(full_name))
    }

    pub fn issue(&self, repository: i64, number: i64) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.repository == repository && issue.number == number)
    }

    /// What a user may do; everybody may read what is public.
    pub fn role(&self, repository: &Repository, user: i64) -> Option<Role> {
        if repository.owner == user {
            return Some(Role::Admin);
        }
        let public = (!repository.private).then_some(Role::Read);
        self.roles.get(&(repository.id, user)).copied().or(public)
    }

    /// What somebody was given in a repository, beside what everybody may.
    pub fn explicit_role(&self, repository: &Repository, user: i64) -> Option<Role> {
        if repository.owner == user { Some(Role::Admin) } else { self.roles.get(&(repository.id, user)).copied() }
    }

    /// Whether an installation covers a repository.
    pub fn covers(&self, installation: &Installation, repository: &Repository) -> bool {
        installation.account == repository.owner
            && installation.selected.as_ref().is_none_or(|ids| ids.contains(&repository.id))
    }

    /// The installations that hear of what happens in a repository.
    pub fn listeners(&self, repository: &Repository) -> Vec<Installation> {
        let hears = |i: &&Installation| i.suspended.is_none() && self.covers(i, repository);
        self.installations.iter().filter(hears).cloned().collect()
    }
}
