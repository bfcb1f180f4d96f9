//! What changes, for every browser of this process: one reader of the database for all of them.
//!
//! Takes what `feed` tells, and adds who may know of it: everybody, or those whom GitHub lists. Whoever is too slow is told
//! to look at everything; nothing waits for them.

use super::api::JobSummary;
use crate::{
    db::{Database, DbError, viewer},
    feed::{Feed, Watch},
};
use bisect_shared::{
    JobId,
    admin::{Event, JobView},
};
use futures::FutureExt;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, broadcast::error::RecvError},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How many words a viewer may be behind.
const KEPT: usize = 512;
/// How often it is looked whether anybody listens still.
const IDLE: Duration = Duration::from_secs(5);
/// The longest that the database may take to say who may know of a job.
const LIMIT: Duration = Duration::from_secs(2);

/// What is told.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of them are jobs")]
pub(in crate::web) enum Told {
    /// A job as it is now.
    Job {
        /// The number of the newest event that was known then.
        newest: i64,
        /// The job.
        job: JobSummary,
        /// Who may know of it; `None` for everybody.
        seers: Option<BTreeSet<i64>>,
    },
    /// Something may have been missed.
    Resync,
}

/// The hub of one process. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Live {
    sender: broadcast::Sender<Arc<Told>>,
    wanted: Arc<Notify>,
}

impl Default for Live {
    fn default() -> Self {
        Self { sender: broadcast::channel(KEPT).0, wanted: Arc::default() }
    }
}

/// One browser's subscription.
pub(in crate::web) struct Listener(broadcast::Receiver<Arc<Told>>);

impl Listener {
    /// Waits for the next word.
    pub(in crate::web) async fn next(&mut self) -> Arc<Told> {
        match self.0.recv().await {
            Ok(told) => told,
            Err(RecvError::Lagged(_)) => Arc::new(Told::Resync),
            // The process ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Live {
    /// Hears of everything from now on.
    pub(in crate::web) fn listen(&self) -> Listener {
        let listener = Listener(self.sender.subscribe());
        self.wanted.notify_one();
        listener
    }

    /// Tells until the process is to stop; looks at nothing while nobody listens.
    pub async fn run(self, feed: Feed, db: Database, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.wanted.notified() => {}
            }
            let mut telling = Telling { live: &self, db: &db, watch: feed.watch(), told: HashMap::new() };
            // From before the feed was watched something may be missed by whoever came first.
            let _ = self.sender.send(Arc::new(Told::Resync));
            while self.sender.receiver_count() > 0 {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    event = telling.watch.next() => telling.tell(event).await,
                    () = tokio::time::sleep(IDLE) => {}
                }
            }
        }
    }
}

struct Telling<'a> {
    live: &'a Live,
    db: &'a Database,
    watch: Watch,
    /// What was told last of the jobs that go on.
    told: HashMap<JobId, JobSummary>,
}

impl Telling<'_> {
    /// Tells an event, and those that wait behind it.
    async fn tell(&mut self, first: Arc<Event>) {
        let (mut jobs, mut resync) = (BTreeMap::new(), false);
        let mut next = Some(first);
        while let Some(event) = next {
            match &*event {
                Event::Job(view) => drop(jobs.insert(view.id, view.clone())),
                Event::Resync => resync = true,
                _ => {}
            }
            next = self.watch.next().now_or_never();
        }
        jobs.retain(|id, view| self.is_news(*id, view));
        if !jobs.is_empty() && !matches!(timeout(LIMIT, self.tell_jobs(jobs)).await, Ok(Ok(()))) {
            tracing::debug!("who may know of a change could not be read in time");
            resync = true;
        }
        if resync {
            let _ = self.live.sender.send(Arc::new(Told::Resync));
        }
    }

    /// A heartbeat is none.
    fn is_news(&mut self, id: JobId, view: &JobView) -> bool {
        let summary = JobSummary::from(view);
        if self.told.get(&id) == Some(&summary) {
            return false;
        }
        if view.status.is_final() {
            self.told.remove(&id);
        } else {
            self.told.insert(id, summary);
        }
        true
    }

    async fn tell_jobs(&self, jobs: BTreeMap<JobId, JobView>) -> Result<(), DbError> {
        let ids: Vec<JobId> = jobs.keys().copied().collect();
        let mut tx = self.db.begin().await?;
        let mut seers = viewer::seers(&mut tx, &ids).await?;
        let newest = viewer::newest_event(&mut tx).await?;
        tx.commit().await?;
        for (id, view) in jobs {
            // A job of a shell, and one that is no more, is nobody's here.
            let Some(seers) = seers.remove(&id) else { continue };
            let told = Told::Job { newest, job: JobSummary::from(&view), seers };
            let _ = self.live.sender.send(Arc::new(told));
        }
        Ok(())
    }
}
