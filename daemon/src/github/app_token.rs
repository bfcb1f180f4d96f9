//! The App's key and what is made of it: JWTs that live ten minutes at most, and tokens of
//! installations, narrowed to one repository and to the permissions of the call.
//!
//! Nothing here is ever printed, stored, or handed to anybody but the one who sends.

use super::{
    GithubError, GithubSettings, RepositoryRef,
    client::{Call, Client},
};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex as Lock, PoisonError},
};
use tokio::sync::Mutex;

/// GitHub allows ten minutes from its own now; one is for clocks, one for the way.
const JWT_LIFE: TimeDelta = TimeDelta::minutes(8);
/// GitHub advises to date a JWT a minute back, against clocks that differ.
const JWT_BACK: TimeDelta = TimeDelta::seconds(60);
/// A token is renewed while it is still good for a call, and for a fetch of git.
const MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Names of permissions with `read` or `write`, as `POST …/access_tokens` takes them.
pub(super) type Permissions = &'static [(&'static str, &'static str)];

/// The App.
pub(super) struct App {
    pub(super) id: u64,
    key: EncodingKey,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims {
    iat: i64,
    exp: i64,
    iss: u64,
}

impl App {
    pub(super) fn new(settings: &GithubSettings) -> Result<Self, GithubError> {
        let id = settings.app_id.trim().parse().ok().filter(|id| *id > 0);
        let id = id.ok_or_else(|| {
            GithubError::Configuration(
                "GITHUB_APP_ID must be the App's number, as its settings page shows it; for example GITHUB_APP_ID=123456"
                    .to_owned(),
            )
        })?;
        // What the library says is left out: it describes the key.
        let wrong_key = || {
            GithubError::Configuration(
                "GITHUB_PRIVATE_KEY_PATH must name the App's private key, a PEM file that begins with -----BEGIN RSA \
                 PRIVATE KEY----- (make one on the App's settings page under \"Private keys\"); for example \
                 GITHUB_PRIVATE_KEY_PATH=/opt/bisect-bot/secrets/private-key.pem"
                    .to_owned(),
            )
        };
        let pem = settings.private_key.expose_secret().trim();
        let key = EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| wrong_key())?;
        let app = Self { id, key };
        // A PEM frame around something else shows only when it is used.
        app.jwt(Utc::now()).map_err(|_| wrong_key())?;
        Ok(app)
    }

    /// A JWT for calls as the App; `now` is GitHub's time.
    pub(super) fn jwt(&self, now: DateTime<Utc>) -> Result<SecretString, GithubError> {
        let claims = Claims { iat: (now - JWT_BACK).timestamp(), exp: (now + JWT_LIFE).timestamp(), iss: self.id };
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.key).map(SecretString::from).map_err(|_| {
            GithubError::Configuration("the key that GITHUB_PRIVATE_KEY_PATH names cannot sign".to_owned())
        })
    }
}

/// For what a token is good.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    installation: i64,
    repository: i64,
    permissions: Permissions,
}

#[derive(Debug, Clone)]
struct Kept {
    token: SecretString,
    renew_at: DateTime<Utc>,
}

type Slot = Arc<Mutex<Option<Kept>>>;

/// The tokens that are good still. Each has a slot, whose lock is held while it is fetched: who
/// needs the same one waits for it instead of asking too.
#[derive(Debug, Default)]
pub(super) struct Tokens(Lock<HashMap<Key, Slot>>);

#[derive(Deserialize)]
struct Granted {
    token: SecretString,
    expires_at: DateTime<Utc>,
}

