//! Who is signed in where: OAuth Apps, and what becomes of users' tokens.

use super::World;
use super::events::{about_repository, outgoing};
use super::state::OAuthApp;
use crate::{keys, render};
use anyhow::Context;
use chrono::TimeDelta;
use serde_json::json;

/// What a new OAuth App gets.
#[derive(Debug, Clone)]
pub struct NewOAuthApp {
    /// Its client id.
    pub client_id: String,
    /// What it proves itself with.
    pub client_secret: String,
}

impl World {
    /// Where those who sign in to an App are sent back to; addresses below it are taken, too.
    pub fn set_callback_url(&self, app: i64, url: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.callback_url = Some(url.to_owned());
            }
        });
    }

    /// Where those who installed an App on its page are sent to.
    pub fn set_setup_url(&self, app: i64, url: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.setup_url = Some(url.to_owned());
            }
        });
    }

    /// Registers an OAuth App, whose users' tokens see no installations and do not expire.
    pub fn add_oauth_app(&self, name: &str, callback_url: &str) -> NewOAuthApp {
        self.change(|state| {
            let new = NewOAuthApp {
                client_id: format!("Ov23li{:014}", state.next_id()),
                client_secret: keys::random_hex(20),
            };
            state.oauth_apps.push(OAuthApp {
                name: name.to_owned(),
                client_id: new.client_id.clone(),
                client_secret: new.client_secret.clone(),
                callback_url: callback_url.to_owned(),
            });
            new
        })
    }

    /// How long Apps' user tokens given out from now on live instead of eight hours.
    pub fn set_user_token_life(&self, life: TimeDelta) {
        self.change(|state| state.user_token_life = Some(life));
    }

    /// Whether Apps' user tokens given out from now on expire, and come with refresh tokens.
    pub fn set_user_tokens_expire(&self, expire: bool) {
        self.change(|state| state.user_tokens_expire = expire);
    }

    /// The user's tokens are refused from now on, but not their refresh tokens: as if they had expired.
    pub fn expire_user_tokens(&self, login: &str) {
        self.change(|state| {
            let (user, now) = (state.user_named(login).map(|user| user.id), state.now());
            for token in state.user_tokens.iter_mut().filter(|token| Some(token.user) == user) {
                token.expires_at = Some(now);
            }
        });
    }

    /// The user takes back what was authorized, in GitHub's settings. Tells nobody; see
    /// [`World::announce_revocation`].
    pub fn revoke_authorization(&self, login: &str) {
        self.change(|state| {
            let user = state.user_named(login).map(|user| user.id);
            state.user_tokens.retain(|token| Some(token.user) != user);
        });
    }

    /// Sends `github_app_authorization.revoked` to the App.
    ///
    /// # Errors
    /// When something is unknown.
    pub async fn announce_revocation(&self, app: i64, login: &str) -> anyhow::Result<()> {
        let outgoing = {
            let state = self.read();
            let user = state.user_named(login).context("the world has no such person")?.id;
            let body = json!({"action": "revoked", "sender": render::user(&state, user)});
            outgoing(app, "github_app_authorization", Some("revoked"), None, None, &body)
        };
        self.deliver(outgoing).await;
        Ok(())
    }

    /// Sends `member.edited` about a repository to every App that hears of it.
    ///
    /// # Errors
    /// When something is unknown.
    pub async fn announce_member(&self, repository: &str, login: &str) -> anyhow::Result<()> {
        let repository = self.repository(repository)?;
        let webhooks: Vec<_> = {
            let state = self.read();
            let user = state.user_named(login).context("the world has no such person")?.id;
            let body = json!({"action": "edited", "member": render::user(&state, user), "changes": {}});
            let hear = state.listeners(&repository);
            hear.iter().map(|i| about_repository(&state, i, &repository, "member", &body, repository.owner)).collect()
        };
        self.deliver_all(webhooks).await;
        Ok(())
    }

    /// Every token of a user that was given out and works still, refresh tokens included: what must not stand anywhere.
    #[must_use]
    pub fn user_tokens(&self) -> Vec<String> {
        let state = self.read();
        state
            .user_tokens
            .iter()
            .flat_map(|token| [Some(token.token.clone()), token.refresh.clone()])
            .flatten()
            .collect()
    }
}
