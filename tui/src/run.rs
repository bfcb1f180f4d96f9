//! The main loop: joins the state with the terminal, the clock and the feed, and does what the state wants done.
//!
//! It draws only what changed: at once after a key, at most 30 times a second while output pours in, never when nothing
//! happens.

mod effects;
mod frames;
mod signals;

use crate::{
    feed::{self, Clocks, Feed, Order, Session, Told, Want},
    input::Input,
    message::{Effect, Link, LogOf, Message, Wanted},
    plan::Plan,
    state::State,
    terminal, view,
};
use bisect_shared::ProbeId;
use chrono::Utc;
use frames::Frames;
use ratatui::{Frame, Terminal, backend::CrosstermBackend};
use signals::{Heard, Signals};
use std::{
    collections::VecDeque,
    io::{self, Stdout, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

/// What is shown: the state and how it is drawn. Pure, but for the log's own file.
pub trait Screen {
    /// Takes a message in; says what is to be done.
    fn update(&mut self, message: Message) -> Vec<Effect>;
    /// What is needed now.
    fn wanted(&self) -> Wanted;
    /// What is known of a log: the last piece of each run.
    fn log_cursors(&self, of: LogOf) -> Vec<(ProbeId, i64)>;
    /// Writes the log that is shown.
    ///
    /// # Errors
    /// Those of `out`, and of the log's own file.
    fn log_text_to(&mut self, out: &mut dyn Write) -> io::Result<()>;
    /// Draws everything.
    fn draw(&self, frame: &mut Frame<'_>);
}

impl Screen for State {
    fn update(&mut self, message: Message) -> Vec<Effect> {
        Self::update(self, message)
    }

    fn wanted(&self) -> Wanted {
        Self::wanted(self)
    }

    fn log_cursors(&self, of: LogOf) -> Vec<(ProbeId, i64)> {
        Self::log_cursors(self, of)
    }

    fn log_text_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        Self::log_text_to(self, out)
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        view::draw(frame, self);
    }
}

/// How the console ended.
#[derive(Debug)]
pub enum End {
    /// By its user.
    Quit,
    /// By a signal, of this number.
    Signal(u8),
    /// The terminal is gone.
    TerminalLost,
    /// By a fault of its own.
    Broken(String),
}

impl From<&End> for ExitCode {
    fn from(end: &End) -> Self {
        match end {
            End::Quit => Self::SUCCESS,
            End::Signal(number) => Self::from(128 + number),
            End::TerminalLost => Self::from(129),
            End::Broken(_) => Self::from(1),
        }
    }
}

impl End {
    /// What its user has to know, once the terminal is restored.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Broken(why) => Some(why),
            Self::Quit | Self::Signal(_) | Self::TerminalLost => None,
        }
    }
}

/// How long one drains the feed before a key is looked for again.
const DRAIN: Duration = Duration::from_millis(8);

/// Runs the console with the connection that was made before. The terminal is restored when this returns.
///
/// # Errors
/// No terminal.
pub async fn run(plan: Plan, first: Session, screen: impl Screen) -> io::Result<End> {
    let signals = Signals::start()?;
    let guard = terminal::Guard::enter()?;
    let clocks = Clocks::default();
    let Some(server) = plan.servers.first().cloned() else {
        return Ok(End::Broken("no server to show".to_owned()));
    };
    let console = Console {
        feed: feed::start(server.clone(), Some(first), clocks.clone()),
        terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?,
        input: Some(Input::start()?),
        ticks: Ticks::new(),
        frames: Frames::new(Instant::now()),
        want: Want::default(),
        turn: 0,
        end: None,
        server,
        clocks,
        signals,
        plan,
        screen,
    };
    let end = console.run().await;
    drop(guard);
    Ok(end)
}

struct Console<S> {
    plan: Plan,
    screen: S,
    server: crate::target::Server,
    clocks: Clocks,
    feed: Feed,
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// None while the terminal is somebody else's.
    input: Option<Input>,
    signals: Signals,
    ticks: Ticks,
    frames: Frames,
    want: Want,
    /// Counts servers that were switched to.
    turn: u64,
    end: Option<End>,
}

impl<S: Screen> Console<S> {
    async fn run(mut self) -> End {
        self.update(Message::Tick { now: Utc::now() }).await;
        loop {
            if let Some(end) = self.end.take() {
                return end;
            }
            if self.frames.is_due(Instant::now()) && terminal::is_entered() && self.draw().is_err() {
                // What it said is of use to nobody who could read it.
                return End::TerminalLost;
            }
            self.turn_once().await;
        }
    }

