//! Making an App from a manifest: the page that a form is posted to, and the exchange of the code that comes of it. The code
//! is good once, for an hour.

use crate::call::{Answered, Call, Reply, encode};
use crate::pages::escape;
use crate::server::pairs;
use crate::world::World;
use crate::{keys, render};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header, request};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// How long a code is good.
const CODE_LIFE: TimeDelta = TimeDelta::hours(1);
/// What an App may be allowed to do, as far as anybody here asks for it.
const PERMISSIONS: [&str; 6] = ["checks", "contents", "emails", "issues", "metadata", "pull_requests"];
/// What it may subscribe to. What every App is told anyway cannot be asked for.
const EVENTS: [&str; 5] = ["issue_comment", "issues", "member", "pull_request", "repository"];

/// What GitHub's documents name of a manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    name: String,
    url: String,
    hook_attributes: Hook,
    redirect_url: String,
    #[serde(default)]
    callback_urls: Vec<String>,
    setup_url: Option<String>,
    description: Option<String>,
    #[serde(default)]
    public: bool,
    #[serde(default)]
    default_events: Vec<String>,
    #[serde(default)]
    default_permissions: BTreeMap<String, String>,
    #[serde(default)]
    request_oauth_on_install: bool,
    #[serde(default)]
    setup_on_update: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    url: String,
    #[serde(default = "yes")]
    active: bool,
}

fn yes() -> bool {
    true
}

/// An App that was made, until its code is exchanged.
#[derive(Debug, Clone)]
pub struct MadeApp {
    code: String,
    good_until: chrono::DateTime<chrono::Utc>,
    app: i64,
    pem: String,
    public: bool,
    setup_url: Option<String>,
}

impl MadeApp {
    /// Whether anybody may install it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// Where people go after they installed it.
    #[must_use]
    pub fn setup_url(&self) -> Option<&str> {
        self.setup_url.as_deref()
    }
}

impl Manifest {
    /// What GitHub would find wrong.
    fn fault(&self) -> Option<String> {
        let web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        let urls = [&self.url, &self.hook_attributes.url, &self.redirect_url].into_iter().chain(&self.callback_urls);
        if let Some(url) = urls.chain(&self.setup_url).find(|url| !web(url)) {
            return Some(format!("{url} is not a valid URL"));
        }
        if self.name.is_empty() || self.name.chars().count() > 34 {
            return Some("Name is too long (maximum is 34 characters)".to_owned());
        }
        if let Some(event) = self.default_events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
            return Some(format!("Default events are not supported: {event}"));
        }
        let known = |(name, level): (&String, &String)| {
            PERMISSIONS.contains(&name.as_str()) && ["read", "write"].contains(&level.as_str())
        };
        let bad = self.default_permissions.iter().find(|it| !known(*it));
        bad.map(|(name, level)| format!("Default permission {name}: {level} is not included in the list"))
    }
}

/// Answers the page that the form is posted to; `None` for another address.
pub(crate) fn serve(world: &World, parts: &request::Parts, path: &str, form: &Bytes) -> Option<Response<Body>> {
    let owner = match path.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["settings", "apps", "new"] => None,
        ["organizations", owner, "settings", "apps", "new"] => Some((*owner).to_owned()),
        _ => return None,
    };
    if parts.method != Method::POST {
        return Some(page(StatusCode::OK, "<h1>Register new GitHub App</h1>"));
    }
    let form = pairs(&String::from_utf8_lossy(form));
    let manifest = form.iter().find(|(name, _)| name == "manifest").map_or("", |(_, value)| value);
    let manifest: Manifest = match serde_json::from_str(manifest) {
        Ok(manifest) => manifest,
        Err(error) => return Some(refused(&format!("Invalid manifest: {error}"))),
    };
    if let Some(fault) = manifest.fault() {
        return Some(refused(&fault));
    }
    let state = pairs(parts.uri.query().unwrap_or_default());
    let state = state.into_iter().find(|(name, _)| name == "state").map(|(_, value)| value);
    Some(match make(world, &manifest, owner.as_deref()) {
        Ok(code) => back(&manifest, &code, state.as_deref()),
        Err(fault) => refused(&fault),
    })
}

fn refused(fault: &str) -> Response<Body> {
    page(StatusCode::UNPROCESSABLE_ENTITY, &format!("<h1>The App was not made</h1><p>{}</p>", escape(fault)))
}

fn page(status: StatusCode, body: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("<!doctype html><title>GitHub Apps</title>{body}")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn back(manifest: &Manifest, code: &str, state: Option<&str>) -> Response<Body> {
    let mut to = format!("{}?code={code}", manifest.redirect_url);
    if let Some(state) = state {
        to.push_str(&format!("&state={}", encode(state)));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    if let Ok(to) = HeaderValue::from_str(&to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Makes the App of whoever is signed in: the first person of this world, where no organization is named.
fn make(world: &World, manifest: &Manifest, owner: Option<&str>) -> Result<String, String> {
    let slug: String =
        manifest.name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let owner = match owner {
        Some(owner) => world
            .read()
            .user_named(owner)
            .map(|it| it.login.clone())
            .ok_or_else(|| format!("no organization {owner}"))?,
        None => {
            let first = world.read().users.iter().find(|user| user.kind == "User").map(|user| user.login.clone());
            first.unwrap_or_else(|| "ada".to_owned())
        }
    };
    if world.read().apps.iter().any(|app| app.slug == slug) {
        return Err("Name is already taken".to_owned());
    }
    let made = world.add_app(&slug, &owner).map_err(|error| error.to_string())?;
    let code = keys::random_hex(20);
    world.change(|state| {
        let good_until = state.now() + CODE_LIFE;
        if let Some(app) = state.apps.iter_mut().find(|app| app.id == made.id) {
            app.permissions.clone_from(&manifest.default_permissions);
            app.callback_url = manifest.callback_urls.first().cloned();
            app.setup_url.clone_from(&manifest.setup_url);
            app.webhook_url = manifest.hook_attributes.active.then(|| manifest.hook_attributes.url.clone());
        }
        state.made_apps.push(MadeApp {
            code: code.clone(),
            good_until,
            app: made.id,
            pem: made.private_key,
            public: manifest.public,
            setup_url: manifest.setup_url.clone(),
        });
    });
    tracing::debug!(
        description = manifest.description.as_deref(),
        on_install = manifest.request_oauth_on_install,
        on_update = manifest.setup_on_update,
        "an App was made"
    );
    Ok(code)
}

/// `POST /app-manifests/{code}/conversions`.
pub(crate) fn convert(call: &Call<'_>) -> Answered {
    let code = call.parameter("code").to_owned();
    call.world.change(|state| {
        let now = state.now();
        let made = state.made_apps.iter_mut().find(|made| made.code == code && made.good_until > now);
        let made = made.ok_or_else(Reply::not_found)?;
        // Good once.
        made.good_until = now;
        let made = made.clone();
        let app = state.app(made.app).cloned().ok_or_else(Reply::not_found)?;
        let mut body = render::app(state, &app);
        body["client_secret"] = json!(app.client_secret);
        body["webhook_secret"] = json!(app.webhook_secret);
        body["pem"] = json!(made.pem);
        Ok(Reply::json(201, body))
    })
}

impl World {
    /// The Apps that were made from manifests, oldest first, and what only their manifests said.
    #[must_use]
    pub fn made_apps(&self) -> Vec<(crate::world::state::App, MadeApp)> {
        let state = self.read();
        state.made_apps.iter().filter_map(|made| Some((state.app(made.app)?.clone(), made.clone()))).collect()
    }
}
