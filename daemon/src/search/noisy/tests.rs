//! What must hold of beliefs, whatever the history and the answers.

use super::*;
use crate::search::graph::Graph;
use proptest::prelude::*;

/// A history of `parents`, oldest first: each commit's parents are older ones by number.
fn history(parents: &[Vec<usize>]) -> Graph {
    let newest_first: Vec<usize> = (0..parents.len()).rev().collect();
    listed(parents, &newest_first, |n| format!("{n:040x}"))
}

/// The same with names of one's own, listed in an order in which no commit is after a parent of its.
fn listed(parents: &[Vec<usize>], order: &[usize], name: impl Fn(usize) -> String) -> Graph {
    let line = |n: &usize| parents[*n].iter().fold(name(*n), |line, parent| format!("{line} {}", name(*parent))) + "\n";
    let list: String = order.iter().map(line).collect();
    Graph::parse(list.as_bytes(), name(order[0]).parse().unwrap(), false).unwrap()
}

/// Another order of the same history: of those that may come next the one with the highest dice.
fn shuffled(parents: &[Vec<usize>], dice: &[u32]) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::new();
    while order.len() < parents.len() {
        let open = |n: &usize| !order.contains(n);
        let next = |n: &usize| !(0..parents.len()).filter(open).any(|child| parents[child].contains(n));
        order.extend((0..parents.len()).filter(open).filter(next).max_by_key(|n| dice[*n % dice.len()]));
    }
    order
}

fn linear(commits: usize) -> Graph {
    history(&(0..commits).map(|n| if n == 0 { vec![] } else { vec![n - 1] }).collect::<Vec<_>>())
}

/// The last commit is above all others, and some have two parents.
fn histories() -> impl Strategy<Value = Vec<Vec<usize>>> {
    (3_usize..12).prop_flat_map(|commits| {
        proptest::collection::vec((any::<usize>(), any::<usize>(), any::<bool>()), commits).prop_map(move |dice| {
            let mut parents: Vec<Vec<usize>> = (0..commits).map(|_| vec![]).collect();
            for n in 1..commits {
                let (one, other, merges) = dice[n];
                parents[n] = vec![one % n];
                if merges && other % n != one % n {
                    parents[n].push(other % n);
                }
            }
            // What nobody is above goes into the last.
            let last = commits - 1;
            for n in 0..last {
                if !parents.iter().flatten().any(|parent| *parent == n) {
                    parents[last].push(n);
                }
            }
            parents
        })
    })
}

fn places() -> impl Strategy<Value = Vec<(usize, bool)>> {
    proptest::collection::vec((any::<usize>(), any::<bool>()), 0..20)
}

fn seen(graph: &Graph, runs: &[(usize, bool)]) -> Seen {
    let mut seen = Seen::nothing(graph);
    for (place, failed) in runs {
        let place = place % (graph.len() + 1);
        seen.count(if place == graph.len() { Place::Before } else { Place::Commit(place as u32) }, *failed);
    }
    seen
}

