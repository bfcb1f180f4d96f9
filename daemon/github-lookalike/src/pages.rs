//! The playground's pages: an index, and an issue with its comments and a form. Markdown becomes HTML here; of a comment's own
//! HTML only `<details>` and `<summary>` survive. Never part of the API.

use crate::server::pairs;
use crate::world::World;
use crate::world::state::{Comment, Repository, State};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Response, StatusCode, header, request};
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag};
use std::fmt::Write as _;

/// Answers a page; `None` for an address that is none.
pub(crate) fn serve(world: &World, parts: &request::Parts, path: &str, form: &Bytes) -> Option<Response<Body>> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (&parts.method, segments.as_slice()) {
        (&Method::GET, [""]) => Some(html(index(&world.read()))),
        (&Method::GET, ["favicon.ico"]) => Some(status(StatusCode::NO_CONTENT)),
        (&Method::GET, [owner, name, "issues" | "pull", number]) => {
            let state = world.read();
            let repository = state.repository_named(&format!("{owner}/{name}"))?;
            issue(&state, repository, number.parse().ok()?).map(html)
        }
        (&Method::GET, [owner, name, "issues" | "pull", number, "comments"]) => {
            let state = world.read();
            let repository = state.repository_named(&format!("{owner}/{name}"))?;
            Some(html(comments(&state, repository, number.parse().ok()?)))
        }
        (&Method::POST, [owner, name, "issues" | "pull", number, "comments"]) => {
            let repository = format!("{owner}/{name}");
            Some(write(world, parts, &repository, number.parse().ok()?, form))
        }
        _ => None,
    }
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
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

/// A comment of the form. Another site's page may not send it: a comment makes the bot run code.
fn write(world: &World, parts: &request::Parts, repository: &str, issue: i64, form: &Bytes) -> Response<Body> {
    let text = |name| parts.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if origin.is_some_and(|origin| Some(origin) != text(header::HOST)) {
        return status(StatusCode::FORBIDDEN);
    }
    let form = pairs(&String::from_utf8_lossy(form));
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, value)| value.trim().to_owned());
    let (Some(user), Some(body)) = (field("user"), field("body").map(|b| b.replace("\r\n", "\n"))) else {
        return status(StatusCode::BAD_REQUEST);
    };
    if user.is_empty() || body.is_empty() || world.read().user_named(&user).is_none() {
        return status(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let (sender, name) = (world.clone(), repository.to_owned());
    tokio::spawn(async move {
        if let Err(error) = sender.comment(&user, &name, issue, &body).await {
            tracing::warn!(%error, "the comment was not written");
        }
    });
    let mut response = status(StatusCode::SEE_OTHER);
    if let Ok(to) = format!("/{repository}/issues/{issue}").parse() {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn page(title: &str, body: &str) -> String {
    let (title, style) = (escape(title), include_str!("page.css"));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{style}</style><body><p><a href=\"/\">GitHub look-alike</a></p><h1>{title}</h1>{body}"
    )
}

fn index(state: &State) -> String {
    let mut body = String::from("<ul>");
    for issue in &state.issues {
        let Some(repository) = state.repository(issue.repository) else { continue };
        let name = escape(&state.full_name(repository));
        let (number, title) = (issue.number, escape(&issue.title));
        let _ = write!(body, "<li><a href=\"/{name}/issues/{number}\">{name}#{number}</a> {title}</li>");
    }
    page("Issues", &(body + "</ul>"))
}

fn issue(state: &State, repository: &Repository, number: i64) -> Option<String> {
    let issue = state.issue(repository.id, number).filter(|issue| !issue.deleted)?;
    let author = state.user(issue.user).map_or("ghost", |user| user.login.as_str());
    let name = state.full_name(repository);
    let body = format!(
        "<p>{}</p>{}<section id=\"comments\">{}</section><form method=\"post\" action=\"/{}/issues/{number}/comments\">\
         <p><textarea name=\"body\" required aria-label=\"Comment\" placeholder=\"/bisect v1.0 main …\"></textarea></p>\
         <p><label>as <input name=\"user\" required value=\"{}\"></label> <button>Comment</button></p></form>\
         <script>{}</script>",
        escape(&format!("{name}#{number}")),
        article(author, &issue.body),
        comments(state, repository, number),
        escape(&name),
        escape(author),
        include_str!("page.js"),
    );
    Some(page(&issue.title, &body))
}

fn comments(state: &State, repository: &Repository, issue: i64) -> String {
    let here = |c: &&Comment| c.repository == repository.id && c.issue == issue;
    let shown = state.comments.iter().filter(here).map(|c| {
        let seen = state.reactions.iter().any(|r| r.comment == c.id && r.content == "eyes");
        let author = state.user(c.user).map_or("ghost", |user| user.login.as_str());
        article(&format!("{author}{}", if seen { " 👀" } else { "" }), &c.body)
    });
    shown.collect()
}

fn article(author: &str, markdown: &str) -> String {
    format!("<article><header><b>{}</b></header><div>{}</div></article>", escape(author), render(markdown))
}

/// Markdown as HTML that can neither run anything nor leave its place.
fn render(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let safe = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Html(allowed(&html).into()),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: link(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: link(dest_url), title, id })
        }
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, safe);
    html
}

fn link(address: CowStr<'_>) -> CowStr<'_> {
    let lower = address.to_lowercase();
    let harmless = ["http://", "https://", "mailto:", "/", "#"].iter().any(|start| lower.starts_with(start));
    if harmless { address } else { "#".into() }
}

/// HTML of a comment: the four allowed tags stay, HTML comments vanish, everything else is shown as text.
fn allowed(html: &str) -> String {
    let (mut rest, mut kept) = (html, String::new());
    while let Some(start) = rest.find('<') {
        kept.push_str(&escape(&rest[..start]));
        rest = &rest[start..];
        if let Some(end) = rest.strip_prefix("<!--").and_then(|inner| inner.find("-->")) {
            rest = &rest[4 + end + 3..];
            continue;
        }
        let tags = ["<details>", "<details open>", "</details>", "<summary>", "</summary>", "<br>"];
        match tags.iter().find(|tag| rest.starts_with(**tag)) {
            Some(tag) => {
                kept.push_str(tag);
                rest = &rest[tag.len()..];
            }
            None => {
                kept.push_str("&lt;");
                rest = &rest[1..];
            }
        }
    }
    kept + &escape(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_html_survives() {
        let html = render(
            "<details><summary>a</summary>\n\n<script>x</script> <img src=x onerror=y>\n\n[l](javascript:x)\n\n</details>",
        );
        assert!(html.contains("<details><summary>") && html.contains("</details>"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<img") && html.contains("<a href=\"#\">l</a>"), "{html}");
        assert_eq!(allowed("<!-- marker -->"), "");
    }
}
