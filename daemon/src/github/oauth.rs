//! Signing in: codes and refresh tokens for users' tokens, and what a user's token tells of its user.
//!
//! The protocol is the crate `oauth2`'s, the HTTP ours. GitHub answers a refused exchange with status 200, where OAuth
//! has 400: that is put right before the crate reads it. Users' calls are counted apart from the App's, user by user,
//! so that one whose rate limit is used up keeps nobody else waiting.

use super::{Call, Client, GithubError, GithubSettings, Permission, repository::Flags};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenResponse, TokenUrl,
    basic::{BasicClient, BasicErrorResponse, BasicTokenResponse},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::{sync::Arc, time::Duration};

type Protocol = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// More than anybody reads: 100 a page.
const MOST_PAGES: usize = 50;

/// As which App people sign in.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// `GITHUB_API_URL`.
    pub api_url: String,
    /// `GITHUB_URL`.
    pub github_url: String,
    /// `GITHUB_CLIENT_ID`.
    pub client_id: String,
    /// `GITHUB_CLIENT_SECRET`.
    pub client_secret: SecretString,
    /// Where GitHub sends the browser back to.
    pub redirect_uri: String,
}

/// GitHub, for users. Clones share connections.
#[derive(Debug, Clone)]
pub struct OAuth {
    client: Arc<Client>,
    protocol: Arc<Protocol>,
    settings: Arc<OAuthSettings>,
}

/// A way to GitHub's consent page, with what must be remembered until the browser is back.
#[derive(Debug)]
pub struct Departure {
    /// Where the browser goes.
    pub url: String,
    /// What it must bring back.
    pub state: String,
    /// What proves that the code was asked for here (PKCE).
    pub verifier: String,
}

/// What speaks for a user.
#[derive(Debug, Clone)]
pub struct UserTokens {
    /// The token.
    pub access: SecretString,
    /// What the next one is had with, where GitHub gives one.
    pub refresh: Option<SecretString>,
    /// How long the token is good, where it ends.
    pub expires_in: Option<Duration>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// GitHub says no to the code or the refresh token: used, expired, forged or revoked.
    #[error("GitHub refuses it: {0}")]
    Refused(String),
    /// GitHub says no to this service: its client id, secret or address is wrong.
    #[error(
        "GitHub refuses this service ({0}): check GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET and the App's callback URL"
    )]
    Configuration(String),
    /// No answer, or none that is GitHub's.
    #[error("GitHub did not answer: {0}")]
    Unavailable(String),
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UserInfo {
    /// GitHub's number, which a rename keeps.
    pub id: i64,
    /// The login now.
    pub login: String,
    /// The name that is shown.
    pub name: Option<String>,
    /// The public e-mail address.
    pub email: Option<String>,
    /// The picture's address.
    pub avatar_url: Option<String>,
}

/// A repository that a user reaches through an installation of the App.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// GitHub's number of the installation.
    pub installation: i64,
    /// GitHub's number of the repository.
    pub id: i64,
    /// Its owner's login.
    pub owner: String,
    /// Its name.
    pub name: String,
    /// Whether only some may read it.
    pub private: bool,
    /// Whether nothing can be written to it any more.
    pub archived: bool,
    /// The branch that HEAD means.
    pub default_branch: Option<String>,
    /// What the user may do.
    pub permission: Permission,
}

#[derive(Deserialize)]
struct Installations {
    installations: Vec<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    id: i64,
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    id: i64,
    name: String,
    owner: Owner,
    private: bool,
    #[serde(default)]
    archived: bool,
    default_branch: Option<String>,
    permissions: Option<Flags>,
}

#[derive(Deserialize)]
struct Owner {
    login: String,
}

