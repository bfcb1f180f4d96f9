//! The pages: what people see in a browser. Each works without a script; `static/live.js` keeps an open one as it is on
//! the server.
//!
//! Text of users reaches a page through askama's escaping and `report::text`, and never as HTML.

mod acts;
mod docs;
mod frame;
mod html;
mod job;
mod lists;
mod strip;

pub(super) use html::{Seen, reads_html};

use super::{Viewer, site::Site};
use askama::Template;
use chrono::{DateTime, Utc};
use frame::{Frame, User};
use html::Html;
use rocket::{Route, State, http::Status, response::Redirect};

use super::{address::Limited, problem::Problem};

pub(super) fn routes() -> Vec<Route> {
    rocket::routes![
        landing,
        install,
        setup,
        acts::cancel,
        acts::retry,
        docs::docs,
        job::job,
        lists::dashboard,
        lists::repository,
        super::assets::asset,
    ]
}

/// Who is signed in, for the top of a page.
fn user(viewer: &Viewer) -> Option<User> {
    let user = viewer.user.as_ref()?;
    Some(User { login: user.login.clone(), avatar_url: user.avatar_url.clone(), csrf: user.csrf.clone() })
}

/// A moment as people read it; the exact one is beside it for programs.
fn stamp(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// How long ago that was.
fn ago(at: DateTime<Utc>) -> String {
    let seconds = (Utc::now() - at).num_seconds().max(0);
    let (count, unit) = match seconds {
        ..60 => return "just now".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

#[derive(Template)]
#[template(path = "landing.html")]
struct Landing {
    frame: Frame,
    install: Option<String>,
}

#[rocket::get("/")]
fn landing(_limited: Limited, viewer: Viewer, site: &State<Site>) -> Result<Html, Seen> {
    let user = user(&viewer);
    let private = user.is_some();
    Html::render(&Landing { frame: Frame::new("", user), install: site.install_url() }, private)
}

/// To GitHub, which asks on which repositories.
#[rocket::get("/install")]
fn install(_limited: Limited, site: &State<Site>) -> Result<Redirect, Seen> {
    let url = site.install_url().ok_or_else(|| {
        let why = "this server is no GitHub App yet: GITHUB_APP_SLUG is not set";
        Problem::new(Status::NotFound, why)
    })?;
    Ok(Redirect::to(url))
}

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup {
    frame: Frame,
}

/// Where GitHub leads after an installation.
#[rocket::get("/setup")]
fn setup(_limited: Limited, viewer: Viewer) -> Result<Html, Seen> {
    Html::render(&Setup { frame: Frame::new("", user(&viewer)) }, true)
}
