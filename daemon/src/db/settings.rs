//! How the database is reached, and what a URL may say.

use super::error::{DbError, Place};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use std::time::Duration;

/// How to reach the database, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// `DATABASE_URL`; may be a transaction-mode pooler.
    pub url: SecretString,
    /// `DATABASE_DIRECT_URL`, for migrations; `url` where it is not set.
    pub direct_url: Option<SecretString>,
    /// Whether `url` is a transaction-mode pooler; `None` to find out when connecting.
    pub transaction_pooler: Option<bool>,
    /// Connections of this process at most.
    pub max_connections: u32,
    /// The longest wait for a connection.
    pub acquire_timeout: Duration,
    /// The longest that one statement may take, waiting for locks included.
    pub call_timeout: Duration,
    /// What people know the URL by.
    pub(super) name: &'static str,
}

/// Which of the two URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// For everything that runs in short transactions.
    Pooled,
    /// For what needs a session of its own.
    Direct,
}

impl DatabaseSettings {
    /// The settings for a URL, with the usual limits.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into().into(),
            direct_url: None,
            transaction_pooler: None,
            max_connections: 10,
            acquire_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            name: "DATABASE_URL",
        }
    }

    pub(super) fn options(&self, which: Which) -> Result<(PgConnectOptions, Place), DbError> {
        let (variable, url) = match (which, &self.direct_url) {
            (Which::Direct, Some(url)) => ("DATABASE_DIRECT_URL", url),
            _ => (self.name, &self.url),
        };
        let bad = |cause: String| DbError::BadUrl { variable, cause };
        let url = url.expose_secret();
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(bad("it does not start with postgresql://".to_owned()));
        }
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| bad(error.to_string()))?;
        let place = Place::new(variable, &options);
        // The server's own default is as exact, and a pooler refuses the parameter.
        let options = options.extra_float_digits(None).application_name("bisectd").disable_statement_logging();
        Ok((options, place))
    }
}
