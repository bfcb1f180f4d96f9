//! What is left of GitHub's rate limits, by installation, and how long nothing may be sent.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

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
        // A number of calls is far below 2^52.
        #[allow(clippy::cast_precision_loss)]
        metrics::gauge!("bisect_github_rate_left", "installation" => label(installation)).set(rate.left as f64);
        self.seen().left.insert(installation, rate);
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

fn label(installation: Option<i64>) -> String {
    installation.map_or_else(|| "app".to_owned(), |id| id.to_string())
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
