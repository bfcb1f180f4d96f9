//! What people do to jobs from a browser: for those who may write to the repository, and whose own page sent it.

use super::{Viewer, address, problem::Problem, site::Site};
use crate::{
    actions::{Account, Actor},
    db::{
        audit_events::{self, NewAuditEvent},
        viewer,
    },
};
use bisect_shared::{JobId, admin::Outcome};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use rocket::{
    Request,
    http::Status,
    request::{FromRequest, Outcome as Guarded},
};
use serde_json::json;
use std::{convert::Infallible, num::NonZeroU32};

/// Actions of one user: so many a minute, and so many at once.
const A_MINUTE: NonZeroU32 = NonZeroU32::new(20).expect("above 0");
const AT_ONCE: NonZeroU32 = NonZeroU32::new(10).expect("above 0");

/// How much each user does.
#[derive(Debug)]
pub struct Acting(DefaultKeyedRateLimiter<i64>);

impl Default for Acting {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(A_MINUTE).allow_burst(AT_ONCE)))
    }
}

/// From where something is asked for, and how it is shown that a page of ours does.
pub(super) struct Asker {
    pub(super) address: String,
    /// `X-CSRF-Token`, which scripts send; a form has a field instead.
    pub(super) csrf: Option<String>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Asker {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Guarded<Self, Infallible> {
        let csrf = request.headers().get_one("X-CSRF-Token").map(str::to_owned);
        Guarded::Success(Self { address: address::of(request).to_string(), csrf })
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Cancel,
    Retry,
}

impl Act {
    /// As the audit names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Cancel => "job.cancel",
            Self::Retry => "job.retry",
        }
    }
}

/// Does it, where the viewer may; notes it where they may not.
pub(super) async fn act(
    site: &Site,
    acting: &Acting,
    viewer: &Viewer,
    job: JobId,
    asker: &Asker,
    what: Act,
) -> Result<Outcome, Problem> {
    let user = viewer.user.as_ref().ok_or_else(|| Problem::of_status(Status::Unauthorized))?;
    if acting.0.check_key(&user.id).is_err() {
        return Err(
            Problem::new(Status::TooManyRequests, "too many actions of this user; wait a minute").again_after(60)
        );
    }
    let denied = async |why: &'static str| -> Result<Outcome, Problem> {
        let mut tx = site.db.begin().await?;
        let detail = json!({ "asked": what.name(), "why": why });
        let (actor, action) = (user.login.as_str(), "permission.denied");
        let event = NewAuditEvent { actor, channel: "web", action, job: Some(job), installation: None, detail };
        audit_events::append_of_user(&mut tx, &event, user.id, Some(&asker.address)).await?;
        tx.commit().await?;
        Err(Problem::new(Status::Forbidden, why))
    };
    if !asker.csrf.as_ref().is_some_and(|given| user.csrf_is(given)) {
        return denied("this was not sent by a page of your session: load the page anew and try again").await;
    }
    // Who may not know of a job learns nothing from the answer.
    let mut tx = site.db.begin_as_viewer(viewer.id()).await?;
    let may = viewer::may_act(&mut tx, viewer.id(), job).await?;
    tx.rollback().await?;
    match may {
        None => return Err(super::api::no_job()),
        Some(false) => {
            return denied("only those who may write to the repository may do this; on GitHub you may not").await;
        }
        Some(true) => {}
    }
    let account = Account { id: user.id, address: asker.address.clone() };
    let actor = Actor { name: user.login.clone(), channel: "web", user: None, account: Some(account) };
    Ok(match what {
        Act::Cancel => site.actions.cancel(job, &actor).await?,
        Act::Retry => site.actions.retry(job, None, &actor).await?,
    })
}
