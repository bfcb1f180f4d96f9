//! When something is asked for again: never twice at once, never faster than is useful. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// One thing that is asked for again and again.
#[derive(Debug)]
pub(super) struct Poller {
    due: Option<Instant>,
    busy: bool,
    started: Option<Instant>,
    calm: Duration,
    complaint: Option<String>,
}

impl Poller {
    pub(super) fn new(calm: Duration) -> Self {
        Self { due: None, busy: false, started: None, calm, complaint: None }
    }

    /// As soon as it is useful: many of these are one.
    pub(super) fn ask(&mut self, now: Instant) {
        let soonest = self.started.map_or(now, |started| now.max(started + self.calm));
        self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
    }

    /// Not any more.
    pub(super) fn forget(&mut self) {
        self.due = None;
        self.started = None;
    }

    /// When to call [`Poller::start`]; not while an answer is awaited.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.busy)
    }

    /// Whether to ask now.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        (self.due, self.busy, self.started) = (None, true, Some(now));
        true
    }

    /// The answer is here; the next one is wanted after `pause` at the latest.
    pub(super) fn finish(&mut self, now: Instant, pause: Option<Duration>) {
        self.busy = false;
        if let Some(pause) = pause {
            self.due = Some(self.due.map_or(now + pause, |due| due.min(now + pause)));
        }
    }

    /// What went wrong this time, if it is news.
    pub(super) fn complain(&mut self, complaint: Option<String>) -> Option<String> {
        if complaint == self.complaint {
            return None;
        }
        self.complaint.clone_from(&complaint);
        complaint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Duration = Duration::from_secs(1);

    #[test]
    fn many_wishes_are_one_question() {
        let now = Instant::now();
        let mut poller = Poller::new(CALM);
        assert!(!poller.start(now));
        for _ in 0..100 {
            poller.ask(now);
        }
        assert!(poller.start(now));
        assert!(!poller.start(now), "the answer is awaited");
        poller.ask(now);
        assert_eq!(poller.due(), None, "still awaited");
        poller.finish(now, None);
        assert_eq!(poller.due(), Some(now + CALM), "what was asked meanwhile, in calm");
        assert!(!poller.start(now) && poller.start(now + CALM));
        poller.finish(now + CALM, Some(CALM * 5));
        assert_eq!(poller.due(), Some(now + CALM * 6));
    }

    #[test]
    fn a_complaint_is_told_once() {
        let mut poller = Poller::new(CALM);
        assert_eq!(poller.complain(Some("away".to_owned())), Some("away".to_owned()));
        assert_eq!(poller.complain(Some("away".to_owned())), None);
        assert_eq!(poller.complain(None), None);
        assert_eq!(poller.complain(Some("away".to_owned())), Some("away".to_owned()));
    }
}
