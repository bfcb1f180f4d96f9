//! What commands do.

use super::{
    Column, Filter, Kind, Line, LineFor, List, Modal, Palette, Pane, Place, Question, State, Step, notices::log_file,
};
use crate::{
    keys::{Binding, Command, Place as At},
    message::{Action, Effect, Link, LogOf},
};
use bisect_shared::JobId;
use tui_input::Input;

/// The number of runs that is offered: as many as the search takes by itself.
const RUNS: &str = "20";

/// The step that a command is.
pub(super) const fn step(command: Command) -> Option<Step> {
    Some(match command {
        Command::Up => Step::Up,
        Command::Down => Step::Down,
        Command::HalfUp => Step::HalfUp,
        Command::HalfDown => Step::HalfDown,
        Command::PageUp => Step::PageUp,
        Command::PageDown => Step::PageDown,
        Command::First => Step::First,
        Command::Last => Step::Last,
        _ => return None,
    })
}

impl State {
    /// Does what a line of the table says; a refusal is said to the operator.
    pub(super) fn run(&mut self, binding: &Binding, argument: Option<&str>) -> Vec<Effect> {
        let (command, view) = (binding.command, self.view());
        if binding.acts && self.options.read_only {
            self.say(Kind::Plain, &format!("this console is read-only (--read-only): no {}", binding.hint));
            return Vec::new();
        }
        if !binding.places.contains(&view) {
            let places: Vec<&str> = binding.places.iter().map(|place| place.title()).collect();
            self.say(Kind::Plain, &format!("`{}` is for another view: {}", binding.word, places.join(", ")));
            return Vec::new();
        }
        if let Some(step) = step(command) {
            self.step(step);
            return Vec::new();
        }
        self.dismiss(command);
        match command {
            Command::Quit | Command::Suspend | Command::Redraw | Command::Reconnect | Command::ReconnectAsking => {
                self.run_program(command)
            }
            Command::Host => match argument {
                Some(host) => self.switch(host.to_owned()),
                None => self.choose_host(),
            },
            Command::Leave if view == At::Jobs && !self.jobs_are_narrowed() => vec![Effect::Quit],
            Command::Copy | Command::CopyPage => self.copy(command),
            Command::Save => self.save(argument),
            other => {
                self.run_view(other, argument);
                Vec::new()
            }
        }
    }

    /// What was said is read once something else is done.
    fn dismiss(&mut self, command: Command) {
        if matches!(command, Command::Back | Command::Leave | Command::Messages | Command::Palette) {
            self.notices.dismiss();
        }
    }

