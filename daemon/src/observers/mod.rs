//! The optional services that watch this one: errors go to Sentry, a trace of each job to OpenTelemetry, e-mail to the
//! operators. All are off unless configured.
//!
//! None can slow or fail a job: what is to be told is put into a short queue without waiting, and is dropped, counted
//! by `bisectd_observers_dropped_total`, when that is full. What ended is read from the database afterwards. It knows
//! `config` and `db`; of the rest only `changes`, which wakes it.

mod ended;
mod http;
mod mail;
pub mod sentry;
mod span;
mod traces;

pub use mail::check as check_mail;

use crate::{
    changes::{Change, Changes},
    config::Config,
    db::{
        Database, DbError,
        job_events::{self, JobEventKind},
    },
};
use bisect_shared::{InstanceId, JobId};
use ended::Ended;
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How much may wait to be told to one service.
const WAITING: usize = 256;
/// How long telling one thing may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the last words may take, when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How often ended jobs are looked for, whether or not a change was told.
const LOOK: Duration = Duration::from_secs(30);
/// Jobs that ended longer ago are not told of: a service that was away for longer is told by its own logs.
const BACK: Duration = Duration::from_mins(15);
/// A service that is away is warned of once in this time.
const COMPLAIN: Duration = Duration::from_mins(5);

/// Who is told, by one process. Cloning it is cheap; without any service it does nothing.
#[derive(Clone, Default)]
pub struct Observers {
    traces: Option<Line<traces::Told>>,
    mail: Option<Line<Arc<Ended>>>,
    work: Option<Arc<Work>>,
}

/// What runs until the process ends.
struct Work {
    /// Set when the process ends: what waits is told still, and nothing else.
    closing: CancellationToken,
    tasks: Mutex<JoinSet<()>>,
}

impl Observers {
    /// Starts what tells the configured services. `sentry` is what [`sentry::start`] gave.
    ///
    /// # Errors
    /// What makes it impossible, to be told to whoever started the program.
    pub fn start(
        config: &Config,
        db: &Database,
        changes: &Changes,
        instance: &InstanceId,
        sentry: Option<sentry::Reports>,
    ) -> Result<Self, String> {
        let settings = &config.observers;
        if sentry.is_none() && settings.traces.is_none() && settings.mail.is_none() {
            return Ok(Self::default());
        }
        let closing = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let mut observers = Self::default();
        // Lines end when what fills them has looked for the last time.
        let looked = CancellationToken::new();
        let reports = sentry.is_some();
        if let Some(reports) = sentry {
            tasks.spawn(reports.send(http::Http::new()?, looked.clone()));
        }
        if let Some(settings) = &settings.traces {
            let exporter = traces::Traces::new(settings, instance, db.clone())?;
            observers.traces =
                Some(Line::start("traces", &mut tasks, &looked, move |told| exporter.clone().tell(told)));
        }
        if let Some(settings) = &settings.mail {
            let mail = mail::Mail::new(settings, config.base_url.as_deref())?;
            observers.mail = Some(Line::start("mail", &mut tasks, &looked, move |ended| mail.clone().tell(ended)));
        }
        let watch = Watch {
            db: db.clone(),
            instance: instance.clone(),
            observers: observers.clone(),
            reports,
            told: HashSet::new(),
        };
        tasks.spawn(watch.run(changes.clone(), closing.clone(), looked));
        observers.work = Some(Arc::new(Work { closing, tasks: Mutex::new(tasks) }));
        Ok(observers)
    }

    /// A reply about a job was written on GitHub, which began at this time and has just ended.
    pub fn replied(&self, job: JobId, kind: &'static str, began: SystemTime) {
        if let Some(traces) = &self.traces {
            traces.tell(traces::Told::Reply { job, kind, began, ended: SystemTime::now() });
        }
    }

    /// Tells what waits, for as long as last words may take.
    pub async fn close(&self) {
        let Some(work) = &self.work else { return };
        work.closing.cancel();
        let mut tasks = std::mem::take(&mut *work.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("not everything could be told to the services that watch this one");
        }
    }
}

