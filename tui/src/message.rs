//! The one seam of the console: what reaches its state, and what its state wants done.
//!
//! ```text
//! terminal, clock ──┐                    ┌──▶ Wanted   what the screen needs now: the runner keeps it coming
//! link, feed ───────┼─▶ State::update ───┤
//! answers ──────────┘        │           └──▶ Effect   what is done once
//!                            ▼
//!                       view::draw(&State)
//! ```
//!
//! `state`, `keys`, `log` and `view` are pure: no clock, no channel, no file but the log's own. `run` owns the terminal and
//! the connection; after every message it compares [`Wanted`] with what it fetches, so that a connection which comes
//! back is asked for the same things anew, and nothing has to be remembered about what was asked before.

use bisect_shared::{
    InstanceId, JobId, ProbeId,
    admin::{AuditPage, Event, Hello, InstanceList, JobDetail, JobPage, LogPiece, Outcome, Overview},
};
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// What reaches the state.
#[derive(Debug)]
pub enum Message {
    /// A key, a click, a paste, another size.
    Terminal(crossterm::event::Event),
    /// Time passes: once a second, and more often only while [`Wanted::animate`].
    Tick {
        /// This machine's clock.
        now: DateTime<Utc>,
    },
    /// The connection changed.
    Link(Link),
    /// A line of `/v1/events`, other than the first (that is [`Link::Up`]) and ticks.
    Event(Event),
    /// A page of the snapshot, newest jobs first.
    Jobs {
        /// The jobs.
        page: JobPage,
        /// Whether it is the first one: what is known and not in this snapshot is gone once the last one is here.
        first: bool,
        /// Whether it is the last one.
        last: bool,
    },
    /// The instances.
    Instances(InstanceList),
    /// The numbers of the overview.
    Overview(Overview),
    /// A page of the audit; the newest (`false`), or older ones (`true`).
    Audit(AuditPage, bool),
    /// The job that is looked at; `None` when there is no such job.
    Detail(JobId, Option<Box<JobDetail>>),
    /// Output, in the order of printing within each run.
    Log(LogOf, Vec<LogPiece>),
    /// The job has ended and everything it printed was told.
    LogEnded(LogOf),
    /// What came of an action; the error is a sentence for people.
    Done(Action, Result<Outcome, String>),
    /// What came of an [`Effect`] of this machine (a log saved, a text copied).
    Said(Result<String, String>),
}

/// The connection to one daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Being made, for the first time or again.
    Connecting {
        /// 1, 2, 3, … since it was last up.
        attempt: u32,
    },
    /// There; a snapshot follows.
    Up(Hello),
    /// Lost, or never there.
    Down {
        /// What happened and what to do, for people.
        why: String,
        /// When it is tried again; `None` when only a person can help (a changed host key, a version).
        again_at: Option<DateTime<Utc>>,
    },
}

/// What an operator does to the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Stop a job.
    Cancel(JobId),
    /// Run a job again; with at most so many runs of one commit.
    Retry(JobId, Option<u32>),
    /// No new jobs for an instance.
    Drain(InstanceId),
    /// New jobs again.
    Undrain(InstanceId),
}

/// Whose output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogOf {
    /// The job.
    pub job: JobId,
    /// One run of it, or all.
    pub probe: Option<ProbeId>,
}

/// What the screen needs, and the runner keeps fetching while it does. Jobs and instances always come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The numbers of the overview, every 2 s.
    pub overview: bool,
    /// The newest page of the audit, whenever it may have changed.
    pub audit: bool,
    /// All about one job: at once, at each change of it, and every second while it runs.
    pub job: Option<JobId>,
    /// Its output, followed.
    pub log: Option<LogOf>,
    /// Something on the screen moves by itself (a spinner): tick four times a second.
    pub animate: bool,
}

/// What is done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// End the console.
    Quit,
    /// Give the terminal back until the shell's `fg`.
    Suspend,
    /// Draw everything anew (Ctrl-L).
    Redraw,
    /// Do this, and say what came of it.
    Act(Action),
    /// Older entries of the audit, before this number.
    OlderAudit(i64),
    /// Put this into the clipboard of whoever sits at the terminal (OSC 52).
    Copy(String),
    /// Write the log that is shown into a file that does not exist yet.
    SaveLog(PathBuf),
    /// Show another server: a name out of the configuration, or a host.
    Switch(String),
    /// Try to connect now; with the terminal given to ssh, so that it can ask for a password (`true`).
    Reconnect(bool),
}
