//! Who calls: an App by its signed JWT, an installation by its token, or nobody. Says what GitHub says to each mistake.

use crate::call::{Call, Reply};
use crate::world::state::{App, Installation, Repository, State, Token, UserToken};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

/// GitHub allows a clock this far ahead in `iat`.
const CLOCK_DRIFT: TimeDelta = TimeDelta::seconds(60);
/// The longest life of an App's JWT.
const JWT_LIFE: TimeDelta = TimeDelta::minutes(10);

/// Who speaks on the installation routes.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    Nobody,
    Installation(Token),
    User(UserToken),
}

fn credentials(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.trim().split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")).then(|| rest.trim())
}

fn unauthorized(message: &str) -> Reply {
    Reply::error(401, message)
}

/// The App that signed the call's JWT.
pub(crate) fn app(call: &Call<'_>) -> Result<App, Reply> {
    let undecodable = || unauthorized("A JSON web token could not be decoded");
    let token = call.authorization.as_deref().and_then(credentials).ok_or_else(undecodable)?;
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(token).map_err(|_| undecodable())?.claims;
    let state = call.world.read();
    let app = issuer(&state, &claims["iss"]).ok_or_else(|| Reply::error(404, "Integration not found"))?.clone();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.required_spec_claims.clear();
    // Times are judged below, by the look-alike's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_rsa_der(&app.public_key);
    jsonwebtoken::decode::<Value>(token, &key, &validation).map_err(|_| undecodable())?;
    check_times(&claims, state.now().timestamp())?;
    Ok(app)
}

fn issuer<'a>(state: &'a State, iss: &Value) -> Option<&'a App> {
    let text = iss.as_str().map(str::to_owned).or_else(|| iss.as_i64().map(|n| n.to_string()))?;
    state.apps.iter().find(|app| app.id.to_string() == text || app.client_id == text)
}

fn check_times(claims: &Value, now: i64) -> Result<(), Reply> {
    let whole = |name: &str| claims[name].as_i64().or_else(|| claims[name].as_f64().map(|f| f as i64));
    let iat = whole("iat").filter(|iat| *iat <= now + CLOCK_DRIFT.num_seconds()).ok_or_else(|| {
        unauthorized("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")
    })?;
    let exp = whole("exp").filter(|exp| *exp > now).ok_or_else(|| {
        unauthorized(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion \
             expires",
        )
    })?;
    if exp > now + JWT_LIFE.num_seconds() || exp < iat {
        return Err(unauthorized("'Expiration time' claim ('exp') is too far in the future"));
    }
    Ok(())
}

/// Who speaks, on every route that is not the App's own.
pub(crate) fn caller(call: &Call<'_>) -> Result<Caller, Reply> {
    let Some(authorization) = call.authorization.as_deref() else { return Ok(Caller::Nobody) };
    let token = credentials(authorization).ok_or_else(|| unauthorized("Bad credentials"))?;
    token_caller(&call.world.read(), token)
}

/// The installation or the user of a token that is still good.
pub(crate) fn token_caller(state: &State, token: &str) -> Result<Caller, Reply> {
    if token.starts_with("ghu_") || token.starts_with("gho_") {
        let good = |known: &&UserToken| known.token == token && known.expires_at.is_none_or(|at| at > state.now());
        let known = state.user_tokens.iter().find(good);
        return known.cloned().map(Caller::User).ok_or_else(|| unauthorized("Bad credentials"));
    }
    let known = state.tokens.iter().find(|known| known.token == token && known.expires_at > state.now());
    let known = known.ok_or_else(|| unauthorized("Bad credentials"))?;
    let installation = state.installation(known.installation).ok_or_else(|| unauthorized("Bad credentials"))?;
    if installation.suspended.is_some() {
        return Err(suspended());
    }
    Ok(Caller::Installation(known.clone()))
}

/// The user whose token this is, on routes for users only.
pub(crate) fn user(call: &Call<'_>) -> Result<UserToken, Reply> {
    match caller(call)? {
        Caller::User(token) => Ok(token),
        Caller::Installation(_) => Err(Reply::forbidden()),
        Caller::Nobody => Err(unauthorized("Requires authentication")),
    }
}

pub(crate) fn suspended() -> Reply {
    Reply::error(403, "This installation has been suspended")
}

impl Caller {
    /// The name under which its calls are counted.
    pub fn counted_as(&self) -> String {
        match self {
            Self::Nobody => "nobody".to_owned(),
            Self::Installation(token) => format!("installation {}", token.installation),
            Self::User(token) => format!("user {}", token.user),
        }
    }

    /// Whether its token reaches this repository.
    pub fn reaches(&self, state: &State, repository: &Repository) -> bool {
        let Self::Installation(token) = self else { return false };
        let covered = |i: &Installation| state.covers(i, repository);
        token.repositories.as_ref().is_none_or(|ids| ids.contains(&repository.id))
            && state.installation(token.installation).is_some_and(covered)
    }

    /// Whether its token has one of these permissions at this level or above.
    pub fn holds(&self, any_of: &[&str], level: &str) -> bool {
        let Self::Installation(token) = self else { return false };
        let rank = |level: &str| ["read", "write", "admin"].iter().position(|l| *l == level);
        any_of.iter().any(|name| token.permissions.get(*name).is_some_and(|held| rank(held) >= rank(level)))
    }

    /// Reading: everybody may read what is public; what is private needs the token, and then the permission.
    pub fn may_read(&self, state: &State, repository: &Repository, any_of: &[&str]) -> Result<(), Reply> {
        if !repository.private {
            return Ok(());
        }
        if !self.reaches(state, repository) {
            return Err(Reply::not_found());
        }
        if self.holds(any_of, "read") { Ok(()) } else { Err(Reply::forbidden()) }
    }

    /// Writing, and the reading that GitHub grants to nobody without a token.
    pub fn may(&self, state: &State, repository: &Repository, any_of: &[&str], level: &str) -> Result<(), Reply> {
        if matches!(self, Self::Nobody) {
            let hidden = repository.private;
            return Err(if hidden { Reply::not_found() } else { unauthorized("Requires authentication") });
        }
        if !self.reaches(state, repository) {
            return Err(if repository.private { Reply::not_found() } else { Reply::forbidden() });
        }
        if self.holds(any_of, level) { Ok(()) } else { Err(Reply::forbidden()) }
    }
}
