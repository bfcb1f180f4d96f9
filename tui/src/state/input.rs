//! Keys, pastes and sizes of the terminal. What a key means stands in [`crate::keys`].

use super::{Line, LineFor, Modal, Palette, State, notices::verb, palette::understand};
use crate::{
    keys::{self, Command},
    message::{Action, Effect},
    text,
};
use crossterm::event::{Event, KeyEvent, KeyEventKind};
use tui_input::{Input, InputRequest, backend::crossterm::EventHandler};

/// No line that is typed is longer.
const LONGEST_LINE: usize = 1000;

impl State {
    pub(super) fn input(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(&key),
            Event::Mouse(mouse) => self.mouse(mouse),
            Event::Paste(pasted) => {
                self.paste(&pasted);
                Vec::new()
            }
            Event::Resize(columns, rows) => {
                self.options.size = (columns, rows);
                Vec::new()
            }
            Event::Key(_) | Event::FocusGained | Event::FocusLost => Vec::new(),
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Vec<Effect> {
        let place = self.place();
        match keys::find(place, key) {
            Some(binding) if self.modal.is_some() => self.answer(binding.command),
            Some(binding) => self.run(binding, None),
            None => {
                self.type_key(key);
                Vec::new()
            }
        }
    }

    fn typed(&mut self) -> Option<&mut Input> {
        match &mut self.modal {
            Some(Modal::Line(line)) => Some(&mut line.input),
            Some(Modal::Palette(palette)) => {
                palette.chosen = None;
                Some(&mut palette.input)
            }
            _ => None,
        }
    }

    fn type_key(&mut self, key: &KeyEvent) {
        let Some(input) = self.typed() else { return };
        if input.value().len() < LONGEST_LINE || !matches!(key.code, crossterm::event::KeyCode::Char(_)) {
            input.handle_event(&Event::Key(*key));
        }
        self.is_typed();
    }

    fn paste(&mut self, pasted: &str) {
        let Some(input) = self.typed() else { return };
        for character in text::clean(pasted).chars().take(LONGEST_LINE.saturating_sub(input.value().len())) {
            input.handle(InputRequest::InsertChar(character));
        }
        self.is_typed();
    }

    /// What is found follows what is typed.
    fn is_typed(&mut self) {
        let Some(Modal::Line(line)) = &self.modal else { return };
        let value = line.input.value();
        match (&line.wanted, &mut self.log) {
            (LineFor::Jobs, _) if value != self.jobs.text() => self.jobs.set_text(value),
            (LineFor::Log, Some(log)) => log.search_for(value),
            _ => {}
        }
    }

    /// A key that has a meaning in what lies over the view.
    fn answer(&mut self, command: Command) -> Vec<Effect> {
        match command {
            Command::Suspend => return vec![Effect::Suspend],
            Command::Redraw => return vec![Effect::Redraw],
            _ => {}
        }
        // Ctrl-C gives up what is typed or asked, as in a shell.
        let command = if command == Command::Quit { Command::No } else { command };
        match (self.modal.take(), command) {
            (Some(Modal::Question(asked)), Command::Yes) => return self.act(asked.actions),
            (Some(Modal::Question(_)), Command::No) => self.say(super::Kind::Plain, "nothing was done"),
            (Some(Modal::Line(line)), Command::Accept) => return self.take_line(line),
            (Some(Modal::Line(line)), Command::No) => self.give_up(line),
            (Some(Modal::Palette(palette)), Command::Accept) => return self.speak(&palette),
            (Some(Modal::Palette(palette)), Command::Complete | Command::Up | Command::Down) => {
                self.complete(palette, command);
            }
            (Some(Modal::Palette(_) | Modal::Hosts(_)), Command::No) => {}
            (Some(Modal::Hosts(list)), Command::Accept) => {
                let host = self.options.hosts.get(list.row).cloned();
                return host.map(|host| self.switch(host)).unwrap_or_default();
            }
            (Some(Modal::Hosts(mut list)), step) => {
                if let Some(step) = super::command::step(step) {
                    list.step(step, self.options.hosts.len(), self.options.hosts.len());
                }
                self.modal = Some(Modal::Hosts(list));
            }
            (modal, _) => self.modal = modal,
        }
        Vec::new()
    }

    fn act(&mut self, actions: Vec<Action>) -> Vec<Effect> {
        if !self.connection.is_up() {
            let what = actions.first().map_or("nothing", verb);
            self.say(super::Kind::Bad, &format!("{what}: not connected, nothing was sent"));
            return Vec::new();
        }
        self.notices.begin(self.clock.here(), &actions);
        self.jobs.unmark();
        actions.into_iter().map(Effect::Act).collect()
    }

    fn take_line(&mut self, line: Line) -> Vec<Effect> {
        let value = line.input.value().trim().to_owned();
        match line.wanted {
            LineFor::Jobs => {}
            LineFor::Log => {
                if let Some(log) = &mut self.log {
                    log.end_search(true);
                }
            }
            LineFor::Save if value.is_empty() => self.say(super::Kind::Plain, "no file was named, nothing was saved"),
            LineFor::Save => return vec![Effect::SaveLog(value.into())],
            LineFor::Runs(jobs) => match value.parse::<u32>() {
                Ok(runs @ 2..=100) => self.ask(&jobs, false, |job| Action::Retry(job, Some(runs))),
                _ => self.say(
                    super::Kind::Bad,
                    &format!(
                        "`{}` is no number of runs from 2 to 100; nothing was asked for",
                        text::clean_typed(&value)
                    ),
                ),
            },
        }
        Vec::new()
    }

    fn give_up(&mut self, line: Line) {
        match (line.wanted, &mut self.log) {
            (LineFor::Jobs, _) => self.jobs.set_text(&line.before),
            (LineFor::Log, Some(log)) => log.end_search(false),
            _ => {}
        }
    }

    fn complete(&mut self, mut palette: Palette, command: Command) {
        let found = self.suggestions(&palette);
        let last = found.len().saturating_sub(1);
        match command {
            Command::Up => palette.chosen = palette.chosen.map_or(Some(last), |at| Some(at.saturating_sub(1))),
            Command::Down => palette.chosen = Some(palette.chosen.map_or(0, |at| (at + 1).min(last))),
            _ => {
                if let Some(suggestion) = found.get(palette.chosen.unwrap_or(0)) {
                    palette = Palette { input: Input::new(suggestion.line.clone()), chosen: None };
                }
            }
        }
        self.modal = Some(Modal::Palette(palette));
    }

    /// Does what was typed, or what was chosen of the suggestions.
    fn speak(&mut self, palette: &Palette) -> Vec<Effect> {
        let found = self.suggestions(palette);
        let chosen = palette.chosen.and_then(|at| found.get(at));
        let only = found.first().filter(|_| found.len() == 1);
        let typed = palette.input.value().trim();
        if typed.is_empty() && chosen.is_none() {
            return Vec::new();
        }
        // A beginning that only one command has is enough.
        let line = match (chosen, understand(self, typed), only) {
            (Some(chosen), ..) => chosen.line.clone(),
            (None, Err(_), Some(only)) => only.line.clone(),
            _ => typed.to_owned(),
        };
        match understand(self, &line) {
            Ok(spoken) => self.run(spoken.binding, spoken.argument.as_deref()),
            Err(why) => {
                self.say(super::Kind::Bad, &why);
                Vec::new()
            }
        }
    }
}