impl Tokens {
    /// A token that reads or writes this one repository.
    pub(super) async fn get(
        &self,
        client: &Client,
        app: &App,
        repository: &RepositoryRef,
        permissions: Permissions,
    ) -> Result<SecretString, GithubError> {
        let slot = self.slot(repository, permissions);
        let mut kept = slot.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| client.time.now() < kept.renew_at) {
            return Ok(kept.token.clone());
        }
        *kept = None;
        let granted = grant(client, app, repository, permissions).await?;
        let now = client.time.now();
        // A short life (a test, a policy) is not all margin.
        let margin = MARGIN.min((granted.expires_at - now) / 4);
        *kept = Some(Kept { token: granted.token.clone(), renew_at: granted.expires_at - margin });
        Ok(granted.token)
    }

    /// GitHub does not take `token` any more: the next call gets another one.
    pub(super) async fn forget(&self, repository: &RepositoryRef, permissions: Permissions, token: &SecretString) {
        let slot = self.slot(repository, permissions);
        let mut kept = slot.lock().await;
        // Somebody may have fetched another one since.
        if kept.as_ref().is_some_and(|kept| kept.token.expose_secret() == token.expose_secret()) {
            *kept = None;
        }
    }

    /// Nothing of this installation is kept.
    pub(super) fn forget_installation(&self, installation: i64) {
        self.slots(|slots| slots.retain(|key, _| key.installation != installation));
    }

    fn slot(&self, repository: &RepositoryRef, permissions: Permissions) -> Slot {
        let key = Key { installation: repository.installation, repository: repository.id, permissions };
        self.slots(|slots| {
            if !slots.contains_key(&key) {
                // Now and then is often enough: what nobody holds and what is empty or old goes.
                let long_ago = Utc::now() - TimeDelta::hours(2);
                slots.retain(|_, slot| {
                    let held = Arc::strong_count(slot) > 1;
                    held || slot.try_lock().is_ok_and(|kept| kept.as_ref().is_some_and(|kept| kept.renew_at > long_ago))
                });
            }
            Arc::clone(slots.entry(key).or_default())
        })
    }

    fn slots<T>(&self, change: impl FnOnce(&mut HashMap<Key, Slot>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn grant(
    client: &Client,
    app: &App,
    repository: &RepositoryRef,
    permissions: Permissions,
) -> Result<Granted, GithubError> {
    let wanted: serde_json::Map<_, _> =
        permissions.iter().map(|(name, level)| ((*name).into(), json!(level))).collect();
    let call = Call::post(
        "access_tokens",
        format!("getting a token for {}/{}", repository.owner, repository.name),
        format!("/app/installations/{}/access_tokens", repository.installation),
        json!({ "repository_ids": [repository.id], "permissions": wanted }),
    );
    match as_app(client, app, &call).await {
        Ok(answer) => answer.json(),
        // Not the thing that is asked for is missing, but the right to ask.
        Err(GithubError::NotFound { doing }) => {
            let message = "the App is not installed there (any more)".to_owned();
            Err(GithubError::Forbidden { doing, status: 404, message })
        }
        Err(GithubError::Refused { doing, status: 422, message }) => {
            Err(GithubError::Forbidden { doing, status: 422, message })
        }
        Err(error) => Err(error),
    }
}

/// Sends a call as the App itself. GitHub refuses a JWT of another time, and says its own with the
/// refusal: then it is said once more.
pub(super) async fn as_app(client: &Client, app: &App, call: &Call) -> Result<super::Answer, GithubError> {
    let ahead = client.time.ahead();
    let first = client.send(call, &app.jwt(client.time.now())?, None).await;
    let told = match first {
        Err(GithubError::Forbidden { status: 401, .. }) if client.time.ahead().abs_diff(ahead) > 1 => {
            let ahead = client.time.ahead();
            tracing::warn!(github.ahead_seconds = ahead, "this machine's clock differs from GitHub's; corrected");
            client.send(call, &app.jwt(client.time.now())?, None).await
        }
        told => told,
    };
    told.map_err(|error| match error {
        GithubError::Forbidden { doing, status: 401, message } => GithubError::Configuration(format!(
            "{doing}: GitHub does not take the App's key (401): {message}; GITHUB_APP_ID and GITHUB_PRIVATE_KEY_PATH must \
             be those of one App, and the key one that its settings page still lists"
        )),
        error => error,
    })
}
