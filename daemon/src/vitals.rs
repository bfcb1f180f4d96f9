//! Signs of life: each loop of a service beats once a turn, and whoever asks hears which one has stood still for too long.
//!
//! It knows nothing of what the loops do, nor of who asks (`cli::notify`, for systemd's watchdog).

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long one turn of any loop may take besides its pause: every call of the database, of Docker and of GitHub has
/// a limit far below this.
pub const LONGEST_TURN: Duration = Duration::from_mins(5);

/// The loops of one process. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Vitals {
    since: Instant,
    longest_turn: Duration,
    loops: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    name: &'static str,
    /// Milliseconds that may pass without a beat.
    allowed: u64,
    /// Milliseconds after `since`.
    last: Arc<AtomicU64>,
}

/// One loop's own sign.
#[derive(Debug, Clone)]
pub struct Vital {
    since: Instant,
    last: Arc<AtomicU64>,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::with_turns_of(LONGEST_TURN)
    }
}

impl Vitals {
    /// Loops of which one turn, besides its pause, takes no longer than this.
    #[must_use]
    pub fn with_turns_of(longest: Duration) -> Self {
        Self { since: Instant::now(), longest_turn: longest, loops: Arc::default() }
    }

    /// Watches a loop from now on, which waits for at most `pause` between two turns.
    #[must_use]
    pub fn watch(&self, name: &'static str, pause: Duration) -> Vital {
        let vital = Vital { since: self.since, last: Arc::default() };
        vital.beat();
        let allowed = millis(pause.saturating_mul(2).saturating_add(self.longest_turn));
        let watched = Watched { name, allowed, last: Arc::clone(&vital.last) };
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).push(watched);
        vital
    }

    /// A loop that has stood still for too long.
    #[must_use]
    pub fn still(&self) -> Option<&'static str> {
        self.still_at(self.since.elapsed())
    }

    fn still_at(&self, now: Duration) -> Option<&'static str> {
        let now = millis(now);
        let loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let still = loops.iter().find(|it| now.saturating_sub(it.last.load(Ordering::Acquire)) > it.allowed);
        still.map(|it| it.name)
    }
}

impl Vital {
    /// The loop lives.
    pub fn beat(&self) {
        self.beat_at(self.since.elapsed());
    }

    fn beat_at(&self, now: Duration) {
        self.last.store(millis(now), Ordering::Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_named_and_one_that_turns_is_not() {
        let vitals = Vitals::default();
        let quick = vitals.watch("quick", Duration::from_secs(1));
        let slow = vitals.watch("slow", Duration::from_mins(10));
        let at = |seconds: u64| LONGEST_TURN + Duration::from_secs(seconds);
        assert_eq!(vitals.still_at(at(1)), None);
        assert_eq!(vitals.still_at(at(3)), Some("quick"));
        quick.beat_at(at(3));
        assert_eq!(vitals.still_at(at(3)), None, "it was only slow");
        quick.beat_at(at(1201));
        assert_eq!(vitals.still_at(at(1201)), Some("slow"), "twice its pause and a turn have passed");
        slow.beat_at(at(1201));
        assert_eq!(vitals.still_at(at(1201)), None);
    }
}
