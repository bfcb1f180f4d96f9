//! One call of the API and its reply, apart from HTTP, with GitHub's own errors.

use crate::world::World;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A call that has found its route.
pub(crate) struct Call<'a> {
    pub world: &'a World,
    /// What stood in the template's braces, decoded.
    pub path: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    /// `Authorization` without change.
    pub authorization: Option<String>,
    /// `Accept`, lower case.
    pub accept: String,
    /// `null` without a body or when it is not JSON.
    pub body: Value,
}

/// What is answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub status: u16,
    pub headers: BTreeMap<&'static str, String>,
    pub body: Body,
    /// Whose calls this one counts for.
    pub caller: Option<String>,
    /// Webhooks that GitHub sends after the answer.
    pub webhooks: Vec<crate::world::state::Outgoing>,
}

/// JSON, or the raw text of some media types.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Value),
    Raw(&'static str, Vec<u8>),
}

pub(crate) type Answered = Result<Reply, Reply>;

impl Reply {
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: BTreeMap::new(), body: Body::Json(body), caller: None, webhooks: Vec::new() }
    }

    pub fn raw(media: &'static str, bytes: Vec<u8>) -> Self {
        Self { body: Body::Raw(media, bytes), ..Self::json(200, Value::Null) }
    }

    pub fn nothing() -> Self {
        Self::json(204, Value::Null)
    }

    /// GitHub's error with a message.
    pub fn error(status: u16, message: &str) -> Self {
        let documentation = "https://docs.github.com/rest";
        let body = json!({"message": message, "documentation_url": documentation, "status": status.to_string()});
        Self::json(status, body)
    }

    pub fn not_found() -> Self {
        Self::error(404, "Not Found")
    }

    pub fn forbidden() -> Self {
        Self::error(403, "Resource not accessible by integration")
    }

    /// 422 with what is wrong with one field.
    pub fn invalid(resource: &str, field: &str, code: &str, message: Option<&str>) -> Self {
        let mut error = json!({"resource": resource, "field": field, "code": code});
        if let Some(message) = message {
            error["message"] = json!(message);
        }
        let mut reply = Self::error(422, "Validation Failed");
        if let Body::Json(body) = &mut reply.body {
            body["errors"] = json!([error]);
        }
        reply
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.insert(name, value.into());
        self
    }
}

impl Call<'_> {
    pub fn parameter(&self, name: &str) -> &str {
        self.path.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// A number of the path; anything else is a place that does not exist.
    pub fn number(&self, name: &str) -> Result<i64, Reply> {
        self.parameter(name).parse().map_err(|_| Reply::not_found())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body in the form that a route needs; GitHub's 400 and 422 otherwise.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        if self.body.is_null() {
            return Err(Reply::error(400, "Problems parsing JSON"));
        }
        serde_json::from_value(self.body.clone()).map_err(|error| {
            let mut reply = Reply::error(422, "Invalid request.");
            if let Body::Json(body) = &mut reply.body {
                body["message"] = json!(format!("Invalid request.\n\n{error}"));
            }
            reply
        })
    }

    /// One page of `items` by `page` and `per_page` (30, at most 100), with GitHub's `Link` header.
    pub fn page<T: Clone>(&self, items: &[T], path: &str) -> (Vec<T>, Option<String>) {
        let per_page = self.query("per_page").and_then(|n| n.parse().ok()).unwrap_or(30).clamp(1, 100);
        let page: usize = self.query("page").and_then(|n| n.parse().ok()).unwrap_or(1).max(1);
        let last = items.len().div_ceil(per_page).max(1);
        let shown = items.iter().skip((page - 1).saturating_mul(per_page)).take(per_page).cloned().collect();
        let base = self.world.url();
        let others: String = self
            .query
            .iter()
            .filter(|(name, _)| name != "page")
            .map(|(name, value)| format!("&{name}={}", encode(value)))
            .collect();
        let link = |to: usize, rel: &str| format!("<{base}{path}?page={to}{others}>; rel=\"{rel}\"");
        let mut links = Vec::new();
        if page > 1 {
            links.push(link(page - 1, "prev"));
        }
        if page < last {
            links.push(link(page + 1, "next"));
            links.push(link(last, "last"));
        }
        if page > 1 {
            links.push(link(1, "first"));
        }
        (shown, (!links.is_empty()).then(|| links.join(", ")))
    }
}

pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub(crate) fn decode(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}
