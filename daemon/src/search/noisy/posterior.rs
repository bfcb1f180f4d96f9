//! Which commit it was, by everything that was seen.

use super::{
    super::graph::{Graph, Node},
    rates::{Rates, Rising, Tally},
};
use std::collections::HashMap;

/// How probable it is, before anything was run, that no commit of the range changed anything.
pub(super) const NO_CULPRIT: f64 = 0.05;
/// Hypotheses that are less likely than the best by more than this many nats weigh nothing: their integrals are left out.
const NEGLIGIBLE: f64 = 40.0;
/// Of those that are less likely than the best by more than this many nats, it is of no interest how far apart the rates are.
const UNLIKELY: f64 = 14.0;

/// What was seen: of each commit under suspicion, and of the good ends, which are before every culprit.
#[derive(Debug, Clone)]
pub struct Seen {
    pub(super) of: Vec<Tally>,
    pub(super) before: Tally,
}

/// What is to be believed after that.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Of each commit under suspicion, newest first: how probable it is that it is the culprit.
    pub culprit: Vec<f64>,
    /// How probable it is that none is.
    pub none: f64,
    /// How probable it is that there is a culprit and the rates of failure are further apart than 0.2.
    pub apart: f64,
    /// Of each: how probable it is that it is the culprit and the rates of failure are further apart than 0.1.
    pub(super) somewhat: Vec<f64>,
    /// Of each: the means of the rate before it and of the rate from it on, if it is the culprit.
    pub(super) rates: Vec<(f64, f64)>,
    /// The mean of the rate if none is, or none that matters.
    pub(super) rate: f64,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn nothing(graph: &Graph) -> Self {
        Self { of: vec![Tally::default(); graph.len()], before: Tally::default() }
    }

    /// All runs together.
    pub(in super::super) fn total(&self) -> Tally {
        self.of.iter().fold(self.before, |sum, tally| sum.plus(*tally))
    }

    /// Of each commit under suspicion: the runs of itself and its descendants, which its culprit would be behind.
    ///
    /// Commits that were run are followed down the history 64 at a time, one bit each.
    pub(in super::super) fn behind(&self, graph: &Graph) -> Vec<Tally> {
        let mut behind = vec![Tally::default(); graph.len()];
        let run: Vec<(usize, Tally)> =
            self.of.iter().copied().enumerate().filter(|(_, tally)| tally.runs > 0).collect();
        for block in run.chunks(64) {
            let mut above = vec![0_u64; graph.len()];
            block.iter().enumerate().for_each(|(bit, (node, _))| above[*node] |= 1 << bit);
            let sum = |bits: u64| {
                let of = block.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, (_, tally))| *tally);
                of.fold(Tally::default(), Tally::plus)
            };
            // Neighbours are mostly below the same ones.
            let mut known = (0, Tally::default());
            for node in block[0].0..graph.len() {
                let bits = above[node];
                if bits != known.0 {
                    known = (bits, sum(bits));
                }
                behind[node] = behind[node].plus(known.1);
                if bits != 0 {
                    graph.inner_parents(node as Node).for_each(|parent| above[parent as usize] |= bits);
                }
            }
        }
        behind
    }

    /// Bayes' rule: π_b ∝ prior(b) × evidence of the runs if b is the culprit.
    ///
    /// Every commit has the same prior. One that is never run shares its runs, and so its share, with its neighbours.
    #[must_use]
    pub fn posterior(&self, graph: &Graph) -> Posterior {
        let total = self.total();
        let behind = self.behind(graph);
        let prior = ((1.0 - NO_CULPRIT) / graph.len() as f64).ln();
        let none = NO_CULPRIT.ln() + total.ln_evidence();
        let bound = |after: Tally| prior + Rising::at_most(total.minus(after), after);
        // Commits between which nothing was run share one answer.
        let mut known: HashMap<Tally, Option<Rising>> = behind.iter().map(|after| (*after, None)).collect();
        let mut by_bound: Vec<Tally> = known.keys().copied().collect();
        by_bound.sort_by(|one, other| bound(*other).total_cmp(&bound(*one)));
        let mut best = none;
        for after in by_bound {
            if bound(after) < best - NEGLIGIBLE {
                break;
            }
            let rising = Rising::of(total.minus(after), after);
            best = best.max(prior + rising.ln_evidence);
            known.insert(after, Some(rising));
        }
        let rising: Vec<Option<Rising>> = behind.iter().map(|after| known[after]).collect();
        let weigh = |ln: f64| (ln - best).exp();
        let weight = |rising: &Option<Rising>| rising.map_or(0.0, |rising| weigh(prior + rising.ln_evidence));
        let all: f64 = rising.iter().map(weight).sum::<f64>() + weigh(none);
        let culprit: Vec<f64> = rising.iter().map(|rising| weight(rising) / all).collect();
        let likely = known.into_iter().filter_map(|(after, rising)| Some((after, rising?)));
        let likely = likely.filter(|(_, rising)| prior + rising.ln_evidence > best - UNLIKELY);
        let rates: HashMap<Tally, Rates> = likely.map(|(after, rising)| (after, rising.rates())).collect();
        let rates: Vec<Option<&Rates>> = behind.iter().map(|after| rates.get(after)).collect();
        let of = |part: fn(&Rates) -> f64| {
            culprit.iter().zip(&rates).map(move |(share, rates)| share * rates.map_or(0.0, part))
        };
        let rate = total.mean();
        Posterior {
            none: weigh(none) / all,
            apart: of(|rates| rates.apart).sum(),
            somewhat: of(|rates| rates.somewhat).collect(),
            rates: rates.iter().map(|rates| rates.map_or((rate, rate), |it| (it.before, it.after))).collect(),
            rate,
            culprit,
        }
    }
}
