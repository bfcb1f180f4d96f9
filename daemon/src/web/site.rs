//! What pages and the API are made from.

use super::live::Live;
use crate::{actions::Actions, db::Database, tail::Tail};

/// What the whole site shares.
#[derive(Debug, Clone)]
pub struct Site {
    /// The database.
    pub db: Database,
    /// What people can do to jobs.
    pub actions: Actions,
    /// What changes.
    pub live: Live,
    /// What jobs print.
    pub tail: Tail,
    /// GitHub's address, without a slash at its end.
    pub github_url: String,
    /// The App's name in addresses, where one is configured.
    pub app_slug: Option<String>,
    /// This service's own public address, without a slash at its end.
    pub base_url: Option<String>,
}

impl Site {
    /// Where the App is installed on more repositories.
    #[must_use]
    pub fn install_url(&self) -> Option<String> {
        self.app_slug.as_ref().map(|slug| format!("{}/apps/{slug}/installations/new", self.github_url))
    }

    /// Whether browsers reach this service by https only.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base_url.as_ref().is_some_and(|url| url.starts_with("https://"))
    }
}
