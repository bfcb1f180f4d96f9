//! What a delivery means, and what is done about it: the inbox is worked off, some deliveries side by side,
//! those of one issue in their order.
//!
//! A delivery is leased, GitHub is asked what must be known, and then one transaction holds all that
//! comes of it: the job or the rejection, the replies, and that the delivery is done. So a process
//! that dies at any moment leaves either nothing or everything, and the delivery is taken up again.

mod answers;
mod bisect;
mod comment;
mod installation;
mod mirrors;
mod reply;

use crate::{
    db::{
        Database, DbError,
        again::until_reached,
        deliveries::{self, Completion, LeasedDelivery},
        installations,
    },
    github::{Github, GithubError},
    queue::Queue,
    runner::{credentials::GithubCredentials, mirror::Mirrors},
    sandbox::Network,
    vitals::Vital,
    webhook::event::{self, Event},
};
use bisect_shared::{InstanceId, JobId};
use installation::Note;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// How long one delivery may take: longer than every call of GitHub that it needs.
const LEASE: Duration = Duration::from_mins(5);
/// Deliveries that one process works off side by side: GitHub may be slow to answer for one of them.
const HANDS: usize = 4;
/// After so many tries a delivery is given up; with doubling pauses that is about a day.
const MAX_TRIES: u32 = 24;
/// The shortest pause between two looks at an inbox in which something waits.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What intake needs from outside.
#[derive(Clone)]
pub struct Intake {
    /// The database.
    pub db: Database,
    /// The queue on it.
    pub queue: Queue,
    /// GitHub.
    pub github: Github,
    /// The mirrors of this machine, of which those of a removed installation go, and how they are named.
    pub mirrors: Mirrors,
    /// Names them.
    pub credentials: GithubCredentials,
    /// This process.
    pub instance: InstanceId,
    /// What holds where nobody says otherwise.
    pub defaults: Arc<Defaults>,
}

/// What holds for a request that leaves it open, and what bounds it.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The image.
    pub image: String,
    /// What commands may reach at most.
    pub network: Network,
    /// Probes at once, at most.
    pub max_lanes: u32,
    /// The public address of this service, for links; without one there is nothing to link to.
    pub base_url: Option<String>,
    /// GitHub's address, for links.
    pub github_url: String,
}

