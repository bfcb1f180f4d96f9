//! A repository: what it is now, who may do what in it, its files, and what git reads it with.

use super::{
    Call, CloneToken, Github, GithubError, Inner, Permission, Permissions, RepositoryInfo, RepositoryRef,
    app::{named, part, parts, path_of},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::Value;

const METADATA: Permissions = &[("metadata", "read")];
const CONTENTS: Permissions = &[("contents", "read")];

#[derive(Deserialize)]
struct Granted {
    permission: String,
    role_name: String,
    user: Option<Collaborator>,
}

#[derive(Deserialize)]
struct Collaborator {
    id: i64,
    permissions: Option<Flags>,
}

#[derive(Deserialize)]
pub(super) struct Flags {
    #[serde(default)]
    pull: bool,
    #[serde(default)]
    triage: bool,
    #[serde(default)]
    push: bool,
    #[serde(default)]
    maintain: bool,
    #[serde(default)]
    admin: bool,
}

#[derive(Deserialize)]
struct Described {
    id: i64,
    name: String,
    owner: Owner,
    private: bool,
    archived: bool,
    default_branch: String,
    clone_url: String,
}

#[derive(Deserialize)]
struct Owner {
    login: String,
}

impl Github {
    /// What the user with this number, last seen as `login`, may do in the repository; [`Permission::None`]
    /// for somebody GitHub does not know, and where the login is somebody else's by now.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn permission(
        &self,
        repository: &RepositoryRef,
        login: &str,
        id: i64,
    ) -> Result<Permission, GithubError> {
        let call = Call::get(
            "get_permission",
            format!("asking what {login} may do in {}", named(repository)),
            format!("{}/collaborators/{}/permission", path_of(repository), part(login)),
        );
        match self.ask(repository, METADATA, &call).await {
            Ok(answer) => answer.json().map(|granted: Granted| granted.permission_of(id)),
            Err(GithubError::NotFound { .. }) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    /// The repository as it is now.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn repository(&self, repository: &RepositoryRef) -> Result<RepositoryInfo, GithubError> {
        let doing = format!("looking at {}", named(repository));
        let call = Call::get("get_repository", doing, path_of(repository));
        let described: Described = self.ask(repository, METADATA, &call).await?.json()?;
        Ok(RepositoryInfo {
            id: described.id,
            owner: described.owner.login,
            name: described.name,
            private: described.private,
            archived: described.archived,
            default_branch: described.default_branch,
            clone_url: described.clone_url,
        })
    }

    /// A small file of the default branch; `None` when there is none.
    ///
    /// # Errors
    /// [`GithubError::Refused`] for one that is larger than GitHub shows (1 MB) or no text.
    pub async fn file(&self, repository: &RepositoryRef, path: &str) -> Result<Option<String>, GithubError> {
        let call = Call::get(
            "get_content",
            format!("reading {path} of {}", named(repository)),
            format!("{}/contents/{}", path_of(repository), parts(path)),
        );
        let found: Value = match self.ask(repository, CONTENTS, &call).await {
            Ok(answer) => answer.json()?,
            Err(GithubError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        // A folder is a list; a symbolic link out of the repository and a submodule are no files.
        if found.get("type").and_then(Value::as_str) != Some("file") {
            return Ok(None);
        }
        let refused = |message: &str| GithubError::Refused {
            doing: call.doing.clone(),
            status: 200,
            message: message.to_owned(),
        };
        let text = |name| found.get(name).and_then(Value::as_str);
        let (Some("base64"), Some(content)) = (text("encoding"), text("content")) else {
            return Err(refused("the file is larger than 1 MB"));
        };
        let packed: String = content.split_ascii_whitespace().collect();
        let bytes = BASE64_STANDARD
            .decode(packed)
            .map_err(|error| GithubError::Misunderstood { doing: call.doing.clone(), reason: error.to_string() })?;
        String::from_utf8(bytes).map(Some).map_err(|_| refused("the file is not UTF-8"))
    }

    /// A token with which git reads this repository.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn clone_token(&self, repository: &RepositoryRef) -> Result<CloneToken, GithubError> {
        let Inner { client, app, tokens } = &*self.inner;
        Ok(CloneToken { token: tokens.get(client, app, repository, CONTENTS).await? })
    }

    /// Git was refused with this token: the next [`Github::clone_token`] is another one.
    pub async fn forget_clone_token(&self, repository: &RepositoryRef, token: &CloneToken) {
        self.inner.tokens.forget(repository, CONTENTS, &token.token).await;
    }
}

impl Granted {
    fn permission_of(&self, id: i64) -> Permission {
        let somebody_else = self.user.as_ref().is_some_and(|user| user.id != id);
        if somebody_else { Permission::None } else { self.permission() }
    }

    /// The most that any of GitHub's three ways to say it grants: `permission` knows no `triage` and
    /// `maintain`, `role_name` may be a name of the organization's own.
    fn permission(&self) -> Permission {
        let flags = self.user.as_ref().and_then(|user| user.permissions.as_ref()).map(Flags::permission);
        role(&self.permission).max(role(&self.role_name)).max(flags.unwrap_or(Permission::None))
    }
}

impl Flags {
    pub(super) fn permission(&self) -> Permission {
        let all = [
            (self.admin, Permission::Admin),
            (self.maintain, Permission::Maintain),
            (self.push, Permission::Write),
            (self.triage, Permission::Triage),
            (self.pull, Permission::Read),
        ];
        all.into_iter().find(|(has, _)| *has).map_or(Permission::None, |(_, permission)| permission)
    }
}

fn role(name: &str) -> Permission {
    match name {
        "admin" => Permission::Admin,
        "maintain" => Permission::Maintain,
        "write" => Permission::Write,
        "triage" => Permission::Triage,
        "read" => Permission::Read,
        _ => Permission::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(text: &str) -> Permission {
        serde_json::from_str::<Granted>(text).unwrap().permission()
    }

    #[test]
    fn the_three_ways_to_say_a_permission_agree() {
        let said = |permission: &str, role: &str| {
            granted(&format!(r#"{{"permission":"{permission}","role_name":"{role}","user":null}}"#))
        };
        assert_eq!(said("write", "write"), Permission::Write);
        assert_eq!(said("write", "maintain"), Permission::Maintain);
        assert_eq!(said("read", "triage"), Permission::Triage);
        assert_eq!(said("read", "security-people"), Permission::Read);
        assert_eq!(said("none", "none"), Permission::None);
        let flags = r#"{"permission":"read","role_name":"own","user":{"login":"x","id":7,
            "permissions":{"pull":true,"triage":true,"push":false,"maintain":false,"admin":false}}}"#;
        assert_eq!(granted(flags), Permission::Triage);
        let of = |id| serde_json::from_str::<Granted>(flags).unwrap().permission_of(id);
        assert_eq!((of(7), of(8)), (Permission::Triage, Permission::None), "the login is another person's now");
        assert!(Permission::Write > Permission::Triage && Permission::Read > Permission::None);
    }
}