impl OAuth {
    /// Nothing is sent yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`GithubError::Configuration`], which names the variable.
    pub fn new(settings: &OAuthSettings) -> Result<Self, GithubError> {
        let below = |path: &str| format!("{}{path}", settings.github_url.trim_end_matches('/'));
        let wrong = |name: &str| {
            let said = format!("{name} must be an address that begins with https:// (or http://)");
            move |_| GithubError::Configuration(said)
        };
        let protocol = BasicClient::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.expose_secret().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(below("/login/oauth/authorize")).map_err(wrong("GITHUB_URL"))?)
            .set_token_uri(TokenUrl::new(below("/login/oauth/access_token")).map_err(wrong("GITHUB_URL"))?)
            .set_redirect_uri(RedirectUrl::new(settings.redirect_uri.clone()).map_err(wrong("BASE_URL"))?);
        // Only the App's own calls need its number and its key.
        let client = Client::new(&GithubSettings::new(settings.api_url.as_str(), "", String::new().into()))?;
        Ok(Self { client: Arc::new(client), protocol: Arc::new(protocol), settings: Arc::new(settings.clone()) })
    }

    /// Where a browser goes to sign in.
    #[must_use]
    pub fn depart(&self) -> Departure {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .protocol
            .authorize_url(CsrfToken::new_random)
            .add_scopes(["read:user", "user:email"].map(|scope| Scope::new(scope.to_owned())))
            .set_pkce_challenge(challenge)
            .url();
        Departure { url: url.into(), state: state.into_secret(), verifier: verifier.into_secret() }
    }

    /// The tokens that a code is good for.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn redeem(&self, code: String, verifier: String) -> Result<UserTokens, OAuthError> {
        let wire = Wire { client: &self.client, name: "redeem_code" };
        let request = self.protocol.exchange_code(AuthorizationCode::new(code));
        let answer = request.set_pkce_verifier(PkceCodeVerifier::new(verifier)).request_async(&wire).await;
        answer.map(|told| tokens_of(&told)).map_err(error_of)
    }

    /// The tokens that a refresh token is good for. Both old ones are worth nothing afterwards.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn refresh(&self, refresh: &SecretString) -> Result<UserTokens, OAuthError> {
        let wire = Wire { client: &self.client, name: "refresh_token" };
        let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
        let answer = self.protocol.exchange_refresh_token(&refresh).request_async(&wire).await;
        answer.map(|told| tokens_of(&told)).map_err(error_of)
    }

    /// Makes a user's token worth nothing (REST, "Delete an app token"). One that is worth nothing already is no error.
    ///
    /// # Errors
    /// [`OAuthError`].
    pub async fn revoke(&self, token: &SecretString) -> Result<(), OAuthError> {
        let OAuthSettings { api_url, client_id, client_secret, .. } = &*self.settings;
        let proof = STANDARD.encode(format!("{client_id}:{}", client_secret.expose_secret()));
        let unsent = |error: &dyn std::fmt::Display| OAuthError::Unavailable(error.to_string());
        let mut proof = HeaderValue::from_str(&format!("Basic {proof}")).map_err(|error| unsent(&error))?;
        proof.set_sensitive(true);
        let request =
            http::Request::delete(format!("{}/applications/{client_id}/token", api_url.trim_end_matches('/')))
                .header(header::AUTHORIZATION, proof)
                .header(header::ACCEPT, "application/vnd.github+json")
                .body(serde_json::json!({ "access_token": token.expose_secret() }).to_string().into_bytes())
                .map_err(|error| unsent(&error))?;
        let answer = self.client.plain("revoke_token", request).await.map_err(|error| unsent(&error))?;
        match answer.status() {
            // 422: GitHub knows no such token any more.
            StatusCode::NO_CONTENT | StatusCode::UNPROCESSABLE_ENTITY => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED => {
                Err(OAuthError::Configuration(format!("status {}", answer.status().as_u16())))
            }
            status => Err(OAuthError::Unavailable(format!("status {}", status.as_u16()))),
        }
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn user(&self, token: &SecretString) -> Result<UserInfo, GithubError> {
        let call = Call::get("get_user", "asking who signs in".to_owned(), "/user".to_owned());
        self.client.send(&call, token, Some(0)).await?.json()
    }

    /// Every repository that the user reaches through an installation of the App. `user` is GitHub's number of whom the
    /// token speaks for.
    ///
    /// # Errors
    /// [`GithubError::Forbidden`] with 401 for a token that is no good any more, with 403 for one of an OAuth App, which
    /// sees no installations; else as for every call.
    pub async fn reached(&self, token: &SecretString, user: i64) -> Result<Vec<Reached>, GithubError> {
        let mut reached = Vec::new();
        let listed: Vec<Installations> =
            self.pages(token, user, "list_user_installations", "/user/installations").await?;
        let working = listed.into_iter().flat_map(|page| page.installations).filter(|one| one.suspended_at.is_none());
        for Numbered { id, .. } in working {
            let path = format!("/user/installations/{id}/repositories");
            let pages: Vec<Repositories> = match self.pages(token, user, "list_user_repositories", &path).await {
                Ok(pages) => pages,
                // Removed or suspended since it was listed.
                Err(
                    GithubError::NotFound { .. }
                    | GithubError::Suspended { .. }
                    | GithubError::Forbidden { status: 403, .. },
                ) => continue,
                Err(error) => return Err(error),
            };
            let all = pages.into_iter().flat_map(|page| page.repositories);
            reached.extend(all.map(|repository| repository.through(id)));
        }
        reached.retain(|repository| repository.permission > Permission::None);
        Ok(reached)
    }

    async fn pages<T: serde::de::DeserializeOwned>(
        &self,
        token: &SecretString,
        user: i64,
        name: &'static str,
        path: &str,
    ) -> Result<Vec<T>, GithubError> {
        let (mut pages, mut query) = (Vec::new(), Some("per_page=100".to_owned()));
        while let Some(asked) = query.filter(|_| pages.len() < MOST_PAGES) {
            let call = Call::get(name, "asking what a user may see".to_owned(), format!("{path}?{asked}"));
            let answer = self.client.send(&call, token, Some(user)).await?;
            query = answer.next_query().map(str::to_owned);
            pages.push(answer.json()?);
        }
        Ok(pages)
    }
}

