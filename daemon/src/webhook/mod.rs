//! `POST /webhook`: a signed body becomes a row of the inbox, and only then an answer.
//!
//! Knows `db` and the secrets; what a delivery means is decided by `intake`, later and as often as
//! needed. Neither bodies nor secrets are ever logged.

mod body;
pub mod event;
mod inbox;
pub mod signature;

pub use inbox::{Inbox, NotTaken};

use crate::{
    command,
    db::deliveries::{NewDelivery, Taken},
};
use body::Body;
use event::{Event, EventError};
use rocket::{Request, Route, State, http::Status, response::Responder, serde::json::Json};
use serde_json::{Value, json};
use signature::Secrets;
use std::time::Instant;

/// What becomes of a comment that asks the bot for nothing.
pub const NO_COMMAND: &str = "no command";

/// What the route needs.
#[derive(Debug)]
pub struct Webhook {
    /// The secrets of now; `None` where none is configured, and every delivery is refused.
    pub secrets: Option<Secrets>,
    /// Where deliveries go.
    pub inbox: Inbox,
}

/// Why a delivery was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The signature is missing or wrong.
    #[error("{0}")]
    Unsigned(&'static str),
    /// An address that sent too much without a good signature.
    #[error("too many requests without a good signature from this address")]
    TooMany,
    /// The body is larger than GitHub's are.
    #[error("the body is larger than 25 MB, the most that GitHub sends")]
    TooLarge,
    /// It is no delivery of GitHub's.
    #[error("{0}")]
    Wrong(String),
    /// The inbox cannot take it now.
    #[error("the delivery could not be stored; send it again")]
    Unavailable,
}

impl Refused {
    const fn status(&self) -> Status {
        match self {
            Self::Unsigned(_) => Status::Unauthorized,
            Self::TooMany => Status::TooManyRequests,
            Self::TooLarge => Status::PayloadTooLarge,
            Self::Wrong(_) => Status::BadRequest,
            Self::Unavailable => Status::ServiceUnavailable,
        }
    }
}

impl<'r> Responder<'r, 'static> for Refused {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        metrics::counter!("bisectd_webhooks_total", "status" => self.status().code.to_string()).increment(1);
        let again = matches!(self, Self::Unavailable | Self::TooMany);
        let mut response = (self.status(), Json(json!({ "error": self.to_string() }))).respond_to(request)?;
        if again {
            response.set_raw_header("Retry-After", "10");
        }
        Ok(response)
    }
}

/// The route.
#[must_use]
pub fn routes() -> Vec<Route> {
    rocket::routes![receive]
}

#[rocket::post("/webhook", data = "<body>")]
async fn receive(body: Result<Body, Refused>, webhook: &State<Webhook>) -> Result<(Status, Json<Value>), Refused> {
    let began = Instant::now();
    let taken = webhook.inbox.take(delivery(body?)?).await.map_err(|_| Refused::Unavailable)?;
    metrics::histogram!("bisectd_webhook_seconds").record(began.elapsed());
    let (status, word) = match taken {
        Taken::Inserted => (Status::Accepted, "accepted"),
        Taken::Duplicate => (Status::Ok, "duplicate"),
    };
    metrics::counter!("bisectd_webhooks_total", "status" => status.code.to_string()).increment(1);
    Ok((status, Json(json!({ "status": word }))))
}

fn delivery(body: Body) -> Result<NewDelivery, Refused> {
    let Body { id, event, bytes } = body;
    let read = event::read(&event, &bytes).map_err(|error: EventError| Refused::Wrong(error.to_string()))?;
    let (ignored, order_key) = match read.event {
        Event::Ignored(why) => (Some(why), None),
        Event::Ping => (Some("a ping: there is nothing to do".to_owned()), None),
        // The bot's own comments come back like this.
        Event::Comment(comment) if comment.by_machine => (Some("written by a bot or an App".to_owned()), None),
        // Nearly every comment of the world: it costs a line in the inbox, and nobody's time.
        Event::Comment(comment) if command::parse(&comment.body).is_none() => (Some(NO_COMMAND.to_owned()), None),
        Event::Comment(comment) => (None, Some(format!("issue {}#{}", comment.repository.id, comment.issue))),
        _ => (None, read.installation.map(|installation| format!("installation {installation}"))),
    };
    // What nobody will read need not be kept.
    let payload = if ignored.is_some() { String::new() } else { text(bytes)? };
    Ok(NewDelivery {
        id,
        event,
        action: read.action,
        installation: read.installation,
        comment: read.comment,
        order_key,
        payload,
        ignored,
    })
}

fn text(bytes: Vec<u8>) -> Result<String, Refused> {
    String::from_utf8(bytes).map_err(|error| Refused::Wrong(format!("the body is not JSON: {error}")))
}
