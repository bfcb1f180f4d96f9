//! Which commits to test next: those that, with the probes in flight, split the candidates best.
//!
//! The probes in flight cut the candidates into cells that no later pick should mix up; new picks go
//! to the cells where they tell most. With one lane this is git's choice: most evenly in two.

use super::graph::{Graph, Node};
use super::narrow::Candidates;
use super::weigh::weigh;
use std::collections::BTreeMap;

/// What a pick may look at.
pub(super) struct Field<'a> {
    pub(super) graph: &'a Graph,
    pub(super) candidates: &'a Candidates,
    /// By node: whether it may be tested.
    pub(super) pickable: &'a [bool],
    /// Commits whose runs were skips, so that their neighbours may be no better.
    pub(super) skipped: &'a [Node],
}

impl Field<'_> {
    /// Up to `count` commits to test beside those in flight, the most telling ones.
    pub(super) fn pick(&self, in_flight: &[Node], count: usize) -> Vec<Node> {
        let mut picks = Vec::new();
        while picks.len() < count {
            let busy = [in_flight, &picks].concat();
            let cells = self.cells(&busy);
            let before = picks.len();
            let free = |node: &Node| self.pickable[*node as usize] && !busy.contains(node);
            for (cell, share) in cells.iter().zip(allot(&cells, count - before, free)) {
                self.split(cell, share, &busy, &mut picks);
            }
            if picks.len() == before {
                break;
            }
        }
        picks
    }

    /// A commit outside the candidates that tells some of them apart: for when all that could be
    /// tested among them are skipped. git stops there; a descendant of a skipped commit on another
    /// branch can still clear it.
    pub(super) fn pick_outside(&self) -> Option<Node> {
        let candidates = self.candidates;
        let open = |&node: &Node| !candidates.cleared[node as usize];
        let part: Vec<Node> = (0..self.graph.len() as Node).filter(open).collect();
        let weights = weigh(self.graph, &part, |node| u32::from(candidates.inside[node as usize]));
        let smaller = |weight: u32| weight.min(candidates.nodes.len() as u32 - weight);
        let picks = part.into_iter().zip(weights).filter(|(node, _)| self.pickable[*node as usize]);
        let best = picks.map(|(node, weight)| (smaller(weight), node)).max()?;
        (best.0 > 0).then_some(best.1)
    }

    /// Of each probe, how many candidates it would leave if it answered bad.
    pub(super) fn weights(&self, probes: &[Node]) -> Vec<usize> {
        let below = |&probe: &Node| {
            let below = self.graph.ancestors([probe]);
            self.candidates.nodes.iter().filter(|&&node| below[node as usize]).count()
        };
        probes.iter().map(below).collect()
    }

    /// The candidates by which probes stand above them, each cell newest first.
    fn cells(&self, probes: &[Node]) -> Vec<Vec<Node>> {
        let mut above = vec![0_u64; self.graph.len()];
        for (bit, &probe) in probes.iter().take(64).enumerate() {
            above[probe as usize] |= 1 << bit;
        }
        for node in 0..self.graph.len() {
            if above[node] != 0 {
                for parent in self.graph.inner_parents(node as Node) {
                    above[parent as usize] |= above[node];
                }
            }
        }
        let mut cells: BTreeMap<u64, Vec<Node>> = BTreeMap::new();
        for &node in &self.candidates.nodes {
            cells.entry(above[node as usize]).or_default().push(node);
        }
        let mut cells: Vec<_> = cells.into_values().collect();
        cells.sort_unstable_by_key(|cell| cell[0]);
        cells
    }

    /// Picks `count` commits that split the cell into nearly equal parts, halving both the cell and
    /// the number of picks.
    fn split(&self, cell: &[Node], count: usize, busy: &[Node], picks: &mut Vec<Node>) {
        if count == 0 || cell.len() < 2 {
            return;
        }
        let Some((pick, below)) = self.choose(cell, count, busy) else {
            return;
        };
        picks.push(pick);
        let marked = self.graph.ancestors([pick]);
        let (older, newer): (Vec<Node>, Vec<Node>) = cell.iter().partition(|&&node| marked[node as usize]);
        self.split(&older, below, busy, picks);
        self.split(&newer, count - 1 - below, busy, picks);
    }

    /// The commit that best splits the cell for `count` picks, and how many of them go below it.
    fn choose(&self, cell: &[Node], count: usize, busy: &[Node]) -> Option<(Node, usize)> {
        // A bad end that touches no path is the last to suspect: as for git, it has no weight.
        let weightless = |node: Node| node == 0 && self.graph.bad_end_added();
        let weights = weigh(self.graph, cell, |node| u32::from(!weightless(node)));
        let size = cell.len() as u32 - u32::from(weightless(cell[0]));
        let usable = |(node, weight): &(&Node, &u32)| {
            (**weight as usize) < cell.len() && self.pickable[**node as usize] && !busy.contains(node)
        };
        let usable = || cell.iter().zip(&weights).filter(usable);
        let shares = [count.div_ceil(2), count / 2 + 1];
        let options = || usable().flat_map(|(&node, &weight)| shares.map(|share| (node, weight, share)));
        let cells = count as u64 + 1;
        let off = |weight: u32, share: usize| (u64::from(weight) * cells).abs_diff(u64::from(size) * share as u64);
        let skips = self.skips(cell, &weights);
        let best = if skips.is_empty() {
            // Of equal ones git takes the oldest.
            options().rev().min_by_key(|&(_, weight, share)| off(weight, share))
        } else {
            let value = |weight, share| tells(weight, size, share, count) * testable(weight, size, &skips);
            let valued = options().map(|pick| (value(pick.1, pick.2), pick));
            valued.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, pick)| pick)
        };
        best.map(|(node, _, share)| (node, share - 1))
    }

    /// The weights of the commits of a cell whose runs were skips, in rising order.
    fn skips(&self, cell: &[Node], weights: &[u32]) -> Vec<u32> {
        let places = self.skipped.iter().filter_map(|node| cell.binary_search(node).ok());
        let mut skips: Vec<u32> = places.map(|place| weights[place]).collect();
        skips.sort_unstable();
        skips
    }
}