    fn run_program(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Quit => vec![Effect::Quit],
            Command::Suspend => vec![Effect::Suspend],
            Command::Redraw => vec![Effect::Redraw],
            _ if matches!(self.connection.link, Link::Up(_)) => {
                self.say(Kind::Plain, "the connection is there; nothing to do");
                Vec::new()
            }
            other => vec![Effect::Reconnect(other == Command::ReconnectAsking)],
        }
    }

    fn run_view(&mut self, command: Command, argument: Option<&str>) {
        match command {
            Command::ShowJobs => self.show(Place::Jobs),
            Command::ShowServers => self.show(Place::Servers),
            Command::ShowOverview => self.show(Place::Overview),
            Command::ShowAudit => self.show(Place::Audit),
            Command::ShowJob => match argument.map(str::parse) {
                Some(Ok(id)) => self.show_job(JobId(id)),
                _ => self.say(Kind::Plain, "`job` takes the number of a job: `:job 17`"),
            },
            Command::NextView => self.next_view(1),
            Command::PreviousView => self.next_view(Place::TABS.len() - 1),
            Command::Help => self.push(Place::Help),
            Command::Messages => self.push(Place::Messages),
            Command::Palette => self.modal = Some(Modal::Palette(Palette::default())),
            Command::Utc => self.clock.utc = !self.clock.utc,
            Command::Back | Command::Leave => self.back(),
            Command::Cancel | Command::Retry | Command::RetryWithRuns => self.ask_about_jobs(command),
            Command::Drain | Command::Undrain => self.ask_about_server(command),
            Command::Open | Command::OpenLog => self.open(command),
            other => match self.view() {
                At::Log => self.run_log(other, argument),
                At::Job => self.run_job(other),
                _ => self.run_jobs(other, argument),
            },
        }
    }

    fn run_jobs(&mut self, command: Command, argument: Option<&str>) {
        match (command, argument) {
            (Command::Find, Some(words)) => self.jobs.set_text(words),
            (Command::Find, None) => self.type_line(LineFor::Jobs, self.jobs.text().to_owned()),
            (Command::Filter, None) => self.jobs.set_filter(self.jobs.filter().next()),
            (Command::Filter, Some(name)) => match Filter::named(name) {
                Some(filter) => self.jobs.set_filter(filter),
                None => {
                    let names: Vec<&str> = Filter::ALL.iter().map(|filter| filter.name()).collect();
                    self.say(Kind::Bad, &format!("`{name}` is no state; there are {}", names.join(", ")));
                }
            },
            (Command::Sort, None) => self.jobs.sort_next(),
            (Command::Sort, Some(name)) => match Column::named(name) {
                Some(column) => self.jobs.sort_by(column),
                None => self.say(Kind::Bad, &format!("`{name}` is no column; Tab completes those that there are")),
            },
            (Command::SortRound, _) => self.jobs.sort_round(),
            (Command::Follow, _) => self.jobs.toggle_follow(),
            (Command::Mark, _) => self.jobs.mark(),
            (Command::MarkAll, _) => self.jobs.mark_all(),
            _ => {}
        }
    }

    fn run_job(&mut self, command: Command) {
        let Some(job) = &mut self.job else { return };
        match command {
            Command::NextPane => job.next_pane(false),
            Command::PreviousPane => job.next_pane(true),
            _ => {}
        }
    }

    fn run_log(&mut self, command: Command, argument: Option<&str>) {
        let Some(log) = &mut self.log else { return };
        match (command, argument) {
            (Command::Find, Some(text)) => {
                log.start_search();
                log.search_for(text);
                log.end_search(true);
            }
            (Command::Find, None) => {
                log.start_search();
                self.type_line(LineFor::Log, String::new());
            }
            (Command::Next | Command::Previous, _) if log.search().is_none() => {
                self.say(Kind::Plain, "nothing is searched for; / begins a search");
            }
            (Command::Next, _) => log.go_to_found(false),
            (Command::Previous, _) => log.go_to_found(true),
            (Command::Follow, _) => log.toggle_follow(),
            (Command::Wrap, _) => log.toggle_wrap(),
            (Command::Times, _) => log.toggle_times(),
            (Command::NextProbe, _) => log.next_probe(false),
            (Command::PreviousProbe, _) => log.next_probe(true),
            (Command::Select, _) => log.toggle_selection(),
            (Command::Left, _) => log.shift(false),
            (Command::Right, _) => log.shift(true),
            (Command::OnlyProbe, _) => {
                if let Some(more) = log.toggle_only() {
                    self.show_log(more);
                }
            }
            _ => {}
        }
    }

    pub(super) fn step(&mut self, step: Step) {
        match (self.view(), &mut self.job, &mut self.log) {
            (At::Jobs, ..) => self.jobs.step(step),
            (At::Servers, ..) => self.servers.step(step),
            (At::Audit, ..) => self.audit.step(step),
            (At::Job, Some(job), _) => job.step(step, &self.clock, self.theme.signs),
            (At::Log, _, Some(log)) => log.step(step),
            (At::Help | At::Messages, ..) => {
                let (rows, height) = self.reading_size();
                self.text.step_window(step, rows, height);
            }
            _ => {}
        }
    }

    fn jobs_are_narrowed(&self) -> bool {
        !self.jobs.marked().is_empty() || !self.jobs.text().is_empty() || self.jobs.filter() != Filter::All
    }

    /// First what is marked, found or filtered, then the view.
    fn back(&mut self) {
        let cleared = match self.view() {
            At::Jobs if self.jobs.unmark() => true,
            At::Jobs if !self.jobs.text().is_empty() => {
                self.jobs.set_text("");
                true
            }
            At::Jobs => {
                self.jobs.set_filter(Filter::All);
                true
            }
            At::Log => self.log.as_mut().is_some_and(super::LogScreen::clear),
            _ => false,
        };
        if !cleared {
            self.pop();
        }
    }

    fn next_view(&mut self, by: usize) {
        let tabs = Place::TABS;
        let shown = self.views().iter().rev().find_map(|view| tabs.iter().position(|tab| tab == view)).unwrap_or(0);
        self.show(tabs[(shown + by) % tabs.len()]);
    }

    pub(super) fn type_line(&mut self, wanted: LineFor, before: String) {
        self.modal = Some(Modal::Line(Line { wanted, input: Input::new(before.clone()), before }));
    }

    fn open(&mut self, command: Command) {
        let of_job = |job: JobId, probe| LogOf { job, probe };
        match (self.view(), command) {
            (At::Jobs, Command::OpenLog) => {
                if let Some(id) = self.jobs.chosen().map(|job| job.id) {
                    self.show_job(id);
                    self.show_log(of_job(id, None));
                }
            }
            (At::Jobs, _) => {
                if let Some(id) = self.jobs.chosen().map(|job| job.id) {
                    self.show_job(id);
                }
            }
            (At::Job, _) => {
                let Some(job) = &self.job else { return };
                let probe = job.chosen().map(|probe| probe.id).filter(|_| command == Command::Open);
                if command == Command::OpenLog || (job.pane == Pane::Probes && probe.is_some()) {
                    let of = of_job(job.id(), probe);
                    self.show_log(of);
                }
            }
            (At::Servers, _) => {
                if let Some(id) = self.servers.chosen().map(|instance| instance.id.0.clone()) {
                    self.show(Place::Jobs);
                    self.jobs.set_text(&id);
                }
            }
            (At::Audit, _) => match self.audit.chosen().map(|entry| entry.job) {
                Some(Some(job)) => self.show_job(job),
                _ => self.say(Kind::Plain, "this entry is about no job"),
            },
            _ => {}
        }
    }

    fn ask_about_jobs(&mut self, command: Command) {
        let ids = match self.view() {
            At::Jobs => self.jobs.targets(),
            _ => self.job.as_ref().map(|job| job.id()).into_iter().collect(),
        };
        if command == Command::Cancel {
            return self.ask(&ids, true, Action::Cancel);
        }
        let can_be = |id: &JobId| self.jobs.get(*id).is_none_or(|job| job.status.is_final());
        if command == Command::RetryWithRuns && ids.iter().any(can_be) {
            return self.type_line(LineFor::Runs(ids), RUNS.to_owned());
        }
        self.ask(&ids, false, |job| Action::Retry(job, None));
    }

    fn ask_about_server(&mut self, command: Command) {
        let Some(instance) = self.servers.chosen() else { return };
        let (id, host) = (instance.id.clone(), instance.host.clone());
        let drained = instance.drain_requested_by.is_some();
        let refusal = match command {
            _ if instance.retired_at.is_some() => Some(format!("{host} has ended: it takes no jobs anyway")),
            Command::Drain if drained => Some(format!("{host} takes no new jobs already; D gives it some again")),
            Command::Undrain if !drained => Some(format!("{host} takes jobs: nobody asked it not to")),
            _ => None,
        };
        match refusal {
            Some(why) => self.say(Kind::Plain, &why),
            None => {
                let action = if command == Command::Drain { Action::Drain(id) } else { Action::Undrain(id) };
                self.modal = Some(Modal::Question(Question { actions: vec![action], left_out: None }));
            }
        }
    }

    fn choose_host(&mut self) -> Vec<Effect> {
        if self.options.hosts.len() < 2 {
            self.say(
                Kind::Plain,
                "no other server is known: name one with `:host user@name`, or keep them in ~/.config/bisect-tui/config.toml",
            );
            return Vec::new();
        }
        let row = self.options.hosts.iter().position(|host| *host == self.options.host).unwrap_or(0);
        self.modal = Some(Modal::Hosts(List { row, top: 0 }));
        Vec::new()
    }

    /// Another server; nothing of this one is looked at any more.
    pub(super) fn switch(&mut self, host: String) -> Vec<Effect> {
        if host == self.options.host && self.connection.is_up() {
            self.say(Kind::Plain, &format!("{host} is shown already"));
            return Vec::new();
        }
        self.show(Place::Jobs);
        self.connection.switching = Some(host.clone());
        vec![Effect::Switch(host)]
    }

    fn save(&mut self, argument: Option<&str>) -> Vec<Effect> {
        let Some(log) = self.log.as_ref().filter(|log| !log.is_empty()) else {
            self.say(Kind::Plain, "there is nothing to save yet");
            return Vec::new();
        };
        if let Some(file) = argument {
            return vec![Effect::SaveLog(file.into())];
        }
        let file = log_file(LogOf { probe: log.only(), ..log.of() });
        self.type_line(LineFor::Save, file);
        Vec::new()
    }

    fn copy(&mut self, command: Command) -> Vec<Effect> {
        let culprit_or = |job: &bisect_shared::admin::JobView, other: String| {
            job.culprit.map_or(other, |culprit| culprit.to_string())
        };
        let text = match (self.view(), &self.log) {
            (At::Jobs, _) => self.jobs.chosen().map(|job| culprit_or(job, job.id.to_string())),
            (At::Job, _) => match self.job.as_ref().and_then(|job| job.chosen().filter(|_| job.pane == Pane::Probes)) {
                Some(probe) => Some(probe.commit.to_string()),
                None => self.job_view().map(|job| culprit_or(job, job.id.to_string())),
            },
            (At::Log, Some(log)) if !log.is_empty() => {
                let copied = match (command, log.selection()) {
                    (Command::CopyPage, _) => log.text_of(log.rows_seen().into_iter()),
                    (_, Some(selected)) => log.text_of(selected),
                    _ => log.text_of(std::iter::once(log.cursor())),
                };
                match copied {
                    Ok(text) => Some(text),
                    Err(why) => {
                        self.say(Kind::Bad, &why);
                        return Vec::new();
                    }
                }
            }
            _ => None,
        };
        let Some(text) = text else {
            self.say(Kind::Plain, "there is nothing to copy here");
            return Vec::new();
        };
        vec![Effect::Copy(text)]
    }
}
