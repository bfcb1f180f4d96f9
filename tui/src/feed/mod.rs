//! Keeps everything coming that the screen needs, through every loss of the connection.
//!
//! ```text
//! link      connect ─▶ live ─▶ lost ─▶ wait ─▶ connect …
//! live      one connection: events, what is polled, the followed log, actions
//! ```
//!
//! It holds no job and draws nothing. Its channels are bounded: who reads too slowly slows the daemon's stream, not the
//! events beside it.

mod act;
mod follow;
mod link;
mod live;
mod poll;
mod session;
mod snapshot;

pub use session::Session;
pub(crate) use snapshot::{MOST_JOBS, audit, page};

use crate::{
    message::{Action, Message, Wanted},
    target::Server,
};
use bisect_shared::ProbeId;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// All the times that it waits.
#[derive(Debug, Clone)]
pub struct Clocks {
    /// The first line of a connection that asks nobody.
    pub hello: Duration,
    /// Any other answer.
    pub call: Duration,
    /// A connection on which nothing is heard for so long is dead; the daemon speaks every 5 s.
    pub silence: Duration,
    /// The pause after the first failure; it doubles.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Between two overviews.
    pub overview: Duration,
    /// Between two looks at a job that runs.
    pub detail: Duration,
    /// Between two looks at what is expected to be told by events.
    pub slow: Duration,
    /// Between two snapshots, and between two fetches because of events.
    pub calm: Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(45),
            call: Duration::from_secs(15),
            silence: Duration::from_secs(15),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(10),
            overview: Duration::from_secs(2),
            detail: Duration::from_secs(1),
            slow: Duration::from_secs(10),
            calm: Duration::from_millis(300),
        }
    }
}

/// What is needed now. Each change of [`Wanted::log`] is another subscription.
#[derive(Debug, Clone, Default)]
pub struct Want {
    /// As the state says.
    pub wanted: Wanted,
    /// What the state has of the log, when the subscription began.
    pub cursors: Vec<(ProbeId, i64)>,
    /// Its number: pieces of an earlier one are not the state's any more.
    pub subscription: u64,
}

/// What is done once.
#[derive(Debug)]
pub enum Order {
    /// Do these.
    Act(Vec<Action>),
    /// A page of older entries of the audit.
    OlderAudit(i64),
    /// Connect now instead of waiting.
    Connect,
    /// Let go of the connection and wait for [`Order::Use`] or [`Order::Connect`].
    Hold,
    /// Use this connection, which was made with the terminal at hand.
    Use(Box<Session>),
    /// Another server. What is told from now on bears this number.
    Switch(Box<Server>, u64),
}

/// A message, and whether it is still wanted when it arrives.
#[derive(Debug)]
pub struct Told {
    /// The number of the server's turn; see [`Order::Switch`].
    pub turn: u64,
    /// The subscription, if it is of a log.
    pub subscription: Option<u64>,
    /// What is told.
    pub message: Message,
}

/// The ends of the channels.
#[derive(Debug)]
pub struct Feed {
    /// What is done once.
    pub orders: mpsc::Sender<Order>,
    /// What is needed.
    pub want: watch::Sender<Want>,
    /// What is told.
    pub told: mpsc::Receiver<Told>,
    /// Ends when `orders` is dropped, or by a panic.
    pub task: JoinHandle<()>,
}

/// Starts it, with the connection that was made before the screen was entered.
#[must_use]
pub fn start(server: Server, first: Option<Session>, clocks: Clocks) -> Feed {
    let (orders, ordered) = mpsc::channel(64);
    let (want, wanted) = watch::channel(Want::default());
    let (sender, told) = mpsc::channel(64);
    let teller = Teller { sender, turn: 0 };
    let task = tokio::spawn(link::run(link::Feeder::new(server, clocks, teller, ordered, wanted), first));
    Feed { orders, want, told, task }
}

/// Nobody listens any more: the console ends.
#[derive(Debug)]
struct Gone;

#[derive(Debug, Clone)]
struct Teller {
    sender: mpsc::Sender<Told>,
    turn: u64,
}

impl Teller {
    async fn tell(&self, message: Message) -> Result<(), Gone> {
        self.send(None, message).await
    }

    async fn send(&self, subscription: Option<u64>, message: Message) -> Result<(), Gone> {
        self.sender.send(Told { turn: self.turn, subscription, message }).await.map_err(|_| Gone)
    }
}
