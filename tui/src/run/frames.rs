//! When to draw. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// Between two frames after keys, and while output pours in.
const AFTER_A_KEY: Duration = Duration::from_millis(16);
const WHILE_POURING: Duration = Duration::from_millis(33);

/// When the next frame is drawn.
#[derive(Debug)]
pub(super) struct Frames {
    last: Instant,
    due: Option<Instant>,
}

impl Frames {
    pub(super) fn new(now: Instant) -> Self {
        Self { last: now, due: Some(now) }
    }

    /// Somebody waits to see what a key did.
    pub(super) fn soon(&mut self, now: Instant) {
        self.ask(now.max(self.last + AFTER_A_KEY));
    }

    /// Something changed.
    pub(super) fn later(&mut self, now: Instant) {
        self.ask(now.max(self.last + WHILE_POURING));
    }

    fn ask(&mut self, time: Instant) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    pub(super) fn drawn(&mut self, now: Instant) {
        (self.last, self.due) = (now, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_twice_and_keys_come_first() {
        let start = Instant::now();
        let mut frames = Frames::new(start);
        assert!(frames.is_due(start));
        frames.drawn(start);
        assert_eq!(frames.due(), None, "nothing changed");
        for _ in 0..1000 {
            frames.later(start);
        }
        assert_eq!(frames.due(), Some(start + WHILE_POURING));
        frames.soon(start);
        assert_eq!(frames.due(), Some(start + AFTER_A_KEY));
        let long_after = start + Duration::from_secs(1);
        frames.drawn(start + AFTER_A_KEY);
        frames.soon(long_after);
        assert!(frames.is_due(long_after), "at once");
    }
}
