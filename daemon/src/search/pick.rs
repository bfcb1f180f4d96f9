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
        let weights = weigh(self.graph, &part, |node| candidates.inside[node as usize]);
        let smaller = |weight: u32| weight.min(candidates.nodes.len() as u32 - weight);
        let picks = part
            .into_iter()
            .zip(weights)
            .filter(|(node, _)| self.pickable[*node as usize]);
        let best = picks.map(|(node, weight)| (smaller(weight), node)).max()?;
        (best.0 > 0).then_some(best.1)
    }

    /// Of each probe, how many candidates it would leave if it answered bad.
    pub(super) fn weights(&self, probes: &[Node]) -> Vec<usize> {
        let below = |&probe: &Node| {
            let below = self.graph.ancestors([probe]);
            self.candidates
                .nodes
                .iter()
                .filter(|&&node| below[node as usize])
                .count()
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
        let (older, newer): (Vec<Node>, Vec<Node>) =
            cell.iter().partition(|&&node| marked[node as usize]);
        self.split(&older, below, busy, picks);
        self.split(&newer, count - 1 - below, busy, picks);
    }

    /// The commit that best splits the cell for `count` picks, and how many of them go below it.
    fn choose(&self, cell: &[Node], count: usize, busy: &[Node]) -> Option<(Node, usize)> {
        let weights = weigh(self.graph, cell, |_| true);
        let size = cell.len() as u32;
        let usable = |(node, weight): &(&Node, &u32)| {
            **weight < size && self.pickable[**node as usize] && !busy.contains(node)
        };
        let usable = || cell.iter().zip(&weights).filter(usable);
        let shares = [count.div_ceil(2), count / 2 + 1];
        let options =
            || usable().flat_map(|(&node, &weight)| shares.map(|share| (node, weight, share)));
        let cells = count as u64 + 1;
        let off = |weight: u32, share: usize| {
            (u64::from(weight) * cells).abs_diff(u64::from(size) * share as u64)
        };
        let skips: Vec<u32> = cell
            .iter()
            .zip(&weights)
            .filter(|(node, _)| self.skipped.contains(node))
            .map(|(_, weight)| *weight)
            .collect();
        let best = if skips.is_empty() {
            options().min_by_key(|&(_, weight, share)| off(weight, share))
        } else {
            let value =
                |weight, share| tells(weight, size, share, count) * testable(weight, size, &skips);
            options().max_by(|one, other| value(one.1, one.2).total_cmp(&value(other.1, other.2)))
        };
        best.map(|(node, _, share)| (node, share - 1))
    }
}

/// How many of `count` picks each cell gets: one by one, each to where it tells most.
fn allot(cells: &[Vec<Node>], count: usize, free: impl Fn(&Node) -> bool) -> Vec<usize> {
    let room: Vec<usize> = cells
        .iter()
        .map(|cell| {
            cell.iter()
                .filter(|node| free(node))
                .take(count)
                .count()
                .min(cell.len() - 1)
        })
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
    let part = |part: f64, cells: usize| part * ((cells as f64).ln() - part.ln());
    part(below, share) + part(1.0 - below, count + 1 - share)
}

/// How likely a commit can be tested, given the commits near it that could not. Unbuildable commits
/// come in intervals of any length, so the chance grows with the logarithm of the distance; the more
/// skips were met, the less each of them is taken for a stray one.
fn testable(weight: u32, size: u32, skips: &[u32]) -> f64 {
    let nearest = skips
        .iter()
        .map(|skip| skip.abs_diff(weight))
        .min()
        .unwrap_or(size);
    let stray = 1.0 / (skips.len() as f64 + 1.0);
    stray + (1.0 - stray) * f64::from(nearest + 1).ln() / f64::from(size + 1).ln()
}
