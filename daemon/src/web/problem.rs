//! Why the API did not do what was asked: "problem details" (RFC 9457).

use crate::{actions::ActionError, db::DbError};
use rocket::{
    Request, Response,
    http::{ContentType, Status},
    response::Responder,
};
use serde::Serialize;
use std::io::Cursor;
use utoipa::ToSchema;

/// What went wrong, to what, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// For people.
    detail: String,
}

impl Problem {
    /// With a sentence for people.
    #[must_use]
    pub fn new(status: Status, detail: impl Into<String>) -> Self {
        let title = status.reason_lossy().to_owned();
        Self { kind: "about:blank", title, status: status.code, detail: detail.into() }
    }

    /// There is no such thing, or its viewer may not know of it.
    #[must_use]
    pub fn unknown(what: impl Into<String>) -> Self {
        Self::new(Status::NotFound, what)
    }

    /// The request cannot be meant; `why` names the parameter.
    #[must_use]
    pub fn bad(why: impl Into<String>) -> Self {
        Self::new(Status::BadRequest, why)
    }

    /// A status that no route answered itself.
    #[must_use]
    pub fn of_status(status: Status) -> Self {
        let detail = match status.code {
            401 => "sign in first, at /auth/github/login",
            404 => "there is no such page or route; /api/openapi.json lists those of the API",
            405 => "this route takes another method: GET reads, POST acts",
            413 => "the body is too large",
            429 => "too many requests from this address; wait a moment",
            503 => "the database cannot be reached; running jobs are kept, and this answers again once it is back",
            500.. => "this is a fault of the server, and is in its log",
            _ => "the request could not be understood",
        };
        Self::new(status, detail)
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> Status {
        Status { code: self.status }
    }

    /// The sentence for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        tracing::warn!(error = %error, "an answer could not be made");
        Self::of_status(if error.is_unreachable() { Status::ServiceUnavailable } else { Status::InternalServerError })
    }
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Unknown(why) => Self::unknown(why),
            ActionError::Refused(why) => Self::new(Status::Conflict, why),
            ActionError::Invalid(why) => Self::bad(why),
            ActionError::Database(error) => error.into(),
        }
    }
}

impl<'r> Responder<'r, 'static> for Problem {
    fn respond_to(self, _: &'r Request<'_>) -> rocket::response::Result<'static> {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        Response::build()
            .status(self.status())
            .header(ContentType::new("application", "problem+json"))
            .sized_body(body.len(), Cursor::new(body))
            .ok()
    }
}
