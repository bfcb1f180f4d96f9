//! The output of jobs as it is stored, for whoever follows it: one query every 200 ms for all of them together.
//!
//! Whoever reads goes through what is stored by itself, page by page and at its own pace; only what comes after that is
//! told by the hub, in bounded queues. Whoever falls behind, or misses a piece, reads on by itself. So nothing is
//! missed, nothing comes twice, and no log is ever in memory. Knows `db`; of no protocol.

use crate::db::{
    Database, DbError,
    again::until_reached,
    log_chunks::{self, News, Piece, Position},
};
use bisect_shared::{JobId, ProbeId};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, broadcast, broadcast::error::RecvError},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// Between two looks of the hub.
const EVERY: Duration = Duration::from_millis(200);
/// The longest that a look may take before the database counts as away.
const LIMIT: Duration = Duration::from_secs(5);
/// After a longer pause between two looks a probe may have ended unseen, so everybody reads on by itself.
const GAP: Duration = Duration::from_secs(3);
/// Pieces of one page, and of one probe in one look; a piece has 64 KiB at most.
const PAGE: u32 = 32;
/// Pieces that a follower may be behind.
const KEPT: usize = 64;
/// How long a reader waits for a database that is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What followers are told of their job.
#[derive(Debug, Clone)]
enum Told {
    /// It printed this.
    Piece(Arc<Piece>),
    /// Something may have been missed.
    Look,
    /// It has ended, or is gone: nothing more comes.
    Ended,
}

#[derive(Debug)]
struct Followed {
    sender: broadcast::Sender<Told>,
    position: Position,
}

#[derive(Debug)]
struct Hub {
    db: Database,
    followed: Mutex<HashMap<JobId, Followed>>,
    wanted: Notify,
}

/// The hub of one process. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Tail(Arc<Hub>);

impl Tail {
    /// A hub that [`Tail::run`] keeps going.
    #[must_use]
    pub fn new(db: Database) -> Self {
        Self(Arc::new(Hub { db, followed: Mutex::default(), wanted: Notify::new() }))
    }

    /// Reads the output of a job, or of one of its probes, after `position`: what is stored, by probe, and with
    /// `follow` what comes then, as it comes, until the job has ended.
    #[must_use]
    pub fn read(&self, job: JobId, probe: Option<ProbeId>, position: Position, follow: bool) -> Reader {
        let (tail, ready) = (self.clone(), VecDeque::new());
        Reader { tail, job, probe, position, follow, ready, hub: None, state: State::Stored }
    }