/// Why a delivery could not be worked off now.
#[derive(Debug, thiserror::Error)]
enum IntakeError {
    #[error(transparent)]
    Github(#[from] GithubError),
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What became of a delivery.
enum Done {
    /// The transaction that worked it off is committed.
    Recorded,
    /// It is only to be recorded so.
    Ended(Completion),
}

impl Intake {
    /// Works the inbox off until `stopping`, woken by `wake`, when something is due, and every `pause`.
    pub async fn run(self, wake: Arc<Notify>, pause: Duration, stopping: CancellationToken, vital: Vital) {
        let idle = Arc::new(Notify::new());
        let mut hands = JoinSet::new();
        for _ in 0..HANDS {
            hands.spawn(self.clone().hand(Arc::clone(&wake), Arc::clone(&idle), stopping.clone()));
        }
        // Idle, they ask the database once in a pause, not each of them.
        let clock = async {
            loop {
                // What waits behind another of its key is due already: the hand that has that one goes on with it.
                vital.beat();
                let look = self.due().await.max(SHORTEST_PAUSE).min(pause);
                tokio::select! {
                    () = tokio::time::sleep(look) => wake.notify_one(),
                    () = idle.notified() => {}
                }
            }
        };
        tokio::select! {
            _ = hands.join_all() => {}
            () = clock => {}
        }
    }

    async fn hand(self, wake: Arc<Notify>, idle: Arc<Notify>, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            match self.next(&wake).await {
                Ok(true) => continue,
                // It may have postponed something.
                Ok(false) => idle.notify_one(),
                Err(error) => tracing::warn!(error = %error, "the inbox could not be read; trying again"),
            }
            tokio::select! {
                () = wake.notified() => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    /// How long until a delivery that was postponed is due.
    async fn due(&self) -> Duration {
        let ask = async {
            let mut tx = self.db.begin().await?;
            let due = deliveries::next_due(&mut tx).await?;
            tx.commit().await?;
            Ok::<_, DbError>(due)
        };
        ask.await.ok().flatten().unwrap_or(Duration::MAX)
    }

    /// Works one delivery off; `false` when none waits. Another hand looks for the next one meanwhile.
    async fn next(&self, wake: &Notify) -> Result<bool, DbError> {
        let mut tx = self.db.begin().await?;
        let leased = deliveries::lease_next(&mut tx, &self.instance, LEASE).await?;
        tx.commit().await?;
        let Some(delivery) = leased else { return Ok(false) };
        wake.notify_one();
        let worked_off = self.work_off(&delivery).await;
        // It stays leased until this is written, so a database that is away is waited for.
        let written = until_reached(LEASE, || async {
            match &worked_off {
                Ok(Done::Recorded) => Ok(()),
                Ok(Done::Ended(outcome)) => self.complete(&delivery, outcome).await,
                Err(error) => self.again_later(&delivery, error).await,
            }
        });
        written.await.map(|()| true)
    }

    async fn work_off(&self, delivery: &LeasedDelivery) -> Result<Done, IntakeError> {
        let told = match event::read(&delivery.event, delivery.payload.as_bytes()) {
            Ok(told) => told,
            Err(error) => return Ok(Done::Ended(Completion::Rejected(error.to_string()))),
        };
        match told.event {
            Event::Ignored(reason) => Ok(Done::Ended(Completion::Ignored(reason))),
            Event::Ping => Ok(Done::Ended(Completion::Processed(None))),
            Event::Comment(comment) => self.comment(delivery, *comment).await,
            event => {
                let note = Note { action: told.action.unwrap_or_default(), by: told.sender };
                self.installation(delivery, event, &note).await
            }
        }
    }

    async fn complete(&self, delivery: &LeasedDelivery, outcome: &Completion) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        deliveries::complete(&mut tx, delivery, outcome).await?;
        tx.commit().await
    }

    /// A delivery that cannot be worked off now is tried again, later each time; one that GitHub
    /// will never let us work off is recorded as failed, with the reason.
    async fn again_later(&self, delivery: &LeasedDelivery, error: &IntakeError) -> Result<(), DbError> {
        let wait = match error {
            // Until the operator mends it, or GitHub is itself again: the command is not lost for that.
            IntakeError::Github(GithubError::Configuration(_) | GithubError::Misunderstood { .. }) => {
                Some(Duration::ZERO)
            }
            IntakeError::Github(error) => error.retry_after(),
            IntakeError::Database(_) => Some(Duration::ZERO),
        };
        let reason = error.to_string();
        let Some(wait) = wait.filter(|_| delivery.attempts < MAX_TRIES) else {
            tracing::warn!(github.delivery = delivery.id, error = reason, "a delivery was given up");
            return self.complete(delivery, &Completion::Failed(reason)).await;
        };
        let backoff = Duration::from_secs(1 << delivery.attempts.min(12)).min(LONGEST_PAUSE);
        tracing::info!(github.delivery = delivery.id, error = reason, "a delivery is tried again later");
        let mut tx = self.db.begin().await?;
        if let (IntakeError::Github(GithubError::RateLimited { retry_after, .. }), Some(installation)) =
            (error, delivery.installation)
        {
            installations::keep_quiet(&mut tx, installation, *retry_after).await?;
        }
        deliveries::postpone(&mut tx, delivery, wait.max(backoff), &reason).await?;
        tx.commit().await
    }
}

fn processed(job: Option<JobId>) -> Completion {
    Completion::Processed(job)
}
