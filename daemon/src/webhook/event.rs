//! What GitHub tells, as our own types: only what is used, and nothing that is not there.
//!
//! Pure. The shapes are GitHub's webhook payloads (docs.github.com, "Webhook events and payloads").

/// A delivery that means something to the bot.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// GitHub tries whether anybody is there.
    Ping,
    /// Somebody wrote a comment on an issue or a pull request.
    Comment(Box<Comment>),
    /// The App was installed, or its permissions were accepted anew, or it works again.
    Installed(Installation, Vec<Repository>),
    /// The installation is gone, with everything that belongs to it.
    Uninstalled {
        /// GitHub's number of it.
        installation: i64,
    },
    /// The installation works no more until it is unsuspended.
    Suspended(Installation),
    /// Repositories came to the installation, or left it.
    RepositoriesChanged {
        /// The installation.
        installation: Installation,
        /// Those that came.
        added: Vec<Repository>,
        /// GitHub's numbers of those that left.
        removed: Vec<i64>,
    },
    /// The account has another login.
    AccountRenamed {
        /// The installation.
        installation: i64,
        /// GitHub's number of the account.
        account: i64,
        /// Its login now.
        login: String,
    },
    /// A repository was renamed, moved, archived, or its visibility changed: this is how it is now.
    RepositoryChanged {
        /// GitHub's number of the installation, where the delivery names one.
        installation: Option<i64>,
        /// The repository as it is now.
        repository: Repository,
    },
    /// A repository is gone.
    RepositoryDeleted {
        /// GitHub's number of it.
        repository: i64,
    },
    /// Nothing to do, and why.
    Ignored(String),
}

/// A comment that was just written.
#[derive(Debug, Clone, PartialEq)]
pub struct Comment {
    /// GitHub's number of the installation.
    pub installation: i64,
    /// Where it stands.
    pub repository: Repository,
    /// The issue's or pull request's number.
    pub issue: i64,
    /// Whether the issue is locked for those without write permission.
    pub locked: bool,
    /// GitHub's number of the comment.
    pub id: i64,
    /// What it says.
    pub body: String,
    /// Who wrote it.
    pub author: Account,
    /// Whether an App or a bot wrote it: such are not listened to.
    pub by_machine: bool,
}

/// An account of GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// GitHub's number of it.
    pub id: i64,
    /// Its name.
    pub login: String,
    /// `User` or `Organization` (or `Bot`).
    pub kind: String,
}

/// An installation of the App.
#[derive(Debug, Clone, PartialEq)]
pub struct Installation {
    /// GitHub's number of it.
    pub id: i64,
    /// On whose repositories.
    pub account: Account,
    /// What it may do: permission name to `read` or `write`.
    pub permissions: serde_json::Value,
    /// Whether it is suspended.
    pub suspended: bool,
    /// Who installed it, where the delivery says so.
    pub sender: Option<Account>,
}

/// A repository as a delivery describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// GitHub's number of it.
    pub id: i64,
    /// The owner's login.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Whether it can be written to.
    pub archived: bool,
    /// Its main branch, where the delivery says so.
    pub default_branch: Option<String>,
}

/// Why a body is no delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The text is not JSON.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// A field that GitHub always sends is missing or of another type.
    #[error("the body of `{event}` lacks what GitHub documents: {reason}")]
    Malformed {
        /// The event's name.
        event: String,
        /// Which field.
        reason: String,
    },
}

/// Reads a delivery: `event` is `X-GitHub-Event`.
///
/// # Errors
/// [`EventError`]; an event or action that the bot does not know is [`Event::Ignored`], not an error.
pub fn parse(_event: &str, _body: &[u8]) -> Result<Event, EventError> {
    unimplemented!()
}
