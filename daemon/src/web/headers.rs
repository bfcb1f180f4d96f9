//! What every answer says to browsers about how far it may be trusted.

use rocket::{
    Request, Response,
    fairing::{Fairing, Info, Kind},
    http::Header,
};

/// Sets the headers of every answer.
#[derive(Debug)]
pub struct Headers {
    policy: String,
    https: bool,
}

impl Headers {
    /// Forms may lead to this service and to GitHub, where pictures of people come from as well; `https` where browsers reach it by that only.
    #[must_use]
    pub fn new(github_url: &str, https: bool) -> Self {
        let github = github_url.trim_end_matches('/');
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; \
             img-src 'self' {github} https://avatars.githubusercontent.com; connect-src 'self'; \
             form-action 'self' {github}; base-uri 'none'; frame-ancestors 'none'"
        );
        Self { policy, https }
    }
}

#[rocket::async_trait]
impl Fairing for Headers {
    fn info(&self) -> Info {
        Info { name: "headers", kind: Kind::Response }
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        response.set_header(Header::new("Content-Security-Policy", self.policy.clone()));
        response.set_header(Header::new("X-Content-Type-Options", "nosniff"));
        response.set_header(Header::new("X-Frame-Options", "DENY"));
        response.set_header(Header::new("Referrer-Policy", "same-origin"));
        response.set_header(Header::new("Permissions-Policy", "camera=(), geolocation=(), microphone=()"));
        // Browsers heed neither on plain http, and complain of the first.
        if self.https {
            response.set_header(Header::new("Cross-Origin-Opener-Policy", "same-origin"));
            response.set_header(Header::new("Strict-Transport-Security", "max-age=31536000; includeSubDomains"));
        }
        // Whatever does not say so itself may depend on who asks.
        let streams = request.uri().path().ends_with("/events");
        if streams {
            response.set_header(Header::new("X-Accel-Buffering", "no"));
        }
        if streams || !response.headers().contains("Cache-Control") {
            response.set_header(Header::new("Cache-Control", "no-store"));
        }
    }
}
