//! The console's state: messages in, effects out. Pure: it looks at no clock and no file but the log's own.
//!
//! ```text
//! input    keys and clicks → commands, by the table in `keys`
//! command  commands → changes of the state, and effects
//! told     what the daemon tells → changes of the state
//! ```

mod banner;
mod command;
mod dialog;
mod fleet;
mod input;
mod job;
mod jobs;
mod list;
mod log;
mod mouse;
mod notices;
mod palette;
mod reading;
mod told;

pub use dialog::{Line, LineFor, Modal, Question, question};
pub use fleet::{Audit, HeldUp, Servers};
pub use job::{JobScreen, Pane, history_lines, result_lines};
pub use jobs::{Column, Filter, JobTable, Sort, elapsed, ends_in};
pub use list::{List, Step};
pub use log::{CURSOR_WIDTH, LABEL_WIDTH, LogScreen, TIME_WIDTH, broken};
pub use notices::{Kind, Notice, Notices, listed};
pub use palette::{Palette, Suggestion};
pub use reading::{KEYS_WIDTH, Reading};

use crate::{
    clock::{self, Clock, Zone},
    keys::Place,
    layout,
    message::{Effect, Link, LogOf, Message, Wanted},
    text,
    theme::{Colours, Theme},
};
use bisect_shared::{
    JobId, JobStatus, ProbeId,
    admin::{Hello, JobView, Overview, ProbeView},
};
use chrono::{DateTime, Utc};
use ratatui::layout::Rect;
use std::{borrow::Cow, cell::RefCell, io};

/// How the console is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// No action is taken.
    pub read_only: bool,
    /// Times in UTC.
    pub utc: bool,
    /// Nothing but ASCII is drawn.
    pub ascii: bool,
    /// How many colours the terminal has.
    pub colours: Colours,
    /// The server that is shown.
    pub host: String,
    /// All servers that are known by name.
    pub hosts: Vec<String>,
    /// Those of them that are reached without ssh.
    pub sockets: Vec<String>,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The time zone of this machine.
    pub zone: Zone,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            utc: false,
            ascii: false,
            colours: Colours::Sixteen,
            host: String::new(),
            hosts: Vec::new(),
            sockets: Vec::new(),
            size: layout::LEAST,
            zone: clock::local,
        }
    }
}

/// What is known of the connection.
#[derive(Debug)]
pub struct Connection {
    /// How it is.
    pub link: Link,
    /// Who answered last.
    pub hello: Option<Hello>,
    /// When it was last there: what is on the screen is as of then.
    pub as_of: Option<DateTime<Utc>>,
    /// Whether the daemon cannot reach its database.
    pub database_away: bool,
    /// A server that was asked for, and of which nothing was heard yet.
    switching: Option<String>,
}

impl Connection {
    /// Whether it is there.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.link, Link::Up(_))
    }
}

/// Everything.
pub struct State {
    /// How the console is to be.
    pub options: Options,
    /// How things look.
    pub theme: Theme,
    /// What time it is.
    pub clock: Clock,
    /// The connection.
    pub connection: Connection,
    /// The views one came through; the last one is shown.
    views: Vec<Place>,
    /// What lies over the view.
    pub modal: Option<Modal>,
    /// The jobs.
    pub jobs: JobTable,
    /// The job that is looked at.
    pub job: Option<JobScreen>,
    /// Its output.
    pub log: Option<LogScreen>,
    /// The servers.
    pub servers: Servers,
    /// The numbers.
    pub overview: Option<Overview>,
    /// Who did what.
    pub audit: Audit,
    /// What was said.
    pub notices: Notices,
    /// Where the help, the messages and the overview are scrolled to.
    pub text: List,
    /// Counts ticks: things that move by themselves.
    pub beat: usize,
}

