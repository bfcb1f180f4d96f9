//! Tries again what may help itself, for as long as it makes sense.

use super::{
    interrupt::{Interrupted, Interrupts},
    patience::{FIRST_WAIT, Patience},
};
use crate::{
    db::{self, DbError},
    queue::LeaseError,
};
use std::{future::Future, time::Duration};
use tokio::time::Instant;

/// How long a write may still take once the process was told to stop: enough for a database that
/// answers, and short for whoever waits for one that does not.
pub(super) const LAST_TRY: Duration = Duration::from_secs(2);

/// Why something was not written or read.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The job is not this process's any more, or is to be given back.
    Interrupted(Interrupted),
    /// The database refused it: tried again it would be refused again.
    Refused(DbError),
}

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

/// Repeats a write while the database cannot be reached, the lease lasts, and the process is not told
/// to stop: a database that restarts loses nothing.
pub(super) async fn persist<T, F>(interrupts: &Interrupts, mut write: impl FnMut() -> F) -> Result<T, Unwritten>
where
    F: Future<Output = Result<T, LeaseError>>,
{
    let mut wait = FIRST_WAIT;
    loop {
        let written = interrupts.unless_let_go(LAST_TRY, write()).await.map_err(Unwritten::Interrupted)?;
        match written {
            Ok(value) => return Ok(value),
            Err(LeaseError::Lost) => return Err(Unwritten::Interrupted(Interrupted::LeaseLost)),
            Err(LeaseError::Database(error)) if !error.is_unreachable() => return Err(Unwritten::Refused(error)),
            Err(LeaseError::Database(error)) => {
                tracing::warn!(error = %error, "a write failed; trying again while the lease lasts");
            }
        }
        tokio::select! {
            interrupted = interrupts.letting_go() => return last_try(interrupted, write()).await,
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(Duration::from_secs(5)),
        }
    }
}

/// A process that is to stop does not wait for a database that is away, but one that is back by now is told.
async fn last_try<T>(
    interrupted: Interrupted,
    write: impl Future<Output = Result<T, LeaseError>>,
) -> Result<T, Unwritten> {
    if interrupted == Interrupted::LeaseLost {
        return Err(Unwritten::Interrupted(interrupted));
    }
    match tokio::time::timeout(LAST_TRY, write).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(LeaseError::Lost)) => Err(Unwritten::Interrupted(Interrupted::LeaseLost)),
        Ok(Err(LeaseError::Database(error))) if !error.is_unreachable() => Err(Unwritten::Refused(error)),
        Ok(Err(LeaseError::Database(_))) | Err(_) => Err(Unwritten::Interrupted(interrupted)),
    }
}

/// The same for a read.
pub(super) async fn persist_read<T, F>(interrupts: &Interrupts, mut read: impl FnMut() -> F) -> Result<T, Unwritten>
where
    F: Future<Output = Result<T, db::DbError>>,
{
    persist(interrupts, || {
        let reading = read();
        async { reading.await.map_err(LeaseError::Database) }
    })
    .await
}
