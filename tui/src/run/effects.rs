//! What the state wants done, done.

use super::{Console, Screen};
use crate::{
    clipboard::{self, Between},
    feed::{Order, Session},
    input::Input,
    message::{Action, Effect, Link, Message},
    target::Address,
    terminal,
};
use nix::sys::signal::{Signal, raise};
use std::{
    fs::OpenOptions,
    io::{self, BufWriter, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// Longer than one Ctrl-C takes to reach two processes of a busy machine.
const A_LITTLE: Duration = Duration::from_millis(300);

impl<S: Screen> Console<S> {
    /// Does it all; says what came of it.
    pub(super) async fn perform(&mut self, effects: Vec<Effect>) -> Vec<Message> {
        let (mut actions, mut messages) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::Quit => self.end = Some(super::End::Quit),
                Effect::Suspend => self.suspend().await,
                Effect::Redraw => self.retake(),
                Effect::Act(action) => actions.push(action),
                Effect::OlderAudit(before) => messages.extend(self.order(Order::OlderAudit(before))),
                Effect::Copy(text) => messages.push(Message::Said(copy(&text))),
                Effect::SaveLog(path) => messages.push(Message::Said(self.save_log(&path))),
                Effect::Switch(name) => {
                    let switched = self.plan.server(&name).and_then(|server| self.switch(server));
                    messages.extend(switched.err().map(|why| Message::Said(Err(why))));
                }
                Effect::Reconnect(false) => messages.extend(self.order(Order::Connect)),
                Effect::Reconnect(true) => messages.extend(self.ask().await),
            }
        }
        messages.extend(self.act(actions));
        messages
    }

    fn order(&mut self, order: Order) -> Option<Message> {
        let busy = |_| Message::Said(Err("busy; try again in a moment".to_owned()));
        self.feed.orders.try_send(order).map_err(busy).err()
    }

    fn act(&mut self, actions: Vec<Action>) -> Vec<Message> {
        if actions.is_empty() {
            return Vec::new();
        }
        let refuse = |actions: Vec<Action>, why: &str| {
            actions.into_iter().map(|action| Message::Done(action, Err(why.to_owned()))).collect()
        };
        if self.plan.read_only {
            return refuse(actions, "this console is read-only: nothing was sent");
        }
        match self.feed.orders.try_send(Order::Act(actions)) {
            Ok(()) => Vec::new(),
            Err(error) => match error.into_inner() {
                Order::Act(actions) => refuse(actions, "busy: nothing was sent; try again in a moment"),
                _ => Vec::new(),
            },
        }
    }

    async fn give_terminal(&mut self) {
        if let Some(input) = self.input.take() {
            input.stop().await;
        }
        terminal::leave();
    }

    fn take_terminal(&mut self) {
        match Input::start() {
            Ok(input) => self.input = Some(input),
            Err(_) => self.end = Some(super::End::TerminalLost),
        }
        self.retake();
    }

    /// As Ctrl-Z does elsewhere. The kernel ignores it where no shell could bring us back.
    async fn suspend(&mut self) {
        self.give_terminal().await;
        // A signal that exists can be raised.
        let _ = raise(Signal::SIGTSTP);
        self.take_terminal();
    }

    /// Connects with the terminal given to ssh, so that it can ask.
    async fn ask(&mut self) -> Vec<Message> {
        if !matches!(self.server.address, Address::Ssh(_)) {
            return self.order(Order::Connect).into_iter().collect();
        }
        if let Some(busy) = self.order(Order::Hold) {
            return vec![busy];
        }
        self.give_terminal().await;
        let farewell = writeln!(io::stdout(), "Connecting to {}; Ctrl-C goes back.", self.server.name);
        let mut opened = tokio::select! {
            biased;
            opened = Session::open(&self.server, true, &self.clocks) => Some(opened),
            heard = self.signals.ending() => {
                // Ctrl-C is for ssh; anything else is for us.
                if heard != nix::libc::SIGINT as u8 {
                    self.end = Some(super::End::Signal(heard));
                }
                None
            }
        };
        // The Ctrl-C that ended ssh may be told to us a little later. Once the screen is back, Ctrl-C is a key.
        let wait = if matches!(opened, Some(Err(_))) { A_LITTLE } else { Duration::ZERO };
        if self.signals.was_interrupted(wait).await {
            opened = None;
        }
        self.take_terminal();
        if farewell.is_err() {
            self.end = Some(super::End::TerminalLost);
        }
        match opened {
            Some(Ok(session)) => self.order(Order::Use(Box::new(session))).into_iter().collect(),
            Some(Err(mistake)) => {
                let down = Message::Link(Link::Down { why: mistake.text, again_at: None });
                // What may pass is tried again as before.
                let again = if mistake.hopeless { None } else { self.order(Order::Connect) };
                [Some(down), again].into_iter().flatten().collect()
            }
            None => vec![Self::link_is_down("given up by you; reconnect when you like")],
        }
    }

    /// Writes the log into a file that was not there.
    fn save_log(&mut self, path: &Path) -> Result<String, String> {
        let path = at_home(path);
        let shown = std::path::absolute(&path).unwrap_or_else(|_| path.clone()).display().to_string();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{shown} is there already; nothing was changed, name another file"),
            _ => format!("{shown} cannot be made: {error}"),
        })?;
        let mut out = BufWriter::new(file);
        let written = self.screen.log_text_to(&mut out).and_then(|()| out.flush());
        let size = out.get_ref().metadata().map(|file| file.len());
        match (written, size) {
            (Ok(()), Ok(size)) => Ok(format!("saved {size} bytes to {shown}")),
            (Err(error), _) | (_, Err(error)) => {
                let left =
                    std::fs::remove_file(&path).err().map(|_| " (a part of it is left there)").unwrap_or_default();
                Err(format!("{shown} cannot be written: {error}{left}"))
            }
        }
    }
}

/// `~/x` as a shell reads it.
fn at_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), etcetera::home_dir()) {
        (Ok(rest), Ok(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn copy(text: &str) -> Result<String, String> {
    let sequence = clipboard::sequence(text, Between::found())?;
    let mut out = io::stdout();
    out.write_all(sequence.as_bytes()).and_then(|()| out.flush()).map_err(|error| format!("not copied: {error}"))?;
    Ok(format!("{} bytes given to the terminal to copy", text.len()))
}
