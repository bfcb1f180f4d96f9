//! How long a job bears with what fails beneath it (Docker, git, the mirror), and how long it waits
//! between two tries. By the clock, not by the number of failures: with many lanes one stop of
//! Docker is many failures.

use std::time::Duration;
use tokio::time::Instant;

/// The wait after the first failure; it doubles from there.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: when Docker is back, the job goes on soon.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// One job's patience.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// The first and the last failure since something worked.
    failing: Option<(Instant, Instant)>,
    wait: Duration,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, failing: None, wait: FIRST_WAIT }
    }

    /// Something worked.
    pub(super) fn succeeded(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Something failed now: how long to wait before the next try; `None` when there is to be none.
    pub(super) fn failed(&mut self, now: Instant) -> Option<Duration> {
        let recent = self.failing.filter(|(_, last)| now.duration_since(*last) <= self.limit);
        let Some((first, _)) = recent else {
            // Nothing has failed for so long that this is a new trouble.
            self.failing = Some((now, now));
            self.wait = FIRST_WAIT * 2;
            return Some(FIRST_WAIT.min(self.limit));
        };
        self.failing = Some((first, now));
        let left = self.limit.saturating_sub(now.duration_since(first));
        let wait = self.wait.min(left);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        (!left.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_made_when_the_time_is_over() {
        let mut patience = Patience::new(Duration::from_mins(1));
        let started = Instant::now();
        let (mut now, mut tries) = (started, 1);
        while let Some(wait) = patience.failed(now) {
            assert!(wait <= LONGEST_WAIT);
            now += wait;
            tries += 1;
        }
        assert_eq!(now - started, Duration::from_mins(1));
        assert!((15..30).contains(&tries), "{tries}");
    }

    #[test]
    fn a_success_and_a_long_calm_begin_anew() {
        let mut patience = Patience::new(Duration::from_mins(1));
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(patience.failed(at(0)), Some(FIRST_WAIT));
        assert!(patience.failed(at(59)).is_some());
        patience.succeeded();
        assert_eq!(patience.failed(at(62)), Some(FIRST_WAIT));
        assert_eq!(patience.failed(at(124)), Some(FIRST_WAIT), "a probe ran for a minute meanwhile");
    }
}
