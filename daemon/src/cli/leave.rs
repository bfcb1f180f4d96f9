//! What a signal means for the job that a person waits for, and what that person is told.

use super::{bisect::tell, instance::is_dead, signals::Signals};
use crate::{
    queue::{Left, Queue},
    report::terminal::plural,
    runner::Runner,
};
use bisect_shared::JobId;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use tokio_util::sync::CancellationToken;

/// One person's way out.
#[derive(Clone)]
pub(super) struct Leaving {
    queue: Queue,
    job: JobId,
    data_dir: PathBuf,
    stopping: CancellationToken,
    /// How many others wait for the job, once that was asked.
    others: Arc<OnceLock<usize>>,
}

impl Leaving {
    /// `stopping` is set when the job is to be given back.
    pub(super) fn new(runner: &Runner, job: JobId, data_dir: &Path, stopping: CancellationToken) -> Self {
        Self { queue: runner.queue.clone(), job, data_dir: data_dir.to_owned(), stopping, others: Arc::default() }
    }

    /// Ctrl-C cancels the job, whoever brought it, unless somebody else waits for it: then it is
    /// given back, and goes on there. SIGTERM and SIGHUP always give it back, to go on later. A
    /// second signal ends the process at once, which is not done here.
    pub(super) async fn obey(self, signals: Signals) {
        signals.asked.cancelled().await;
        if !signals.by_interrupt() {
            tell("\nstopping: the job is given back (once more ends at once)");
            self.stopping.cancel();
            if let Err(error) = self.queue.watch_no_more().await {
                tracing::debug!(error = %error, "the database was not told that nobody waits here");
            }
            return;
        }
        match self.queue.leave(self.job, "Ctrl-C", |id| is_dead(&self.data_dir, &id.0)).await {
            Ok(Left::Cancelled) => return tell("\ncancelling: stopping what runs (once more ends at once)"),
            Ok(Left::Others(others)) => {
                let _ = self.others.set(others);
                let (s, verb) = (plural(others as u64), if others == 1 { "s" } else { "" });
                tell(&format!(
                    "\nleaving: {others} other{s} wait{verb} for job {}, which goes on there (once more ends at once)",
                    self.job
                ));
            }
            Err(error) => {
                tracing::warn!(error = %error, "the job could not be cancelled; giving it back");
            }
        }
        self.stopping.cancel();
    }

    /// What is said at the end of a process whose job has not ended.
    pub(super) fn last_words(&self) -> String {
        match self.others.get() {
            Some(_) => format!("stopped; job {} goes on for those who still wait for it", self.job),
            None => format!("stopped; job {} is kept: give the same command again to go on", self.job),
        }
    }
}