impl State {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(options: Options, now: DateTime<Utc>) -> Self {
        let mut state = Self {
            theme: Theme::new(options.colours, options.ascii),
            clock: Clock::new(now, options.zone, options.utc),
            connection: Connection {
                link: Link::Connecting { attempt: 1 },
                hello: None,
                as_of: None,
                database_away: false,
                switching: None,
            },
            views: vec![Place::Jobs],
            modal: None,
            jobs: JobTable::new(now),
            job: None,
            log: None,
            servers: Servers::default(),
            overview: None,
            audit: Audit::default(),
            notices: Notices::default(),
            text: List::default(),
            beat: 0,
            options,
        };
        state.fit();
        state
    }

    /// Takes a message in; says what is to be done.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        let mut effects = match message {
            Message::Terminal(event) => self.input(event),
            other => {
                self.told(other);
                Vec::new()
            }
        };
        self.fit();
        if self.view() == Place::Audit && self.connection.is_up() {
            effects.extend(self.audit.want_older(self.clock.here()).map(Effect::OlderAudit));
        }
        effects
    }

    /// What the screen needs now.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        let view = self.view();
        let of_job = matches!(view, Place::Job | Place::Log);
        Wanted {
            overview: view == Place::Overview,
            audit: view == Place::Audit,
            job: self.job.as_ref().filter(|_| of_job).map(JobScreen::id),
            log: self.log.as_ref().filter(|_| view == Place::Log).map(LogScreen::of),
            animate: self.is_moving(),
        }
    }

    fn is_moving(&self) -> bool {
        let connecting = matches!(self.connection.link, Link::Connecting { .. });
        let searching = self.log.as_ref().is_some_and(LogScreen::is_searching);
        connecting || searching || (self.connection.is_up() && self.is_loading())
    }

    /// Whether what is looked at was not told of yet.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        match self.view() {
            Place::Jobs => !self.jobs.is_loaded(),
            Place::Servers => !self.servers.is_loaded(),
            Place::Overview => self.overview.is_none(),
            Place::Audit => !self.audit.is_loaded(),
            Place::Job => self.job.as_ref().is_some_and(|job| job.detail().is_none() && !job.is_missing()),
            Place::Log => self.log.as_ref().is_some_and(|log| !log.is_told()),
            _ => false,
        }
    }

    /// What is known of a log: the last piece of each run.
    #[must_use]
    pub fn log_cursors(&self, of: LogOf) -> Vec<(ProbeId, i64)> {
        self.log.as_ref().filter(|log| log.of() == of).map(|log| log.store().cursors()).unwrap_or_default()
    }

    /// Writes the log that is shown.
    ///
    /// # Errors
    /// Those of `out`, and of the log's own file.
    pub fn log_text_to(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        let Some(log) = &self.log else { return Ok(()) };
        // Lines of one run follow one another: its label is looked up once for all of them.
        let last = RefCell::new((ProbeId(0), String::new()));
        log.write_to(out, &|meta| {
            let time = if log.times { format!("{} ", self.clock.date(meta.at)) } else { String::new() };
            if !log.is_labelled() {
                return time;
            }
            let mut last = last.borrow_mut();
            if last.0 != meta.probe || last.1.is_empty() {
                *last = (meta.probe, format!("{} ", self.label(meta.probe)));
            }
            time + &last.1
        })
    }

    /// The view that is shown.
    #[must_use]
    pub fn view(&self) -> Place {
        self.views.last().copied().unwrap_or(Place::Jobs)
    }

    /// The views one came through.
    #[must_use]
    pub fn views(&self) -> &[Place] {
        &self.views
    }

    /// Where keys go: the view, or what lies over it.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.modal {
            Some(Modal::Question(_)) => Place::Question,
            Some(Modal::Line(_)) => Place::Line,
            Some(Modal::Palette(_)) => Place::Palette,
            Some(Modal::Hosts(_)) => Place::Choice,
            None => self.view(),
        }
    }

    /// The job that is looked at, as it was last told of.
    #[must_use]
    pub fn job_view(&self) -> Option<&JobView> {
        let screen = self.job.as_ref()?;
        let seen = screen.detail().map(|detail| &detail.job);
        match (self.jobs.get(screen.id()), seen) {
            (Some(listed), Some(seen)) if seen.seq > listed.seq => Some(seen),
            (listed, seen) => listed.or(seen),
        }
    }

    /// Under which name one acts.
    #[must_use]
    pub fn operator(&self) -> Cow<'_, str> {
        self.connection.hello.as_ref().map_or("you".into(), |hello| text::clean(&hello.operator))
    }

    /// A run, and its number within the job from 1.
    #[must_use]
    pub fn probe(&self, id: ProbeId) -> Option<(usize, &ProbeView)> {
        let probes = &self.job.as_ref()?.detail()?.probes;
        probes.iter().enumerate().find(|(_, probe)| probe.id == id).map(|(number, probe)| (number + 1, probe))
    }

    /// How a run is called beside its lines.
    #[must_use]
    pub fn label(&self, id: ProbeId) -> String {
        match self.probe(id) {
            Some((number, probe)) => format!("#{number} {}", &probe.commit.short()[..7]),
            None => format!("#({id})"),
        }
    }

    /// What holds up a job that runs, as far as it shows from here.
    #[must_use]
    pub fn held_up(&self, job: &JobView) -> Option<HeldUp> {
        let running = |job: &&JobView| job.status == JobStatus::Running;
        let server = self.servers.get(Some(job).filter(running)?.worker.as_ref()?)?;
        if server.stale {
            return Some(HeldUp::NoPulse);
        }
        if job.probes_running > 0 {
            return None;
        }
        if server.docker == Some(false) {
            return Some(HeldUp::NoDocker);
        }
        // By the jobs, which are told of as they change: what a server says of itself is older, and would count runs of
        // this job that have just ended.
        let neighbours = self.jobs.all().filter(running).filter(|other| other.worker == job.worker);
        let taken: i64 = neighbours.map(|other| other.probes_running).sum();
        server.max_probes.is_some_and(|slots| taken >= i64::from(slots)).then_some(HeldUp::NoSlot)
    }

    /// The whole screen.
    #[must_use]
    pub const fn area(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.options.size.0, height: self.options.size.1 }
    }

    /// Shows a view over the one that is shown.
    fn push(&mut self, view: Place) {
        if self.view() != view {
            self.views.retain(|known| *known != view);
            self.views.push(view);
        }
        if matches!(view, Place::Help | Place::Messages | Place::Overview) {
            self.text = List::default();
        }
        self.drop_unseen();
    }

    /// Shows a view that is above none but the jobs.
    fn show(&mut self, tab: Place) {
        self.views = vec![Place::Jobs];
        self.push(tab);
    }

    /// Back to the view before, if there is one.
    fn pop(&mut self) {
        if self.views.len() > 1 {
            self.views.pop();
        }
        self.drop_unseen();
    }

    /// Forgets a log that one cannot come back to: it may be large.
    fn drop_unseen(&mut self) {
        if !self.views.contains(&Place::Log) {
            self.log = None;
        }
        if !self.views.contains(&Place::Job) && !self.views.contains(&Place::Log) {
            self.job = None;
        }
    }

    fn show_job(&mut self, id: JobId) {
        self.jobs.choose(id);
        if self.job.as_ref().is_none_or(|job| job.id() != id) {
            self.views.retain(|view| !matches!(view, Place::Job | Place::Log));
            self.log = None;
            self.job = Some(JobScreen::new(id));
        }
        self.views.retain(|view| !matches!(view, Place::Log | Place::Help | Place::Messages));
        self.push(Place::Job);
    }

    fn show_log(&mut self, of: LogOf) {
        if self.job.as_ref().is_none_or(|job| job.id() != of.job) {
            self.job = Some(JobScreen::new(of.job));
        }
        if self.log.as_ref().is_none_or(|log| log.of() != of) {
            let mut log = LogScreen::new(of);
            if let Some(old) = &self.log {
                (log.wrap, log.times) = (old.wrap, old.times);
            }
            self.log = Some(log);
        }
        self.push(Place::Log);
    }
}

#[cfg(test)]
mod tests;
