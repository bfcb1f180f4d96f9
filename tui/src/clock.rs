//! Times as they are shown. It never looks at a clock: the state is told what time it is.

use chrono::{DateTime, FixedOffset, Local, Offset, TimeDelta, TimeZone, Utc};

/// How far this machine's time zone is from UTC at a moment.
pub type Zone = fn(DateTime<Utc>) -> FixedOffset;

/// The time zone of this machine.
#[must_use]
pub fn local(at: DateTime<Utc>) -> FixedOffset {
    Local.offset_from_utc_datetime(&at.naive_utc()).fix()
}

/// What time it is, here and at the daemon, and how times are written.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: DateTime<Utc>,
    /// How far the daemon's clock is ahead.
    ahead: TimeDelta,
    zone: Zone,
    /// Whether times are written in UTC.
    pub utc: bool,
}

impl Clock {
    /// A clock that stands at `now`.
    #[must_use]
    pub const fn new(now: DateTime<Utc>, zone: Zone, utc: bool) -> Self {
        Self { now, ahead: TimeDelta::zero(), zone, utc }
    }

    /// This machine's time.
    #[must_use]
    pub const fn here(&self) -> DateTime<Utc> {
        self.now
    }

    /// The daemon's time, by which everything it tells is dated.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.now.checked_add_signed(self.ahead).unwrap_or(self.now)
    }

    /// Time has passed here.
    pub const fn advance(&mut self, now: DateTime<Utc>) {
        self.now = now;
    }

    /// The daemon has said what time it is there.
    pub fn agree(&mut self, there: DateTime<Utc>) {
        self.ahead = there - self.now;
    }

    /// How long ago something of the daemon was.
    #[must_use]
    pub fn since(&self, at: DateTime<Utc>) -> TimeDelta {
        (self.now() - at).max(TimeDelta::zero())
    }

    /// `14:03:59`.
    #[must_use]
    pub fn time(&self, at: DateTime<Utc>) -> String {
        self.format(at, "%H:%M:%S")
    }

    /// `14:03:59` of today, `Nov 25 14:03` of other days: always at most twelve columns.
    #[must_use]
    pub fn moment(&self, at: DateTime<Utc>) -> String {
        let day = |at| self.format(at, "%Y-%m-%d");
        if day(at) == day(self.now()) { self.time(at) } else { self.format(at, "%b %d %H:%M") }
    }

    /// `2026-11-25 14:03:59`.
    #[must_use]
    pub fn date(&self, at: DateTime<Utc>) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S")
    }

    /// `UTC`, or how far the local time is from it: `+02:00`.
    #[must_use]
    pub fn zone(&self) -> String {
        if self.utc { "UTC".to_owned() } else { (self.zone)(self.now).to_string() }
    }

    fn format(&self, at: DateTime<Utc>, how: &str) -> String {
        if self.utc { at.format(how).to_string() } else { at.with_timezone(&(self.zone)(at)).format(how).to_string() }
    }
}

/// `3s`, `4m05s`, `2h03m`, `5d01h`.
#[must_use]
pub fn span(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// As [`span`], of seconds; `0.4s` below ten seconds, where the tenths are of interest.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, 1e12) } else { 0.0 };
    if seconds < 9.95 { format!("{seconds:.1}s") } else { span(delta(seconds.round())) }
}

/// A span of so many seconds, however wild the number.
#[must_use]
pub fn delta(seconds: f64) -> TimeDelta {
    let seconds = if seconds.is_finite() { seconds.clamp(0.0, 1e12) } else { 0.0 };
    TimeDelta::milliseconds((seconds * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_hours_east(_: DateTime<Utc>) -> FixedOffset {
        FixedOffset::east_opt(7200).unwrap()
    }

    #[test]
    fn times_are_local_and_in_utc_on_demand() {
        let now: DateTime<Utc> = "2026-11-25T23:30:00Z".parse().unwrap();
        let mut clock = Clock::new(now, two_hours_east, false);
        assert_eq!(clock.time(now), "01:30:00");
        assert_eq!((clock.moment(now), clock.zone()), ("01:30:00".to_owned(), "+02:00".to_owned()));
        assert_eq!(clock.moment(now - TimeDelta::hours(2)), "Nov 25 23:30", "yesterday, here");
        clock.utc = true;
        assert_eq!((clock.moment(now - TimeDelta::hours(2)), clock.zone()), ("21:30:00".to_owned(), "UTC".to_owned()));
    }

    #[test]
    fn ages_are_told_by_the_daemons_clock() {
        let now: DateTime<Utc> = "2026-11-25T12:00:00Z".parse().unwrap();
        let mut clock = Clock::new(now, two_hours_east, true);
        clock.agree(now + TimeDelta::seconds(90));
        assert_eq!(clock.since(now), TimeDelta::seconds(90));
        assert_eq!(clock.since(now + TimeDelta::hours(1)), TimeDelta::zero());
        clock.advance(now + TimeDelta::seconds(1));
        assert_eq!(clock.since(now), TimeDelta::seconds(91));
    }

    #[test]
    fn spans() {
        for (number, text) in [(-5, "0s"), (59, "59s"), (65, "1m05s"), (7_380, "2h03m"), (435_600, "5d01h")] {
            assert_eq!(span(TimeDelta::seconds(number)), text);
        }
        assert_eq!([0.04, 9.94, 9.96, 75.0, f64::NAN].map(seconds), ["0.0s", "9.9s", "10s", "1m15s", "0.0s"]);
    }
}