    async fn turn_once(&mut self) {
        let frame = self.frames.due();
        tokio::select! {
            biased;
            heard = self.signals.next() => self.signal(heard).await,
            event = read(&mut self.input) => match event {
                Ok(event) => {
                    self.frames.soon(Instant::now());
                    self.update(Message::Terminal(event)).await;
                }
                Err(_) => self.end = Some(End::TerminalLost),
            },
            () = self.ticks.next() => self.update(Message::Tick { now: Utc::now() }).await,
            () = at(frame) => {}
            told = self.feed.told.recv() => match told {
                Some(told) => self.drain(told).await,
                None => self.end = Some(broken(&mut self.feed).await),
            },
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        self.terminal.draw(|frame| self.screen.draw(frame))?;
        self.frames.drawn(Instant::now());
        Ok(())
    }

    /// Takes in what is there, for a little while.
    async fn drain(&mut self, first: Told) {
        let until = Instant::now() + DRAIN;
        let mut next = Some(first);
        while let Some(told) = next {
            let current = told.turn == self.turn && told.subscription.is_none_or(|of| of == self.want.subscription);
            if current {
                self.frames.later(Instant::now());
                self.update(told.message).await;
            }
            next = if Instant::now() < until && self.end.is_none() { self.feed.told.try_recv().ok() } else { None };
        }
    }

    async fn signal(&mut self, heard: Heard) {
        match heard {
            Heard::End(number) => self.end = Some(End::Signal(number)),
            Heard::Continued => {
                if terminal::is_entered() {
                    self.retake();
                }
            }
            Heard::Resized => {
                if let Ok((columns, rows)) = crossterm::terminal::size() {
                    let event = crossterm::event::Event::Resize(columns, rows);
                    self.frames.soon(Instant::now());
                    self.update(Message::Terminal(event)).await;
                }
            }
        }
    }

    /// Takes the terminal after somebody else had it, and draws everything anew.
    fn retake(&mut self) {
        // `Terminal::clear` would ask the terminal where its cursor is, and fail where the answer is late.
        let size = terminal::enter().and_then(|()| self.terminal.size());
        if size.and_then(|size| self.terminal.resize(size.into())).is_err() {
            self.end = Some(End::TerminalLost);
        }
        self.frames.soon(Instant::now());
    }

    /// One message, and all that follows from it.
    async fn update(&mut self, message: Message) {
        // Ticks and messages of the feed may change what is seen.
        self.frames.later(Instant::now());
        let mut messages = VecDeque::from([message]);
        while let Some(message) = messages.pop_front() {
            let effects = self.screen.update(message);
            self.subscribe();
            messages.extend(self.perform(effects).await);
        }
    }

    /// Keeps the feed at what the screen needs.
    fn subscribe(&mut self) {
        let wanted = self.screen.wanted();
        self.ticks.animate(wanted.animate);
        if wanted == self.want.wanted {
            return;
        }
        if wanted.log != self.want.wanted.log {
            self.want.subscription += 1;
            self.want.cursors = wanted.log.map(|of| self.screen.log_cursors(of)).unwrap_or_default();
        }
        self.want.wanted = wanted;
        self.feed.want.send_replace(self.want.clone());
    }

    /// Another server: nothing of the last one is wanted any more.
    fn switch(&mut self, server: crate::target::Server) -> Result<(), String> {
        let order = Order::Switch(Box::new(server.clone()), self.turn + 1);
        self.feed.orders.try_send(order).map_err(|_| "busy; try again in a moment".to_owned())?;
        self.turn += 1;
        self.server = server;
        self.want.subscription += 1;
        self.want.cursors = self.want.wanted.log.map(|of| self.screen.log_cursors(of)).unwrap_or_default();
        self.feed.want.send_replace(self.want.clone());
        Ok(())
    }

    fn link_is_down(why: impl Into<String>) -> Message {
        Message::Link(Link::Down { why: why.into(), again_at: None })
    }
}

async fn read(input: &mut Option<Input>) -> io::Result<crossterm::event::Event> {
    match input {
        Some(input) => input.next().await,
        None => std::future::pending().await,
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn broken(feed: &mut Feed) -> End {
    match (&mut feed.task).await {
        Ok(()) => End::Broken("the connection's part of the console ended by itself".to_owned()),
        Err(error) => End::Broken(format!("the connection's part of the console failed: {error}")),
    }
}

/// The clock of the screen.
struct Ticks {
    interval: Interval,
    fast: bool,
}

impl Ticks {
    fn new() -> Self {
        Self { interval: Self::every(false), fast: false }
    }

    fn every(fast: bool) -> Interval {
        let mut interval = interval(Duration::from_millis(if fast { 250 } else { 1000 }));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval.reset();
        interval
    }

    fn animate(&mut self, fast: bool) {
        if self.fast != fast {
            *self = Self { interval: Self::every(fast), fast };
        }
    }

    async fn next(&mut self) {
        self.interval.tick().await;
    }
}
