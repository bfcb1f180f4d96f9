//! The playground's pages: lists, issues with their comments and a form, commits, an App's installation. Never part of
//! the API.

mod install;
mod markdown;
mod view;

use crate::git;
use crate::server::pairs;
use crate::world::World;
use crate::world::state::State;
use crate::world::write_comment;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request};

/// Answers a page; `None` for an address that is none.
pub(crate) fn serve(world: &World, parts: &request::Parts, path: &str, form: &Bytes) -> Option<Response<Body>> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&parts.method, segments.as_slice()) {
        (&Method::GET, [""]) => Some(html(view::index(&world.read(), None))),
        (&Method::GET, ["favicon.ico"]) => Some(answer(StatusCode::NO_CONTENT, "")),
        (&Method::GET, ["avatars", "u", number]) => avatar(&world.read(), number.parse().ok()?),
        (&Method::GET, ["apps", slug, "installations", "new"]) => install::page(&world.read(), slug).map(html),
        (&Method::POST, ["apps", slug, "installations", "new"]) => install::install(world, &parts.headers, slug, form),
        (&Method::GET, [owner, name]) => {
            let state = world.read();
            let repository = state.repository_named(&format!("{owner}/{name}"))?;
            Some(html(view::index(&state, Some(repository))))
        }
        (&Method::GET, [owner, name, "issues" | "pull", number]) => {
            let state = world.read();
            let repository = state.repository_named(&format!("{owner}/{name}"))?;
            view::issue(&state, repository, number.parse().ok()?).map(html)
        }
        (&Method::GET, [owner, name, "issues" | "pull", number, "comments"]) => {
            let state = world.read();
            let repository = state.repository_named(&format!("{owner}/{name}"))?;
            Some(html(view::comments(&state, repository, number.parse().ok()?)))
        }
        (&Method::GET, [owner, name, "commit", sha]) => commit(world, &format!("{owner}/{name}"), sha),
        (&Method::POST, [owner, name, "issues" | "pull", number, "comments"]) => {
            Some(write(world, &parts.headers, &format!("{owner}/{name}"), number.parse().ok()?, form))
        }
        _ => None,
    }
}

/// A page with this HTML in it.
pub(crate) fn framed(title: &str, body: &str) -> String {
    view::page(title, "", body)
}

fn answer(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

fn html(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A user's picture: the first letter of the name.
fn avatar(state: &State, user: i64) -> Option<Response<Body>> {
    let user = state.user(user)?;
    let initial = escape(&user.login.chars().take(1).collect::<String>().to_uppercase());
    let mut response = Response::new(Body::from(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 40 40\"><rect width=\"40\" height=\"40\" fill=\"hsl({} 45% 40%)\"/>\
         <text x=\"20\" y=\"27\" font-family=\"sans-serif\" font-size=\"20\" fill=\"#fff\" text-anchor=\"middle\">{initial}</text></svg>",
        view::hue(&user.login)
    )));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    Some(response)
}

fn commit(world: &World, repository: &str, sha: &str) -> Option<Response<Body>> {
    let git_dir = world.git_dir(repository).ok()?;
    let sha = git::resolve(&git_dir, sha)?;
    let facts = git::commit(&git_dir, &sha).ok()?;
    let show = ["show", "--format=", "--no-color", "--no-ext-diff", "--no-textconv", "--first-parent", "--patch", &sha];
    let patch = git::text(&git_dir, &show).ok()?;
    let state = world.read();
    Some(html(view::commit(&state, state.repository_named(repository)?, &facts, &patch)))
}

/// A comment of the form. Another site's page may not send it: a comment makes the bot run code.
fn write(world: &World, headers: &HeaderMap, repository: &str, issue: i64, form: &Bytes) -> Response<Body> {
    if !own(headers) {
        return answer(
            StatusCode::FORBIDDEN,
            "Only this page's own form is taken, opened by localhost or an IP address.",
        );
    }
    let form = pairs(&String::from_utf8_lossy(form));
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim_end().to_owned());
    let (Some(user), Some(body)) = (field("user"), field("body").map(|b| b.replace("\r\n", "\n"))) else {
        return answer(StatusCode::BAD_REQUEST, "The form lacks a field.");
    };
    let comment = world.change(|state| {
        let repository = state.repository_named(repository)?.id;
        state.issue(repository, issue).filter(|issue| !issue.deleted)?;
        let user = state.user_named(&user).filter(|user| user.kind != "Bot")?.id;
        (!body.trim().is_empty()).then(|| write_comment(state, repository, issue, user, None, &body))
    });
    let Some(comment) = comment else {
        return answer(StatusCode::UNPROCESSABLE_ENTITY, "A comment needs a text, a known user and an issue.");
    };
    world.deliver_later(world.webhooks_of(&comment));
    let mut response = answer(StatusCode::SEE_OTHER, "");
    if let Ok(to) = format!("/{repository}/issues/{issue}#issuecomment-{}", comment.id).parse() {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

/// Whether the form was sent by a page of ours. A name could be another site's that leads here, so none but
/// `localhost` is taken.
pub(crate) fn own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(host) = text(header::HOST) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let known = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok();
    known && headers.get(header::ORIGIN).is_none_or(|origin| origin.as_bytes() == format!("http://{host}").as_bytes())
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
