//! Users' tokens: stored sealed, refreshed shortly before they are over, and the end of every session when GitHub says
//! that they were taken back.

use super::{Field, Inner, Vault, access::Unknown};
use crate::{
    db::{
        DbError, Tx,
        audit_events::{self, NewAuditEvent},
        sessions, user_repositories, users,
    },
    github::{OAuthError, UserTokens},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// A token that is over so soon is refreshed first.
const SOON: Duration = Duration::from_mins(1);

/// Stores the tokens of a sign-in, where there is a key to seal them with.
pub(super) async fn store(inner: &Inner, tx: &mut Tx, user: i64, tokens: &UserTokens) -> Result<(), DbError> {
    let sealed = inner.vault.as_ref().map(|vault| {
        let refresh = tokens.refresh.as_ref().and_then(|token| vault.seal(user, Field::Refresh, token));
        (vault.seal(user, Field::Access, &tokens.access), refresh)
    });
    let (access, refresh) = sealed.unwrap_or_default();
    let life = tokens.expires_in.filter(|_| access.is_some());
    users::store_tokens(tx, user, access.as_deref(), refresh.as_deref(), life).await
}

/// The user's token as it is now.
pub(super) async fn current(
    inner: &Inner,
    user: i64,
    bad: Option<&SecretString>,
) -> Result<Option<(i64, SecretString)>, Unknown> {
    let (Some(vault), Some(oauth)) = (&inner.vault, &inner.oauth) else { return Ok(None) };
    let mut tx = inner.db.begin().await?;
    let row = users::tokens(&mut tx, user).await?;
    tx.rollback().await?;
    let Some(row) = row else { return Ok(None) };
    let open = |field, sealed: &Option<Vec<u8>>| opened(vault, user, field, sealed.as_deref()?);
    let Some(access) = open(Field::Access, &row.access) else { return Ok(None) };
    let is_bad = bad.is_some_and(|bad| bad.expose_secret() == access.expose_secret());
    if !is_bad && row.left.is_none_or(|left| left > SOON) {
        return Ok(Some((row.github_id, access)));
    }
    let Some(refresh) = open(Field::Refresh, &row.refresh) else {
        return Err(inner.revoked(user).await?);
    };
    let fresh = match oauth.refresh(&refresh).await {
        Ok(fresh) => fresh,
        Err(OAuthError::Refused(_)) => return Err(inner.revoked(user).await?),
        Err(error @ (OAuthError::Configuration(_) | OAuthError::Unavailable(_))) => {
            let reason = error.to_string();
            let doing = "refreshing a user's token".to_owned();
            return Err(crate::github::GithubError::Unavailable { doing, reason }.into());
        }
    };
    let mut tx = inner.db.begin().await?;
    store(inner, &mut tx, user, &fresh).await?;
    tx.commit().await?;
    Ok(Some((row.github_id, fresh.access)))
}

fn opened(vault: &Vault, user: i64, field: Field, sealed: &[u8]) -> Option<SecretString> {
    let warn = |error: &_| tracing::warn!(user.id = user, error = %error, "a stored token cannot be read");
    vault.open(user, field, sealed).inspect_err(warn).ok()
}

/// Takes what is stored to speak for a user out of the database; the token is to be given back to GitHub once that is
/// committed.
pub(super) async fn take(inner: &Inner, tx: &mut Tx, user: i64) -> Result<Option<SecretString>, DbError> {
    let row = users::tokens(tx, user).await?;
    users::store_tokens(tx, user, None, None, None).await?;
    let sealed = row.and_then(|row| row.access);
    Ok(sealed.zip(inner.vault.as_ref()).and_then(|(sealed, vault)| opened(vault, user, Field::Access, &sealed)))
}

/// Tells GitHub that a token is not needed any more.
pub(super) async fn give_back(inner: Arc<Inner>, user: i64, token: SecretString) {
    let Some(oauth) = &inner.oauth else { return };
    if let Err(error) = oauth.revoke(&token).await {
        tracing::warn!(user.id = user, error = %error, "a token could not be given back to GitHub; it ends by itself");
    }
}

/// Ends every session of a user, and forgets tokens and repositories.
pub(super) async fn sign_out(inner: &Inner, user: i64, reason: &str) -> Result<(), DbError> {
    let mut tx = inner.db.begin().await?;
    let login = users::tokens(&mut tx, user).await?.map(|row| row.login);
    sign_out_in(&mut tx, user, login.as_deref().unwrap_or("unknown"), reason).await?;
    tx.commit().await
}

/// The same within a transaction.
pub(crate) async fn sign_out_in(tx: &mut Tx, user: i64, login: &str, reason: &str) -> Result<(), DbError> {
    let ended = sessions::end_all(tx, user).await?;
    users::store_tokens(tx, user, None, None, None).await?;
    user_repositories::forget_user(tx, user).await?;
    let event = NewAuditEvent {
        actor: login,
        channel: "github",
        action: "user.signout",
        job: None,
        installation: None,
        detail: json!({ "everywhere": true, "sessions": ended, "reason": reason }),
    };
    audit_events::append_of_user(tx, &event, user, None).await
}
