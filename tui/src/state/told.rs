//! What the daemon tells, and what this machine says.

use super::{Audit, JobTable, Kind, Pane, Place, Servers, State, job::Sizes};
use crate::{
    layout,
    message::{Link, Message},
};
use bisect_shared::admin::Event;
use chrono::{DateTime, Utc};

impl State {
    pub(super) fn told(&mut self, message: Message) {
        match message {
            Message::Terminal(_) => {}
            Message::Tick { now } => self.tick(now),
            Message::Link(link) => self.linked(link),
            Message::Event(event) => self.event(event),
            Message::Jobs { page, first, last } => self.jobs.page(page, first, last),
            Message::Instances(list) => self.servers.tell(list.instances),
            Message::Overview(overview) => self.overview = Some(overview),
            Message::Audit(page, older) => self.audit.tell(page, older),
            Message::Detail(id, detail) => {
                if let Some(detail) = &detail {
                    self.jobs.look(&detail.job);
                }
                if let Some(screen) = self.job.as_mut().filter(|screen| screen.id() == id) {
                    screen.tell(detail, &self.clock, self.theme.signs);
                }
            }
            Message::Log(of, pieces) => {
                if let Some(log) = self.log.as_mut().filter(|log| log.of() == of) {
                    let failed = log.store().failure().is_some();
                    log.ingest(&pieces);
                    if let (false, Some(why)) = (failed, log.store().failure()) {
                        self.notices.say(self.clock.here(), Kind::Bad, why);
                    }
                }
            }
            Message::LogEnded(of) => {
                if let Some(log) = self.log.as_mut().filter(|log| log.of() == of) {
                    log.end();
                }
            }
            Message::Done(action, result) => self.notices.done(self.clock.here(), &action, &result),
            Message::Said(Ok(text)) => self.say(Kind::Good, &text),
            Message::Said(Err(text)) => {
                self.connection.switching = None;
                self.say(Kind::Bad, &text);
            }
        }
    }

    pub(super) fn say(&mut self, kind: Kind, text: &str) {
        self.notices.say(self.clock.here(), kind, text);
    }

    fn tick(&mut self, now: DateTime<Utc>) {
        self.clock.advance(now);
        self.beat = self.beat.wrapping_add(1);
        self.jobs.tick(self.clock.now());
        if self.connection.is_up() && !self.connection.database_away {
            self.connection.as_of = Some(now);
        }
        if let Some(log) = &mut self.log {
            log.work();
        }
    }

    fn linked(&mut self, link: Link) {
        if let Some(host) = self.connection.switching.take() {
            self.forget();
            self.options.host = host;
        }
        if let Link::Up(hello) = &link {
            self.clock.agree(hello.now);
            self.connection.database_away = !hello.database;
            self.connection.as_of = Some(self.clock.here());
            self.connection.hello = Some(hello.clone());
            self.jobs.start_turn();
            self.audit.forget_asked();
        }
        self.connection.link = link;
    }

    /// Nothing of the last server is of the next one.
    fn forget(&mut self) {
        self.views = vec![Place::Jobs];
        (self.modal, self.job, self.log, self.overview) = (None, None, None, None);
        self.jobs = JobTable::new(self.clock.now());
        self.servers = Servers::default();
        self.audit = Audit::default();
        self.connection.hello = None;
        self.connection.as_of = None;
        self.connection.database_away = false;
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Job(view) => self.jobs.change(view),
            Event::JobGone { id } => {
                self.jobs.remove(id);
                if self.job.as_ref().is_some_and(|screen| screen.id() == id) {
                    self.say(
                        Kind::Plain,
                        &format!("job {id} was removed from the database; what is shown is the last of it"),
                    );
                }
            }
            Event::Instances { instances } => self.servers.tell(instances),
            Event::Resync => self.jobs.start_turn(),
            Event::DatabaseAway { away } => {
                self.connection.database_away = away;
                if !away {
                    self.say(Kind::Good, "the database is back");
                }
            }
            Event::Stopping => {
                self.say(Kind::Plain, "the daemon is being stopped; the console connects again by itself")
            }
            Event::Hello(_) | Event::Tick { .. } | Event::Unknown => {}
        }
    }

    /// Everything has the size of the screen.
    pub(super) fn fit(&mut self) {
        let Some(screen) = layout::screen(self.area(), self.banner_height()) else { return };
        self.jobs.resize(usize::from(layout::jobs(screen.body).rows.height));
        self.servers.resize(usize::from(layout::servers(screen.body)[1].height));
        self.audit.resize(usize::from(layout::table(screen.body)[1].height));
        if let Some(job) = &mut self.job {
            let mut sizes: Sizes = [(80, 1); 3];
            for pane in Pane::ALL {
                let layout = layout::job(screen.body, pane);
                if let Some((.., rows)) = layout.panes.into_iter().find(|(known, ..)| *known == pane) {
                    // The table of probes has heads.
                    let height = rows.height - u16::from(pane == Pane::Probes);
                    sizes[pane as usize] = (usize::from(rows.width), usize::from(height));
                }
            }
            job.resize(sizes, &self.clock, self.theme.signs);
        }
        if let Some(log) = &mut self.log {
            let rows = layout::log(screen.body).rows;
            log.resize(rows.width, rows.height);
        }
    }
}
