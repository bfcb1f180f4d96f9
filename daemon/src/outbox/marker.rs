//! The hidden marks by which the bot knows its comments again, made with what only the App knows.

use crate::report::comment as say;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::sync::Arc;

/// Makes marks with one secret, and knows those of all.
#[derive(Debug, Clone)]
pub struct Markers(Arc<[SecretString]>);

impl Markers {
    /// Reads `secret`, or `new,old` during a rotation: a comment that was marked with the old one is
    /// still known.
    #[must_use]
    pub fn read(text: &SecretString) -> Self {
        let parts = text.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty());
        Self(parts.map(SecretString::from).collect())
    }

    /// The mark of a new comment.
    pub(super) fn new_mark(&self, kind: &str, key: &str) -> String {
        let tag = self.0.first().map_or_else(String::new, |secret| tag(secret, key));
        say::marker(kind, key, &tag)
    }

    /// Whether one of our marks for this stands in a comment.
    pub(super) fn stands_in(&self, body: &str, kind: &str, key: &str) -> bool {
        self.0.iter().any(|secret| say::has_marker(body, kind, key, &tag(secret, key)))
    }
}

/// A text that nobody else can make for this key.
fn tag(secret: &SecretString, key: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return String::new() };
    mac.update(b"bisect-bot marker\0");
    mac.update(key.as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markers(text: &str) -> Markers {
        Markers::read(&SecretString::from(text))
    }

    #[test]
    fn a_comment_is_known_before_during_and_after_a_rotation() {
        let old = format!("text\n{}\n", markers("old").new_mark("status", "job:7:status"));
        let during = markers("new, old");
        assert!(during.stands_in(&old, "status", "job:7:status"));
        let new = during.new_mark("status", "job:7:status");
        assert!(markers("new").stands_in(&new, "status", "job:7:status"), "the new secret is the one that marks");
        assert!(!markers("new").stands_in(&old, "status", "job:7:status"));
        assert!(!during.stands_in(&old, "status", "job:8:status") && !during.stands_in(&old, "reply", "job:7:status"));
    }
}
