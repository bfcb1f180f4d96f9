//! How many commits each commit stands above: exact ancestor counts on a DAG, fast.
//!
//! Linear chains are weighed as one; the chains' ancestor sets are then swept in blocks of
//! [`BITS`] chains, one bit each, so that the compiler can use vector instructions.

use super::graph::{Graph, Node};

const WORDS: usize = 8;
/// How many chains one sweep follows.
const BITS: usize = WORDS * 64;
type Row = [u64; WORDS];

/// For each commit of `part` the sum of the weights of itself and its ancestors inside `part`, which must fit.
///
/// `part` is newest first and convex: a path between two of its commits never leaves it.
pub(super) fn weigh(graph: &Graph, part: &[Node], weight: impl Fn(Node) -> u32) -> Vec<u32> {
    let chains = Chains::of(graph, part, weight);
    let totals = chains.totals();
    let place = chains.chain.iter().zip(&chains.height);
    place.map(|(&chain, &height)| totals[chain as usize] - chains.weight[chain as usize] + height).collect()
}

/// A part of the graph, cut into maximal chains: inside one, every commit but the first has one
/// parent, and every commit but the last has one child. Whoever reaches a chain reaches all of it.
struct Chains {
    /// Per commit of the part: its chain, and the weight of the chain up to and including it.
    chain: Vec<u32>,
    height: Vec<u32>,
    /// Per chain, oldest first: its weight, and where its parents end in `parents`.
    weight: Vec<u32>,
    ends: Vec<u32>,
    parents: Vec<u32>,
}

impl Chains {
    fn of(graph: &Graph, part: &[Node], weight: impl Fn(Node) -> u32) -> Self {
        const OUTSIDE: u32 = u32::MAX;
        let mut place = vec![OUTSIDE; graph.len()];
        let mut children = vec![0_u32; part.len()];
        for (index, &node) in part.iter().enumerate() {
            place[node as usize] = index as u32;
        }
        let inside = |node| {
            let places = graph.inner_parents(node).map(|parent| place[parent as usize]);
            places.filter(|&index| index != OUTSIDE)
        };
        for &node in part {
            inside(node).for_each(|parent| children[parent as usize] += 1);
        }
        let mut chains = Self {
            chain: vec![0; part.len()],
            height: vec![0; part.len()],
            weight: Vec::new(),
            ends: Vec::new(),
            parents: Vec::new(),
        };
        for (index, &node) in part.iter().enumerate().rev() {
            let own = weight(node);
            let mut parents = inside(node);
            let (first, second) = (parents.next(), parents.next());
            let chain = match (first, second) {
                (Some(parent), None) if children[parent as usize] == 1 => chains.chain[parent as usize],
                _ => {
                    for parent in inside(node) {
                        chains.parents.push(chains.chain[parent as usize]);
                    }
                    chains.ends.push(chains.parents.len() as u32);
                    chains.weight.push(0);
                    chains.weight.len() as u32 - 1
                }
            };
            chains.weight[chain as usize] += own;
            chains.chain[index] = chain;
            chains.height[index] = chains.weight[chain as usize];
        }
        chains
    }

    fn parents(&self, chain: usize) -> &[u32] {
        let from = if chain == 0 { 0 } else { self.ends[chain - 1] };
        &self.parents[from as usize..self.ends[chain] as usize]
    }

    /// Per chain the weight of itself and all chains below it.
    fn totals(&self) -> Vec<u32> {
        let count = self.weight.len();
        let reach = self.reach();
        let mut totals = vec![0; count];
        let mut above = vec![0; count];
        let mut rows: Vec<Row> = vec![[0; WORDS]; count];
        for first in (0..count).step_by(BITS) {
            let last = count.min(first + BITS);
            let block = Block::of(&self.weight[first..last]);
            let mut full_from = first;
            for chain in first..count {
                if reach[chain] >= full_from && chain >= last {
                    above[chain] += block.total;
                    break;
                }
                let row = self.row(chain, first, &rows);
                totals[chain] += block.weigh(&row);
                if row != block.full {
                    full_from = chain + 1;
                }
                rows[chain] = row;
            }
        }
        let mut below_all = 0;
        for (total, above) in totals.iter_mut().zip(above) {
            below_all += above;
            *total += below_all;
        }
        totals
    }

