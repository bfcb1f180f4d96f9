//! Apps and their installations.

use super::{
    World,
    state::{App, Installation, Permissions},
};
use crate::keys;
use anyhow::Context;

/// What a new App gets; the private half of its key is handed out once, as on GitHub.
#[derive(Debug, Clone)]
pub struct NewApp {
    /// Its number.
    pub id: i64,
    /// Its short name.
    pub slug: String,
    /// Its client id.
    pub client_id: String,
    /// The RSA private key as PEM.
    pub private_key: String,
    /// What signs its webhooks.
    pub webhook_secret: String,
    /// What it proves itself with when somebody signs in.
    pub client_secret: String,
}

impl World {
    /// Registers an App of `owner` with GitHub's permissions of this bot, a new key and a random webhook secret.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn add_app(&self, slug: &str, owner: &str) -> anyhow::Result<NewApp> {
        let (private_key, public_key) = keys::generate()?;
        let bot = self.add_account(&format!("{slug}[bot]"), "Bot");
        let owner = self.add_user(owner);
        let (webhook_secret, client_secret) = (keys::token(), keys::random_hex(20));
        Ok(self.change(|state| {
            let (id, now) = (state.next_id(), state.now());
            let app = App {
                id,
                slug: slug.to_owned(),
                client_id: format!("Iv23li{id:014}"),
                client_secret: client_secret.clone(),
                callback_url: None,
                setup_url: None,
                bot,
                public_key,
                webhook_secret: webhook_secret.clone(),
                webhook_url: None,
                owner,
                permissions: default_permissions(),
                created_at: now,
            };
            let client_id = app.client_id.clone();
            state.apps.push(app);
            NewApp { id, slug: slug.to_owned(), client_id, private_key, webhook_secret, client_secret }
        }))
    }

    /// Where an App's webhooks go from now on.
    pub fn set_webhook_url(&self, app: i64, url: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.webhook_url = Some(url.to_owned());
            }
        });
    }

    /// The secret that signs an App's webhooks from now on.
    pub fn set_webhook_secret(&self, app: i64, secret: &str) {
        self.change(|state| {
            if let Some(app) = state.apps.iter_mut().find(|a| a.id == app) {
                app.webhook_secret = secret.to_owned();
            }
        });
    }

    /// The App is on the account, for all its repositories or the chosen ones. Sends nothing; see [`World::announce_installation`].
    ///
    /// # Errors
    /// When an account, App or repository is unknown.
    pub fn install(&self, app: i64, account: &str, selected: Option<&[&str]>) -> anyhow::Result<i64> {
        let selected = selected
            .map(|names| names.iter().map(|name| Ok(self.repository(name)?.id)).collect::<anyhow::Result<Vec<_>>>())
            .transpose()?;
        let account = self.add_user(account);
        let permissions = self.read().app(app).context("the world has no such App")?.permissions.clone();
        Ok(self.change(|state| {
            let (id, created_at) = (state.next_id(), state.now());
            state.installations.push(Installation {
                id,
                app,
                account,
                permissions,
                selected,
                suspended: None,
                created_at,
            });
            id
        }))
    }

    /// What the account grants from now on: `[("issues", "write"), …]`. Tokens given out before keep what they had.
    pub fn grant(&self, installation: i64, permissions: &[(&str, &str)]) {
        let granted: Permissions = permissions.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.change(|state| {
            if let Some(installation) = state.installations.iter_mut().find(|i| i.id == installation) {
                installation.permissions = granted;
            }
        });
    }
}

/// What this bot's App asks for.
#[must_use]
pub fn default_permissions() -> Permissions {
    [("contents", "read"), ("issues", "write"), ("metadata", "read"), ("pull_requests", "write")]
        .into_iter()
        .map(|(name, level)| (name.to_owned(), level.to_owned()))
        .collect()
}
