//! The few pages that signing in has of its own: what happened, and what to do now.

use rocket::{
    Request, Response,
    http::{ContentType, Header, Status},
    response::{Redirect, Responder, Result},
};
use std::io::Cursor;

/// A page that says what happened.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: Status,
    pub(super) title: &'static str,
    /// Plain text.
    pub(super) text: String,
    /// What to do now: an address of ours, and what it is called.
    pub(super) link: Option<(&'static str, &'static str)>,
}

/// Try it again.
pub(super) const AGAIN: Option<(&str, &str)> = Some(("/auth/github/login", "Sign in with GitHub"));

/// What a route of signing in answers.
pub(super) enum Answer {
    To(Redirect),
    Says(Page),
}

impl Page {
    fn html(&self) -> String {
        let (title, text) = (escape(self.title), escape(&self.text));
        let link = self.link.map_or_else(String::new, |(to, label)| {
            format!("<p><a class=\"button\" href=\"{}\">{}</a></p>", escape(to), escape(label))
        });
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><meta name=\"robots\" content=\"noindex\">\
             <title>{title} – Bisect Bot</title></head><body><main><h1>{title}</h1><p>{text}</p>{link}\
             <p><a href=\"/\">Bisect Bot</a></p></main></body></html>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

impl<'r> Responder<'r, 'static> for Page {
    fn respond_to(self, _request: &'r Request<'_>) -> Result<'static> {
        let html = self.html();
        Response::build()
            .status(self.status)
            .header(ContentType::HTML)
            .header(Header::new("Cache-Control", "no-store"))
            .sized_body(html.len(), Cursor::new(html))
            .ok()
    }
}

impl<'r> Responder<'r, 'static> for Answer {
    fn respond_to(self, request: &'r Request<'_>) -> Result<'static> {
        match self {
            Self::Says(page) => page.respond_to(request),
            Self::To(redirect) => {
                let mut response = redirect.respond_to(request)?;
                response.set_header(Header::new("Cache-Control", "no-store"));
                Ok(response)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_is_shown_as_text() {
        let page = Page { status: Status::Ok, title: "No", text: "<script>\"&'".into(), link: AGAIN };
        assert!(page.html().contains("&lt;script&gt;&quot;&amp;&#39;") && !page.html().contains("<script"));
    }
}
