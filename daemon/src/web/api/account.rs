//! `/api/repos` and `/api/usage`.

use super::{
    Limited, Problem, asked,
    model::{RepositoryList, UsageList},
    tagged::Tagged,
};
use crate::{
    db::viewer,
    web::{Viewer, site::Site},
};
use rocket::State;

/// Repositories with the App on them that the viewer may see, by name.
#[utoipa::path(
    get, path = "/api/repos",
    params(
        ("mine" = Option<bool>, Query, description = "only those that GitHub lists as the viewer's"),
        ("after" = Option<String>, Query, description = "only those that come after this name: `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "so many at most; 50 without it, 200 at most"),
    ),
    responses(
        (status = 200, body = RepositoryList),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "a parameter cannot be meant"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::get("/api/repos?<mine>&<after>&<limit>")]
pub(super) async fn repositories(
    _limited: Limited,
    viewer: Viewer,
    mine: Option<&str>,
    after: Option<&str>,
    limit: Option<&str>,
    site: &State<Site>,
) -> Result<Tagged<RepositoryList>, Problem> {
    let (mine, limit) = (asked::switch("mine", mine)?, asked::limit(limit)?);
    let after = asked::text("after", after)?.unwrap_or_default();
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    // One more tells whether there are more.
    let mut found = viewer::repositories(&mut tx, viewer.id(), mine, after, limit + 1).await?;
    tx.rollback().await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|last| last.full_name.clone());
    Ok(Tagged(RepositoryList { repositories: found.into_iter().map(Into::into).collect(), next }))
}

/// What the installations that the viewer belongs to used this month, and what they may use.
#[utoipa::path(
    get, path = "/api/usage",
    responses(
        (status = 200, body = UsageList),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many requests"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the database is away"),
    )
)]
#[rocket::get("/api/usage")]
pub(super) async fn usage(_limited: Limited, viewer: Viewer, site: &State<Site>) -> Result<Tagged<UsageList>, Problem> {
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    let usage = viewer::usage(&mut tx, viewer.id()).await?;
    tx.rollback().await?;
    Ok(Tagged(UsageList { installations: usage.into_iter().map(Into::into).collect() }))
}
