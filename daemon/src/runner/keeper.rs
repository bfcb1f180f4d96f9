//! Keeps a lease alive while its job runs, and says at once when it is lost or somebody cancels.

use crate::{
    changes::{Change, Changes, Subscription},
    db::job_events::JobEventKind,
    queue::{Clocks, Lease, LeaseError, Queue},
};
use bisect_shared::JobId;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// A lease being renewed in the background, until it is dropped.
pub struct Keeper {
    /// Set when the lease is lost: stop the containers, write nothing.
    pub lost: CancellationToken,
    /// Set when somebody asked for the job to be cancelled.
    pub cancelled: CancellationToken,
    cancelled_by: Arc<OnceLock<String>>,
    /// Held while the lease is being renewed.
    renewing: Arc<Mutex<()>>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts renewing `lease`, which was claimed just now; at once when `changes` say that somebody asks for the job
    /// to be stopped, or took it.
    #[must_use]
    pub fn start(queue: Queue, lease: Arc<Lease>, clocks: Clocks, changes: Changes) -> Self {
        let (lost, cancelled) = (CancellationToken::new(), CancellationToken::new());
        let (cancelled_by, renewing) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(())));
        let signs = Signs {
            lost: lost.clone(),
            cancelled: cancelled.clone(),
            cancelled_by: Arc::clone(&cancelled_by),
            renewing: Arc::clone(&renewing),
        };
        let task = tokio::spawn(keep(queue, lease, clocks, signs, changes));
        Self { lost, cancelled, cancelled_by, renewing, task }
    }

    /// While the answer is held nothing is renewed: an ended job's lease cannot be, and the refusal would
    /// look like a worker that came too late. The lease still runs out in its time.
    pub(super) async fn hold_still(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.renewing).lock_owned().await
    }

    /// Who asked for the job to be cancelled.
    #[must_use]
    pub fn cancelled_by(&self) -> Option<&str> {
        self.cancelled_by.get().map(String::as_str)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task of a [`Keeper`] shares with it.
struct Signs {
    lost: CancellationToken,
    cancelled: CancellationToken,
    cancelled_by: Arc<OnceLock<String>>,
    renewing: Arc<Mutex<()>>,
}

async fn keep(queue: Queue, lease: Arc<Lease>, clocks: Clocks, signs: Signs, changes: Changes) {
    let Signs { lost, cancelled, cancelled_by, renewing } = signs;
    let patience = clocks.give_up_after();
    let every = clocks.heartbeat.min(patience / 4);
    let mut heard = changes.subscribe();
    // The lease is as old as the moment *before* the write that renewed it.
    let mut renewed = Instant::now();
    let mut next = renewed;
    loop {
        let deadline = renewed + patience;
        let (asked, answer) = tokio::select! {
            () = tokio::time::sleep_until(deadline) => break,
            answer = async {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = it_matters(&mut heard, lease.job()) => {}
                    () = nobody_tells(&changes) => {}
                }
                let _turn = renewing.lock().await;
                let asked = Instant::now();
                (asked, queue.renew(&lease).await)
            } => answer,
        };
        next = asked + every;
        match answer {
            // A process that was stopped for long wakes here: what it renewed is not its own.
            Ok(_) if Instant::now() > deadline => break,
            Ok(renewal) => {
                renewed = asked;
                if let Some(by) = renewal.cancel_requested_by {
                    let _ = cancelled_by.set(by);
                    cancelled.cancel();
                }
            }
            Err(LeaseError::Lost) => break,
            Err(LeaseError::Database(error)) => {
                tracing::warn!(job.id = %lease.job(), error = %error, "a lease could not be renewed; trying again");
                next = asked + every.min(DEAF);
            }
        }
    }
    tracing::warn!(job.id = %lease.job(), "the lease is lost: stopping its containers");
    lost.cancel();
}

/// Returns when somebody asked for the job to be stopped, or took it, or may have done so unheard.
async fn it_matters(heard: &mut Subscription, job: JobId) {
    loop {
        match heard.next().await {
            Change::Resync => return,
            Change::Job { id, kind: JobEventKind::CancelRequested | JobEventKind::Reclaimed, .. } if id == job => {
                return;
            }
            _ => {}
        }
    }
}

/// Returns soon while no changes are told: who cancels is then seen only by renewing.
async fn nobody_tells(changes: &Changes) {
    loop {
        tokio::time::sleep(DEAF).await;
        if !changes.live() {
            return;
        }
    }
}

/// How often a lease is renewed while no changes are told, or the database is away.
const DEAF: Duration = Duration::from_secs(1);
