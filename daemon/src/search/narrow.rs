//! Which commits the verdicts leave under suspicion.
//!
//! A function of the *set* of verdicts: probes that ran side by side may have seen a break, its fix
//! and a second break, in any order, and still leave the same commits.

use super::graph::{Graph, Node};
use super::verdict::Record;
use bisect_shared::Verdict;

/// What is left to search.
pub(super) struct Candidates {
    /// Newest first; never empty.
    pub(super) nodes: Vec<Node>,
    /// By node: whether it is one of them.
    pub(super) inside: Vec<bool>,
    /// By node: whether it is an ancestor of a commit that shows the older behaviour.
    pub(super) cleared: Vec<bool>,
}

/// What the runs leave of the graph.
pub(super) fn candidates(graph: &Graph, record: &Record) -> Candidates {
    let [mut good, bad] = [Verdict::Good, Verdict::Bad].map(|it| with_verdict(graph, record, it));
    // A bad end that shows the older behaviour clears nothing: either the bisection ends for it, or it is not
    // yet known what its run means (`ends`).
    good.retain(|&node| node != 0);
    narrow(graph, &good, &bad)
}

/// The commits of the graph with this verdict.
pub(super) fn with_verdict(graph: &Graph, record: &Record, wanted: Verdict) -> Vec<Node> {
    let with = record.commits().filter(|(_, verdict)| *verdict == Some(wanted));
    with.filter_map(|(commit, _)| graph.node(&commit)).collect()
}

/// The ancestors of the bad end and of every bad commit that are no ancestors of a good one.
///
/// A bad commit below a good one says nothing about the break above: it is ignored. Two bad commits
/// with nothing left below both mean two breaks; the older in the list is followed.
pub(super) fn narrow(graph: &Graph, good: &[Node], bad: &[Node]) -> Candidates {
    let cleared = graph.ancestors(good.iter().copied());
    let mut bad: Vec<Node> = bad.iter().copied().filter(|&node| !cleared[node as usize]).collect();
    bad.sort_unstable();
    let oldest = bad.pop().unwrap_or(0);
    let above = graph.descendants(oldest);
    let mut inside = graph.ancestors([oldest]);
    inside.iter_mut().zip(&cleared).for_each(|(inside, cleared)| *inside &= !cleared);
    for node in bad.into_iter().rev().filter(|&node| !above[node as usize]) {
        let both: Vec<bool> =
            graph.ancestors([node]).into_iter().zip(&inside).map(|(one, other)| one && *other).collect();
        if both.contains(&true) {
            inside = both;
        }
    }
    let nodes = (0..graph.len() as Node).filter(|&node| inside[node as usize]).collect();
    Candidates { nodes, inside, cleared }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{graph, linear, sha};
    use super::*;

    fn left(graph: &Graph, good: &[u32], bad: &[u32]) -> Vec<u32> {
        let nodes = |numbers: &[u32]| -> Vec<Node> {
            numbers.iter().map(|&number| graph.node(&sha(number)).unwrap()).collect()
        };
        let rest = narrow(graph, &nodes(good), &nodes(bad)).nodes;
        (0..100).filter(|&n| graph.node(&sha(n)).is_some_and(|node| rest.contains(&node))).collect()
    }

    #[test]
    fn a_bad_commit_below_a_good_one_is_ignored() {
        assert_eq!(left(&linear(9), &[6], &[3, 8]), [7, 8]);
        assert_eq!(left(&linear(9), &[], &[3]), [1, 2, 3]);
    }

    #[test]
    fn two_bad_branches_leave_what_is_below_both() {
        let graph = graph(&[(5, &[3, 4]), (4, &[2]), (3, &[2]), (2, &[1]), (1, &[0])]);
        assert_eq!(left(&graph, &[], &[3, 4]), [1, 2]);
        assert_eq!(left(&graph, &[1], &[3, 4]), [2]);
        assert_eq!(left(&graph, &[2], &[3, 4]).len(), 1, "two breaks: one is followed, never none");
    }
}
