//! What changes, for everybody of this process who watches: one look at the database for all of them together.
//!
//! State changes are told by `changes`; how far running jobs are is looked for, and only while somebody watches. A viewer
//! subscribes first and asks for a snapshot then, so nothing falls between the two. After anything that may have been
//! missed, and to whoever is too slow, [`Event::Resync`] says so. Knows `db` and `changes`; of no protocol.

use crate::{
    changes::{Change, Changes},
    db::{Database, DbError, instance_views, job_events, job_views, overview},
};
use bisect_shared::{
    InstanceId, JobId, JobStatus,
    admin::{Event, InstanceView, JobView},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, broadcast::error::RecvError},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// How often running jobs are looked at.
const JOBS: Duration = Duration::from_millis(500);
/// How often instances are, and how often their heartbeats alone are told.
const INSTANCES: Duration = Duration::from_secs(1);
const HEARTBEATS: Duration = Duration::from_secs(2);
/// A running job of which nothing but its heartbeat is new is told no more often than this.
const JOB_HEARTBEATS: Duration = Duration::from_secs(5);
/// So long changes of state are gathered before they are read.
const GATHER: Duration = Duration::from_millis(30);
/// How often all events of the last [`RECENT`] are looked through: while changes are told, to be sure; else because
/// nothing tells them. No transaction takes so long.
const SLOW: Duration = Duration::from_secs(30);
const DEAF: Duration = Duration::from_secs(1);
const RECENT: Duration = Duration::from_secs(60);
/// The longest that a look may take before the database counts as away, and the wait before the next one then.
const LIMIT: Duration = Duration::from_secs(2);
const AWAY_WAIT: Duration = Duration::from_millis(500);
/// Resyncs that nothing but polling asks for come no more often than this.
const RESYNC: Duration = Duration::from_secs(1);
/// Jobs that are read at once.
const AT_ONCE: usize = 200;
/// How many events a viewer may be behind.
const KEPT: usize = 1024;

/// The feed of one process. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Feed {
    sender: broadcast::Sender<Arc<Event>>,
    wanted: Arc<Notify>,
    away: Arc<AtomicBool>,
    /// The database's clock less this machine's, in milliseconds.
    skew: Arc<AtomicI64>,
}

/// One viewer's subscription.
#[derive(Debug)]
pub struct Watch(broadcast::Receiver<Arc<Event>>);

/// What a feed is made from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The database.
    pub db: Database,
    /// What other processes do.
    pub changes: Changes,
    /// This process.
    pub instance: InstanceId,
    /// Without a heartbeat for longer, a worker counts as lost.
    pub stale_after: Duration,
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: broadcast::channel(KEPT).0, wanted: Arc::default(), away: Arc::default(), skew: Arc::default() }
    }
}

impl Feed {
    /// Hears of everything from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let watch = Watch(self.sender.subscribe());
        self.wanted.notify_one();
        watch
    }

    /// The database's clock, as far as it was heard of.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.skew.load(Ordering::Relaxed))
    }

    /// Whether the database was away when it was looked at last.
    #[must_use]
    pub fn database_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Keeps the feed going.
    pub async fn run(self, source: Source, stopping: CancellationToken) {
        let mut heard = source.changes.subscribe();
        let mut looking = Looking::new(self, source);
        loop {
            let watched = looking.feed.sender.receiver_count() > 0;
            let due = looking.due();
            tokio::select! {
                () = stopping.cancelled() => return,
                // Not as it was before the wait: somebody may watch since.
                change = heard.next() => if looking.feed.sender.receiver_count() > 0 { looking.hear(change) },
                () = looking.feed.wanted.notified() => looking.begin(watched),
                () = sleep_until(due), if watched => looking.look().await,
            }
        }
    }

    fn tell(&self, event: Event) {
        // Whoever watched may be gone.
        let _ = self.sender.send(Arc::new(event));
    }
}

