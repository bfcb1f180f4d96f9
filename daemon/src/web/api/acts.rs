//! `POST /api/jobs/<id>/cancel` and `…/retry`.

use super::{Limited, Problem, asked};
use crate::web::{
    Viewer,
    act::{Act, Acting, Asker, act},
    site::Site,
};
use rocket::{State, serde::json::Json};
use serde::Serialize;
use utoipa::ToSchema;

/// What became of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// In a sentence.
    message: String,
    /// Whether anything changed.
    changed: bool,
    /// The job that a retry queued, or joined.
    job: Option<i64>,
}

impl From<bisect_shared::admin::Outcome> for Done {
    fn from(outcome: bisect_shared::admin::Outcome) -> Self {
        Self { message: outcome.message, changed: outcome.changed, job: outcome.job.map(|job| job.0) }
    }
}

/// Stops a job: one that waits ends at once, one that runs within a moment.
#[utoipa::path(
    post, path = "/api/jobs/{id}/cancel",
    params(
        ("id" = i64, Path, description = "the job's number", example = 3),
        ("X-CSRF-Token" = Option<String>, Header, description = "from a page of the session"),
    ),
    responses(
        (status = 200, body = Done),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "nobody is signed in"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "a wrong token, or no write permission"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::post("/api/jobs/<id>/cancel")]
pub(super) async fn cancel(
    _limited: Limited,
    viewer: Viewer,
    asker: Asker,
    id: &str,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Json<Done>, Problem> {
    let done = act(site, acting, &viewer, asked::job(id)?, &asker, Act::Cancel).await?;
    Ok(Json(done.into()))
}

/// Runs an ended job again, as it was asked for. It counts as one of its month.
#[utoipa::path(
    post, path = "/api/jobs/{id}/retry",
    params(
        ("id" = i64, Path, description = "the job's number", example = 3),
        ("X-CSRF-Token" = Option<String>, Header, description = "from a page of the session"),
    ),
    responses(
        (status = 200, body = Done),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "nobody is signed in"),
        (status = 403, body = Problem, content_type = "application/problem+json", description = "a wrong token, or no write permission"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job, or not for the viewer"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "not as things are: it runs still, or the month is used up"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::post("/api/jobs/<id>/retry")]
pub(super) async fn retry(
    _limited: Limited,
    viewer: Viewer,
    asker: Asker,
    id: &str,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Json<Done>, Problem> {
    let done = act(site, acting, &viewer, asked::job(id)?, &asker, Act::Retry).await?;
    Ok(Json(done.into()))
}
