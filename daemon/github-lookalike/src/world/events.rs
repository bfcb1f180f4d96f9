//! What happens in the world and is told to the Apps: comments, and the life of installations and repositories.
//! Each changes the state first and then delivers the webhook, whose body is as GitHub's recorded ones.

use super::World;
use super::state::{Comment, Installation, Outgoing, Permissions, Repository, State};
use crate::{keys, render};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};

/// A comment that somebody wrote, after its webhooks were answered.
#[derive(Debug, Clone, Copy)]
pub struct Posted {
    /// The comment's number.
    pub id: i64,
    /// How many webhooks it made.
    pub webhooks: usize,
}

impl World {
    /// `user` writes a comment; returns when every App that hears of it has answered its webhook (or it was held back).
    ///
    /// # Errors
    /// When the repository or issue is unknown.
    pub async fn comment(&self, user: &str, repository: &str, issue: i64, body: &str) -> anyhow::Result<Posted> {
        let repository = self.repository(repository)?;
        let user = self.add_user(user);
        self.read().issue(repository.id, issue).with_context(|| format!("there is no issue {issue}"))?;
        let comment = self.change(|state| write_comment(state, repository.id, issue, user, None, body));
        let webhooks = self.webhooks_of(&comment);
        let posted = Posted { id: comment.id, webhooks: webhooks.len() };
        self.deliver_all(webhooks).await;
        Ok(posted)
    }

    /// The `issue_comment.created` webhooks that a comment makes.
    pub(crate) fn webhooks_of(&self, comment: &Comment) -> Vec<Outgoing> {
        let state = self.read();
        let Some(repository) = state.repository(comment.repository) else { return Vec::new() };
        let Some(issue) = state.issue(comment.repository, comment.issue) else { return Vec::new() };
        let payload = json!({
            "action": "created",
            "issue": render::issue(&state, repository, issue),
            "comment": render::comment(&state, repository, comment),
        });
        state
            .listeners(repository)
            .iter()
            .map(|installation| {
                about_repository(&state, installation, repository, "issue_comment", &payload, comment.user)
            })
            .collect()
    }

    /// Sends the `ping` that GitHub sends when a webhook is configured.
    ///
    /// # Errors
    /// When the App is unknown.
    pub async fn ping(&self, app: i64) -> anyhow::Result<()> {
        let outgoing = {
            let state = self.read();
            let app = state.app(app).context("the world has no such App")?;
            let body = json!({
                "zen": "Anything added dilutes everything else.",
                "hook_id": app.id,
                "hook": {
                    "type": "App", "id": app.id, "name": "web", "active": true, "app_id": app.id, "events": render::EVENTS,
                    "config": {"content_type": "json", "url": app.webhook_url, "insecure_ssl": "0", "secret": "********"},
                    "updated_at": render::time(app.created_at), "created_at": render::time(app.created_at),
                    "deliveries_url": format!("{}/app/hook/deliveries", state.url),
                },
            });
            outgoing(app.id, "ping", None, None, None, &body)
        };
        self.deliver(outgoing).await;
        Ok(())
    }

