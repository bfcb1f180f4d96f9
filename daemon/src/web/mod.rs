//! What is answered over HTTP besides webhooks: health, counts, metrics, pages and their API.
//!
//! Reads through `db`; changes nothing. A page that may show a private repository reads as its
//! viewer (`Database::begin_as_viewer`), so that the database decides what is seen.

mod act;
pub mod address;
mod ansi;
mod api;
mod assets;
mod headers;
mod health;
mod live;
mod metrics;
mod pages;
mod problem;
mod rates;
mod read;
mod site;
mod status;
mod streams;

pub use act::Acting;
pub use headers::Headers;
pub use health::{DockerCheck, Health, Monitor};
pub use live::Live;
pub use metrics::Exporter;
pub use pages::Notice;
pub use rates::Rates;
pub use site::Site;
pub use streams::Streams;

use crate::{db::DbError, signin::Viewer};
use pages::{Seen, reads_html};
use problem::Problem;
use rocket::{
    Build, Catcher, Request, Rocket, http::Status, request::Outcome as Guarded, response::Responder, serde::json::Json,
};
use serde_json::{Value, json};

/// Every route and catcher of this module.
#[must_use]
pub fn mount(rocket: Rocket<Build>) -> Rocket<Build> {
    let routes = rocket::routes![health::health, status::stats, status::job, metrics::metrics];
    rocket
        .manage(Acting::default())
        .mount("/", routes)
        .mount("/", api::routes())
        .mount("/", pages::routes())
        .register("/", catchers())
        .register("/api", api::catchers())
}

fn catchers() -> Vec<Catcher> {
    rocket::catchers![anything]
}

/// Whatever goes wrong before a route answers.
#[rocket::catch(default)]
async fn anything(status: Status, request: &Request<'_>) -> Result<Seen, (Status, Json<Value>)> {
    if status == Status::NotFound && reads_html(request) {
        // So that the page knows who is signed in.
        let _: Guarded<Viewer, _> = request.guard().await;
    }
    answer(status, request)
}

/// A page for browsers, JSON for others.
fn answer(status: Status, request: &Request<'_>) -> Result<Seen, (Status, Json<Value>)> {
    if reads_html(request) {
        return Ok(Seen(Problem::of_status(status)));
    }
    let reason = status.reason().unwrap_or("error").to_lowercase();
    Err((status, Json(json!({ "error": reason }))))
}

/// Why a page has no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// There is no such thing, or its viewer may not know of it.
    NotFound,
    /// The database failed.
    Database(DbError),
}

impl From<DbError> for NoAnswer {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

impl<'r> Responder<'r, 'static> for NoAnswer {
    fn respond_to(self, request: &'r Request<'_>) -> rocket::response::Result<'static> {
        let status = match self {
            Self::NotFound => Status::NotFound,
            Self::Database(error) => {
                tracing::warn!(error = %error, path = %request.uri().path(), "a page could not be made");
                if error.is_unreachable() { Status::ServiceUnavailable } else { Status::InternalServerError }
            }
        };
        answer(status, request).respond_to(request)
    }
}
