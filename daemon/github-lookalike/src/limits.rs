//! GitHub's primary rate limit: calls per hour, counted apart for each installation, App and anonymous address.

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// Calls in an hour that GitHub gives an installation.
const OF_AN_APP: u32 = 5_000;
/// Calls in an hour without any credentials.
const OF_NOBODY: u32 = 60;

/// One count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub limit: u32,
    pub used: u32,
    pub reset: DateTime<Utc>,
}

impl Window {
    pub fn remaining(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// All counts.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    windows: BTreeMap<String, Window>,
    /// Overrides the limit of Apps and installations.
    pub per_hour: Option<u32>,
}

impl Limits {
    /// The window of a caller, a new one when the last has ended.
    pub fn window(&mut self, caller: &str, now: DateTime<Utc>) -> &mut Window {
        let limit = if caller == "nobody" { OF_NOBODY } else { self.per_hour.unwrap_or(OF_AN_APP) };
        let fresh = Window { limit, used: 0, reset: now + TimeDelta::hours(1) };
        let window = self.windows.entry(caller.to_owned()).or_insert(fresh);
        if window.reset <= now {
            *window = fresh;
        }
        window
    }

    /// Uses up a limit until `reset`.
    pub fn exhaust(&mut self, caller: &str, now: DateTime<Utc>, reset: DateTime<Utc>) {
        let window = self.window(caller, now);
        window.used = window.limit;
        window.reset = reset;
    }
}
