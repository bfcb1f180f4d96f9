//! Sealing stored tokens anew, with the first key of `ENCRYPTION_KEY`. Servers may run meanwhile: each user's row is
//! locked while it is done.

use super::{Field, Vault};
use crate::db::{
    Database, DbError,
    audit_events::{self, NewAuditEvent},
    users::{self, TokensRow},
};
use serde_json::json;

/// So many users are done in one transaction.
const BATCH: u32 = 200;

/// What came of it, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotated {
    /// Sealed anew.
    pub anew: u64,
    /// Sealed with the first key already.
    pub current: u64,
    /// That no key opens; left as they are.
    pub unreadable: u64,
}

/// Seals every token anew that was not sealed with the first key. Done twice, the second time does nothing.
///
/// # Errors
/// [`DbError`]: what was done until then is done.
pub async fn rotate(db: &Database, vault: &Vault, actor: &str) -> Result<Rotated, DbError> {
    let (mut done, mut after) = (Rotated::default(), i64::MIN);
    loop {
        let mut tx = db.begin().await?;
        let rows = users::lock_tokens(&mut tx, after, BATCH).await?;
        for row in &rows {
            let access = resealed(vault, row, Field::Access, &mut done);
            let refresh = resealed(vault, row, Field::Refresh, &mut done);
            if access.is_some() || refresh.is_some() {
                let access = access.as_deref().or(row.access.as_deref());
                let refresh = refresh.as_deref().or(row.refresh.as_deref());
                users::reseal(&mut tx, row.id, access, refresh).await?;
            }
        }
        tx.commit().await?;
        match rows.last() {
            Some(last) => after = last.id,
            None => break,
        }
    }
    let mut tx = db.begin().await?;
    let detail = json!({ "anew": done.anew, "current": done.current, "unreadable": done.unreadable });
    let action = "keys.rotate";
    let event = NewAuditEvent { actor, channel: "shell", action, job: None, installation: None, detail };
    audit_events::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(done)
}

/// The token sealed anew, where that is to be done.
fn resealed(vault: &Vault, row: &TokensRow, field: Field, done: &mut Rotated) -> Option<Vec<u8>> {
    let sealed = match field {
        Field::Access => row.access.as_deref(),
        Field::Refresh => row.refresh.as_deref(),
    }?;
    match vault.open(row.id, field, sealed) {
        Ok(_) if vault.is_current(sealed) => {
            done.current += 1;
            None
        }
        Ok(token) => {
            let anew = vault.seal(row.id, field, &token);
            done.anew += u64::from(anew.is_some());
            anew
        }
        Err(_) => {
            done.unreadable += 1;
            None
        }
    }
}