    /// Looks for what is new, as long as anybody follows anything.
    pub async fn run(self, stopping: CancellationToken) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let (jobs, position) = self.followed();
            if jobs.is_empty() {
                last = None;
                tokio::select! {
                    () = stopping.cancelled() => return,
                    () = self.0.wanted.notified() => continue,
                }
            }
            match timeout(LIMIT, self.look(&jobs, &position)).await {
                Ok(Ok(news)) => {
                    let gap = last.is_some_and(|last| last.elapsed() > GAP);
                    last = Some(Instant::now());
                    self.tell(&jobs, news, gap);
                }
                Ok(Err(error)) => tracing::debug!(error = %error, "followed output could not be read; trying again"),
                Err(_) => tracing::debug!("followed output could not be read in time; trying again"),
            }
        }
    }

    /// The jobs that somebody follows, and how far each is known.
    fn followed(&self) -> (Vec<JobId>, Position) {
        let mut followed = self.lock();
        followed.retain(|_, job| job.sender.receiver_count() > 0);
        let position = followed.values().flat_map(|job| job.position.iter().map(|(probe, seq)| (*probe, *seq)));
        (followed.keys().copied().collect(), position.collect())
    }

    async fn look(&self, jobs: &[JobId], position: &Position) -> Result<Vec<News>, DbError> {
        let mut tx = self.0.db.begin().await?;
        let news = log_chunks::news(&mut tx, jobs, position, PAGE).await?;
        tx.commit().await?;
        Ok(news)
    }

    fn tell(&self, jobs: &[JobId], news: Vec<News>, gap: bool) {
        let mut followed = self.lock();
        let mut unfinished: Vec<JobId> = Vec::new();
        for News { job, status, piece } in news {
            if !status.is_final() {
                unfinished.push(job);
            }
            let (Some(followed), Some(piece)) = (followed.get_mut(&job), piece) else { continue };
            let known = followed.position.entry(piece.probe).or_insert(piece.seq);
            *known = piece.seq.max(*known);
            // Nobody may be left to hear it.
            let _ = followed.sender.send(Told::Piece(Arc::new(piece)));
        }
        for job in jobs {
            let ended = !unfinished.contains(job);
            if let Some(followed) = followed.get(job).filter(|_| gap || ended) {
                let _ = followed.sender.send(if ended { Told::Ended } else { Told::Look });
            }
            if ended {
                followed.remove(job);
            }
        }
    }

    /// Follows a job from where its output is now.
    async fn join(&self, job: JobId) -> Result<broadcast::Receiver<Told>, DbError> {
        let mut tx = self.0.db.begin().await?;
        let heads = log_chunks::heads(&mut tx, job).await?;
        tx.commit().await?;
        let mut followed = self.lock();
        let entry = followed.entry(job);
        let entry = entry.or_insert_with(|| Followed { sender: broadcast::channel(KEPT).0, position: heads });
        let receiver = entry.sender.subscribe();
        drop(followed);
        self.0.wanted.notify_one();
        Ok(receiver)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Followed>> {
        // Plain values: a panic elsewhere leaves them whole.
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads the output of a job.
#[derive(Debug)]
pub struct Reader {
    tail: Tail,
    job: JobId,
    probe: Option<ProbeId>,
    position: Position,
    /// Whether more may come than is stored.
    follow: bool,
    ready: VecDeque<Piece>,
    hub: Option<broadcast::Receiver<Told>>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Reads what is stored.
    Stored,
    /// Waits for what comes.
    Coming,
    /// Has read everything.
    Done,
}

impl Reader {
    /// The next piece; `None` when there is nothing more and nothing more will come. May be dropped while it waits: the
    /// next call goes on where it was.
    ///
    /// # Errors
    /// [`DbError`]: the database refused, or was away for so long that a reader who does not follow gives up.
    pub async fn next(&mut self) -> Result<Option<Piece>, DbError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                self.position.insert(piece.probe, piece.seq);
                return Ok(Some(piece));
            }
            match self.state {
                State::Done => return Ok(None),
                State::Stored => self.stored().await?,
                State::Coming => self.coming().await,
            }
        }
    }

    async fn stored(&mut self) -> Result<(), DbError> {
        let patience = if self.follow { Duration::MAX } else { PATIENCE };
        let page = until_reached(patience, || self.page()).await?;
        if !page.is_empty() {
            self.ready = page.into();
        } else if !self.follow {
            self.state = State::Done;
        } else if self.hub.is_some() {
            self.state = State::Coming;
        } else {
            // What came between that page and the hub's first look is found by another page.
            self.hub = Some(until_reached(patience, || self.tail.join(self.job)).await?);
        }
        Ok(())
    }

    async fn page(&self) -> Result<Vec<Piece>, DbError> {
        let mut tx = self.tail.0.db.begin().await?;
        let page = log_chunks::page(&mut tx, self.job, self.probe, &self.position, PAGE).await?;
        tx.commit().await?;
        Ok(page)
    }

    async fn coming(&mut self) {
        let told = match &mut self.hub {
            Some(hub) => hub.recv().await,
            None => Err(RecvError::Closed),
        };
        match told {
            Ok(Told::Piece(piece)) if self.probe.is_some_and(|probe| probe != piece.probe) => {}
            Ok(Told::Piece(piece)) => {
                let known = self.position.get(&piece.probe).copied().unwrap_or(-1);
                if piece.seq == known + 1 {
                    self.ready.push_back(Piece::clone(&piece));
                } else if piece.seq > known {
                    self.state = State::Stored;
                }
            }
            Ok(Told::Look) | Err(RecvError::Lagged(_)) => self.state = State::Stored,
            Ok(Told::Ended) | Err(RecvError::Closed) => {
                (self.state, self.follow, self.hub) = (State::Stored, false, None);
            }
        }
    }
}
