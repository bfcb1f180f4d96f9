//! How probable each commit is, where the test fails by chance, too: the same words for a terminal and for a comment.

use super::{Odds, OneMore, ProofLine, Rate, Report, text};
use bisect_shared::Sha;

/// So many commits are told with their probabilities in a comment and at a shell; a page shows all.
pub const LIKELY_SHOWN: usize = 10;

/// Eighths of a line, from the lowest.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Odds {
    /// The range as a row of blocks, oldest first: the higher, the more probable that the culprit is in that part.
    #[must_use]
    pub fn blocks(&self) -> String {
        let most = self.range.iter().copied().fold(0.0, f64::max);
        let block = |share: &f64| {
            let eighths = if most > 0.0 { (share / most * 7.0).round() } else { 0.0 };
            BLOCKS[eighths as usize]
        };
        self.range.iter().map(block).collect()
    }
}

/// A commit that may be the culprit, or that none is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likelihood {
    /// As people write it.
    pub probability: String,
    /// Which commit, if it is one.
    pub commit: Option<Sha>,
    /// How often the test failed on it: `3 of 20`; a dash where it was not run.
    pub failed: String,
    /// The first line of its message.
    pub subject: String,
}

impl Report {
    /// Of a test that fails by chance, too: the commits that may be it, the likeliest first, so many at most; and at the end that none is.
    pub fn likelihoods(&self, most: usize) -> impl Iterator<Item = Likelihood> {
        let likely = self.odds.iter().flat_map(|odds| &odds.likely).take(most).map(|it| Likelihood {
            probability: percent(it.probability),
            commit: Some(it.commit),
            failed: self.failed(it.commit).map_or_else(|| "-".to_owned(), |rate| rate.short()),
            subject: text::line(&it.subject),
        });
        let none = self.odds.as_ref().map(|odds| odds.none).filter(|none| *none >= 0.001);
        likely.chain(none.map(|none| Likelihood {
            probability: percent(none),
            commit: None,
            failed: String::new(),
            subject: "no commit of the range".to_owned(),
        }))
    }

    /// How often a test that fails by chance, too, failed on a commit, if it was run there.
    #[must_use]
    pub fn failed(&self, commit: Sha) -> Option<Rate> {
        let line = self.odds.as_ref().and(self.probes.iter().find(|line| line.commit == commit))?;
        Some(Rate { failures: line.failures, runs: line.runs })
    }

    /// How a run in a fresh workspace ended. Of a test that fails by chance, too, one run says little: so how often it failed there in all, as well.
    #[must_use]
    pub fn proof_ended(&self, line: &ProofLine) -> String {
        let ended = line.ending.map_or_else(|| "could not be run".to_owned(), |ending| ending.to_string());
        match self.failed(line.commit).filter(|_| line.ending.is_some()) {
            Some(rate) => format!("{ended}; in all {} failed", rate.short()),
            None => ended,
        }
    }
}

impl Rate {
    /// `3 of 20`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{} of {}", self.failures, self.runs)
    }
}

impl OneMore {
    /// What it would tell, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "One more run of {} would tell most: the likeliest commit would be at {} if it fails, and at {} if it passes.",
            self.commit.short(),
            percent(self.if_fails),
            percent(self.if_passes),
        )
    }
}

/// A probability as people write it; never 100 %, which nothing is.
#[must_use]
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 99.9 => "> 99.9 %".to_owned(),
        percent if percent < 0.1 => "< 0.1 %".to_owned(),
        percent if (0.95..98.95).contains(&percent) => format!("{percent:.0} %"),
        percent => format!("{:.1} %", (percent * 10.0).floor() / 10.0),
    }
}

impl std::fmt::Display for Rate {
    /// `3 of 20 runs`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = if self.runs == 1 { "" } else { "s" };
        write!(f, "{} of {} run{plural}", self.failures, self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_written_as_people_do() {
        let told = [0.5, 0.954, 0.985, 0.9896, 0.99951, 1.0, 0.004, 0.0001, 0.0].map(percent);
        assert_eq!(
            told,
            ["50 %", "95 %", "98 %", "98.9 %", "> 99.9 %", "> 99.9 %", "0.4 %", "< 0.1 %", "< 0.1 %"]
                .map(str::to_owned)
        );
    }

    #[test]
    fn the_range_is_a_row_of_blocks() {
        let rate = Rate { failures: 0, runs: 1 };
        let odds = |range: &[f64]| Odds {
            likely: Vec::new(),
            none: 0.0,
            before: rate,
            after: rate,
            range: range.to_vec(),
            one_more: None,
        };
        assert_eq!(odds(&[0.0, 0.25, 0.5, 0.25]).blocks(), "▁▅█▅");
        assert_eq!(odds(&[0.0; 3]).blocks(), "▁▁▁", "nothing is believed of any");
    }
}
