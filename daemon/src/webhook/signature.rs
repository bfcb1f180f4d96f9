//! Whether a body was signed with one of our secrets: `X-Hub-Signature-256`, HMAC-SHA256 over the
//! raw bytes (docs.github.com, "Validating webhook deliveries"). Pure.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The secrets that are good now: one, or during a rotation the new and the old one.
#[derive(Debug)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    /// Reads `secret` or `new,old`; `None` where there is no secret in it.
    #[must_use]
    pub fn read(text: &SecretString) -> Option<Self> {
        let parts = text.expose_secret().split(',').map(str::trim).filter(|part| !part.is_empty());
        let secrets: Vec<_> = parts.map(SecretString::from).collect();
        (!secrets.is_empty()).then_some(Self(secrets))
    }

    /// Whether `header` (`sha256=` and 64 hexadecimal digits) is the signature of `body` by one of them.
    /// The comparison takes the same time wherever the first difference is.
    #[must_use]
    pub fn verify(&self, header: &str, body: &[u8]) -> bool {
        let Some(Ok(signature)) = header.strip_prefix("sha256=").map(hex::decode) else { return false };
        self.0.iter().any(|secret| {
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector that GitHub publishes.
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secrets(text: &str) -> Secrets {
        Secrets::read(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn githubs_published_vector_is_good() {
        assert!(secrets("It's a Secret to Everybody").verify(SIGNED, b"Hello, World!"));
        assert!(!secrets("It's a Secret to Everybody").verify(SIGNED, b"Hello, World?"));
        assert!(!secrets("another").verify(SIGNED, b"Hello, World!"));
    }

    #[test]
    fn during_a_rotation_both_are_good() {
        assert!(secrets("new,It's a Secret to Everybody").verify(SIGNED, b"Hello, World!"));
        assert!(secrets("It's a Secret to Everybody, old").verify(SIGNED, b"Hello, World!"));
        assert!(Secrets::read(&SecretString::from(" , ")).is_none());
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        for header in ["", "sha256=", "sha256=75", "sha1=757107", &SIGNED[7..], &format!("{SIGNED}00")] {
            assert!(!secrets("It's a Secret to Everybody").verify(header, b"Hello, World!"), "{header}");
        }
    }
}
