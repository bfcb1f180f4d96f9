//! GitHub's payloads, field by field, and what they mean. Fields that are not used are not read.

use super::{Account, Comment, Delivery, Event, EventError, Installation, Repository};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, Visitor},
};
use std::fmt;

pub(super) fn understand(event: &str, text: &str) -> Result<Delivery, EventError> {
    let known: Known = read(event, text)?;
    let action = known.action.map(|action| action.0);
    let meaning = match event {
        "ping" => Event::Ping,
        "issue_comment" => comment(event, action.as_deref(), text)?,
        "installation" => installation(event, action.as_deref(), text)?,
        "installation_repositories" => repositories(event, action.as_deref(), text)?,
        "installation_target" => target(event, action.as_deref(), text)?,
        "member" | "membership" | "organization" | "team" | "team_add" => membership(event, text)?,
        "github_app_authorization" => authorization(event, action.as_deref(), text)?,
        "repository" => repository(event, action.as_deref(), text)?,
        _ => Event::Ignored(format!("nothing is done about `{event}`")),
    };
    let (installation, comment) = (known.installation.map(|it| it.id), known.comment.map(|it| it.id));
    let sender = known.sender.and_then(|it| it.login).map(|login| login.0);
    Ok(Delivery { event: meaning, action, installation, comment, sender })
}

fn comment(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    if action != Some("created") {
        return unheeded(event, action, "only a new comment is a command");
    }
    let told: CommentTold = read(event, text)?;
    let Some(installation) = told.installation else {
        return Ok(Event::Ignored("it names no installation, so it does not come from the App's own webhook".into()));
    };
    let Some(author) = told.comment.user else {
        return Ok(Event::Ignored("the account that wrote the comment is gone".into()));
    };
    let author = Account::from(author);
    Ok(Event::Comment(Box::new(Comment {
        installation: installation.id,
        repository: told.repository.try_into().map_err(|reason| malformed(event, reason))?,
        issue: told.issue.number,
        locked: told.issue.locked,
        id: told.comment.id,
        body: told.comment.body.0,
        by_machine: author.kind == "Bot" || told.comment.performed_via_github_app.is_some(),
        author,
    })))
}

fn installation(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    match action {
        Some("created" | "new_permissions_accepted" | "unsuspend") => {
            let told: InstallationTold = read(event, text)?;
            let repositories = list(event, told.repositories)?;
            // An old payload of `unsuspend` may still carry the moment of the suspension.
            let suspended = action == Some("created") && told.installation.suspended_at.is_some();
            Ok(Event::Installed(Installation { suspended, ..told.installation.with(told.sender) }, repositories))
        }
        Some("suspend") => {
            let told: InstallationTold = read(event, text)?;
            Ok(Event::Suspended(Installation { suspended: true, ..told.installation.with(told.sender) }))
        }
        Some("deleted") => {
            let told: NumberedTold = read(event, text)?;
            Ok(Event::Uninstalled { installation: told.installation.id })
        }
        _ => unheeded(event, action, "it changes nothing"),
    }
}

fn repositories(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    if !matches!(action, Some("added" | "removed")) {
        return unheeded(event, action, "it changes nothing");
    }
    let told: RepositoriesTold = read(event, text)?;
    Ok(Event::RepositoriesChanged {
        installation: told.installation.with(told.sender),
        added: list(event, told.repositories_added)?,
        removed: told.repositories_removed.into_iter().map(|repository| repository.id).collect(),
    })
}

fn target(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    if action != Some("renamed") {
        return unheeded(event, action, "it changes nothing");
    }
    let told: NumberedTold = read(event, text)?;
    Ok(Event::AccountRenamed { installation: told.installation.id })
}

fn repository(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    match action {
        Some("deleted") => {
            let told: RepositoryDeletedTold = read(event, text)?;
            Ok(Event::RepositoryDeleted { repository: told.repository.id })
        }
        // All say how the repository is now; `edited` may change the default branch.
        Some(
            "renamed" | "transferred" | "privatized" | "publicized" | "archived" | "unarchived" | "edited" | "created",
        ) => {
            let told: RepositoryTold = read(event, text)?;
            let repository = told.repository.try_into().map_err(|reason| malformed(event, reason))?;
            Ok(Event::RepositoryChanged { installation: told.installation.map(|it| it.id), repository })
        }
        _ => unheeded(event, action, "it changes nothing"),
    }
}

/// People and teams come and go: whatever it was, GitHub is asked anew who sees what.
fn membership(event: &str, text: &str) -> Result<Event, EventError> {
    let told: MembershipTold = read(event, text)?;
    let number = |it: Option<Numbered>| it.map(|it| it.id);
    // A team may reach more than the repository that the delivery names.
    let repository = number(told.repository).filter(|_| event == "member");
    Ok(Event::MembershipChanged { repository, installation: number(told.installation) })
}