impl Described {
    fn through(self, installation: i64) -> Reached {
        Reached {
            installation,
            id: self.id,
            owner: self.owner.login,
            name: self.name,
            private: self.private,
            archived: self.archived,
            default_branch: self.default_branch,
            // That it is listed means that it may be read.
            permission: self.permissions.map_or(Permission::Read, |flags| flags.permission()),
        }
    }
}

fn tokens_of(told: &BasicTokenResponse) -> UserTokens {
    UserTokens {
        access: told.access_token().secret().clone().into(),
        refresh: told.refresh_token().map(|token| token.secret().clone().into()),
        expires_in: told.expires_in(),
    }
}

/// Never with what was sent or answered: both may hold secrets.
fn error_of(error: RequestTokenError<Unsent, BasicErrorResponse>) -> OAuthError {
    match error {
        RequestTokenError::ServerResponse(said) => {
            let (name, description) = (said.error().to_string(), said.error_description().cloned());
            let text = description.unwrap_or_else(|| name.clone());
            match name.as_str() {
                "incorrect_client_credentials" | "redirect_uri_mismatch" | "application_suspended" => {
                    OAuthError::Configuration(text)
                }
                _ => OAuthError::Refused(text),
            }
        }
        RequestTokenError::Request(Unsent(reason)) => OAuthError::Unavailable(reason),
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            OAuthError::Unavailable("an answer that is not GitHub's".to_owned())
        }
    }
}

/// Our HTTP, as the protocol wants it.
struct Wire<'a> {
    client: &'a Client,
    name: &'static str,
}

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = Unsent;
    type Future = BoxFuture<'c, Result<HttpResponse, Unsent>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.client.plain(self.name, request))
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unsent(pub(super) String);

/// GitHub's refusal with the status that OAuth has for it.
pub(super) fn put_right(status: http::StatusCode, body: &str) -> http::StatusCode {
    let refusal = || serde_json::from_str::<Value>(body).is_ok_and(|value| value.get("error").is_some());
    if status == http::StatusCode::OK && refusal() { http::StatusCode::BAD_REQUEST } else { status }
}