    /// Which chains of the block that begins with `first` are below this one, or are it.
    fn row(&self, chain: usize, first: usize, rows: &[Row]) -> Row {
        let mut row = [0; WORDS];
        for &parent in self.parents(chain) {
            if parent as usize >= first {
                let below = &rows[parent as usize];
                row.iter_mut().zip(below).for_each(|(word, below)| *word |= below);
            }
        }
        if chain - first < BITS {
            row[(chain - first) / 64] |= 1 << ((chain - first) % 64);
        }
        row
    }

    /// Per chain the oldest parent of it and of all newer chains. Where the rows from that parent on
    /// are full, all newer ones are: in a history that merges its branches, soon above the block.
    fn reach(&self) -> Vec<usize> {
        let mut reach = vec![0; self.weight.len()];
        let mut oldest = usize::MAX;
        for chain in (0..reach.len()).rev() {
            let parent = self.parents(chain).iter().min();
            oldest = oldest.min(parent.map_or(0, |parent| *parent as usize));
            reach[chain] = oldest;
        }
        reach
    }
}

/// The weights of the chains of one sweep, as binary digits: plane `k` holds the chains in whose
/// weight bit `k` is set.
struct Block {
    full: Row,
    total: u32,
    planes: Vec<(u32, Row)>,
}

impl Block {
    fn of(weights: &[u32]) -> Self {
        let plane = |wanted: &dyn Fn(u32) -> bool| {
            let mut row = [0; WORDS];
            for (bit, _) in weights.iter().enumerate().filter(|(_, weight)| wanted(**weight)) {
                row[bit / 64] |= 1 << (bit % 64);
            }
            row
        };
        let planes = (0..u32::BITS).map(|digit| (digit, plane(&|weight| weight >> digit & 1 == 1)));
        Self {
            full: plane(&|_| true),
            total: weights.iter().sum(),
            planes: planes.filter(|(_, row)| *row != [0; WORDS]).collect(),
        }
    }

    /// Most rows hold nothing or, a little higher up in the history, everything.
    #[inline]
    fn weigh(&self, row: &Row) -> u32 {
        if *row == self.full {
            self.total
        } else if *row == [0; WORDS] {
            0
        } else {
            let count =
                |plane: &Row| -> u32 { plane.iter().zip(row).map(|(plane, word)| (plane & word).count_ones()).sum() };
            self.planes.iter().map(|(digit, plane)| count(plane) << digit).sum()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{graph, linear};
    use super::*;

    fn slowly(graph: &Graph, part: &[Node], counts: impl Fn(Node) -> bool) -> Vec<u32> {
        let weight = |&node: &Node| {
            let below = graph.ancestors([node]);
            part.iter().filter(|&&other| below[other as usize] && counts(other)).count() as u32
        };
        part.iter().map(weight).collect()
    }

    #[test]
    fn a_chain_weighs_its_length() {
        let graph = linear(5);
        assert_eq!(weigh(&graph, &[0, 1, 2, 3, 4], |_| 1), [5, 4, 3, 2, 1]);
        assert_eq!(weigh(&graph, &[1, 2, 3], |node| u32::from(node != 2)), [2, 1, 1]);
    }

    #[test]
    fn a_commit_below_both_sides_of_a_merge_counts_once() {
        let graph = graph(&[(5, &[3, 4]), (4, &[2]), (3, &[2]), (2, &[1]), (1, &[0])]);
        assert_eq!(weigh(&graph, &[0, 1, 2, 3, 4], |_| 1), [5, 3, 3, 2, 1]);
    }

    proptest::proptest! {
        #[test]
        fn exact_on_any_dag(edges in proptest::collection::vec((1..40_u32, 1..9_u32), 1..1500)) {
            let count = edges.len() as u32 + 1;
            let mut rows: Vec<(u32, Vec<u32>)> = Vec::new();
            for (number, (near, far)) in (1..count).rev().zip(edges) {
                let mut parents = vec![number.saturating_sub(if near < 20 { 1 } else { near - 18 })];
                if far < 3 && number > far {
                    parents.push(number - far);
                    parents.dedup();
                }
                rows.push((number, parents));
            }
            let rows: Vec<(u32, &[u32])> = rows.iter().map(|(n, p)| (*n, p.as_slice())).collect();
            let graph = graph(&rows);
            let below = graph.ancestors([0]);
            let part: Vec<Node> = (0..graph.len() as Node).filter(|&n| below[n as usize]).collect();
            let odd = |node: Node| node % 3 != 1;
            proptest::prop_assert_eq!(weigh(&graph, &part, |node| u32::from(odd(node))), slowly(&graph, &part, odd));
        }
    }
}
