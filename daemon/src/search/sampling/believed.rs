//! What is believed so far, as it is told: to whoever waits for it, and in the result.

use super::{
    super::{Belief, OneMore, Progress, graph::Node},
    Samples,
};
use bisect_shared::{Sha, admin::StripMark};

/// Commits of so much probability together are told as those under suspicion, while it goes on.
const CREDIBLE: f64 = 0.99;
/// So many commits at most are told with their probabilities.
const MOST_LIKELY: usize = 20;
/// Less likely ones are not told.
const UNLIKELY: f64 = 0.001;

impl Samples<'_> {
    /// Where the culprit is believed to be, along the range, in thousandths.
    pub(in super::super) fn thousandths(&self) -> Vec<u16> {
        self.along().into_iter().map(|share| (share * 1000.0).round() as u16).collect()
    }

    /// The probability of each piece of the range, oldest first.
    fn along(&self) -> Vec<f64> {
        let oldest_first: Vec<f64> = self.posterior.culprit.iter().rev().copied().collect();
        pieces(&oldest_first, Belief::PIECES)
    }

    /// What is left of the range, by node: what may be it, else on which side of the likeliest commit it is.
    pub(in super::super) fn marks(&self) -> Vec<StripMark> {
        let graph = &self.question.graph;
        let (likeliest, _) = self.posterior.likeliest();
        let mut marks: Vec<StripMark> = graph
            .descendants(likeliest)
            .iter()
            .map(|after| if *after { StripMark::Bad } else { StripMark::Good })
            .collect();
        for node in self.credible(CREDIBLE).iter().filter_map(|commit| graph.node(commit)) {
            let closed = self.is_closed(graph.name(node));
            marks[node as usize] = if closed { StripMark::Skipped } else { StripMark::Candidate };
        }
        marks
    }

    /// The fewest commits that are this probable together, the likeliest first; as far as any are likely at all.
    pub(super) fn credible(&self, probability: f64) -> Vec<Sha> {
        let mut nodes: Vec<(usize, f64)> = self.posterior.culprit.iter().copied().enumerate().collect();
        nodes.sort_by(|one, other| other.1.total_cmp(&one.1));
        let wanted = probability * (1.0 - self.posterior.none);
        let mut sum = 0.0;
        let mut more = |(_, share): &&(usize, f64)| {
            let before = sum;
            sum += share;
            before < wanted
        };
        nodes.iter().take_while(|it| more(it)).map(|(node, _)| self.question.graph.name(*node as Node)).collect()
    }

    pub(super) fn belief(&self) -> Belief {
        let graph = &self.question.graph;
        let (likeliest, _) = self.posterior.likeliest();
        let after = self.seen.behind(graph)[likeliest as usize];
        let share = |commit: &Sha| graph.node(commit).map_or(0.0, |node| self.posterior.culprit[node as usize]);
        let likely = self.credible(1.0).into_iter().map(|commit| (commit, share(&commit)));
        Belief {
            likely: likely.take_while(|(_, share)| *share >= UNLIKELY).take(MOST_LIKELY).collect(),
            none: self.posterior.none,
            before: self.total.minus(after),
            after,
            range: self.along(),
            one_more: self.one_more(),
        }
    }

    fn one_more(&self) -> Option<OneMore> {
        let graph = &self.question.graph;
        let place = *self.posterior.picks(graph, &[], 1, |place, times| self.chance(place, times)).first()?;
        let (likeliest, _) = self.posterior.likeliest();
        let after = |newer| {
            let mut seen = self.seen.clone();
            seen.count(place, newer);
            seen.posterior(graph).culprit[likeliest as usize]
        };
        Some(OneMore { commit: self.commit(place)?, if_newer: after(true), if_older: after(false) })
    }

    /// What is left of the doubt, by what a run between both sides tells at the rates that are believed.
    pub(super) fn progress(&self) -> Progress {
        let sampling = &self.question.sampling;
        let left = f64::from(sampling.budget(self.question.graph.len()).saturating_sub(self.total.runs));
        let runs = self.posterior.entropy() / self.posterior.capacity().max(0.01);
        let proofs = self.missing_proofs(self.posterior.likeliest().0).len();
        Progress {
            candidates_left: self.credible(sampling.confidence).len().max(1),
            expected_probes: runs.min(left) + proofs as f64,
        }
    }
}

/// Sums of neighbours, so that at most `most` are left.
pub(super) fn pieces(shares: &[f64], most: usize) -> Vec<f64> {
    let mut sums = vec![0.0; shares.len().min(most)];
    for (at, share) in shares.iter().enumerate() {
        let piece = at * sums.len() / shares.len();
        sums[piece] += share;
    }
    sums
}
