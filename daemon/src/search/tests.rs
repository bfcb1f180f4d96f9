use super::graph::tests::{linear, sha};
use super::*;

/// A question about this graph: commit 0 is good, the graph's first commit bad.
pub(super) fn question(graph: Graph) -> Question {
    Question {
        bad: graph.commits()[0],
        graph,
        real: None,
        good: vec![sha(0)],
        merge_bases: Vec::new(),
        skip: HashSet::new(),
        fixed: false,
        first_parent: false,
    }
}

pub(super) fn searched(commit: u32, ending: Ending) -> Run {
    Run {
        commit: sha(commit),
        purpose: Purpose::Search,
        ending,
    }
}

/// The commits of a question and what the test says of each: a bisection without containers.
pub(super) struct World<'a> {
    pub(super) question: &'a Question,
    pub(super) ending: &'a dyn Fn(InFlight) -> Ending,
}

impl World<'_> {
    /// Runs the bisection, each round's probes answering together; gives the end, the runs, and the
    /// number of rounds.
    fn bisect(&self, lanes: usize) -> (Conclusion, Vec<Run>, usize) {
        let mut runs: Vec<Run> = Vec::new();
        for rounds in 0..10_000 {
            match next(self.question, &runs, &[], lanes) {
                Step::Done(conclusion) => return (conclusion, runs, rounds),
                Step::Go { start, stop, .. } => {
                    assert!(
                        !start.is_empty() && start.len() <= lanes && stop.is_empty(),
                        "{start:?} {stop:?}"
                    );
                    for run in start {
                        let InFlight { commit, purpose } = run;
                        let again = runs
                            .iter()
                            .any(|old| old.commit == commit && old.purpose == purpose);
                        assert!(!again, "{run:?} a second time");
                        runs.push(Run {
                            commit,
                            purpose,
                            ending: (self.ending)(run),
                        });
                    }
                }
            }
        }
        panic!("endless");
    }
}

const PASS: Ending = Ending::Exited(0);
const FAIL: Ending = Ending::Exited(1);
const SKIP: Ending = Ending::Exited(125);

/// The number of a commit of the tests.
fn number(commit: Sha) -> u32 {
    (0..5000).find(|&number| sha(number) == commit).unwrap()
}

/// Fails from this commit of a row on.
fn since(culprit: u32) -> impl Fn(InFlight) -> Ending {
    move |run| {
        if number(run.commit) >= culprit {
            FAIL
        } else {
            PASS
        }
    }
}

fn culprit(conclusion: &Conclusion) -> u32 {
    match conclusion {
        Conclusion::Culprit { culprit, .. } => number(*culprit),
        other => panic!("{other:?}"),
    }
}

fn started(step: Step) -> Vec<(u32, Purpose)> {
    match step {
        Step::Go { start, .. } => start
            .iter()
            .map(|run| (number(run.commit), run.purpose))
            .collect(),
        Step::Done(conclusion) => panic!("{conclusion:?}"),
    }
}

use Purpose::{Proof, Search as Hunt};

#[test]
fn one_lane_verifies_the_ends_then_halves_then_proves() {
    let question = question(linear(16));
    let world = World {
        question: &question,
        ending: &since(6),
    };
    let (end, runs, _) = world.bisect(1);
    let order: Vec<_> = runs
        .iter()
        .map(|run| (number(run.commit), run.purpose))
        .collect();
    assert_eq!(culprit(&end), 6);
    let hunt = [16, 0, 8, 4, 6, 5].map(|commit| (commit, Hunt));
    assert_eq!(order, [&hunt[..], &[(6, Proof), (5, Proof)]].concat());
}

#[test]
fn the_ends_and_the_first_midpoints_start_together() {
    let question = question(linear(1000));
    let starts = |lanes| started(next(&question, &[], &[], lanes));
    assert_eq!(starts(2), [(1000, Hunt), (0, Hunt)]);
    assert_eq!(starts(3), [(1000, Hunt), (0, Hunt), (500, Hunt)]);
    let mut five: Vec<u32> = starts(5)[2..].iter().map(|(commit, _)| *commit).collect();
    five.sort_unstable();
    assert_eq!(five, [250, 500, 750]);
}

#[test]
fn rounds_of_a_thousand_commits_with_equal_durations() {
    let question = question(linear(1000));
    for (lanes, most) in [(3, 7), (7, 5)] {
        for planted in (1..=1000).step_by(37).chain([1, 2, 999, 1000]) {
            let (end, _, rounds) = World {
                question: &question,
                ending: &since(planted),
            }
            .bisect(lanes);
            assert_eq!(culprit(&end), planted);
            assert!(
                rounds <= most,
                "{lanes} lanes, culprit {planted}: {rounds} rounds"
            );
        }
    }
}
