//! What is asked of this process from outside: the first signal asks it to stop, a second one to
//! end at once. Listened for from the start, so that nothing that was started is left behind.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that came so far.
#[derive(Clone)]
pub(super) struct Signals {
    /// Set by the first one.
    pub(super) asked: CancellationToken,
    /// Set by the second one.
    pub(super) hurry: CancellationToken,
    interrupt: Arc<AtomicBool>,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub(super) fn listen() -> io::Result<Self> {
        let this = Self { asked: CancellationToken::new(), hurry: CancellationToken::new(), interrupt: Arc::default() };
        let mut sources = Sources::listen()?;
        let told = this.clone();
        tokio::spawn(async move {
            told.interrupt.store(sources.next().await == SignalKind::interrupt(), Ordering::Release);
            told.asked.cancel();
            sources.next().await;
            told.hurry.cancel();
        });
        Ok(this)
    }

    /// Whether the first one was a Ctrl-C.
    pub(super) fn by_interrupt(&self) -> bool {
        self.interrupt.load(Ordering::Acquire)
    }
}

struct Sources {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Sources {
    fn listen() -> io::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored_in(&status);
        // What our parent had ignored (`nohup`, a script's `&`) stays ignored.
        let open = |kind: SignalKind| -> io::Result<Option<Signal>> {
            if ignored & (1 << (kind.as_raw_value() - 1)) == 0 { signal(kind).map(Some) } else { Ok(None) }
        };
        Ok(Self {
            interrupt: open(SignalKind::interrupt())?,
            terminate: open(SignalKind::terminate())?,
            hangup: open(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            () = received(&mut self.interrupt) => SignalKind::interrupt(),
            () = received(&mut self.terminate) => SignalKind::terminate(),
            () = received(&mut self.hangup) => SignalKind::hangup(),
        }
    }
}

async fn received(source: &mut Option<Signal>) {
    match source {
        Some(source) => drop(source.recv().await),
        None => std::future::pending().await,
    }
}

/// The set of ignored signals in `/proc/self/status` (proc(5), `SigIgn`): bit n − 1 for signal n.
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!(ignored_in(status), 1 << (13 - 1) | 1);
        assert_eq!(ignored_in(""), 0);
    }
}
