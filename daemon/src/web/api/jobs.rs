//! `/api/jobs` and `/api/jobs/<id>`.

use super::{
    Limited, Problem, asked,
    model::{JobAnswer, JobList},
    tagged::Tagged,
};
use crate::{
    db::viewer::{self, JobFilter},
    web::{Viewer, read::JobRead, site::Site},
};
use rocket::State;

/// Jobs that the viewer may see, the newest first.
#[utoipa::path(
    get, path = "/api/jobs",
    params(
        ("status" = Option<String>, Query, description = "only jobs in one of these states, separated by commas"),
        ("repository" = Option<String>, Query, description = "only jobs of this repository, `owner/name`"),
        ("mine" = Option<bool>, Query, description = "only jobs of repositories that GitHub lists as the viewer's"),
        ("before" = Option<i64>, Query, description = "only jobs with a lower number: `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "so many at most; 50 without it, 200 at most"),
    ),
    responses(
        (status = 200, body = JobList),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a parameter cannot be meant"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such repository, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::get("/api/jobs?<status>&<repository>&<mine>&<before>&<limit>")]
#[allow(clippy::too_many_arguments, reason = "one for each parameter")]
pub(super) async fn list(
    _limited: Limited,
    viewer: Viewer,
    status: Option<&str>,
    repository: Option<&str>,
    mine: Option<&str>,
    before: Option<&str>,
    limit: Option<&str>,
    site: &State<Site>,
) -> Result<Tagged<JobList>, Problem> {
    let mut filter = JobFilter {
        states: asked::states(status)?,
        repositories: None,
        before: asked::number("before", before)?,
        limit: asked::limit(limit)?,
    };
    let mine = asked::switch("mine", mine)?;
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    if let Some(name) = asked::text("repository", repository)? {
        let found = viewer::repository(&mut tx, viewer.id(), name).await?;
        let unknown =
            || Problem::unknown("repository: there is no such repository with the App on it that you may see");
        filter.repositories = Some(vec![found.ok_or_else(unknown)?.id]);
    } else if mine {
        filter.repositories = Some(viewer::own_repositories(&mut tx, viewer.id()).await?);
    }
    let page = viewer::jobs(&mut tx, viewer.id(), &filter).await?;
    tx.rollback().await?;
    Ok(Tagged(JobList { jobs: page.jobs.iter().map(Into::into).collect(), next: page.next }))
}

/// Everything about one job: its range, runs, history and result.
#[utoipa::path(
    get, path = "/api/jobs/{id}",
    params(("id" = i64, Path, description = "the job's number", example = 3)),
    responses(
        (status = 200, body = JobAnswer),
        (status = 304, description = "it is as the `If-None-Match` of the request knows it"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "no such job, or not for the viewer"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::get("/api/jobs/<id>")]
pub(super) async fn job(
    _limited: Limited,
    viewer: Viewer,
    id: &str,
    site: &State<Site>,
) -> Result<Tagged<JobAnswer>, Problem> {
    let job = asked::job(id)?;
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    let read = JobRead::read(&mut tx, site, viewer.id(), job).await?;
    tx.rollback().await?;
    Ok(Tagged((&read.ok_or_else(asked::no_job)?).into()))
}
