//! What other processes did, as it happens: LISTEN, told on to whoever subscribes in this process.
//!
//! A change is a hint to look at the rows, never content. After anything that may have lost one,
//! [`Change::Resync`] says so, and a slow poll runs anyway: nothing depends on being told.

use crate::db::{
    Database, DatabaseSettings,
    job_events::JobEventKind,
    listener::{ListenError, Listener, Notification},
    notify::Channel,
};
use bisect_shared::JobId;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{sync::broadcast, task::JoinHandle};

/// How many changes a slow subscriber may be behind before it is told to look at everything.
const KEPT: usize = 1024;
/// The first and the longest wait before a lost session is opened again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A job's state; `seq` is the number of its event.
    Job {
        /// The job.
        id: JobId,
        /// 1, 2, 3, … within the job.
        seq: i64,
        /// What happened.
        kind: JobEventKind,
    },
    /// Deliveries wait.
    Inbox,
    /// Replies wait, or will be due after this long.
    Outbox(Duration),
    /// An instance was asked for something.
    Instances,
    /// Changes may have been missed: look at everything once.
    Resync,
}

/// The changes of one process. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Changes {
    sender: broadcast::Sender<Change>,
    live: Arc<AtomicBool>,
}

/// One subscription.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Change>);

impl Changes {
    /// Changes that nobody tells: with only a transaction pooler everything is polled.
    #[must_use]
    pub fn silent() -> Self {
        Self { sender: broadcast::channel(KEPT).0, live: Arc::default() }
    }

    /// Listens, once it is shown that a NOTIFY arrives, until the returned task is aborted.
    ///
    /// # Errors
    /// [`ListenError`], which tells which variable to set.
    pub async fn listen(settings: DatabaseSettings, db: &Database) -> Result<(Self, JoinHandle<()>), ListenError> {
        let listener = Listener::connect_checked(&settings, db).await?;
        let changes = Self::silent();
        changes.live.store(true, Ordering::Release);
        let task = tokio::spawn(forward(settings, listener, changes.clone()));
        Ok((changes, task))
    }

    /// Hears of every change from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }

    /// Whether changes are told at the moment; else only polling finds them.
    #[must_use]
    pub fn live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Tells the subscribers of this process something that they need not wait for.
    pub fn tell(&self, change: Change) {
        // Nobody may be subscribed just now.
        let _ = self.sender.send(change);
    }
}

impl Subscription {
    /// Waits for the next change.
    pub async fn next(&mut self) -> Change {
        match self.0.recv().await {
            Ok(change) => change,
            Err(broadcast::error::RecvError::Lagged(_)) => Change::Resync,
            // The process ends.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

async fn forward(settings: DatabaseSettings, mut listener: Listener, changes: Changes) {
    loop {
        match listener.next().await {
            Ok(Some(notification)) => {
                if let Some(change) = understand(&notification) {
                    changes.tell(change);
                }
            }
            Ok(None) => {}
            Err(error) => {
                changes.live.store(false, Ordering::Release);
                tracing::warn!(error = %error, "the listening session is lost; polling until it is back");
                // Whoever waits for a change finds out that none will come.
                changes.tell(Change::Resync);
                listener = reconnect(&settings).await;
                changes.live.store(true, Ordering::Release);
                tracing::info!("the listening session is back");
                changes.tell(Change::Resync);
            }
        }
    }
}

async fn reconnect(settings: &DatabaseSettings) -> Listener {
    let mut wait = FIRST_WAIT;
    loop {
        tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
        match Listener::connect(settings).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(error = %error, "the listening session is not back yet"),
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// `None` for a word of somebody else's, or of a newer program: the poll finds what it meant.
fn understand(notification: &Notification) -> Option<Change> {
    let channel = Channel::ALL.into_iter().find(|channel| channel.name() == notification.channel)?;
    match channel {
        Channel::Inbox => Some(Change::Inbox),
        Channel::Instances => Some(Change::Instances),
        Channel::Outbox => {
            let due = if notification.payload.is_empty() { 0 } else { notification.payload.parse().ok()? };
            Some(Change::Outbox(Duration::from_millis(due)))
        }
        Channel::Jobs => {
            let mut words = notification.payload.split(' ');
            let (id, seq, kind) = (words.next()?, words.next()?, words.next()?);
            Some(Change::Job { id: JobId(id.parse().ok()?), seq: seq.parse().ok()?, kind: kind.parse().ok()? })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(channel: &str, payload: &str) -> Option<Change> {
        understand(&Notification { channel: channel.into(), payload: payload.into() })
    }

    #[test]
    fn a_jobs_word_is_its_number_sequence_and_kind() {
        let change = Change::Job { id: JobId(17), seq: 3, kind: JobEventKind::Released };
        assert_eq!(heard("bisect_jobs", "17 3 released"), Some(change));
        assert_eq!(heard("bisect_inbox", ""), Some(Change::Inbox));
        assert_eq!(heard("bisect_instances", ""), Some(Change::Instances));
        assert_eq!(heard("bisect_outbox", ""), Some(Change::Outbox(Duration::ZERO)));
        assert_eq!(heard("bisect_outbox", "1500"), Some(Change::Outbox(Duration::from_millis(1500))));
        let odd =
            [("bisect_jobs", "17 3 sung"), ("bisect_jobs", ""), ("other", "17 3 released"), ("bisect_outbox", "soon")];
        for (channel, payload) in odd {
            assert_eq!(heard(channel, payload), None);
        }
    }

    #[tokio::test]
    async fn who_is_too_far_behind_is_told_to_look_at_everything() {
        let changes = Changes::silent();
        let mut subscription = changes.subscribe();
        for _ in 0..=KEPT {
            changes.tell(Change::Inbox);
        }
        assert_eq!(subscription.next().await, Change::Resync);
    }
}
