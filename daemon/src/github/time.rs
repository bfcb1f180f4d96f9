//! GitHub's time, which is what GitHub judges JWTs and tokens by: this machine's clock, corrected by
//! what GitHub said in the `Date` of its last answer.

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, header};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

/// Where the time of this machine comes from.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// A clock of one's own, for tests.
    pub fn new(now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(Utc::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A clock that follows GitHub's.
#[derive(Debug)]
pub(super) struct GithubTime {
    clock: Clock,
    /// How many seconds GitHub is ahead of this machine.
    ahead: AtomicI64,
}

impl GithubTime {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, ahead: AtomicI64::new(0) }
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        (self.clock.0)() + TimeDelta::seconds(self.ahead())
    }

    /// How many seconds GitHub was ahead of this machine when it last answered.
    pub(super) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Follows the `Date` of an answer that has just arrived.
    pub(super) fn follow(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()) else { return };
        let ahead = date.signed_duration_since((self.clock.0)()).num_seconds();
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_corrects_a_clock_that_is_ten_minutes_off() {
        let slow: DateTime<Utc> = "2026-11-24T00:00:00Z".parse().unwrap();
        let time = GithubTime::new(Clock::new(move || slow));
        time.follow(&[(header::DATE, "Tue, 24 Nov 2026 00:10:00 GMT".parse().unwrap())].into_iter().collect());
        assert_eq!(time.now(), slow + TimeDelta::minutes(10));
        time.follow(&[(header::DATE, "no date".parse().unwrap())].into_iter().collect());
        assert_eq!(time.ahead(), 600, "what cannot be read changes nothing");
    }
}