    /// Sends `installation.created` for an installation that [`World::install`] made.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn announce_installation(&self, installation: i64) -> anyhow::Result<()> {
        self.tell_installation(installation, "created").await
    }

    /// The account's owner suspends the App: its tokens are refused from now on.
    ///
    /// # Errors
    /// When the installation is unknown.
    pub async fn suspend(&self, installation: i64) -> anyhow::Result<()> {
        self.change_installation(installation, |i, now| i.suspended = Some((now, i.account)))?;
        self.tell_installation(installation, "suspend").await
    }

    /// Takes a suspension back.
    ///
    /// # Errors
    /// When the installation is unknown.
    pub async fn unsuspend(&self, installation: i64) -> anyhow::Result<()> {
        self.change_installation(installation, |i, _| i.suspended = None)?;
        self.tell_installation(installation, "unsuspend").await
    }

    /// Grants permissions and tells the App with `new_permissions_accepted`.
    ///
    /// # Errors
    /// When the installation is unknown.
    pub async fn accept_permissions(&self, installation: i64, permissions: &[(&str, &str)]) -> anyhow::Result<()> {
        let granted: Permissions = permissions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.change_installation(installation, |i, _| i.permissions = granted)?;
        self.tell_installation(installation, "new_permissions_accepted").await
    }

    /// Removes the App from the account; its tokens are worth nothing from now on.
    ///
    /// # Errors
    /// When the installation is unknown.
    pub async fn uninstall(&self, installation: i64) -> anyhow::Result<()> {
        let outgoing = self.installation_webhook(installation, "deleted", None)?;
        self.change(|state| {
            state.installations.retain(|i| i.id != installation);
            state.tokens.retain(|token| token.installation != installation);
        });
        self.deliver(outgoing).await;
        Ok(())
    }

    /// Chooses one more repository for the App.
    ///
    /// # Errors
    /// When something is unknown.
    pub async fn add_to_installation(&self, installation: i64, repository: &str) -> anyhow::Result<()> {
        self.change_selection(installation, repository, true).await
    }

    /// Takes a repository away from the App.
    ///
    /// # Errors
    /// When something is unknown.
    pub async fn remove_from_installation(&self, installation: i64, repository: &str) -> anyhow::Result<()> {
        self.change_selection(installation, repository, false).await
    }

    async fn change_selection(&self, installation: i64, repository: &str, added: bool) -> anyhow::Result<()> {
        let repository = self.repository(repository)?;
        let all: Vec<i64> = {
            let state = self.read();
            let account = state.installation(installation).context("the world has no such installation")?.account;
            state.repositories.iter().filter(|r| r.owner == account).map(|r| r.id).collect()
        };
        self.change_installation(installation, |i, _| {
            let mut ids = i.selected.take().unwrap_or(all);
            ids.retain(|id| *id != repository.id);
            if added {
                ids.push(repository.id);
            }
            i.selected = Some(ids);
        })?;
        let outgoing = {
            let state = self.read();
            let installed = state.installation(installation).context("the world has no such installation")?;
            let named = vec![render::short_repository(&state, &repository)];
            let (action, plus, minus) = if added { ("added", named, vec![]) } else { ("removed", vec![], named) };
            let body = json!({
                "action": action,
                "installation": render::installation(&state, installed, true),
                "repository_selection": "selected",
                "repositories_added": plus,
                "repositories_removed": minus,
                "requester": null,
                "sender": render::user(&state, installed.account),
            });
            outgoing(installed.app, "installation_repositories", Some(action), Some(installation), None, &body)
        };
        self.deliver(outgoing).await;
        Ok(())
    }

    /// An account gets another login; its repositories' former names redirect.
    ///
    /// # Errors
    /// When the account is unknown.
    pub async fn rename_account(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let account = self.read().user_named(from).context("the world has no such account")?.id;
        self.change(|state| {
            let ids: Vec<i64> = state.repositories.iter().filter(|r| r.owner == account).map(|r| r.id).collect();
            for id in ids {
                remember_name(state, id);
            }
            if let Some(user) = state.users.iter_mut().find(|user| user.id == account) {
                user.login = to.to_owned();
            }
        });
        let outgoing: Vec<Outgoing> = {
            let state = self.read();
            let on_account = state.installations.iter().filter(|i| i.account == account);
            let told = on_account.map(|i| {
                let body = json!({
                    "action": "renamed",
                    "account": render::user(&state, account),
                    "changes": {"login": {"from": from}},
                    "installation": installation_stub(i.id),
                    "target_type": state.user(account).map_or("User", |user| user.kind),
                    "sender": render::user(&state, account),
                });
                outgoing(i.app, "installation_target", Some("renamed"), Some(i.id), None, &body)
            });
            told.collect()
        };
        self.deliver_all(outgoing).await;
        Ok(())
    }

    /// Renames a repository; the former name redirects.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn rename_repository(&self, repository: &str, name: &str) -> anyhow::Result<()> {
        let before = self.repository(repository)?;
        let changes = json!({"repository": {"name": {"from": before.name}}});
        self.change_repository(before.id, |r| r.name = name.to_owned(), "renamed", Some(changes)).await
    }

    /// Gives a repository to another account; the former name redirects.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn transfer_repository(&self, repository: &str, to: &str) -> anyhow::Result<()> {
        let before = self.repository(repository)?;
        let to = self.add_user(to);
        let changes = json!({"owner": {"from": {"user": render::user(&self.read(), before.owner)}}});
        self.change_repository(before.id, |r| r.owner = to, "transferred", Some(changes)).await
    }

    /// Makes a repository private or public.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn set_private(&self, repository: &str, private: bool) -> anyhow::Result<()> {
        let id = self.repository(repository)?.id;
        let action = if private { "privatized" } else { "publicized" };
        self.change_repository(id, |r| r.private = private, action, None).await
    }

    /// Archives a repository: it is read-only from now on.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn archive(&self, repository: &str) -> anyhow::Result<()> {
        let id = self.repository(repository)?.id;
        self.change_repository(id, |r| r.archived = true, "archived", None).await
    }

    /// Deletes a repository with its issues and its git directory.
    ///
    /// # Errors
    /// When it is unknown.
    pub async fn delete_repository(&self, repository: &str) -> anyhow::Result<()> {
        let gone = self.repository(repository)?;
        let outgoing = self.repository_webhooks(gone.id, "deleted", None);
        self.change(|state| {
            state.repositories.retain(|r| r.id != gone.id);
            state.issues.retain(|issue| issue.repository != gone.id);
            state.comments.retain(|comment| comment.repository != gone.id);
        });
        std::fs::remove_dir_all(&gone.git_dir).context("the repository's folder could not be removed")?;
        self.deliver_all(outgoing).await;
        Ok(())
    }

    async fn change_repository(
        &self,
        id: i64,
        change: impl FnOnce(&mut Repository),
        action: &str,
        changes: Option<Value>,
    ) -> anyhow::Result<()> {
        self.change(|state| {
            remember_name(state, id);
            state.repositories.iter_mut().find(|r| r.id == id).map(change);
            // A name that is taken again is nobody's former name.
            let now = state.repository(id).map(|r| state.full_name(r).to_lowercase());
            now.map(|name| state.former_names.remove(&name));
        });
        self.deliver_all(self.repository_webhooks(id, action, changes)).await;
        Ok(())
    }

    fn repository_webhooks(&self, id: i64, action: &str, changes: Option<Value>) -> Vec<Outgoing> {
        let state = self.read();
        let Some(repository) = state.repository(id) else { return Vec::new() };
        let mut payload = json!({"action": action});
        if let Some(changes) = changes {
            payload["changes"] = changes;
        }
        let about =
            |i: &Installation| about_repository(&state, i, repository, "repository", &payload, repository.owner);
        state.listeners(repository).iter().map(about).collect()
    }

    fn change_installation(
        &self,
        id: i64,
        change: impl FnOnce(&mut Installation, chrono::DateTime<chrono::Utc>),
    ) -> anyhow::Result<()> {
        self.change(|state| {
            let now = state.now();
            let installation = state.installations.iter_mut().find(|i| i.id == id);
            installation.map(|i| change(i, now)).ok_or_else(|| anyhow!("the world has no installation {id}"))
        })
    }

    async fn tell_installation(&self, installation: i64, action: &str) -> anyhow::Result<()> {
        let outgoing = self.installation_webhook(installation, action, None)?;
        self.deliver(outgoing).await;
        Ok(())
    }

    /// `by` is who did it; without one the account itself.
    pub(crate) fn installation_webhook(&self, id: i64, action: &str, by: Option<i64>) -> anyhow::Result<Outgoing> {
        let state = self.read();
        let installation = state.installation(id).with_context(|| format!("the world has no installation {id}"))?;
        let mut body = json!({
            "action": action,
            "installation": render::installation(&state, installation, true),
            "sender": render::user(&state, by.unwrap_or(installation.account)),
        });
        if matches!(action, "created" | "deleted") {
            let covered = state.repositories.iter().filter(|r| state.covers(installation, r));
            body["repositories"] = covered.map(|r| render::short_repository(&state, r)).collect();
        }
        if action == "created" {
            body["requester"] = Value::Null;
        }
        Ok(outgoing(installation.app, "installation", Some(action), Some(id), None, &body))
    }
}

