//! Signing in with GitHub: sessions, users' tokens, and what a user may see.
//!
//! A session is a random token in a private cookie; the database holds its SHA-256. What a viewer may see GitHub says
//! (`access`) and the database enforces (`Database::begin_as_viewer`); nothing here decides it.

mod access;
mod cookies;
mod next;
mod rotate;
mod routes;
mod tokens;
mod vault;
mod viewer;

pub use access::{Known, LIFE};
pub use next::sign_in_url;
pub use rotate::{Rotated, rotate};
pub use routes::routes;
pub(crate) use tokens::sign_out_in;
pub use vault::{Field, Unreadable, Vault};
pub use viewer::{Confirmed, SignedIn, Viewer};

use crate::{
    config::Config,
    db::Database,
    github::{Github, GithubError, OAuth, OAuthSettings},
};
use cookies::Cookies;
use std::{sync::Arc, time::Duration};

/// How long a session lives that nobody uses; one that is used is renewed when half of it is over.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Who signs in, who is signed in, and what they may see. Clones share it.
#[derive(Clone)]
pub struct SignIn {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    cookies: Cookies,
    /// Nobody can sign in without it.
    oauth: Option<OAuth>,
    /// The variables that are not set and must be for it.
    missing: Vec<&'static str>,
    /// Without it no token is stored.
    vault: Option<Vault>,
    /// Asked where a user's token lists no repositories.
    github: Option<Github>,
}

impl SignIn {
    /// As the configuration has it. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`GithubError::Configuration`], which names the variable.
    pub fn new(config: &Config, db: Database, github: Option<Github>) -> Result<Self, GithubError> {
        let missing = missing(config);
        let oauth = match (&config.github_client_id, &config.github_client_secret, &config.base_url) {
            (Some(client_id), Some(client_secret), Some(base_url)) if missing.is_empty() => {
                Some(OAuth::new(&OAuthSettings {
                    api_url: config.github_api_url.clone(),
                    github_url: config.github_url.clone(),
                    client_id: client_id.clone(),
                    client_secret: client_secret.clone(),
                    redirect_uri: format!("{base_url}/auth/callback"),
                })?)
            }
            _ => None,
        };
        let (cookies, vault) = (Cookies::new(config), Vault::new(&config.encryption_keys));
        Ok(Self { inner: Arc::new(Inner { db, cookies, oauth, missing, vault, github }) })
    }

    /// What Rocket's private cookies are made with, where `SESSION_SECRET` is set.
    #[must_use]
    pub fn cookie_key(config: &Config) -> Option<Vec<u8>> {
        config.session_secrets.first().map(|secret| cookies::key_of(secret).to_vec())
    }

    /// Whether anybody can sign in here.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.inner.oauth.is_some()
    }
}

/// The variables without which nobody can sign in.
pub fn missing(config: &Config) -> Vec<&'static str> {
    let there = [
        ("GITHUB_CLIENT_ID", config.github_client_id.is_some()),
        ("GITHUB_CLIENT_SECRET", config.github_client_secret.is_some()),
        ("BASE_URL", config.base_url.is_some()),
        ("SESSION_SECRET", !config.session_secrets.is_empty()),
    ];
    there.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect()
}
