//! Who looks at a page, as request guards.

use super::{
    Inner, SESSION_LIFETIME, SignIn,
    access::{EARLY, Known},
    cookies::{Cookies, SESSION},
};
use crate::db::{
    DbError,
    sessions::{self, SessionRow, TokenHash},
};
use rocket::{
    Request,
    http::{CookieJar, Status},
    request::{FromRequest, Outcome},
};
use sha2::{Digest, Sha256};
use std::{convert::Infallible, time::Duration};
use subtle::ConstantTimeEq;

/// Who looks at a page: somebody who is signed in, or anybody. As a request guard it never fails: a wrong cookie
/// is nobody.
#[derive(Debug, Clone, Default)]
pub struct Viewer {
    /// Who is signed in.
    pub user: Option<SignedIn>,
}

/// Somebody who is signed in.
#[derive(Clone)]
pub struct SignedIn {
    /// Our number, `users.id`.
    pub id: i64,
    /// The login on GitHub.
    pub login: String,
    /// The picture's address.
    pub avatar_url: Option<String>,
    /// What forms send back as `csrf`, and scripts as the header `X-CSRF-Token`.
    pub csrf: String,
    /// Whose session this is.
    pub(super) hash: TokenHash,
}

impl std::fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedIn").field("id", &self.id).field("login", &self.login).finish_non_exhaustive()
    }
}

impl Viewer {
    /// Our number of the viewer, for `Database::begin_as_viewer`.
    #[must_use]
    pub fn id(&self) -> Option<i64> {
        self.user.as_ref().map(|user| user.id)
    }
}

impl SignedIn {
    /// Whose session this is, as the database knows it.
    #[must_use]
    pub const fn session(&self) -> TokenHash {
        self.hash
    }

    /// Whether this is the token that the viewer's own pages send back. Takes the same time whatever is given.
    #[must_use]
    pub fn csrf_is(&self, given: &str) -> bool {
        self.csrf.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

/// The guard of what changes something and is asked for by a script: somebody is signed in (else 401), and the header
/// `X-CSRF-Token` is right (else 403). A form's route takes [`Viewer`] and asks [`SignedIn::csrf_is`].
pub struct Confirmed(pub SignedIn);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Viewer {
    type Error = Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Infallible> {
        Outcome::Success(request.local_cache_async(find(request)).await.clone())
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Confirmed {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        let viewer = request.local_cache_async(find(request)).await;
        let Some(user) = &viewer.user else { return Outcome::Error((Status::Unauthorized, ())) };
        match request.headers().get_one("X-CSRF-Token").is_some_and(|given| user.csrf_is(given)) {
            true => Outcome::Success(Self(user.clone())),
            false => Outcome::Error((Status::Forbidden, ())),
        }
    }
}

async fn find(request: &Request<'_>) -> Viewer {
    let Some(signin) = request.rocket().state::<SignIn>() else { return Viewer::default() };
    let found = signin.inner.viewer(request.cookies()).await.unwrap_or_else(|error| {
        tracing::warn!(error = %error, "who is signed in could not be looked up; taken for nobody");
        None
    });
    let Some((user, known_for)) = found else { return Viewer::default() };
    if known_for <= EARLY && signin.ensure(user.id).await == Known::SignedOut {
        Cookies::take(request.cookies(), SESSION);
        return Viewer::default();
    }
    Viewer { user: Some(user) }
}

impl Inner {
    /// Who the session's user is, and how long what the database shows them holds still.
    async fn viewer(&self, jar: &CookieJar<'_>) -> Result<Option<(SignedIn, Duration)>, DbError> {
        let Some(token) = self.cookies.read(jar, SESSION).and_then(|text| Token::parse(&text)) else { return Ok(None) };
        let hash = token.hash();
        let mut tx = self.db.begin().await?;
        let Some(row) = sessions::find(&mut tx, &hash).await? else {
            tx.rollback().await?;
            Cookies::take(jar, SESSION);
            return Ok(None);
        };
        if row.left < SESSION_LIFETIME / 2 && sessions::renew(&mut tx, &hash, SESSION_LIFETIME).await? {
            self.cookies.give(jar, SESSION, token.text(), SESSION_LIFETIME);
        }
        tx.commit().await?;
        let SessionRow { user, login, avatar_url, repositories_left, .. } = row;
        Ok(Some((SignedIn { id: user, login, avatar_url, csrf: token.csrf(), hash }, repositories_left)))
    }
}

/// What a browser holds to be known.
pub(super) struct Token([u8; 32]);

impl Token {
    /// A new one.
    pub(super) fn random() -> Self {
        Self(rand::random())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// For the cookie.
    pub(super) fn text(&self) -> String {
        hex::encode(self.0)
    }

    /// For the database.
    pub(super) fn hash(&self) -> TokenHash {
        Sha256::digest(self.0).into()
    }

    /// For forms: it says nothing of the token, and is another one in every session.
    pub(super) fn csrf(&self) -> String {
        hex::encode(Sha256::new().chain_update(b"csrf\0").chain_update(self.0).finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forms_send_back_belongs_to_one_session() {
        let (one, other) = (Token::random(), Token::random());
        let user = SignedIn { id: 1, login: "ada".into(), avatar_url: None, csrf: one.csrf(), hash: one.hash() };
        assert!(user.csrf_is(&one.csrf()) && one.csrf().len() == 64);
        for wrong in ["", &other.csrf(), &one.text(), &one.csrf()[1..]] {
            assert!(!user.csrf_is(wrong));
        }
        assert!(!format!("{user:?}").contains(&one.csrf()), "never printed");
        assert_eq!(Token::parse(&one.text()).unwrap().hash(), one.hash());
        assert!(Token::parse("").is_none() && Token::parse(&one.text()[2..]).is_none());
    }
}
