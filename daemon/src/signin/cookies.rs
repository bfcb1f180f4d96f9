//! The cookies: encrypted with `SESSION_SECRET` by Rocket, read with its former value too, and never for scripts.

use crate::config::Config;
use cookie::Key;
use rocket::http::{Cookie, CookieJar, SameSite};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha512};
use std::time::Duration;

/// The cookie of a session.
pub(super) const SESSION: &str = "bisect_session";

/// The cookie of somebody who is at GitHub's consent page.
pub(super) const DEPARTURE: &str = "bisect_signin";

/// How cookies are made and read.
pub(super) struct Cookies {
    /// Whether browsers send them over https only.
    secure: bool,
    /// Of the former `SESSION_SECRET`s.
    old: Vec<Key>,
}

/// 64 bytes, which Rocket's secret key needs, of a secret of any length. SHA-512 loses nothing of a random one.
pub(super) fn key_of(secret: &SecretString) -> [u8; 64] {
    let digest = Sha512::new().chain_update(b"bisectd cookies\0").chain_update(secret.expose_secret());
    digest.finalize().into()
}

impl Cookies {
    pub(super) fn new(config: &Config) -> Self {
        let old = config.session_secrets.iter().skip(1).map(|secret| Key::from(&key_of(secret))).collect();
        Self { secure: config.base_url.as_ref().is_some_and(|url| url.starts_with("https://")), old }
    }

    /// What a cookie says, if it was made with one of our secrets.
    pub(super) fn read(&self, jar: &CookieJar<'_>, name: &str) -> Option<String> {
        if let Some(cookie) = jar.get_private(name) {
            return Some(cookie.value().to_owned());
        }
        let given = jar.get(name)?;
        let mut sealed = cookie::CookieJar::new();
        sealed.add_original(cookie::Cookie::new(name.to_owned(), given.value().to_owned()));
        let found = self.old.iter().find_map(|key| sealed.private(key).get(name));
        found.map(|cookie| cookie.value().to_owned())
    }

    /// Gives the browser a cookie.
    pub(super) fn give(&self, jar: &CookieJar<'_>, name: &'static str, value: String, life: Duration) {
        let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name, value))
            .path("/")
            .secure(self.secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(rocket::time::Duration::seconds(seconds));
        jar.add_private(cookie);
    }

    /// Takes a cookie away.
    pub(super) fn take(jar: &CookieJar<'_>, name: &'static str) {
        jar.remove_private(Cookie::build(name).path("/"));
    }
}
