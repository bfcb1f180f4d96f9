//! What GitHub tells, as our own types: only what is used, and nothing that is not there.
//!
//! Pure. The shapes are GitHub's webhook payloads (docs.github.com, "Webhook events and payloads").

mod payload;
#[cfg(test)]
mod tests;

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
    /// The account has another login, which GitHub tells.
    AccountRenamed {
        /// The installation.
        installation: i64,
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
    /// Somebody's right to a repository, or to all of an installation, may not be what it was.
    MembershipChanged {
        /// GitHub's number of the repository; none: all of them.
        repository: Option<i64>,
        /// GitHub's number of the installation, where the delivery names one.
        installation: Option<i64>,
    },
    /// A user took back what was authorized when signing in.
    AuthorizationRevoked {
        /// GitHub's number of the user.
        user: i64,
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

/// A delivery as it was read, with what the inbox keeps of it in columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// What it means.
    pub event: Event,
    /// The payload's `action`, where it has one.
    pub action: Option<String>,
    /// GitHub's number of the installation, where it names one.
    pub installation: Option<i64>,
    /// GitHub's number of the comment, where there is one.
    pub comment: Option<i64>,
    /// The login of who did it, where it says so.
    pub sender: Option<String>,
}

/// Reads a delivery: `event` is `X-GitHub-Event`.
///
/// # Errors
/// [`EventError`]; an event or action that the bot does not know is [`Event::Ignored`], not an error.
pub fn parse(event: &str, body: &[u8]) -> Result<Event, EventError> {
    read(event, body).map(|delivery| delivery.event)
}

/// The same, with the columns of the inbox.
///
/// # Errors
/// As [`parse`].
pub fn read(event: &str, body: &[u8]) -> Result<Delivery, EventError> {
    let text = std::str::from_utf8(body).map_err(|error| EventError::NotJson(error.to_string()))?;
    refuse_depth(text)?;
    payload::understand(event, text)
}

/// How deep objects and arrays may be nested: `serde_json`'s own limit, which it does not apply to
/// what it skips.
const DEEPEST: usize = 128;

fn refuse_depth(text: &str) -> Result<(), EventError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(EventError::NotJson(format!("it is nested deeper than {DEEPEST} levels")));
        }
    }
    Ok(())
}
