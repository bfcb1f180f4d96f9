//! What is left of GitHub's rate limits, for `/metrics`. A fleet may have thousands of installations, and
//! each would be a series for ever: only those that have the least left are told one by one.

use crate::github::{Github, RateLeft};
use chrono::{DateTime, Utc};
use std::fmt::Write;

/// How many installations are told one by one.
const SHOWN: usize = 10;

/// Where the limits are known, if anything is asked of GitHub here.
pub struct Rates(pub Option<Github>);

impl Rates {
    /// The limits in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        let left = self.0.as_ref().map(Github::rate_left).unwrap_or_default();
        render(&left, Utc::now())
    }
}

fn render(left: &[RateLeft], now: DateTime<Utc>) -> String {
    // In a new period everything is allowed again.
    let share = |rate: &RateLeft| {
        if rate.resets_at <= now { 1.0 } else { rate.left as f64 / rate.limit.max(1) as f64 }
    };
    let lowest = left.iter().map(share).fold(1.0, f64::min);
    let mut out = String::from(
        "# HELP bisectd_github_rate_left_ratio the smallest share of a GitHub rate limit that any installation has left\n\
         # TYPE bisectd_github_rate_left_ratio gauge\n",
    );
    let _ = writeln!(out, "bisectd_github_rate_left_ratio {lowest}");
    out.push_str(
        "# HELP bisectd_github_rate_left calls that GitHub allows still in this period: the App's own, and of the \
         installations that have the least left\n# TYPE bisectd_github_rate_left gauge\n",
    );
    let of_app = left.iter().find(|rate| rate.installation.is_none());
    let of_app = of_app.map_or_else(|| "NaN".to_owned(), |rate| rate.left.to_string());
    let _ = writeln!(out, "bisectd_github_rate_left{{installation=\"app\"}} {of_app}");
    let mut current: Vec<_> = left
        .iter()
        .filter_map(|rate| Some((rate.installation?, rate)))
        .filter(|(_, rate)| rate.resets_at > now)
        .collect();
    current.sort_by(|(_, one), (_, other)| share(one).total_cmp(&share(other)));
    for (installation, rate) in current.into_iter().take(SHOWN) {
        let _ = writeln!(out, "bisectd_github_rate_left{{installation=\"{installation}\"}} {}", rate.left);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(installation: Option<i64>, left: u64, resets: i64) -> RateLeft {
        let resets_at = DateTime::from_timestamp(resets, 0).unwrap();
        RateLeft { installation, left, limit: 5000, resets_at }
    }

    #[test]
    fn only_those_with_the_least_left_are_told_one_by_one() {
        let now = DateTime::from_timestamp(1000, 0).unwrap();
        let mut left = vec![rate(None, 4999, 2000), rate(Some(9999), 1, 500)];
        left.extend((1..=500).map(|n| rate(Some(n), u64::try_from(n).unwrap() * 10, 2000)));
        let text = render(&left, now);
        assert!(text.contains("bisectd_github_rate_left_ratio 0.002\n"), "{text}");
        assert!(text.contains("{installation=\"app\"} 4999\n") && text.contains("{installation=\"1\"} 10\n"), "{text}");
        assert!(!text.contains("9999\"}"), "its period is over: {text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 2 + SHOWN);
        assert!(render(&[], now).contains("{installation=\"app\"} NaN"));
    }
}
