//! The page on which an App is installed: for all repositories of an account, by somebody who then is led to the App's
//! own page.

use super::{answer, escape, own, view};
use crate::server::pairs;
use crate::world::World;
use crate::world::state::State;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, header};
use std::fmt::Write as _;

/// Asks where; `None` for an App that is not there.
pub(super) fn page(state: &State, slug: &str) -> Option<String> {
    let app = state.apps.iter().find(|app| app.slug == slug)?;
    let name = escape(&app.slug);
    let options = |kinds: &[&str]| {
        let users = state.users.iter().filter(|user| kinds.contains(&user.kind));
        users.fold(String::new(), |mut out, user| {
            let _ = write!(out, "<option>{}</option>", escape(&user.login));
            out
        })
    };
    let body = format!(
        "<h1>Install {name}</h1><p>It may read code and metadata, and write on issues and pull requests.</p>\
         <form method=\"post\"><p><label>On all repositories of <select name=\"account\">{}</select></label></p>\
         <p class=\"send\"><label>as <select name=\"user\">{}</select></label><button class=\"primary\">Install</button></p></form>",
        options(&["Organization", "User"]),
        options(&["User"]),
    );
    Some(view::page(&format!("Install {name}"), "", &body))
}

/// Installs it, where it is not yet, and leads to the App's own page.
pub(super) fn install(world: &World, headers: &HeaderMap, slug: &str, form: &Bytes) -> Option<Response<Body>> {
    if !own(headers) {
        return Some(answer(StatusCode::FORBIDDEN, "Only this page's own form is taken."));
    }
    let form = pairs(&String::from_utf8_lossy(form));
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value);
    let (app, setup, account, user, there) = {
        let state = world.read();
        let app = state.apps.iter().find(|app| app.slug == slug)?;
        let account = state.user_named(field("account")).filter(|account| account.kind != "Bot")?.clone();
        let user = state.user_named(field("user")).filter(|user| user.kind == "User")?.id;
        let there = state.installations.iter().find(|it| it.app == app.id && it.account == account.id).map(|it| it.id);
        (app.id, app.setup_url.clone(), account.login, user, there)
    };
    let installation = match there {
        Some(installation) => installation,
        None => {
            let installation = world.install(app, &account, None).ok()?;
            world.deliver_later(vec![world.installation_webhook(installation, "created", Some(user)).ok()?]);
            installation
        }
    };
    let mut response = answer(StatusCode::FOUND, "");
    let to = setup
        .map_or_else(|| "/".to_owned(), |url| format!("{url}?installation_id={installation}&setup_action=install"));
    response.headers_mut().insert(header::LOCATION, to.parse().ok()?);
    Some(response)
}
