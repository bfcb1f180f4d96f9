//! Who looks. Stands in for `signin::Viewer`, which knows the session; until then nobody is signed in.

use rocket::{
    Request,
    request::{FromRequest, Outcome},
};
use std::convert::Infallible;

/// Whoever looks.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    /// Who is signed in.
    pub user: Option<SignedIn>,
}

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Our number, `users.id`.
    pub id: i64,
    /// The login on GitHub.
    pub login: String,
    /// The picture's address.
    pub avatar_url: Option<String>,
    /// What forms send back as `csrf`, and scripts as the header `X-CSRF-Token`.
    pub csrf: String,
}

impl SignedIn {
    /// Whether this is the token that the viewer's own pages send back.
    #[must_use]
    pub fn csrf_is(&self, given: &str) -> bool {
        self.csrf == given
    }
}

impl Viewer {
    /// Our number of the user; `None` for somebody who is not signed in.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.user.as_ref().map(|user| user.id)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Viewer {
    type Error = Infallible;

    async fn from_request(_: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(Self::default())
    }
}
