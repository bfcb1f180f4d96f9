//! Who looks. Replaced by `signin::Viewer`, which knows the session; until then nobody is signed in.

use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use std::convert::Infallible;

/// Whoever looks.
#[derive(Debug)]
pub struct Viewer;

impl Viewer {
    /// Our number of the user; `None` for somebody who is not signed in.
    #[must_use]
    pub const fn id(&self) -> Option<i64> {
        None
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Viewer {
    type Error = Infallible;

    async fn from_request(_: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self)
    }
}
