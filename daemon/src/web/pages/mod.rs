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
mod odds;
mod result;
mod strip;

pub use html::Notice;
pub(super) use html::{Seen, reads_html};

use crate::report::text;
use askama::Template;
use chrono::{DateTime, Utc};
use frame::Frame;
use html::Html;
use rocket::{Route, State, http::Status, response::Redirect};

use super::{address::Limited, problem::Problem, site::Site};

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

/// What users wrote is cut to so many characters: where it stands in a line, and where it is a block.
const LINE_CHARS: usize = 300;
const BLOCK_CHARS: usize = 4000;

/// Text of users for one line.
fn line(source: &str) -> String {
    cut(text::line(source), LINE_CHARS)
}

/// A block of a user's text, its lines kept.
fn block(source: &str) -> String {
    cut(text::filter(source.as_bytes(), false), BLOCK_CHARS)
}

fn cut(text: String, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
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
fn landing(_limited: Limited, frame: Frame, site: &State<Site>) -> Result<Html, Seen> {
    let page = Landing { frame, install: site.install_url() };
    Html::render(&page, &page.frame)
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
fn setup(_limited: Limited, frame: Frame) -> Result<Html, Seen> {
    Html::private(&Setup { frame })
}