/// The way to one service.
struct Line<T> {
    name: &'static str,
    sender: mpsc::Sender<T>,
}

impl<T> Clone for Line<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, sender: self.sender.clone() }
    }
}

impl<T: Send + 'static> Line<T> {
    fn start<F>(
        name: &'static str,
        tasks: &mut JoinSet<()>,
        end: &CancellationToken,
        mut tell: impl FnMut(T) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let end = end.clone();
        tasks.spawn(async move {
            let mut complaints = Complaints::of(name);
            while let Some(item) = next(&mut receiver, &end).await {
                complaints.judge(tell(item).await);
            }
        });
        Self { name, sender }
    }

    fn tell(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            dropped(self.name);
        }
    }
}

/// The next thing to tell; after `end` what waits still, then nothing.
async fn next<T>(receiver: &mut mpsc::Receiver<T>, end: &CancellationToken) -> Option<T> {
    if !receiver.is_closed() {
        tokio::select! {
            item = receiver.recv() => return item,
            () = end.cancelled() => receiver.close(),
        }
    }
    receiver.recv().await
}

fn dropped(service: &'static str) {
    metrics::counter!("bisectd_observers_dropped_total", "service" => service).increment(1);
}

/// Says that a service is away, and not for each thing that it did not hear of.
struct Complaints {
    service: &'static str,
    last: Option<Instant>,
}

impl Complaints {
    fn of(service: &'static str) -> Self {
        Self { service, last: None }
    }

    fn judge(&mut self, told: Result<(), String>) {
        let Err(error) = told else { return };
        dropped(self.service);
        if self.last.is_none_or(|last| last.elapsed() > COMPLAIN) {
            self.last = Some(Instant::now());
            tracing::warn!(service = self.service, error, "a service that watches this one could not be told");
        }
    }
}

/// Looks for jobs that ended by this process's doing: by it alone, so that each is told of once.
struct Watch {
    db: Database,
    instance: InstanceId,
    observers: Observers,
    reports: bool,
    told: HashSet<JobId>,
}

impl Watch {
    async fn run(mut self, changes: Changes, closing: CancellationToken, looked: CancellationToken) {
        let mut subscription = changes.subscribe();
        let mut tick = tokio::time::interval(LOOK);
        while !closing.is_cancelled() {
            let found = tokio::select! {
                () = closing.cancelled() => self.look(None).await,
                _ = tick.tick() => self.look(None).await,
                change = subscription.next() => match change {
                    Change::Job { id, kind, .. } if kind.is_end() => self.look(Some(id)).await,
                    Change::Resync => self.look(None).await,
                    _ => Ok(()),
                },
            };
            if let Err(error) = found {
                tracing::debug!(error = %error, "ended jobs were not looked for; trying again");
            }
        }
        looked.cancel();
    }

    async fn look(&mut self, job: Option<JobId>) -> Result<(), DbError> {
        let mut tx = self.db.begin().await?;
        let ended = job_events::ended_by(&mut tx, &self.instance, job, BACK).await?;
        for (job, kind) in &ended {
            // A cancellation is news to nobody, and has no trace worth a look.
            if *kind == JobEventKind::Cancelled || !self.told.insert(*job) {
                continue;
            }
            if let Some(ended) = Ended::read(&mut tx, *job).await? {
                self.tell(Arc::new(ended));
            }
        }
        tx.commit().await?;
        if job.is_none() {
            self.told.retain(|told| ended.iter().any(|(job, _)| job == told));
        }
        Ok(())
    }

    fn tell(&self, ended: Arc<Ended>) {
        if self.reports {
            sentry::report(&ended);
        }
        if let Some(traces) = &self.observers.traces {
            traces.tell(traces::Told::Job(Arc::clone(&ended)));
        }
        if let Some(mail) = &self.observers.mail {
            mail.tell(ended);
        }
    }
}
