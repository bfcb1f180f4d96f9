//! The forms of a job's page.

use super::html::Seen;
use crate::web::{
    act::{Act, Acting, act},
    address::Limited,
    problem::Problem,
    site::Site,
    who::Viewer,
};
use bisect_shared::{JobId, admin::Outcome};
use rocket::{FromForm, State, form::Form, response::Redirect};

/// What a form sends.
#[derive(FromForm)]
pub(super) struct Sent<'r> {
    csrf: &'r str,
}

async fn done(
    (site, acting): (&Site, &Acting),
    viewer: &Viewer,
    id: &str,
    sent: Option<Form<Sent<'_>>>,
    what: Act,
) -> Result<Redirect, Seen> {
    let job = id.parse().map(JobId).map_err(|_| Seen::unknown("job"))?;
    let csrf = sent.as_ref().map(|sent| sent.csrf);
    let Outcome { changed, job: new, .. } = act(site, acting, viewer, job, csrf, what).await?;
    let word = match (changed, what) {
        (false, _) => "nothing",
        (true, Act::Cancel) => "cancelled",
        (true, Act::Retry) => "queued",
    };
    Ok(Redirect::to(format!("/jobs/{}?done={word}", new.unwrap_or(job))))
}

#[rocket::post("/jobs/<id>/cancel", data = "<sent>")]
pub(super) async fn cancel(
    _limited: Limited,
    viewer: Viewer,
    id: &str,
    sent: Option<Form<Sent<'_>>>,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Redirect, Seen> {
    done((site, acting), &viewer, id, sent, Act::Cancel).await
}

#[rocket::post("/jobs/<id>/retry", data = "<sent>")]
pub(super) async fn retry(
    _limited: Limited,
    viewer: Viewer,
    id: &str,
    sent: Option<Form<Sent<'_>>>,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Redirect, Seen> {
    done((site, acting), &viewer, id, sent, Act::Retry).await
}

