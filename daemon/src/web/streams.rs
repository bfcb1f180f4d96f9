//! The open streams of events of this process: how many there may be, and when one must end before its time.
//!
//! One look at the database now and then for all of them together: a stream ends when its session has ended, or when its
//! viewer may not know of its job any more. One whose browser does not read is cut off from what is told, so that it
//! keeps nothing alive; when its browser reads again, it finds the end and comes anew.

use super::problem::Problem;
use crate::{
    db::{Database, DbError, sessions::TokenHash, viewer},
    signin::Viewer,
};
use bisect_shared::JobId;
use futures::{Stream, stream::BoxStream, task::AtomicWaker};
use rocket::{
    Request,
    http::Status,
    request::{FromRequest, Outcome},
    response::stream::Event,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// Streams of one viewer: a user, or an address where nobody is signed in. A tab has two at most.
pub const OF_ONE: usize = 40;
/// Streams of one process; each keeps a connection.
pub const OF_ALL: usize = 2000;
/// How often it is looked which must end.
const LOOK: Duration = Duration::from_secs(5);
/// The longest that such a look may take.
const LIMIT: Duration = Duration::from_secs(5);
/// A browser that has not read for so long does not read. A heartbeat is sent several times as often.
const UNREAD: Duration = Duration::from_secs(45);
/// When somebody who has too many is to try again, in seconds.
const AGAIN: u32 = 30;

/// Whose a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    User(i64),
    Address(IpAddr),
}

/// What must hold while a stream is open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    whose: Whose,
    session: Option<TokenHash>,
    job: Option<JobId>,
}

struct Entry {
    held: Held,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Open {
    next: u64,
    entries: HashMap<u64, Entry>,
}

/// All streams of one process. Cloning it is cheap.
#[derive(Clone, Default)]
pub struct Streams(Arc<All>);

#[derive(Default)]
struct All {
    open: Mutex<Open>,
    /// Somebody opened the first one.
    wanted: Notify,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("open", &self.0.lock().entries.len()).finish()
    }
}

