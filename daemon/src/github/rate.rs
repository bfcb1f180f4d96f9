//! What is left of GitHub's rate limits, by installation, and how long nothing may be sent.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many installations are remembered before old ones are forgotten.
const REMEMBERED: usize = 1000;

/// What was left of a rate limit when GitHub last said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLeft {
    /// GitHub's number of the installation; `None` for calls as the App itself.
    pub installation: Option<i64>,
    /// Calls that are left.
    pub left: u64,
    /// Calls that are allowed in one period.
    pub limit: u64,
    /// When the period ends and all are allowed again.
    pub resets_at: DateTime<Utc>,
}

/// The limits as GitHub told them.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    left: BTreeMap<Option<i64>, RateLeft>,
    /// GitHub asked for silence until then; calls in that time count as abuse.
    silent: BTreeMap<Option<i64>, Instant>,
}

impl Rates {
    /// Remembers what an answer says.
    pub(super) fn record(&self, installation: Option<i64>, headers: &HeaderMap) {
        let Some(rate) = rate_of(installation, headers) else { return };
        let mut seen = self.seen();
        if seen.left.len() >= REMEMBERED {
            // What was said of an ended period means nothing any more.
            seen.left.retain(|_, known| known.resets_at > rate.resets_at - chrono::TimeDelta::hours(1));
            seen.silent.retain(|_, until| *until > Instant::now());
        }
        seen.left.insert(installation, rate);
    }

    /// Nothing more is sent for this installation for so long.
    pub(super) fn silence(&self, installation: Option<i64>, wait: Duration) {
        let until = Instant::now() + wait;
        let mut seen = self.seen();
        let kept = seen.silent.entry(installation).or_insert(until);
        *kept = until.max(*kept);
    }

    /// How long this installation has to stay silent still.
    pub(super) fn silent_for(&self, installation: Option<i64>) -> Option<Duration> {
        let left = self.seen().silent.get(&installation)?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Everything known, the App's own first.
    pub(super) fn left(&self) -> Vec<RateLeft> {
        self.seen().left.values().cloned().collect()
    }

    /// An installation that is gone needs no memory.
    pub(super) fn forget(&self, installation: i64) {
        let mut seen = self.seen();
        seen.left.remove(&Some(installation));
        seen.silent.remove(&Some(installation));
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Plain values: a panic elsewhere leaves them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rate_of(installation: Option<i64>, headers: &HeaderMap) -> Option<RateLeft> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    let resets_at = i64::try_from(number("x-ratelimit-reset")?).ok()?;
    Some(RateLeft {
        installation,
        left: number("x-ratelimit-remaining")?,
        limit: number("x-ratelimit-limit")?,
        resets_at: DateTime::from_timestamp(resets_at, 0)?,
    })
}
