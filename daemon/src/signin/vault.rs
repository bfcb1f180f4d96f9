//! Tokens at rest: XChaCha20-Poly1305, so that a copy of the database speaks for nobody.
//!
//! A sealed token is: version (1 byte), key id (4), nonce (24), ciphertext with its tag. Version, key id, the user's
//! number and the column's name are authenticated with it: moved to another row or column it cannot be opened.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

const VERSION: u8 = 1;
const NONCE: usize = 24;
const HEAD: usize = 1 + 4 + NONCE;

type KeyId = [u8; 4];

/// The column that a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `users.access_token`.
    Access,
    /// `users.refresh_token`.
    Refresh,
}

impl Field {
    const fn name(self) -> &'static str {
        match self {
            Self::Access => "users.access_token",
            Self::Refresh => "users.refresh_token",
        }
    }
}

/// Why a stored token cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// None of the keys is the one that it was sealed with.
    #[error("it was sealed with a key that ENCRYPTION_KEY does not hold")]
    UnknownKey,
    /// It is not what was sealed for this user and column.
    #[error("it is damaged, or another user's")]
    Damaged,
}

/// Seals with the first key, opens with any.
pub struct Vault {
    first: (KeyId, XChaCha20Poly1305),
    old: Vec<(KeyId, XChaCha20Poly1305)>,
}

impl Vault {
    /// `None` without a key: then nothing is to be stored. Keys have 32 bytes, as `Config` makes sure.
    #[must_use]
    pub fn new(keys: &[SecretSlice<u8>]) -> Option<Self> {
        let mut keys = keys.iter().filter_map(|key| {
            let digest = Sha256::new().chain_update(b"bisectd key id\0").chain_update(key.expose_secret()).finalize();
            let id = [digest[0], digest[1], digest[2], digest[3]];
            Some((id, XChaCha20Poly1305::new_from_slice(key.expose_secret()).ok()?))
        });
        Some(Self { first: keys.next()?, old: keys.collect() })
    }

    /// A token for a row of `users`, by our number.
    #[must_use]
    pub fn seal(&self, user: i64, field: Field, token: &SecretString) -> Option<Vec<u8>> {
        let (id, cipher) = &self.first;
        let nonce: [u8; NONCE] = rand::random();
        let aad = bound(*id, user, field);
        let message = Payload { msg: token.expose_secret().as_bytes(), aad: &aad };
        // Fails for messages of 256 GiB only.
        let sealed = cipher.encrypt(&XNonce::from(nonce), message).ok()?;
        Some([&[VERSION][..], &id[..], &nonce[..], &sealed[..]].concat())
    }

    /// What was sealed.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn open(&self, user: i64, field: Field, sealed: &[u8]) -> Result<SecretString, Unreadable> {
        let id = key_of(sealed).ok_or(Unreadable::Damaged)?;
        let nonce: [u8; NONCE] = sealed[HEAD - NONCE..HEAD].try_into().map_err(|_| Unreadable::Damaged)?;
        let aad = bound(id, user, field);
        let mut known = std::iter::once(&self.first).chain(&self.old).filter(|(known, _)| *known == id).peekable();
        known.peek().ok_or(Unreadable::UnknownKey)?;
        let opened = known.find_map(|(_, cipher)| {
            cipher.decrypt(&XNonce::from(nonce), Payload { msg: &sealed[HEAD..], aad: &aad }).ok()
        });
        let text = String::from_utf8(opened.ok_or(Unreadable::Damaged)?).map_err(|_| Unreadable::Damaged)?;
        Ok(text.into())
    }

    /// Whether it was sealed with the first key.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        key_of(sealed) == Some(self.first.0)
    }
}

fn key_of(sealed: &[u8]) -> Option<KeyId> {
    (sealed.len() > HEAD && sealed[0] == VERSION).then(|| [sealed[1], sealed[2], sealed[3], sealed[4]])
}

/// What is authenticated beside the token.
fn bound(key: KeyId, user: i64, field: Field) -> Vec<u8> {
    [&[VERSION][..], &key[..], &user.to_be_bytes()[..], field.name().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> SecretSlice<u8> {
        vec![byte; 32].into()
    }

    fn vault(keys: &[u8]) -> Vault {
        Vault::new(&keys.iter().map(|byte| key(*byte)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_token_opens_with_its_key_for_its_user_and_column_only() {
        let token = SecretString::from("ghu_0123456789");
        let sealed = vault(&[1]).seal(7, Field::Access, &token).unwrap();
        let opened =
            |vault: &Vault, user, field| vault.open(user, field, &sealed).map(|it| it.expose_secret().to_owned());
        assert_eq!(opened(&vault(&[1]), 7, Field::Access).unwrap(), "ghu_0123456789");
        assert_eq!(opened(&vault(&[2, 1]), 7, Field::Access).unwrap(), "ghu_0123456789", "an old key");
        assert_eq!(opened(&vault(&[2]), 7, Field::Access), Err(Unreadable::UnknownKey));
        assert_eq!(opened(&vault(&[1]), 8, Field::Access), Err(Unreadable::Damaged));
        assert_eq!(opened(&vault(&[1]), 7, Field::Refresh), Err(Unreadable::Damaged));
        assert!(vault(&[1, 2]).is_current(&sealed) && !vault(&[2, 1]).is_current(&sealed));
        assert_ne!(vault(&[1]).seal(7, Field::Access, &token).unwrap(), sealed, "never the same nonce");
        assert!(!sealed.windows(4).any(|part| part == b"ghu_"));
        assert!(Vault::new(&[]).is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_changed_or_cut_does_not_open(token in "[ -~]{0,80}", at in any::<prop::sample::Index>(), bit in 0..8_u32) {
            let vault = vault(&[3]);
            let sealed = vault.seal(1, Field::Refresh, &token.clone().into()).unwrap();
            let opened = vault.open(1, Field::Refresh, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), token.as_str());
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1_u8 << bit;
            prop_assert!(vault.open(1, Field::Refresh, &changed).is_err());
            prop_assert!(vault.open(1, Field::Refresh, &sealed[..at.index(sealed.len())]).is_err());
        }
    }
}
