//! Making an App from a manifest (docs.github.com, "Registering a GitHub App from a manifest"): what the manifest says, and
//! the exchange of the code that comes back for the App's secrets.

use super::{Client, GithubError, GithubSettings, app::part};
use http::{Method, Request, header};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

/// What the App may do: nothing that the bot does not need.
const PERMISSIONS: [(&str, &str); 5] =
    [("contents", "read"), ("emails", "read"), ("issues", "write"), ("metadata", "read"), ("pull_requests", "write")];
/// What it is told of; installations and sign-ins it is told of anyway.
const EVENTS: [&str; 3] = ["issue_comment", "member", "repository"];

/// What an App is made with.
#[derive(Debug, Clone)]
pub struct Manifest<'a> {
    /// Its name for people, at most 34 characters; no other App of GitHub has it.
    pub name: &'a str,
    /// `BASE_URL`, without a slash at its end.
    pub base_url: &'a str,
    /// Where the browser brings the code.
    pub redirect_url: &'a str,
    /// Whether any account may install it, or only the one that owns it.
    pub public: bool,
}

impl Manifest<'_> {
    /// As GitHub reads it.
    #[must_use]
    pub fn json(&self) -> Value {
        let base = self.base_url;
        let permissions: serde_json::Map<String, Value> =
            PERMISSIONS.iter().map(|(name, level)| ((*name).to_owned(), json!(level))).collect();
        json!({
            "name": self.name,
            "description": "Finds the commit that broke a test: write /bisect on an issue.",
            "url": base,
            "hook_attributes": {"url": format!("{base}/webhook"), "active": true},
            "redirect_url": self.redirect_url,
            "callback_urls": [format!("{base}/auth/callback")],
            "setup_url": format!("{base}/setup"),
            "public": self.public,
            "default_permissions": permissions,
            "default_events": EVENTS,
        })
    }
}

/// An App that was made just now. Its secrets are told once.
#[derive(Debug, Deserialize)]
pub struct MadeApp {
    /// Its number.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its page.
    pub html_url: String,
    /// Who signs in says so with this.
    pub client_id: String,
    /// Goes with it.
    pub client_secret: SecretString,
    /// Signs the webhooks.
    pub webhook_secret: Option<SecretString>,
    /// The private key.
    pub pem: SecretString,
}

/// Exchanges the code; it is good once, for an hour.
///
/// # Errors
/// [`GithubError::Forbidden`] when it is not good (any more), with what to do; [`GithubError`], as for every call.
pub async fn convert(api_url: &str, code: &str) -> Result<MadeApp, GithubError> {
    let doing = || "exchanging the code for the App's secrets".to_owned();
    // Whoever calls is no App yet.
    let client = Client::new(&GithubSettings::new(api_url, "", SecretString::default()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{}/app-manifests/{}/conversions", api_url.trim_end_matches('/'), part(code)))
        .header(header::ACCEPT, "application/vnd.github+json")
        .body(Vec::new())
        .map_err(|error| GithubError::Configuration(error.to_string()))?;
    let answer = client.plain("convert_manifest", request).await;
    let answer = answer.map_err(|unsent| GithubError::Unavailable { doing: doing(), reason: unsent.0 })?;
    if answer.status().as_u16() != 201 {
        let status = answer.status().as_u16();
        let message = "the code is not good (any more): it works once, for an hour; begin anew".to_owned();
        return Err(GithubError::Forbidden { doing: doing(), status, message });
    }
    serde_json::from_slice(answer.body())
        .map_err(|error| GithubError::Misunderstood { doing: doing(), reason: error.to_string() })
}
