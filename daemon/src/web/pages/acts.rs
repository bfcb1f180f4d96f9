//! The forms of a job's page.

use super::html::Seen;
use crate::web::{
    Viewer,
    act::{Act, Acting, Asker, act},
    address::Limited,
    site::Site,
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
    (asker, sent): (Asker, Option<Form<Sent<'_>>>),
    what: Act,
) -> Result<Redirect, Seen> {
    let job = id.parse().map(JobId).map_err(|_| Seen::unknown("job"))?;
    let asker = Asker { csrf: sent.map(|sent| sent.csrf.to_owned()), ..asker };
    let Outcome { changed, job: new, .. } = act(site, acting, viewer, job, &asker, what).await?;
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
    asker: Asker,
    id: &str,
    sent: Option<Form<Sent<'_>>>,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Redirect, Seen> {
    done((site, acting), &viewer, id, (asker, sent), Act::Cancel).await
}

#[rocket::post("/jobs/<id>/retry", data = "<sent>")]
pub(super) async fn retry(
    _limited: Limited,
    viewer: Viewer,
    asker: Asker,
    id: &str,
    sent: Option<Form<Sent<'_>>>,
    site: &State<Site>,
    acting: &State<Acting>,
) -> Result<Redirect, Seen> {
    done((site, acting), &viewer, id, (asker, sent), Act::Retry).await
}
