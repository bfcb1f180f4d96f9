//! How pages are sent, and what is shown where there is none.

use super::frame::Frame;
use crate::{db::DbError, web::problem::Problem};
use askama::Template;
use rocket::{
    Request, Response,
    http::{ContentType, Header, MediaType, Status},
    response::Responder,
};
use std::io::Cursor;

/// A page.
#[derive(Debug)]
pub(in crate::web) struct Html {
    status: Status,
    text: String,
    /// Whether not everybody sees the same.
    private: bool,
}

impl Html {
    /// Makes one that everybody sees alike who is not signed in.
    pub(in crate::web) fn render(page: &impl Template, frame: &Frame) -> Result<Self, Seen> {
        Self::written(page, frame.user.is_some())
    }

    /// Makes one that not everybody may see.
    pub(in crate::web) fn private(page: &impl Template) -> Result<Self, Seen> {
        Self::written(page, true)
    }

    fn written(page: &impl Template, private: bool) -> Result<Self, Seen> {
        let text = page.render().map_err(|error| {
            tracing::error!(error = %error, "a page could not be written");
            Seen(Problem::of_status(Status::InternalServerError))
        })?;
        Ok(Self { status: Status::Ok, text, private })
    }
}

impl<'r> Responder<'r, 'static> for Html {
    fn respond_to(self, _: &'r Request<'_>) -> rocket::response::Result<'static> {
        let cache = if self.private { "no-store" } else { "private, no-cache" };
        Response::build()
            .status(self.status)
            .header(ContentType::HTML)
            .header(Header::new("Cache-Control", cache))
            .header(Header::new("Vary", "Cookie, Accept"))
            .sized_body(self.text.len(), Cursor::new(self.text))
            .ok()
    }
}

/// A page that says what happened, and what to do now.
#[derive(Debug)]
pub struct Notice {
    /// Its status.
    pub status: Status,
    /// The headline.
    pub title: &'static str,
    /// What happened, in sentences.
    pub what: String,
    /// What it means for the reader, or nothing.
    pub next: &'static str,
    /// What to do: an address of ours, and what it is called.
    pub link: Option<(String, &'static str)>,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct NoticePage {
    frame: Frame,
    title: &'static str,
    what: String,
    next: &'static str,
    link: Option<(String, &'static str)>,
}

impl<'r> Responder<'r, 'static> for Notice {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        let Self { status, title, what, next, link } = self;
        let page = NoticePage { frame: Frame::around_error(request), title, what, next, link };
        let html = Html::private(&page).map_err(|_| Status::InternalServerError)?;
        Html { status, ..html }.respond_to(request)
    }
}

/// Why a page is not shown: to browsers as a page that helps, to others as a problem.
#[derive(Debug)]
pub(in crate::web) struct Seen(pub(in crate::web) Problem);

impl Seen {
    /// There is no such thing, or its viewer may not know of it.
    pub(in crate::web) fn unknown(what: &str) -> Self {
        Self(Problem::unknown(format!(
            "there is no such {what}, or you may not see it; sign in if it is a private one"
        )))
    }
}

impl From<DbError> for Seen {
    fn from(error: DbError) -> Self {
        Self(error.into())
    }
}

impl From<Problem> for Seen {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

/// Whether whoever asks reads pages.
pub(in crate::web) fn reads_html(request: &Request<'_>) -> bool {
    let html = |kind: &MediaType| *kind == MediaType::HTML;
    request.headers().get("Accept").flat_map(|accept| accept.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().parse().is_ok_and(|kind: MediaType| html(&kind))
    })
}

impl<'r> Responder<'r, 'static> for Seen {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        if !reads_html(request) {
            return self.0.respond_to(request);
        }
        let Self(problem) = self;
        let (title, next) = words(problem.status());
        let frame = Frame::around_error(request);
        let may_help = frame.user.is_none() && matches!(problem.status().code, 401 | 404);
        let link = may_help.then_some((frame.sign_in, "Sign in with GitHub"));
        let notice = Notice { status: problem.status(), title, what: sentence(problem.detail()), next, link };
        let mut response = notice.respond_to(request)?;
        problem.tell_when(&mut response);
        Ok(response)
    }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.map_or_else(String::new, |first| format!("{}{}.", first, chars.as_str().trim_end_matches('.')))
}

const fn words(status: Status) -> (&'static str, &'static str) {
    match status.code {
        401 => ("Please sign in", "Signing in takes one click, and brings you back."),
        403 => ("That is not allowed", "If the page was open for long, load it anew and try again."),
        404 => ("Not found", "A job or repository is shown to whoever may read the repository on GitHub."),
        409 => ("Not as things are", "Go back to the job and load it anew: it may have changed meanwhile."),
        413 => ("Too large", "Send less."),
        429 => ("Too many requests", "Wait a moment, then load the page anew."),
        503 => ("The database is away", "Running jobs are kept. Load this page anew in a minute."),
        500.. => (
            "Something went wrong here",
            "It is in the log of the server. Load the page anew; if it stays, tell whoever runs this.",
        ),
        _ => ("That was not understood", "Go back and try again."),
    }
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_detail_becomes_a_sentence() {
        assert_eq!(sentence("there is no such job"), "There is no such job.");
        assert_eq!(sentence(""), "");
    }
}
