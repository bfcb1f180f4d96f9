//! Signals, as events of the main loop.

use std::{io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The program is to end, by the signal of this number.
    End(u8),
    /// It was stopped, and goes on.
    Continued,
    /// The terminal has another size.
    Resized,
}

#[derive(Debug)]
pub(super) struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
    go_on: Signal,
    resize: Signal,
}

impl Signals {
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            go_on: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
            resize: signal(SignalKind::window_change())?,
        })
    }

    /// The number of a signal that ends; others mean nothing while the terminal is given away.
    pub(super) async fn ending(&mut self) -> u8 {
        loop {
            if let Heard::End(number) = self.next().await {
                return number;
            }
        }
    }

    /// Whether somebody pressed Ctrl-C, or is told to have within `wait`.
    pub(super) async fn was_interrupted(&mut self, wait: Duration) -> bool {
        matches!(timeout(wait, self.interrupt.recv()).await, Ok(Some(())))
    }

    /// Safe to cancel.
    pub(super) async fn next(&mut self) -> Heard {
        let number = |kind: SignalKind| u8::try_from(kind.as_raw_value()).unwrap_or_default();
        tokio::select! {
            Some(()) = self.hang_up.recv() => Heard::End(number(SignalKind::hangup())),
            Some(()) = self.interrupt.recv() => Heard::End(number(SignalKind::interrupt())),
            Some(()) = self.terminate.recv() => Heard::End(number(SignalKind::terminate())),
            Some(()) = self.go_on.recv() => Heard::Continued,
            Some(()) = self.resize.recv() => Heard::Resized,
            else => std::future::pending().await,
        }
    }
}
