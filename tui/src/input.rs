//! Keys, clicks and pastes, read on a thread of its own: a terminal that is gone must not keep the console from ending.
//!
//! crossterm itself reads on without end when its terminal has hung up, so this looks first.

use crossterm::event::{self, Event};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
    time::Duration,
};
use tokio::sync::mpsc;

/// What was typed, in order. Dropped, it reads nothing more.
#[derive(Debug)]
pub struct Input {
    events: mpsc::Receiver<io::Result<Event>>,
    /// The thread sees its end.
    _stop: UnixStream,
}

impl Input {
    /// Starts to read.
    ///
    /// # Errors
    /// No terminal.
    pub fn start() -> io::Result<Self> {
        let terminal = terminal()?;
        let (stop, stopped) = UnixStream::pair()?;
        let (sender, events) = mpsc::channel(256);
        thread::Builder::new().name("input".to_owned()).spawn(move || read(&terminal, &stopped, &sender))?;
        Ok(Self { events, _stop: stop })
    }

    /// The next event, or that the terminal is gone. Safe to cancel.
    pub async fn next(&mut self) -> io::Result<Event> {
        self.events.recv().await.unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Stops, and waits a little until nothing is read any more: the terminal may be given to somebody else then.
    pub async fn stop(self) {
        let Self { mut events, _stop } = self;
        drop(_stop);
        let ended = async { while events.recv().await.is_some() {} };
        // One that waits for the rest of a half-typed sequence is left where it is.
        let _ = tokio::time::timeout(Duration::from_millis(200), ended).await;
    }
}

/// The same that crossterm takes.
fn terminal() -> io::Result<OwnedFd> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return stdin.as_fd().try_clone_to_owned();
    }
    Ok(File::options().read(true).write(true).open("/dev/tty")?.into())
}

fn read(terminal: &OwnedFd, stopped: &UnixStream, sender: &mpsc::Sender<io::Result<Event>>) {
    loop {
        let mut fds =
            [PollFd::new(terminal.as_fd(), PollFlags::POLLIN), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => {
                // Who does not hear it has ended.
                let _ = sender.blocking_send(Err(error.into()));
                return;
            }
            Ok(_) => {}
        }
        let told = |fd: &PollFd<'_>| fd.revents().unwrap_or(PollFlags::empty());
        if !told(&fds[1]).is_empty() {
            return;
        }
        if told(&fds[0]).intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            let _ = sender.blocking_send(Err(io::ErrorKind::UnexpectedEof.into()));
            return;
        }
        if take(sender).is_err() {
            return;
        }
    }
}

/// Everything that is there.
fn take(sender: &mpsc::Sender<io::Result<Event>>) -> Result<(), ()> {
    loop {
        match event::poll(Duration::from_millis(1)) {
            Ok(true) => sender.blocking_send(event::read()).map_err(|_| ())?,
            Ok(false) => return Ok(()),
            Err(error) => return sender.blocking_send(Err(error)).map_err(|_| ()),
        }
    }
}
