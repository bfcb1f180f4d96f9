//! Connects, and connects again: the outer loop.

use super::{
    Clocks, Gone, Order, Session, Teller, Want,
    act::NOT_CONNECTED,
    follow::Place,
    live::{self, End},
};
use crate::{
    connection::Mistake,
    message::{Link, Message},
    target::Server,
};
use chrono::Utc;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

/// What outlives a connection.
#[derive(Debug)]
pub(super) struct Feeder {
    server: Server,
    pub(super) clocks: Clocks,
    pub(super) teller: Teller,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) want: watch::Receiver<Want>,
    /// Where the followed log is.
    pub(super) place: Option<Place>,
    backoff: Backoff,
    attempt: u32,
}

impl Feeder {
    pub(super) fn new(
        server: Server,
        clocks: Clocks,
        teller: Teller,
        orders: mpsc::Receiver<Order>,
        want: watch::Receiver<Want>,
    ) -> Self {
        let backoff = Backoff::new(&clocks);
        Self { server, clocks, teller, orders, want, place: None, backoff, attempt: 0 }
    }
}

enum Next {
    Connect,
    Use(Box<Session>),
    /// Until then, or until an order.
    Wait(Option<Instant>),
}

/// Runs until nobody listens or orders any more.
pub(super) async fn run(mut feeder: Feeder, first: Option<Session>) {
    let mut next = first.map_or(Next::Connect, |session| Next::Use(Box::new(session)));
    // The console has ended, when this has.
    while let Ok(then) = feeder.step(next).await {
        next = then;
    }
}

impl Feeder {
    async fn step(&mut self, next: Next) -> Result<Next, Gone> {
        match next {
            Next::Connect => self.connect().await,
            Next::Use(session) => self.live(*session).await,
            Next::Wait(until) => loop {
                let time = async {
                    match until {
                        Some(until) => tokio::time::sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    order = self.orders.recv() => {
                        if let Some(next) = self.obey(order.ok_or(Gone)?).await? {
                            return Ok(next);
                        }
                    }
                    () = time => return Ok(Next::Connect),
                }
            },
        }
    }

    async fn connect(&mut self) -> Result<Next, Gone> {
        self.attempt = self.attempt.saturating_add(1);
        self.teller.tell(Message::Link(Link::Connecting { attempt: self.attempt })).await?;
        let (server, clocks) = (self.server.clone(), self.clocks.clone());
        let opening = Session::open(&server, false, &clocks);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => {
                    return match opened {
                        Ok(session) => Ok(Next::Use(Box::new(session))),
                        Err(mistake) => self.down(mistake).await,
                    };
                }
                order = self.orders.recv() => match order.ok_or(Gone)? {
                    // It is being done.
                    Order::Connect => {}
                    order => if let Some(next) = self.obey(order).await? {
                        return Ok(next);
                    },
                },
            }
        }
    }

    async fn live(&mut self, session: Session) -> Result<Next, Gone> {
        self.attempt = 0;
        self.teller.tell(Message::Link(Link::Up(session.hello.clone()))).await?;
        let since = Instant::now();
        match live::run(self, session).await? {
            End::Lost(mistake) => {
                // One that ends as soon as it has begun is no success.
                if since.elapsed() > self.clocks.longest_pause / 2 {
                    self.backoff.restart();
                }
                self.down(mistake).await
            }
            End::Ordered(order) => Ok(self.obey(order).await?.unwrap_or(Next::Connect)),
        }
    }

    async fn down(&mut self, mistake: Mistake) -> Result<Next, Gone> {
        let pause = (!mistake.hopeless).then(|| self.backoff.next());
        let until = pause.map(|pause| Instant::now() + pause);
        let again_at = pause.and_then(|pause| Utc::now().checked_add_signed(chrono::TimeDelta::from_std(pause).ok()?));
        self.teller.tell(Message::Link(Link::Down { why: mistake.text, again_at })).await?;
        Ok(Next::Wait(until))
    }

    /// Obeys while there is no connection.
    async fn obey(&mut self, order: Order) -> Result<Option<Next>, Gone> {
        match order {
            Order::Act(actions) => {
                for action in actions {
                    self.teller.tell(Message::Done(action, Err(NOT_CONNECTED.to_owned()))).await?;
                }
                Ok(None)
            }
            Order::OlderAudit(_) => {
                self.teller.tell(Message::Said(Err("not connected: older entries cannot be read".to_owned()))).await?;
                Ok(None)
            }
            Order::Connect => {
                self.backoff.restart();
                Ok(Some(Next::Connect))
            }
            Order::Hold => Ok(Some(Next::Wait(None))),
            Order::Use(session) => Ok(Some(Next::Use(session))),
            Order::Switch(server, turn) => {
                self.server = *server;
                self.teller.turn = turn;
                (self.place, self.attempt) = (None, 0);
                self.backoff.restart();
                Ok(Some(Next::Connect))
            }
        }
    }
}

/// Pauses that double, each off by up to a fifth, so that the consoles of a fleet do not come back all at once.
#[derive(Debug)]
struct Backoff {
    first: Duration,
    longest: Duration,
    pause: Duration,
}

impl Backoff {
    fn new(clocks: &Clocks) -> Self {
        Self { first: clocks.first_pause, longest: clocks.longest_pause, pause: clocks.first_pause }
    }

    fn restart(&mut self) {
        self.pause = self.first;
    }

    fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        pause.mul_f64(rand::random_range(0.8..=1.2)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_begin_anew() {
        let mut backoff = Backoff::new(&Clocks::default());
        for expected in [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
            let pause = backoff.next().as_secs_f64();
            assert!((expected * 0.8..=10.0).contains(&pause) && pause <= expected * 1.2, "{pause} for {expected}");
        }
        backoff.restart();
        assert!(backoff.next() <= Duration::from_millis(600));
    }
}
