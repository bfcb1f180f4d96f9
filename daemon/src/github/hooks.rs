//! The App itself: who it is, where it is installed, and its webhooks.

use super::{
    AppInfo, Call, Github, GithubError, HookDelivery, InstallationInfo, RepositoryRef,
    app::{named, path_of},
};
use chrono::{DateTime, Utc};
use http::Method;
use serde::Deserialize;
use std::collections::BTreeMap;

/// How many pages of a hundred deliveries are looked at.
const MOST_PAGES: usize = 10;

#[derive(Deserialize)]
struct Delivery {
    id: i64,
    guid: String,
    event: String,
    status_code: i64,
    delivered_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct This {
    slug: Option<String>,
    name: String,
    permissions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Installed {
    id: i64,
    account: Option<Account>,
    target_type: String,
    permissions: BTreeMap<String, String>,
    suspended_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Numbered {
    id: i64,
}

#[derive(Deserialize)]
struct Account {
    id: i64,
    login: Option<String>,
    slug: Option<String>,
}

impl Github {
    /// The App as GitHub knows it: that this is answered shows that id and key are right.
    ///
    /// # Errors
    /// [`GithubError::Configuration`] when they are not; [`GithubError`], as for every call.
    pub async fn app(&self) -> Result<AppInfo, GithubError> {
        let call = Call::get("get_app", "asking who this App is".to_owned(), "/app".to_owned());
        let this: This = self.ask_as_app(&call).await?.json()?;
        Ok(AppInfo { slug: this.slug.unwrap_or_default(), name: this.name, permissions: this.permissions })
    }

    /// An installation as it is now, for a delivery that names only its number.
    ///
    /// # Errors
    /// [`GithubError::NotFound`] when it is gone; [`GithubError`], as for every call.
    pub async fn installation(&self, installation: i64) -> Result<InstallationInfo, GithubError> {
        let doing = format!("looking at installation {installation}");
        let call = Call::get("get_installation", doing, format!("/app/installations/{installation}"));
        let found: Installed = self.ask_as_app(&call).await?.json()?;
        let account = found
            .account
            .ok_or_else(|| GithubError::Misunderstood { doing: call.doing.clone(), reason: "no account".to_owned() })?;
        Ok(InstallationInfo {
            id: found.id,
            account_id: account.id,
            // An enterprise has no login, but a name in addresses.
            account_login: account.login.or(account.slug).unwrap_or_default(),
            account_type: found.target_type,
            permissions: found.permissions,
            suspended: found.suspended_at.is_some(),
        })
    }

    /// The number of the installation through which the App reaches a repository now; `None` when it does
    /// not. The installation in `repository` does not matter.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn installation_of(&self, repository: &RepositoryRef) -> Result<Option<i64>, GithubError> {
        let doing = format!("asking whether the App is on {}", named(repository));
        let call = Call::get("get_repository_installation", doing, format!("{}/installation", path_of(repository)));
        match self.ask_as_app(&call).await {
            Ok(answer) => answer.json().map(|found: Numbered| Some(found.id)),
            Err(GithubError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The App's deliveries of webhooks since a moment, the newest first, a thousand at most.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn deliveries(&self, since: DateTime<Utc>) -> Result<Vec<HookDelivery>, GithubError> {
        let mut deliveries = Vec::new();
        let mut query = "per_page=100".to_owned();
        for _ in 0..MOST_PAGES {
            let doing = "listing deliveries of webhooks".to_owned();
            let call = Call::get("list_deliveries", doing, format!("/app/hook/deliveries?{query}"));
            let answer = self.ask_as_app(&call).await?;
            let listed: Vec<Delivery> = answer.json()?;
            let reached = listed.last().is_none_or(|oldest| oldest.delivered_at < since);
            let listed = listed.into_iter().filter(|delivery| delivery.delivered_at >= since);
            deliveries.extend(listed.map(|delivery| HookDelivery {
                id: delivery.id,
                guid: delivery.guid,
                event: delivery.event,
                delivered: (200..300).contains(&delivery.status_code),
                delivered_at: delivery.delivered_at,
            }));
            match answer.next_query() {
                Some(next) if !reached => next.clone_into(&mut query),
                _ => break,
            }
        }
        Ok(deliveries)
    }

    /// Asks GitHub to send a delivery again.
    ///
    /// # Errors
    /// [`GithubError`], as for every call.
    pub async fn redeliver(&self, delivery: i64) -> Result<(), GithubError> {
        let call = Call {
            name: "redeliver",
            doing: format!("asking for delivery {delivery} again"),
            method: Method::POST,
            path: format!("/app/hook/deliveries/{delivery}/attempts"),
            body: None,
        };
        self.ask_as_app(&call).await.map(drop)
    }
}