/// How many of `count` picks each cell gets: one by one, each to where it tells most.
fn allot(cells: &[Vec<Node>], count: usize, free: impl Fn(&Node) -> bool) -> Vec<usize> {
    let room: Vec<usize> = cells
        .iter()
        .map(|cell| cell.iter().filter(|node| free(node)).take(count).count().min(cell.len() - 1))
        .collect();
    let mut shares = vec![0; cells.len()];
    for _ in 0..count {
        let gain = |cell: usize| cells[cell].len() as f64 * gain(shares[cell]);
        let open = (0..cells.len()).filter(|&cell| shares[cell] < room[cell]);
        let Some(best) = open.max_by(|&one, &other| gain(one).total_cmp(&gain(other))) else {
            break;
        };
        shares[best] += 1;
    }
    shares
}

/// What one more pick tells, per commit of a cell that has `picks` already, in nats.
fn gain(picks: usize) -> f64 {
    ((picks + 2) as f64 / (picks + 1) as f64).ln()
}

/// What a split of a cell tells, in nats, when both parts are then split evenly by the other picks.
fn tells(weight: u32, size: u32, share: usize, count: usize) -> f64 {
    let below = f64::from(weight) / f64::from(size);
    let part = |part: f64, cells: usize| match part > 0.0 {
        true => part * ((cells as f64).ln() - part.ln()),
        false => 0.0,
    };
    part(below, share) + part(1.0 - below, count + 1 - share)
}

