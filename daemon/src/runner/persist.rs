//! Tries again what may help itself, for as long as it makes sense.

use super::{
    keeper::Keeper,
    patience::{FIRST_WAIT, Patience},
};
use crate::{db, queue::LeaseError};
use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// Tries again what may help itself, with doubling waits.
pub(super) async fn retry<T, F>(limit: Duration, mut attempt: impl FnMut() -> F) -> Result<T, String>
where
    F: Future<Output = Result<T, (String, bool)>>,
{
    let mut patience = Patience::new(limit);
    loop {
        let (reason, again) = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        let Some(wait) = patience.failed(Instant::now()).filter(|_| again) else { return Err(reason) };
        tracing::warn!(reason, wait.seconds = wait.as_secs_f64(), "preparing a job failed; trying again");
        tokio::time::sleep(wait).await;
    }
}

/// Repeats a write while the database cannot be reached and the lease lasts: a database that
/// restarts loses nothing.
pub(super) async fn persist<T, F>(keeper: &Keeper, mut write: impl FnMut() -> F) -> Result<T, LeaseError>
where
    F: Future<Output = Result<T, LeaseError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        match write().await {
            Err(LeaseError::Database(error)) if error.is_unreachable() => {
                tracing::warn!(error = %error, "a write failed; trying again while the lease lasts");
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(5)),
                    () = keeper.lost.cancelled() => return Err(LeaseError::Lost),
                }
            }
            answer => return answer,
        }
    }
}

/// The same for a read.
pub(super) async fn persist_read<T, F>(keeper: &Keeper, mut read: impl FnMut() -> F) -> Result<T, LeaseError>
where
    F: Future<Output = Result<T, db::DbError>>,
{
    persist(keeper, || {
        let reading = read();
        async { reading.await.map_err(LeaseError::Database) }
    })
    .await
}