impl Watch {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Arc<Event> {
        match self.0.recv().await {
            Ok(event) => event,
            Err(RecvError::Lagged(_)) => Arc::new(Event::Resync),
            // The process ends.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// What is known between two looks.
struct Looking {
    feed: Feed,
    source: Source,
    /// Jobs of which something may be new.
    dirty: BTreeSet<JobId>,
    /// What was told last of the jobs that run, and when.
    told: HashMap<JobId, (JobView, Instant)>,
    instances: Vec<InstanceView>,
    /// The events that were looked through before.
    seen: HashSet<i64>,
    /// Something may have been missed.
    resync: bool,
    resynced: Option<Instant>,
    dirty_at: Instant,
    jobs_at: Instant,
    instances_at: Instant,
    instances_told: Option<Instant>,
    events_at: Instant,
}

impl Looking {
    fn new(feed: Feed, source: Source) -> Self {
        let now = Instant::now();
        Self {
            feed,
            source,
            dirty: BTreeSet::new(),
            told: HashMap::new(),
            instances: Vec::new(),
            seen: HashSet::new(),
            resync: false,
            resynced: None,
            dirty_at: now,
            jobs_at: now,
            instances_at: now,
            instances_told: None,
            events_at: now,
        }
    }

    /// Somebody watches who did not before. Of what happened while nobody did nothing has to be told.
    fn begin(&mut self, watched: bool) {
        let now = Instant::now();
        if !watched {
            self.dirty.clear();
            self.resync = false;
        }
        // The newcomer has a snapshot of its own; what is told to it twice is the same.
        self.told.clear();
        self.instances.clear();
        (self.jobs_at, self.instances_at) = (now, now);
        self.events_at = now + self.events_pause();
    }

    fn events_pause(&self) -> Duration {
        if self.source.changes.live() { SLOW } else { DEAF }
    }

    fn hear(&mut self, change: Change) {
        match change {
            Change::Job { id, .. } => {
                if self.dirty.is_empty() {
                    self.dirty_at = Instant::now() + GATHER;
                }
                self.dirty.insert(id);
            }
            Change::Instances => self.instances_at = Instant::now(),
            Change::Resync => {
                self.resync = true;
                // The session may just have been lost, or come back.
                self.events_at = Instant::now();
            }
            Change::Inbox | Change::Outbox(_) => {}
        }
    }

    fn due(&self) -> Instant {
        let regular = self.jobs_at.min(self.instances_at).min(self.events_at);
        if self.dirty.is_empty() { regular } else { regular.min(self.dirty_at) }
    }

    async fn look(&mut self) {
        let looked = match timeout(LIMIT, self.read()).await {
            Ok(looked) => looked.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        };
        if let Err(error) = looked {
            tracing::debug!(error, "viewers are not told what changes; trying again");
            if !self.feed.away.swap(true, Ordering::Relaxed) {
                self.feed.tell(Event::DatabaseAway { away: true });
            }
            let again = Instant::now() + AWAY_WAIT;
            (self.jobs_at, self.instances_at, self.events_at) = (again, again, again);
            self.dirty_at = again;
            return;
        }
        if self.feed.away.swap(false, Ordering::Relaxed) {
            self.feed.tell(Event::DatabaseAway { away: false });
            (self.resync, self.resynced) = (true, None);
        }
        let pause_is_over = self.resynced.is_none_or(|at| at.elapsed() >= RESYNC);
        if self.resync && pause_is_over {
            (self.resync, self.resynced) = (false, Some(Instant::now()));
            self.feed.tell(Event::Resync);
        }
    }

    /// Reads what is due, in one transaction.
    async fn read(&mut self) -> Result<(), DbError> {
        let now = Instant::now();
        let mut tx = self.source.db.begin().await?;
        if self.events_at <= now {
            self.note(job_events::recent(&mut tx, RECENT).await?);
            self.events_at = now + self.events_pause();
        }
        if self.jobs_at <= now {
            let running = job_views::running(&mut tx).await?;
            let gone: Vec<JobId> =
                self.told.keys().filter(|id| !running.iter().any(|job| job.id == **id)).copied().collect();
            self.dirty.extend(gone);
            running.into_iter().for_each(|job| self.tell(job));
            self.jobs_at = now + JOBS;
        }
        let dirty: Vec<JobId> = self.dirty.iter().take(AT_ONCE).copied().collect();
        if !dirty.is_empty() {
            let jobs = job_views::of(&mut tx, &dirty).await?;
            for id in dirty {
                self.dirty.remove(&id);
                if !jobs.iter().any(|job| job.id == id) {
                    self.told.remove(&id);
                    self.feed.tell(Event::JobGone { id });
                }
            }
            jobs.into_iter().rev().for_each(|job| self.tell(job));
        }
        if self.instances_at <= now {
            let clock = overview::clock(&mut tx).await?;
            self.feed.skew.store((clock - Utc::now()).num_milliseconds(), Ordering::Relaxed);
            let list = instance_views::list(&mut tx, &self.source.instance, self.source.stale_after).await?;
            self.tell_instances(list);
            self.instances_at = now + INSTANCES;
        }
        tx.commit().await
    }

    /// Takes the jobs whose events were not seen before.
    fn note(&mut self, events: Vec<(i64, JobId)>) {
        let new = events.iter().filter(|(event, _)| !self.seen.contains(event)).map(|(_, job)| *job);
        self.dirty.extend(new);
        self.seen = events.into_iter().map(|(event, _)| event).collect();
    }

    fn tell(&mut self, job: JobView) {
        let now = Instant::now();
        if let Some((known, at)) = self.told.get(&job.id) {
            let same = JobView { heartbeat_at: known.heartbeat_at, ..job.clone() } == *known;
            if same && (known.heartbeat_at == job.heartbeat_at || now - *at < JOB_HEARTBEATS) {
                return;
            }
        }
        if job.status == JobStatus::Running {
            self.told.insert(job.id, (job.clone(), now));
        } else {
            self.told.remove(&job.id);
        }
        self.feed.tell(Event::Job(job));
    }

    fn tell_instances(&mut self, list: Vec<InstanceView>) {
        let quiet = self.instances_told.is_some_and(|at| at.elapsed() < HEARTBEATS);
        let still = |view: &InstanceView| InstanceView { heartbeat_at: DateTime::UNIX_EPOCH, ..view.clone() };
        let same = list.iter().map(still).eq(self.instances.iter().map(still));
        if list == self.instances || (same && quiet) {
            return;
        }
        self.instances.clone_from(&list);
        self.instances_told = Some(Instant::now());
        self.feed.tell(Event::Instances { instances: list });
    }
}
