//! The dashboard's JSON under `/api`: what the viewer may see, and nothing else.
//!
//! Reads by `db::viewer`. Whatever goes wrong is a [`Problem`]; what one may not know of is not there.

mod account;
mod acts;
mod asked;
mod events;
mod jobs;
mod log;
mod model;
mod openapi;
mod tagged;

pub(super) use asked::no_job;
pub(super) use model::JobSummary;

use super::{address::Limited, problem::Problem};
use rocket::{Catcher, Request, Route, http::Status};

/// Every route of the API, in full.
pub(super) fn routes() -> Vec<Route> {
    rocket::routes![
        account::repositories,
        account::usage,
        acts::cancel,
        acts::retry,
        events::events,
        events::output,
        jobs::job,
        jobs::list,
        log::log,
        openapi::document,
    ]
}

pub(super) fn catchers() -> Vec<Catcher> {
    rocket::catchers![problem]
}

/// Whatever goes wrong before a route answers.
#[rocket::catch(default)]
fn problem(status: Status, _: &Request<'_>) -> Problem {
    Problem::of_status(status)
}
