//! The client as a whole, and how each kind of call gets its token.

use super::{
    Answer, App, Call, Client, Github, GithubError, GithubSettings, Inner, Permissions, RateLeft, RepositoryRef,
    Tokens, app_token::as_app,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;

impl Github {
    /// The client of one App. Nothing is sent yet. Must be called within a tokio runtime, whose tasks
    /// keep the connections.
    ///
    /// # Errors
    /// [`GithubError::Configuration`], which names the variable and what was expected.
    pub fn new(settings: &GithubSettings) -> Result<Self, GithubError> {
        let (client, app) = (Client::new(settings)?, App::new(settings)?);
        Ok(Self { inner: Arc::new(Inner { client, app, tokens: Tokens::default() }) })
    }

    /// What GitHub said last about its rate limits, the App's own first.
    #[must_use]
    pub fn rate_left(&self) -> Vec<RateLeft> {
        self.inner.client.rates.left()
    }

    /// How many seconds GitHub was ahead of this machine when it last answered.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        self.inner.client.time.ahead()
    }

    /// Forgets the tokens of an installation that is gone or suspended.
    pub fn forget_installation(&self, installation: i64) {
        self.inner.tokens.forget_installation(installation);
        self.inner.client.rates.forget(installation);
    }

    /// A call as the App itself.
    pub(super) async fn ask_as_app(&self, call: &Call) -> Result<Answer, GithubError> {
        as_app(&self.inner.client, &self.inner.app, call).await
    }

    /// A call with a token of the repository's installation that may do this and nothing else.
    pub(super) async fn ask(
        &self,
        repository: &RepositoryRef,
        permissions: Permissions,
        call: &Call,
    ) -> Result<Answer, GithubError> {
        let Inner { client, app, tokens } = &*self.inner;
        let token = tokens.get(client, app, repository, permissions).await?;
        let told = client.send(call, &token, Some(repository.installation)).await;
        let Err(GithubError::Forbidden { status: 401, .. }) = told else { return told };
        // Revoked, or older than we thought: nothing was done, so it may be said again.
        tokens.forget(repository, permissions, &token).await;
        let token = tokens.get(client, app, repository, permissions).await?;
        client.send(call, &token, Some(repository.installation)).await
    }

    /// The same where two sets of permissions may do: GitHub takes either for a pull request, and
    /// which one an App has is its owner's choice.
    pub(super) async fn ask_either(
        &self,
        repository: &RepositoryRef,
        [first, second]: [Permissions; 2],
        call: &Call,
    ) -> Result<Answer, GithubError> {
        match self.ask(repository, first, call).await {
            Err(GithubError::Forbidden { doing, status, message }) if matches!(status, 403 | 422) => {
                // What the first try said is nearer to what is missing.
                let refused = |error| match error {
                    GithubError::Forbidden { .. } | GithubError::NotFound { .. } => {
                        GithubError::Forbidden { doing, status, message }
                    }
                    error => error,
                };
                self.ask(repository, second, call).await.map_err(refused)
            }
            told => told,
        }
    }
}

/// One part of a path: no character of it means anything to an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const PARTS: &AsciiSet = &PART.remove(b'/');

pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(text, PART).to_string()
}

/// Several parts, whose slashes stay: GitHub does not know a reference with `%2F`.
pub(super) fn parts(text: &str) -> String {
    utf8_percent_encode(text, PARTS).to_string()
}

/// `/repos/owner/name`, to be followed by more.
pub(super) fn path_of(repository: &RepositoryRef) -> String {
    format!("/repos/{}/{}", part(&repository.owner), part(&repository.name))
}

/// `owner/name`, for messages.
pub(super) fn named(repository: &RepositoryRef) -> String {
    format!("{}/{}", repository.owner, repository.name)
}