fn authorization(event: &str, action: Option<&str>, text: &str) -> Result<Event, EventError> {
    if action != Some("revoked") {
        return unheeded(event, action, "it changes nothing");
    }
    let told: AuthorizationTold = read(event, text)?;
    Ok(Event::AuthorizationRevoked { user: told.sender.id })
}

/// An action that is not acted on; none at all is no delivery of GitHub's.
fn unheeded(event: &str, action: Option<&str>, why: &str) -> Result<Event, EventError> {
    let action = action.ok_or_else(|| malformed(event, "missing field `action`".into()))?;
    Ok(Event::Ignored(format!("`{event}` `{action}`: {why}")))
}

fn malformed(event: &str, reason: String) -> EventError {
    EventError::Malformed { event: event.to_owned(), reason }
}

fn read<T: DeserializeOwned>(event: &str, text: &str) -> Result<T, EventError> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => malformed(event, error.to_string()),
        _ => EventError::NotJson(error.to_string()),
    })
}

fn list(event: &str, repositories: Vec<RepositoryField>) -> Result<Vec<Repository>, EventError> {
    let read = repositories.into_iter().map(Repository::try_from);
    read.collect::<Result<_, _>>().map_err(|reason| malformed(event, reason))
}

/// Any text of JSON. An escaped half of a surrogate pair is legal there and in no Rust string: such
/// bytes become U+FFFD instead of a refusal.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Lossy;
        impl Visitor<'_> for Lossy {
            type Value = Text;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        // serde_json gives half a pair as WTF-8 to whoever asks for bytes.
        deserializer.deserialize_bytes(Lossy)
    }
}

#[derive(Deserialize)]
struct Known {
    action: Option<Text>,
    installation: Option<Numbered>,
    comment: Option<Numbered>,
    sender: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    login: Option<Text>,
}

#[derive(Deserialize)]
struct Numbered {
    id: i64,
}

#[derive(Deserialize)]
struct MembershipTold {
    repository: Option<Numbered>,
    installation: Option<Numbered>,
}

#[derive(Deserialize)]
struct AuthorizationTold {
    sender: Numbered,
}

#[derive(Deserialize)]
struct CommentTold {
    installation: Option<Numbered>,
    repository: RepositoryField,
    issue: IssueField,
    comment: CommentField,
}

#[derive(Deserialize)]
struct IssueField {
    number: i64,
    #[serde(default)]
    locked: bool,
}

#[derive(Deserialize)]
struct CommentField {
    id: i64,
    body: Text,
    user: Option<AccountField>,
    performed_via_github_app: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct AccountField {
    id: i64,
    // An enterprise has a slug and no login.
    #[serde(alias = "slug")]
    login: Text,
    #[serde(rename = "type")]
    kind: Option<Text>,
}

impl From<AccountField> for Account {
    fn from(field: AccountField) -> Self {
        Self { id: field.id, login: field.login.0, kind: field.kind.map_or_else(|| "Enterprise".into(), |kind| kind.0) }
    }
}

#[derive(Deserialize)]
struct InstallationTold {
    installation: InstallationField,
    #[serde(default)]
    repositories: Vec<RepositoryField>,
    sender: Option<AccountField>,
}

#[derive(Deserialize)]
struct NumberedTold {
    installation: Numbered,
}

#[derive(Deserialize)]
struct InstallationField {
    id: i64,
    account: AccountField,
    #[serde(default)]
    permissions: serde_json::Value,
    suspended_at: Option<serde::de::IgnoredAny>,
}

impl InstallationField {
    fn with(self, sender: Option<AccountField>) -> Installation {
        Installation {
            id: self.id,
            account: self.account.into(),
            permissions: self.permissions,
            suspended: self.suspended_at.is_some(),
            sender: sender.map(Account::from),
        }
    }
}

#[derive(Deserialize)]
struct RepositoriesTold {
    installation: InstallationField,
    repositories_added: Vec<RepositoryField>,
    repositories_removed: Vec<Numbered>,
    sender: Option<AccountField>,
}

#[derive(Deserialize)]
struct RepositoryTold {
    installation: Option<Numbered>,
    repository: RepositoryField,
}

#[derive(Deserialize)]
struct RepositoryDeletedTold {
    repository: Numbered,
}

#[derive(Deserialize)]
struct RepositoryField {
    id: i64,
    full_name: Text,
    private: bool,
    #[serde(default)]
    archived: bool,
    default_branch: Option<Text>,
}

impl TryFrom<RepositoryField> for Repository {
    type Error = String;

    fn try_from(field: RepositoryField) -> Result<Self, String> {
        // The short form of an installation's list has no owner but in this.
        let (owner, name) = field
            .full_name
            .0
            .split_once('/')
            .ok_or_else(|| "`repository.full_name` is not of the form owner/name".to_owned())?;
        Ok(Self {
            id: field.id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            private: field.private,
            archived: field.archived,
            default_branch: field.default_branch.map(|branch| branch.0),
        })
    }
}