/// Adds a comment to the state.
pub(crate) fn write_comment(
    state: &mut State,
    repository: i64,
    issue: i64,
    user: i64,
    app: Option<i64>,
    body: &str,
) -> Comment {
    let (id, now) = (state.next_id(), state.now());
    let comment = Comment {
        id,
        repository,
        issue,
        user,
        app,
        body: body.to_owned(),
        history: vec![body.to_owned()],
        created_at: now,
        updated_at: now,
    };
    state.comments.push(comment.clone());
    comment
}

fn remember_name(state: &mut State, id: i64) {
    if let Some(name) = state.repository(id).map(|r| state.full_name(r).to_lowercase()) {
        state.former_names.insert(name, id);
    }
}

fn installation_stub(id: i64) -> Value {
    use base64::Engine as _;
    let node = base64::engine::general_purpose::STANDARD.encode(format!("023:IntegrationInstallation{id}"));
    json!({"id": id, "node_id": node})
}

pub(super) fn about_repository(
    state: &State,
    installation: &Installation,
    repository: &Repository,
    event: &str,
    payload: &Value,
    sender: i64,
) -> Outgoing {
    let mut body = payload.clone();
    body["repository"] = render::repository(state, repository);
    if let Some(owner) = state.user(repository.owner).filter(|owner| owner.kind == "Organization") {
        body["organization"] = organization(&state.url, owner.id, &owner.login);
    }
    body["sender"] = render::user(state, sender);
    body["installation"] = installation_stub(installation.id);
    let action = payload["action"].as_str().map(str::to_owned);
    outgoing(installation.app, event, action.as_deref(), Some(installation.id), Some(repository.id), &body)
}

fn organization(base: &str, id: i64, login: &str) -> Value {
    let api = format!("{base}/orgs/{login}");
    json!({
        "login": login, "id": id, "node_id": format!("O_{id}"), "url": api, "repos_url": format!("{api}/repos"),
        "events_url": format!("{api}/events"), "hooks_url": format!("{api}/hooks"), "issues_url": format!("{api}/issues"),
        "members_url": format!("{api}/members{{/member}}"),
        "public_members_url": format!("{api}/public_members{{/member}}"),
        "avatar_url": format!("{base}/avatars/u/{id}?v=4"), "description": "",
    })
}

pub(super) fn outgoing(
    app: i64,
    event: &str,
    action: Option<&str>,
    installation: Option<i64>,
    repository: Option<i64>,
    body: &Value,
) -> Outgoing {
    Outgoing {
        guid: keys::guid(),
        app,
        event: event.to_owned(),
        action: action.map(str::to_owned),
        installation,
        repository,
        redelivery: false,
        body: body.to_string(),
    }
}
