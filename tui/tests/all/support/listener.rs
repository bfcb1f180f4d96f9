//! Whoever listens at the feed: keeps everything, and waits for what a test waits for.

use super::daemon::Daemon;
use bisect_tui::{
    feed::{self, Clocks, Feed, Order, Session, Want},
    message::{Action, Link, LogOf, Message, Wanted},
    target::{Address, REMOTE_COMMAND, Server},
};
use std::{path::Path, time::Duration};
use tokio::time::timeout;

pub struct Listener {
    pub feed: Feed,
    want: Want,
}

pub fn clocks() -> Clocks {
    Clocks {
        hello: Duration::from_secs(5),
        call: Duration::from_secs(5),
        silence: Duration::from_secs(2),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(40),
        overview: Duration::from_millis(40),
        detail: Duration::from_millis(40),
        slow: Duration::from_secs(60),
        calm: Duration::from_millis(20),
    }
}

pub fn at(socket: &Path) -> Server {
    Server {
        name: "bot".to_owned(),
        address: Address::Socket(socket.to_owned()),
        remote_command: REMOTE_COMMAND.to_owned(),
        ssh_options: Vec::new(),
    }
}

impl Listener {
    pub fn to(daemon: &Daemon) -> Self {
        Self::start(at(&daemon.socket), None, clocks())
    }

    pub fn start(server: Server, first: Option<Session>, clocks: Clocks) -> Self {
        Self { feed: feed::start(server, first, clocks), want: Want::default() }
    }

    pub fn want(&mut self, wanted: Wanted) {
        if wanted.log != self.want.wanted.log {
            self.want.subscription += 1;
        }
        self.want.wanted = wanted;
        self.feed.want.send_replace(self.want.clone());
    }

    pub fn follow(&mut self, of: LogOf) {
        self.want(Wanted { log: Some(of), ..Wanted::default() });
    }

    pub async fn order(&self, order: Order) {
        self.feed.orders.send(order).await.unwrap();
    }

    pub async fn act(&self, action: Action) {
        self.order(Order::Act(vec![action])).await;
    }

    pub async fn next(&mut self) -> Message {
        let told = timeout(Duration::from_secs(20), self.feed.told.recv()).await.expect("nothing is told");
        told.expect("the feed has ended").message
    }

    /// Waits for what `pick` picks; what comes before is nothing to this test.
    pub async fn wait<T>(&mut self, mut pick: impl FnMut(Message) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.next().await) {
                return found;
            }
        }
    }

    pub async fn up(&mut self) {
        self.wait(|message| matches!(message, Message::Link(Link::Up(_))).then_some(())).await;
    }

    /// Why it is down, and whether it is tried again.
    pub async fn down(&mut self) -> (String, bool) {
        self.wait(|message| match message {
            Message::Link(Link::Down { why, again_at }) => Some((why, again_at.is_some())),
            _ => None,
        })
        .await
    }

    pub async fn done(&mut self) -> Result<String, String> {
        self.wait(|message| match message {
            Message::Done(_, result) => Some(result.map(|outcome| outcome.message)),
            _ => None,
        })
        .await
    }
}
