//! Starts the server again when it was killed under those who use it. A server of an installation
//! has somebody who does that; this one has only its users.

use super::{PrivatePostgresError, blocking, lock::FileLock, server::Server};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks. Each reads two small files, and costs the server nothing.
const EVERY: Duration = Duration::from_millis(200);

/// The longest pause after a start that failed; it doubles from [`EVERY`].
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One user's watch over the server, until that user leaves.
#[derive(Debug)]
pub(super) struct Guard {
    /// Set by the user before it takes the start lock to leave: from then on nothing is started.
    left: CancellationToken,
    task: JoinHandle<()>,
}

impl Guard {
    pub(super) fn start(server: Server, start_lock: PathBuf) -> Self {
        let left = CancellationToken::new();
        let task = tokio::spawn(watch(server, start_lock, left.clone()));
        Self { left, task }
    }

    /// Ends the watch. A start that is under way holds the start lock, so whoever takes that lock
    /// next finds the server started, and can stop it.
    pub(super) fn leave(&self) {
        self.left.cancel();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.leave();
        self.task.abort();
    }
}

async fn watch(server: Server, start_lock: PathBuf, left: CancellationToken) {
    let mut pause = EVERY;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = left.cancelled() => return,
        }
        let (server, start_lock, left) = (server.clone(), start_lock.clone(), left.clone());
        match blocking(move || restart(&server, &start_lock, &left)).await {
            Ok(()) => pause = EVERY,
            Err(error) => {
                tracing::warn!(error = %error, "the private PostgreSQL has ended and was not started again; trying again");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Starts the server if it is gone. All its users see that at once: the first to have the lock
/// starts it, the others find it running.
fn restart(server: &Server, start_lock: &Path, left: &CancellationToken) -> Result<(), PrivatePostgresError> {
    if server.postmaster_lives() || server.answers() {
        return Ok(());
    }
    let _start = FileLock::exclusive(start_lock)?;
    if left.is_cancelled() || server.answers() {
        return Ok(());
    }
    server.ensure_running()?;
    tracing::warn!("the private PostgreSQL was killed, and has been started again");
    Ok(())
}
