//! Which run tells most.
//!
//! What is to be told is the culprit, if there is one that matters: whose rates are further apart than `SOME_GAP`; all else is as good
//! as none. A run of x tells whether it fails. Given what is believed, it fails with probability q_b if b is that culprit: the
//! rate after b where x is b or above it, else the rate before. The entropy of what is believed falls by the mutual information of culprit
//! and answer, I(x) = h(Σ π_b q_b) − Σ π_b h(q_b), with h the entropy of a coin (Lindley 1956; as in MacKay, "Information-based
//! objective functions for active data selection", 1992). Rates are held at their means. Both sums are sums over the ancestors
//! of x, which `weigh` does for all x at once.

use super::{
    super::{
        graph::{Graph, Node},
        weigh::weigh,
    },
    posterior::Posterior,
};
use std::f64::consts::LN_2;

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// A good end: it is before every culprit.
    Before,
    /// A commit under suspicion, by its place in the graph.
    Commit(u32),
}

/// So many answers of runs in flight are thought through, the most likely ones.
const MOST_ANSWERS: usize = 16;
/// The same in big graphs, where each costs a sweep.
const MOST_ANSWERS_IN_BIG: usize = 4;
const BIG: usize = 20_000;

/// What would be believed after some answers, times the probability of these answers.
struct Belief {
    culprit: Vec<f64>,
    none: f64,
}

impl Posterior {
    /// The runs that tell most, for as many more lanes, given those in flight.
    ///
    /// `chance` is how likely a run there tells anything, given how often the place is in flight or picked already; 0 for a
    /// place that must not be run.
    #[must_use]
    pub fn picks(
        &self,
        graph: &Graph,
        in_flight: &[Place],
        lanes: usize,
        chance: impl Fn(Place, usize) -> f64,
    ) -> Vec<Place> {
        let some: f64 = self.somewhat.iter().sum();
        let mut beliefs = vec![Belief { culprit: self.somewhat.clone(), none: (1.0 - some).max(0.0) }];
        for place in in_flight {
            beliefs = self.answered(graph, beliefs, *place);
        }
        let mut going = in_flight.to_vec();
        while going.len() < in_flight.len() + lanes {
            let times = |place| going.iter().filter(|it| **it == place).count();
            let Some(best) = self.best(graph, &beliefs, |place| chance(place, times(place))) else { break };
            going.push(best);
            beliefs = self.answered(graph, beliefs, best);
        }
        going.split_off(in_flight.len())
    }

    /// What a run tells at most, in nats, if the rates are those of the likeliest culprit and both its sides as likely.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        let (before, after) = self.rates[self.likeliest().0 as usize];
        coin(f64::midpoint(before, after)) - f64::midpoint(coin(before), coin(after))
    }

    fn best(&self, graph: &Graph, beliefs: &[Belief], chance: impl Fn(Place) -> f64) -> Option<Place> {
        let (before, commits) = self.information(graph, beliefs);
        let commits = commits.iter().enumerate().map(|(node, told)| (Place::Commit(node as u32), *told));
        let all = commits.chain([(Place::Before, before)]);
        let valued = all.map(|(place, told)| (place, told, chance(place))).filter(|(.., chance)| *chance > 0.0);
        // What tells nothing by the rounding of floats is no reason against what may be run.
        let valued = valued.map(|(place, told, chance)| (place, told.max(0.0) * chance));
        valued.max_by(|one, other| one.1.total_cmp(&other.1)).map(|(place, _)| place)
    }

    /// The expected fall of entropy, in nats: by a run of a good end, and by one of each commit.
    fn information(&self, graph: &Graph, beliefs: &[Belief]) -> (f64, Vec<f64>) {
        let part: Vec<Node> = (0..graph.len() as Node).collect();
        let (mut before, mut commits) = (0.0, vec![0.0; graph.len()]);
        for belief in beliefs {
            let all = belief.none + belief.culprit.iter().sum::<f64>();
            if all < 1e-12 {
                continue;
            }
            let (mut fails, mut known) = (belief.none * self.rate, belief.none * coin(self.rate));
            for (share, (low, _)) in belief.culprit.iter().zip(&self.rates) {
                fails += share * low;
                known += share * coin(*low);
            }
            before += all * coin(fails / all) - known;
            // In shares of a whole that fits 32 bits; of what may be negative with an offset.
            let scale = f64::from(1_u32 << 31) / all;
            let sums = |of: &dyn Fn(f64, f64, f64) -> f64| {
                weigh(graph, &part, |node| {
                    let (low, high) = self.rates[node as usize];
                    (of(belief.culprit[node as usize], low, high) * scale) as u32
                })
            };
            let shares = sums(&|share, _, _| share);
            let rises = sums(&|share, low, high| share * (high - low));
            let doubts = sums(&|share, low, high| share * (coin(high) - coin(low) + LN_2) / (2.0 * LN_2));
            for (node, told) in commits.iter_mut().enumerate() {
                let of = |sum: &[u32]| f64::from(sum[node]) / scale;
                let fails = (fails + of(&rises)).min(all);
                let known = known + of(&doubts) * 2.0 * LN_2 - of(&shares) * LN_2;
                *told += all * coin(fails / all) - known;
            }
        }
        (before, commits)
    }

    /// What would be believed after either answer of one more run.
    fn answered(&self, graph: &Graph, beliefs: Vec<Belief>, place: Place) -> Vec<Belief> {
        let above = match place {
            Place::Before => vec![false; graph.len()],
            Place::Commit(node) => graph.ancestors([node]),
        };
        let fails: Vec<f64> =
            self.rates.iter().zip(above).map(|((low, high), above)| if above { *high } else { *low }).collect();
        let mut after = Vec::with_capacity(beliefs.len() * 2);
        for belief in beliefs {
            let split = |chance: &dyn Fn(f64) -> f64| Belief {
                culprit: belief.culprit.iter().zip(&fails).map(|(share, fails)| share * chance(*fails)).collect(),
                none: belief.none * chance(self.rate),
            };
            after.extend([split(&|fails| fails), split(&|fails| 1.0 - fails)]);
        }
        let most = if graph.len() > BIG { MOST_ANSWERS_IN_BIG } else { MOST_ANSWERS };
        let probability = |belief: &Belief| belief.none + belief.culprit.iter().sum::<f64>();
        after.sort_by(|one, other| probability(other).total_cmp(&probability(one)));
        after.truncate(most);
        after
    }
}

/// The entropy of a coin, in nats.
fn coin(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(p) + part(1.0 - p)
}
