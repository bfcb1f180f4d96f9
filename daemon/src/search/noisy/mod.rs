//! The search where a test fails by chance, too: Bayes over the graph.
//!
//! The hypotheses are that a commit is the culprit, one for each under suspicion, and that none is. If b is the culprit, b and its
//! descendants fail at one unknown rate and all others at a lower one; if none is, all fail at one rate. The rates are integrated
//! out (`rates`), Bayes' rule weighs the hypotheses (`posterior`), and the next run is the one that tells most (`pick`).
//!
//! Pure, as all of the search: what is believed depends on how often each commit passed and failed, and on nothing else.

mod pick;
mod posterior;
mod rates;

pub use pick::Place;
pub use posterior::{Posterior, Seen};
pub use rates::Tally;

/// What is believed when there is no more doubt, unless somebody asks for more.
pub const CONFIDENCE: f64 = 0.95;
/// Rates that are this improbable to be further apart than 0.2 are no culprit. Issue 7 names 0.05; since it is looked at after
/// every run, a little less, or too many culprits are missed whose test fails in 3 of 10 runs.
const HARDLY_APART: f64 = 0.045;

/// What is concluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// This commit is it, by its place in the graph, with that probability.
    Culprit(u32, f64),
    /// No commit changed anything that matters.
    NoCulprit,
}

impl Seen {
    /// Counts a run.
    pub fn count(&mut self, place: Place, failed: bool) {
        match place {
            Place::Before => self.before.count(failed),
            Place::Commit(node) => self.of[node as usize].count(failed),
        }
    }

    /// How often a commit failed, and how often it was run.
    #[must_use]
    pub fn tally(&self, place: Place) -> Tally {
        match place {
            Place::Before => self.before,
            Place::Commit(node) => self.of[node as usize],
        }
    }
}

impl Posterior {
    /// The commit that is most likely the culprit, and how probable that is.
    #[must_use]
    pub fn likeliest(&self) -> (u32, f64) {
        let shares = self.culprit.iter().enumerate();
        let best = shares.max_by(|one, other| one.1.total_cmp(other.1));
        best.map_or((0, 0.0), |(node, share)| (node as u32, *share))
    }

    /// What is concluded, if there is no more doubt than `confidence` leaves.
    #[must_use]
    pub fn concludes(&self, confidence: f64) -> Option<Answer> {
        let (node, share) = self.likeliest();
        if self.none >= confidence || self.apart < HARDLY_APART {
            Some(Answer::NoCulprit)
        } else {
            (share >= confidence).then_some(Answer::Culprit(node, share))
        }
    }

    /// The entropy of what is believed, in nats.
    #[must_use]
    pub fn entropy(&self) -> f64 {
        let part = |share: &f64| if *share > 0.0 { -share * share.ln() } else { 0.0 };
        self.culprit.iter().chain([&self.none]).map(part).sum()
    }
}

#[cfg(test)]
mod tests;