impl All {
    fn lock(&self) -> MutexGuard<'_, Open> {
        // Plain values: a panic elsewhere leaves them whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The request guard of a stream: whose it would be, and that there is room for it (else 429 or 503).
pub(super) struct Room {
    streams: Streams,
    held: Held,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Room {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, ()> {
        let (Outcome::Success(viewer), Some(streams)) = (request.guard::<Viewer>().await, request.rocket().state())
        else {
            return Outcome::Error((Status::InternalServerError, ()));
        };
        let held = match &viewer.user {
            Some(user) => Held { whose: Whose::User(user.id), session: Some(user.session()), job: None },
            None => Held { whose: Whose::Address(super::address::of(request)), session: None, job: None },
        };
        Outcome::Success(Self { streams: Streams::clone(streams), held })
    }
}

impl Room {
    /// Takes the room for a stream, of one job where one is named.
    ///
    /// # Errors
    /// 429 where the viewer has enough of them, 503 where the process has.
    pub(super) fn take(self, job: Option<JobId>) -> Result<Place, Problem> {
        let Self { streams, held } = self;
        let mut open = streams.0.lock();
        if open.entries.len() >= OF_ALL {
            let why = "this server has as many streams open as it may; what is shown stays right when loaded anew";
            return Err(Problem::new(Status::ServiceUnavailable, why).again_after(AGAIN));
        }
        if open.entries.values().filter(|entry| entry.held.whose == held.whose).count() >= OF_ONE {
            let why = format!("{OF_ONE} streams of yours are open, which is the most; close some pages");
            return Err(Problem::new(Status::TooManyRequests, why).again_after(AGAIN));
        }
        let id = open.next;
        open.next += 1;
        let shared = Arc::new(Shared::default());
        let entry = Entry { held: Held { job, ..held }, shared: Arc::clone(&shared) };
        open.entries.insert(id, entry);
        metrics::gauge!("bisectd_event_streams").set(open.entries.len() as f64);
        drop(open);
        streams.0.wanted.notify_one();
        Ok(Place { id, shared, streams })
    }
}

/// The room that one stream takes until it is dropped.
pub(super) struct Place {
    id: u64,
    shared: Arc<Shared>,
    streams: Streams,
}

impl Place {
    /// What is sent: these events, until they end or must.
    pub(super) fn fill(self, events: BoxStream<'static, Event>) -> Filled {
        *self.shared.lock() = Feeding { events: Some(events), polled: Instant::now() };
        Filled(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        open.entries.remove(&self.id);
        metrics::gauge!("bisectd_event_streams").set(open.entries.len() as f64);
    }
}

/// What a stream shares with whoever may end it.
#[derive(Default)]
struct Shared {
    feeding: Mutex<Feeding>,
    waker: AtomicWaker,
}

struct Feeding {
    /// `None` once it has ended.
    events: Option<BoxStream<'static, Event>>,
    /// When the connection took something last, or asked for it.
    polled: Instant,
}

impl Default for Feeding {
    fn default() -> Self {
        Self { events: None, polled: Instant::now() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Feeding> {
        self.feeding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream, and forgets where its events came from.
    fn end(&self) {
        let events = self.lock().events.take();
        drop(events);
        self.waker.wake();
    }
}

/// A stream with its room.
pub(super) struct Filled(Place);

impl Stream for Filled {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let shared = &self.0.shared;
        shared.waker.register(context.waker());
        let mut feeding = shared.lock();
        feeding.polled = Instant::now();
        let Some(events) = &mut feeding.events else { return Poll::Ready(None) };
        let next = events.as_mut().poll_next(context);
        if matches!(next, Poll::Ready(None)) {
            feeding.events = None;
        }
        next
    }
}

impl Streams {
    /// Ends those that must, until the process is to stop; looks at nothing while none is open.
    pub async fn run(self, db: Database, stopping: CancellationToken) {
        loop {
            let idle = self.0.lock().entries.is_empty();
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.0.wanted.notified(), if idle => {}
                () = tokio::time::sleep(LOOK), if !idle => {
                    self.cut_unread();
                    match tokio::time::timeout(LIMIT, self.end_forbidden(&db)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(error = %error, "who may still follow could not be read; trying again"),
                        Err(_) => tracing::debug!("who may still follow could not be read in time; trying again"),
                    }
                }
            }
        }
    }

    fn cut_unread(&self) {
        let open = self.0.lock();
        for entry in open.entries.values() {
            let unread = {
                let feeding = entry.shared.lock();
                feeding.events.is_some() && feeding.polled.elapsed() >= UNREAD
            };
            if unread {
                tracing::info!(user = ?entry.held.whose, job.id = entry.held.job.map(|job| job.0), "a stream that nobody reads was cut off");
                entry.shared.end();
            }
        }
    }

    async fn end_forbidden(&self, db: &Database) -> Result<(), DbError> {
        let held: Vec<(u64, Held)> =
            self.0.lock().entries.iter().map(|(id, entry)| (*id, entry.held.clone())).collect();
        let sessions: Vec<TokenHash> = held.iter().filter_map(|(_, held)| held.session).collect();
        let of_jobs: Vec<(Option<i64>, JobId)> = held.iter().filter_map(|(_, held)| held.watching()).collect();
        if sessions.is_empty() && of_jobs.is_empty() {
            return Ok(());
        }
        let mut tx = db.begin().await?;
        let live = crate::db::sessions::live(&mut tx, &sessions).await?;
        let seen = viewer::seen_of(&mut tx, &of_jobs).await?;
        tx.rollback().await?;
        let open = self.0.lock();
        for (id, held) in held {
            let signed_out = held.session.is_some_and(|session| !live.contains(&session));
            let unseen = held.watching().is_some_and(|watching| !seen.contains(&watching));
            if let Some(entry) = open.entries.get(&id).filter(|_| signed_out || unseen) {
                entry.shared.end();
            }
        }
        Ok(())
    }
}

impl Held {
    /// Who looks at which job.
    fn watching(&self) -> Option<(Option<i64>, JobId)> {
        let user = match self.whose {
            Whose::User(user) => Some(user),
            Whose::Address(_) => None,
        };
        self.job.map(|job| (user, job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::net::Ipv4Addr;

    fn room(streams: &Streams, whose: Whose) -> Room {
        Room { streams: streams.clone(), held: Held { whose, session: None, job: None } }
    }

    fn address(number: u32) -> Whose {
        Whose::Address(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn one_viewer_and_one_process_have_so_many() {
        let streams = Streams::default();
        let mut mine: Vec<Place> = (0..OF_ONE).map(|_| room(&streams, Whose::User(1)).take(None).unwrap()).collect();
        assert_eq!(room(&streams, Whose::User(1)).take(None).map(drop).unwrap_err().status().code, 429);
        mine.pop();
        mine.push(room(&streams, Whose::User(1)).take(None).unwrap());
        let others = u32::try_from(OF_ALL - OF_ONE).unwrap();
        let others: Vec<Place> = (0..others).map(|n| room(&streams, address(n)).take(None).unwrap()).collect();
        assert_eq!(room(&streams, Whose::User(2)).take(None).map(drop).unwrap_err().status().code, 503);
        drop((mine, others));
        assert!(streams.0.lock().entries.is_empty());
    }

    #[tokio::test]
    async fn one_that_must_end_ends_and_lets_go_of_its_source() {
        let streams = Streams::default();
        let source = Arc::new(());
        let kept = Arc::clone(&source);
        let events = futures::stream::pending().map(move |(): ()| {
            let _ = &kept;
            Event::data("x")
        });
        let mut filled = room(&streams, Whose::User(1)).take(None).unwrap().fill(events.boxed());
        let shared = Arc::clone(&filled.0.shared);
        let reading = tokio::spawn(async move { filled.next().await.is_none() });
        tokio::task::yield_now().await;
        shared.end();
        assert!(reading.await.unwrap());
        assert_eq!(Arc::strong_count(&source), 1);
    }

    #[test]
    fn one_that_nobody_reads_is_cut() {
        let streams = Streams::default();
        let filled = room(&streams, address(1)).take(None).unwrap().fill(futures::stream::pending().boxed());
        streams.cut_unread();
        assert!(filled.0.shared.lock().events.is_some());
        filled.0.shared.lock().polled = Instant::now().checked_sub(UNREAD).unwrap();
        streams.cut_unread();
        assert!(filled.0.shared.lock().events.is_none());
    }
}