/// How likely a commit can be tested, given the commits near it that could not. Unbuildable commits
/// come in intervals of any length, so the chance grows with the logarithm of the distance; the more
/// skips were met, the less each of them is taken for a stray one.
pub(super) fn testable(weight: u32, size: u32, skips: &[u32]) -> f64 {
    let newer = skips.partition_point(|skip| *skip < weight);
    let neighbours = skips[newer.saturating_sub(1)..].iter().take(2);
    let nearest = neighbours.map(|skip| skip.abs_diff(weight)).min().unwrap_or(size);
    let stray = 1.0 / (skips.len() as f64 + 1.0);
    stray + (1.0 - stray) * f64::from(nearest + 1).ln() / f64::from(size + 1).ln()
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{graph, linear, sha};
    use super::super::narrow::narrow;
    use super::super::tests::{FAIL, PASS, SKIP, World, number, question};
    use super::super::{Conclusion, InFlight, next};
    use super::*;

    /// What is picked beside these commits in flight, on a row of commits with these skips.
    fn picks(length: u32, in_flight: &[u32], skipped: &[u32], count: usize) -> Vec<u32> {
        let graph = linear(length);
        let candidates = narrow(&graph, &[], &[]);
        let nodes =
            |commits: &[u32]| -> Vec<Node> { commits.iter().filter_map(|&commit| graph.node(&sha(commit))).collect() };
        let skipped = nodes(skipped);
        let pickable: Vec<bool> = (0..length).map(|node| node != 0 && !skipped.contains(&node)).collect();
        let (candidates, skipped) = (&candidates, &skipped[..]);
        let field = Field { graph: &graph, candidates, pickable: &pickable, skipped };
        let mut picks: Vec<u32> = field.pick(&nodes(in_flight), count).into_iter().map(|node| length - node).collect();
        picks.sort_unstable();
        picks
    }

    #[test]
    fn one_pick_halves_and_several_split_evenly() {
        assert_eq!(picks(100, &[], &[], 1), [50]);
        assert_eq!(picks(100, &[], &[], 3), [25, 50, 75]);
        assert_eq!(picks(120, &[], &[], 5), [20, 40, 60, 80, 100]);
        assert_eq!(picks(4, &[], &[], 7), [1, 2, 3], "never the bad end");
    }

    #[test]
    fn new_picks_go_where_those_in_flight_leave_most() {
        assert_eq!(picks(100, &[20], &[], 1), [60]);
        assert_eq!(picks(100, &[50], &[], 2), [25, 75]);
        assert_eq!(picks(100, &[10, 20], &[], 3), [40, 60, 80]);
    }

    #[test]
    fn the_more_skips_in_one_place_the_farther_away_the_next_pick() {
        let from_middle = |skipped: &[u32]| picks(1000, &[], skipped, 1)[0].abs_diff(500);
        let distances = [&[500][..], &[480, 500, 520], &[440, 460, 480, 500, 520, 540, 560]].map(from_middle);
        assert!(distances.is_sorted() && distances[0] > 20, "{distances:?}");
        assert_eq!(picks(3, &[], &[1], 1), [2], "but never nothing while one can be tested");
    }

    #[test]
    fn the_chance_of_a_test_grows_with_the_distance_from_skips() {
        let chances = [500, 510, 600, 900].map(|weight| testable(weight, 1000, &[20, 500]));
        assert!(chances.is_sorted(), "{chances:?}");
    }

    /// Commits in a row with branches of one to three, of which some intervals cannot be built; the dice say where.
    fn world(dice: &[(u8, bool)]) -> (Vec<(u32, Vec<u32>)>, Vec<bool>) {
        let (mut rows, mut builds) = (vec![], vec![true]);
        let mut line = vec![0];
        for &(way, unbuildable) in dice {
            let tip = line[line.len() - 1];
            let mut parents = vec![tip];
            if way % 4 == 0 {
                let mut last = line[line.len().saturating_sub(1 + usize::from(way / 64))];
                for _ in 0..=way / 4 % 3 {
                    let branch = rows.len() as u32 + 1;
                    rows.push((branch, vec![last]));
                    builds.push(!unbuildable);
                    last = branch;
                }
                parents.push(last);
            }
            let commit = rows.len() as u32 + 1;
            rows.push((commit, parents));
            builds.push(!unbuildable || way % 3 == 0);
            line.push(commit);
        }
        // The bad end must build.
        let end = rows.len() as u32 + 1;
        rows.push((end, vec![line[line.len() - 1]]));
        builds.push(true);
        rows.reverse();
        (rows, builds)
    }

    proptest::proptest! {
        /// Whatever cannot be built: those that no run tells apart are what is left, however many lanes there are.
        #[test]
        fn skips_leave_exactly_what_no_run_tells_apart(
            dice in proptest::collection::vec((proptest::prelude::any::<u8>(), proptest::prelude::any::<bool>()), 1..25),
            planted in proptest::prelude::any::<u32>(),
            lanes in 1..5_usize,
        ) {
            let (rows, builds) = world(&dice);
            let rows: Vec<(u32, &[u32])> = rows.iter().map(|(commit, parents)| (*commit, parents.as_slice())).collect();
            let question = question(graph(&rows));
            let graph = &question.graph;
            let commits = graph.len() as u32;
            let failing = |culprit: u32| graph.descendants(graph.node(&sha(culprit)).unwrap());
            let planted = 1 + planted % commits;
            let fails = failing(planted);
            let seen = |fails: &[bool]| -> Vec<bool> {
                (1..=commits).filter(|&commit| builds[commit as usize]).map(|commit| fails[graph.node(&sha(commit)).unwrap() as usize]).collect()
            };
            let alike: Vec<u32> = (1..=commits).filter(|&other| seen(&failing(other)) == seen(&fails)).collect();
            let ending = |run: InFlight| match number(run.commit) {
                0 => PASS,
                commit if !builds[commit as usize] => SKIP,
                commit if fails[graph.node(&sha(commit)).unwrap() as usize] => FAIL,
                _ => PASS,
            };
            let (end, runs, _) = World { question: &question, ending: &ending }.bisect(lanes);
            let mut left: Vec<u32> = match end {
                Conclusion::Culprit { culprit, .. } => vec![number(culprit)],
                Conclusion::Suspects { suspects, .. } => suspects.into_iter().map(number).collect(),
                other => panic!("{other:?}"),
            };
            left.sort_unstable();
            proptest::prop_assert_eq!(left, alike);
            for known in 0..runs.len() {
                let reversed: Vec<_> = runs[..known].iter().rev().copied().collect();
                proptest::prop_assert_eq!(next(&question, &runs[..known], &[], lanes), next(&question, &reversed, &[], lanes));
            }
        }
    }
}
