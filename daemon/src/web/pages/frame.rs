//! What stands around every page: the menu, and who is signed in.

use crate::{
    signin::{SignedIn, sign_in_url},
    web::{Viewer, assets},
};
use rocket::{
    Request,
    http::Method,
    request::{FromRequest, Outcome},
};
use std::convert::Infallible;

/// The frame of the page that a request asks for. As a request guard it never fails.
#[derive(Debug)]
pub(in crate::web) struct Frame {
    pub(in crate::web) style: String,
    pub(in crate::web) script: String,
    pub(in crate::web) icon: String,
    /// Which entry of the menu this is.
    pub(in crate::web) here: &'static str,
    /// Where one signs in, to be brought back here.
    pub(in crate::web) sign_in: String,
    /// Who is signed in.
    pub(in crate::web) user: Option<SignedIn>,
}

impl Frame {
    fn of(request: &Request<'_>, viewer: &Viewer) -> Self {
        let [style, script, icon] = ["style.css", "live.js", "icon.svg"].map(assets::url);
        let here = match request.uri().path().as_str() {
            "/dashboard" => "dashboard",
            "/docs" => "docs",
            _ => "",
        };
        // An answer to a form is no page to come back to, and who begins at the front door wants in.
        let is_back = request.method() == Method::Get && request.uri().path() != "/";
        let back = is_back.then(|| request.uri().to_string());
        Self { style, script, icon, here, sign_in: sign_in_url(back.as_deref()), user: viewer.user.clone() }
    }

    /// With who is signed in as far as this request has looked it up already: an error is shown also where it cannot be.
    pub(in crate::web) fn around_error(request: &Request<'_>) -> Self {
        Self::of(request, request.local_cache(Viewer::default))
    }

    /// Our number of the viewer.
    pub(in crate::web) fn viewer(&self) -> Option<i64> {
        self.user.as_ref().map(|user| user.id)
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Frame {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        let viewer = match request.guard::<Viewer>().await {
            Outcome::Success(viewer) => viewer,
            _ => Viewer::default(),
        };
        Outcome::Success(Self::of(request, &viewer))
    }
}
