//! What the client needs to know at start.

use super::Clock;
use secrecy::SecretString;
use std::time::Duration;

/// How GitHub is reached, and as which App.
#[derive(Debug, Clone)]
pub struct GithubSettings {
    /// `GITHUB_API_URL`: of GitHub, of GitHub Enterprise (`…/api/v3`), or of a test.
    pub api_url: String,
    /// `GITHUB_APP_ID`.
    pub app_id: String,
    /// The text of the file that `GITHUB_PRIVATE_KEY_PATH` names.
    pub private_key: SecretString,
    /// What is sent as `User-Agent`, which GitHub demands.
    pub user_agent: String,
    /// The longest that a connection may take to come about.
    pub connect_timeout: Duration,
    /// The longest that one call may take, redirects and the whole answer included.
    pub timeout: Duration,
    /// This machine's clock. What GitHub checks is measured by GitHub's own, as it tells it.
    pub clock: Clock,
}

impl GithubSettings {
    /// The App at an address, with the usual time limits.
    #[must_use]
    pub fn new(api_url: impl Into<String>, app_id: impl Into<String>, private_key: SecretString) -> Self {
        Self {
            api_url: api_url.into(),
            app_id: app_id.into(),
            private_key,
            user_agent: concat!("bisect-bot/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            clock: Clock::default(),
        }
    }
}