proptest! {
    #[test]
    fn beliefs_are_a_distribution_and_know_no_order(parents in histories(), runs in places()) {
        let graph = history(&parents);
        let posterior = seen(&graph, &runs).posterior(&graph);
        let sum = posterior.none + posterior.culprit.iter().sum::<f64>();
        prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        let reversed: Vec<_> = runs.iter().rev().copied().collect();
        let again = seen(&graph, &reversed).posterior(&graph);
        prop_assert_eq!(&posterior.culprit, &again.culprit);
        prop_assert_eq!(posterior.none, again.none);
    }

    /// Other names, and branches in another order.
    #[test]
    fn beliefs_know_no_names(parents in histories(), runs in places(), dice in proptest::collection::vec(any::<u32>(), 12)) {
        let graph = history(&parents);
        let order = shuffled(&parents, &dice);
        let other = listed(&parents, &order, |n| format!("{:040x}", (n as u128 * 7919 + 5) << 64));
        // By place in the first list; where a commit stands in the second.
        let moved = |node: usize| order.iter().position(|n| *n == parents.len() - 1 - node).unwrap();
        let mut renamed = Seen::nothing(&other);
        for (place, failed) in &runs {
            let place = place % (graph.len() + 1);
            renamed.count(if place == graph.len() { Place::Before } else { Place::Commit(moved(place) as u32) }, *failed);
        }
        let (one, two) = (seen(&graph, &runs).posterior(&graph), renamed.posterior(&other));
        prop_assert!((one.none - two.none).abs() < 1e-9 && (one.apart - two.apart).abs() < 1e-9);
        for node in 0..graph.len() {
            prop_assert!((one.culprit[node] - two.culprit[moved(node)]).abs() < 1e-9, "{node}");
        }
        // Just above ½ no two can be sure at once.
        let named = |answer: Option<Answer>, name: &dyn Fn(usize) -> usize| match answer {
            Some(Answer::Culprit(node, _)) => Some(Some(name(node as usize))),
            Some(Answer::NoCulprit) => Some(None),
            None => None,
        };
        prop_assert_eq!(named(one.concludes(0.51), &moved), named(two.concludes(0.51), &|node| node));
    }

    /// The fall of entropy that a pick promises is what it keeps, on average over both answers, with the rates held.
    #[test]
    fn a_pick_tells_most(parents in histories(), runs in places()) {
        let graph = history(&parents);
        let posterior = seen(&graph, &runs).posterior(&graph);
        let promised = |place: Place| {
            let above = match place {
                Place::Before => vec![false; graph.len()],
                Place::Commit(node) => graph.ancestors([node]),
            };
            let fails = |node: usize| if above[node] { posterior.rates[node].1 } else { posterior.rates[node].0 };
            let entropy = |chance: &dyn Fn(f64) -> f64| {
                let mut parts: Vec<f64> =
                    posterior.somewhat.iter().enumerate().map(|(node, share)| share * chance(fails(node))).collect();
                parts.push((1.0 - posterior.somewhat.iter().sum::<f64>()) * chance(posterior.rate));
                let all: f64 = parts.iter().sum();
                parts.iter().filter(|part| **part > 0.0).map(|part| -part * (part / all).ln()).sum::<f64>()
            };
            entropy(&|_| 1.0) - entropy(&|fails| fails) - entropy(&|fails| 1.0 - fails)
        };
        let all = (0..graph.len() as u32).map(Place::Commit).chain([Place::Before]);
        let best = all.map(promised).fold(f64::MIN, f64::max);
        let pick = posterior.picks(&graph, &[], 1, |_, _| 1.0)[0];
        prop_assert!(promised(pick) >= best - 1e-6, "{pick:?} promises {} of {best}", promised(pick));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every pair of rates on a grid, by the definition: Beta(½, ½) is uniform in angles.
    #[test]
    fn beliefs_agree_with_integration_by_force(parents in histories(), runs in places()) {
        const N: usize = 240;
        let graph = history(&parents);
        let seen = seen(&graph, &runs);
        let rate = |n: usize| ((n as f64 + 0.5) / N as f64 * std::f64::consts::FRAC_PI_2).sin().powi(2);
        let likelihoods = |of: Tally| -> Vec<f64> {
            (0..N).map(|n| rate(n).powi(of.failures as i32) * (1.0 - rate(n)).powi((of.runs - of.failures) as i32)).collect()
        };
        let mut weights: Vec<f64> = (0..graph.len() as u32).map(|culprit| {
            let built_on = graph.descendants(culprit);
            let tally = |after: bool| {
                let at = (0..graph.len()).filter(|node| built_on[*node] == after).map(|node| seen.of[node]);
                at.fold(if after { Tally::default() } else { seen.before }, Tally::plus)
            };
            let (low, high) = (likelihoods(tally(false)), likelihoods(tally(true)));
            let rising = |n: usize| low[n] * (high[n] / 2.0 + high[n + 1..].iter().sum::<f64>());
            0.95 / graph.len() as f64 * 2.0 * (0..N).map(rising).sum::<f64>() / (N * N) as f64
        }).collect();
        weights.push(0.05 * likelihoods(seen.total()).iter().sum::<f64>() / N as f64);
        let all: f64 = weights.iter().sum();
        let posterior = seen.posterior(&graph);
        for (weight, share) in weights.iter().zip(posterior.culprit.iter().chain([&posterior.none])) {
            prop_assert!((weight / all - share).abs() < 0.01, "{} by force, not {share}", weight / all);
        }
    }
}

#[test]
fn commits_that_no_run_tells_apart_are_believed_alike() {
    let graph = linear(8);
    let posterior = seen(&graph, &[(0, true), (8, false), (4, true)]).posterior(&graph);
    assert!(posterior.culprit[0..4].iter().all(|share| (share - posterior.culprit[0]).abs() < 1e-12));
    assert!(posterior.culprit[4] > posterior.culprit[3], "{posterior:?}");
}

#[test]
fn a_sure_test_is_bisected() {
    let graph = linear(1000);
    let (mut seen, culprit) = (Seen::nothing(&graph), 617);
    seen.count(Place::Before, false);
    seen.count(Place::Commit(0), true);
    let mut runs = 0;
    let belief = loop {
        let posterior = seen.posterior(&graph);
        if let Some(belief) = posterior.concludes(CONFIDENCE) {
            break belief;
        }
        for place in posterior.picks(&graph, &[], 1, |_, _| 1.0) {
            seen.count(place, matches!(place, Place::Commit(node) if node <= culprit));
            runs += 1;
        }
    };
    assert!(matches!(belief, Answer::Culprit(node, _) if node == culprit), "{belief:?}");
    assert!(runs <= 16, "{runs} runs");
}

#[test]
fn lanes_are_not_given_the_same_run() {
    let graph = linear(1000);
    let posterior = seen(&graph, &[(0, true), (1000, false)]).posterior(&graph);
    let picks = posterior.picks(&graph, &[], 3, |_, _| 1.0);
    let places: std::collections::HashSet<_> = picks.iter().collect();
    assert_eq!((picks.len(), places.len()), (3, 3), "{picks:?}");
    let only = |place, times: usize| if place == Place::Commit(5) && times < 2 { 1.0 } else { 0.0 };
    assert_eq!(
        posterior.picks(&graph, &[], 3, only),
        [Place::Commit(5); 2],
        "only what may be run, as often as it may"
    );
}

#[test]
fn failures_that_stop_are_no_culprit() {
    let graph = linear(8);
    // It fails before and never after: not what is looked for.
    let runs: Vec<(usize, bool)> = (0..10).flat_map(|_| [(8, true), (7, true), (0, false), (1, false)]).collect();
    let posterior = seen(&graph, &runs).posterior(&graph);
    assert_eq!(posterior.concludes(CONFIDENCE), Some(Answer::NoCulprit), "{posterior:?}");
}
