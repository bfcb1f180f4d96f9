//! The rules of the search, each on the smallest graph that shows it; rules about the ends, the proof,
//! verdicts and picks stand in the files of those names.

use super::graph::tests::{graph, linear, sha};
use super::*;
use Purpose::{Proof, Search as Hunt};

/// A question about this graph: commit 0 is good, the graph's first commit bad.
pub(super) fn question(graph: Graph) -> Question {
    let bad = graph.commits()[0];
    Question::new(graph, sha(0), bad)
}

pub(super) fn searched(commit: u32, ending: Ending) -> Run {
    Run::new(sha(commit), Purpose::Search, ending)
}

/// The commits of a question and what the test says of each: a bisection without containers.
pub(super) struct World<'a> {
    pub(super) question: &'a Question,
    pub(super) ending: &'a dyn Fn(InFlight) -> Ending,
}

impl World<'_> {
    /// Runs the bisection, each round's probes answering together; gives the end, the runs, and the
    /// number of rounds.
    pub(super) fn bisect(&self, lanes: usize) -> (Conclusion, Vec<Run>, usize) {
        let mut runs: Vec<Run> = Vec::new();
        for rounds in 0..10_000 {
            match next(self.question, &runs, &[], lanes) {
                Step::Done(conclusion) => return (conclusion, runs, rounds),
                Step::Found(good) => panic!("{good} was looked for"),
                Step::Go { start, stop, .. } => {
                    assert!(!start.is_empty() && start.len() <= lanes && stop.is_empty(), "{start:?} {stop:?}");
                    for run in start {
                        let InFlight { commit, purpose } = run;
                        let again = runs.iter().any(|old| old.commit == commit && old.purpose == purpose);
                        assert!(!again || purpose == Purpose::Sample, "{run:?} a second time");
                        runs.push(Run::new(commit, purpose, (self.ending)(run)));
                    }
                }
            }
        }
        panic!("endless");
    }
}

/// The two runs after which the test is known to fail by chance; one lane.
pub(super) fn contradiction(question: &Question, ending: &dyn Fn(InFlight) -> Ending) -> Contradiction {
    let (_, runs, _) = World { question, ending }.bisect(1);
    let plain: Vec<Run> = runs.into_iter().take_while(|run| run.purpose != Purpose::Sample).collect();
    bisect(question, &plain, &[], 1).unwrap_err()
}

pub(super) const PASS: Ending = Ending::Exited(0);
pub(super) const FAIL: Ending = Ending::Exited(1);
pub(super) const SKIP: Ending = Ending::Exited(125);

/// The number of a commit of the tests.
pub(super) fn number(commit: Sha) -> u32 {
    (0..5000).find(|&number| sha(number) == commit).unwrap()
}

/// Fails from this commit of a row on.
pub(super) fn since(culprit: u32) -> impl Fn(InFlight) -> Ending {
    move |run| {
        if number(run.commit) >= culprit { FAIL } else { PASS }
    }
}

fn culprit(conclusion: &Conclusion) -> u32 {
    match conclusion {
        Conclusion::Culprit { culprit, .. } => number(*culprit),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_lane_verifies_the_ends_then_halves_then_proves() {
    let question = question(linear(16));
    let world = World { question: &question, ending: &since(6) };
    let (end, runs, _) = world.bisect(1);
    let order: Vec<_> = runs.iter().map(|run| (number(run.commit), run.purpose)).collect();
    assert_eq!(culprit(&end), 6);
    let hunt = [16, 0, 8, 4, 6, 5].map(|commit| (commit, Hunt));
    assert_eq!(order, [&hunt[..], &[(6, Proof), (5, Proof)]].concat());
}

#[test]
fn the_ends_and_the_first_midpoints_start_together() {
    let question = question(linear(1000));
    let starts = |lanes| after(&question, &[], &[], lanes)[1].clone();
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
            let (end, _, rounds) = World { question: &question, ending: &since(planted) }.bisect(lanes);
            assert_eq!(culprit(&end), planted);
            assert!(rounds <= most, "{lanes} lanes, culprit {planted}: {rounds} rounds");
        }
    }
}

/// What is stopped and what is started after these answers, with these searches in flight.
fn after(question: &Question, runs: &[Run], flying: &[(u32, Purpose)], lanes: usize) -> [Vec<(u32, Purpose)>; 2] {
    let run = |&(commit, purpose): &(u32, Purpose)| InFlight { commit: sha(commit), purpose };
    let flying: Vec<InFlight> = flying.iter().map(run).collect();
    let plain = |runs: Vec<InFlight>| -> Vec<(u32, Purpose)> {
        runs.into_iter().map(|run| (number(run.commit), run.purpose)).collect()
    };
    match next(question, runs, &flying, lanes) {
        Step::Go { start, stop, .. } => [plain(stop), plain(start)],
        end => panic!("{end:?}"),
    }
}

fn ends() -> [Run; 2] {
    [searched(1000, FAIL), searched(0, PASS)]
}

#[test]
fn an_answer_stops_what_it_made_useless_and_refills_the_lane_at_once() {
    let question = question(linear(1000));
    let flying = [(250, Hunt), (750, Hunt)];
    let [stop, start] = after(&question, &[&ends()[..], &[searched(500, FAIL)]].concat(), &flying, 3);
    assert_eq!(stop, [(750, Hunt)], "a descendant of a bad commit");
    assert_eq!(start.len(), 2);
    assert!(start.iter().all(|(commit, _)| *commit < 500));
    let [stop, start] = after(&question, &[&ends()[..], &[searched(500, PASS)]].concat(), &flying, 3);
    assert_eq!(stop, [(250, Hunt)], "an ancestor of a good commit");
    assert!(start.iter().all(|(commit, _)| *commit > 500));
}

#[test]
fn fewer_lanes_than_runs_in_flight_start_nothing_and_stop_nothing_useful() {
    let flying = [(250, Hunt), (500, Hunt), (750, Hunt)];
    assert_eq!(after(&question(linear(1000)), &ends(), &flying, 1), [vec![], vec![]]);
}

#[test]
fn idle_lanes_start_the_proof_before_the_search_is_over() {
    let question = question(linear(1000));
    let runs = [&ends()[..], &[searched(10, PASS), searched(12, FAIL)]].concat();
    assert_eq!(after(&question, &runs, &[], 1)[1], [(11, Hunt)], "never with one lane");
    let [_, start] = after(&question, &runs, &[], 3);
    assert_eq!(start[..2], [(11, Hunt), (11, Proof)], "11 is the culprit or its parent");
    let flying = [(11, Proof), (10, Proof)];
    let [stop, start] = after(&question, &[&runs[..], &[searched(11, PASS)]].concat(), &flying, 3);
    assert_eq!(stop, [(10, Proof)], "12 is the culprit, and 10 none of its parents");
    assert_eq!(start, [(12, Proof)]);
}

#[test]
fn every_independent_good_end_is_verified_and_then_the_merge_bases() {
    let mut question = question(linear(1000));
    question.good.push(sha(2000));
    question.merge_bases = vec![sha(3000), sha(0)];
    let starts = |runs: &[Run]| after(&question, runs, &[], 1)[1].clone();
    let mut runs = vec![searched(1000, FAIL)];
    assert_eq!(starts(&runs), [(0, Hunt)]);
    runs.push(searched(0, PASS));
    assert_eq!(starts(&runs), [(2000, Hunt)]);
    runs.push(searched(2000, PASS));
    assert_eq!(starts(&runs), [(3000, Hunt)]);
    runs.push(searched(3000, SKIP));
    assert_eq!(starts(&runs), [(500, Hunt)]);
    let (end, ..) = World {
        question: &question,
        ending: &|run| match number(run.commit) {
            3000 => SKIP,
            2000 => PASS,
            _ => since(7)(run),
        },
    }
    .bisect(4);
    assert!(matches!(end, Conclusion::Culprit { skipped_merge_bases, .. } if skipped_merge_bases == [sha(3000)]));
}

#[test]
fn with_fixed_the_first_passing_commit_is_found() {
    let question = Question { fixed: true, ..question(linear(100)) };
    let turned = |run: InFlight| if since(42)(run) == FAIL { PASS } else { FAIL };
    assert_eq!(culprit(&World { question: &question, ending: &turned }.bisect(1).0), 42);
    let (end, ..) = World { question: &question, ending: &since(42) }.bisect(1);
    assert!(matches!(end, Conclusion::NotReproducible { .. }), "the newer end fails: {end:?}");
}

#[test]
fn an_ending_from_outside_waits_for_the_bad_end() {
    let question = question(linear(9));
    let timed_out = [searched(5, Ending::TimedOut)];
    let [_, start] = after(&question, &timed_out, &[(9, Hunt), (0, Hunt)], 3);
    assert!(start[0].1 == Hunt && start[0].0 != 5, "{start:?}");
    let likewise = World {
        question: &question,
        ending: &|run| {
            if since(5)(run) == FAIL { Ending::TimedOut } else { PASS }
        },
    };
    assert_eq!(culprit(&likewise.bisect(3).0), 5);
    let otherwise = World {
        question: &question,
        ending: &|run| {
            if number(run.commit) == 5 { Ending::TimedOut } else { since(6)(run) }
        },
    };
    assert!(matches!(otherwise.bisect(3).0, Conclusion::Suspects { suspects, .. } if suspects == [6, 5].map(sha)));
}

#[test]
fn skipped_commits_are_never_picked_and_when_only_they_are_left_they_are_suspects() {
    let mut question = question(linear(100));
    question.skip.extend((40..60).map(sha));
    let skips = |run: InFlight| {
        if [61, 63].contains(&number(run.commit)) { SKIP } else { since(62)(run) }
    };
    for lanes in 1..=8 {
        let (end, runs, _) = World { question: &question, ending: &skips }.bisect(lanes);
        assert!(runs.iter().all(|run| !(40..60).contains(&number(run.commit))));
        let Conclusion::Suspects { suspects, why, .. } = end else { panic!("{end:?}") };
        assert_eq!((suspects, why), ([62, 61].map(sha).to_vec(), SuspectsWhy::OnlySkippedLeft));
    }
    question.skip.extend([sha(100), sha(0)]);
    assert_eq!(culprit(&World { question: &question, ending: &since(62) }.bisect(1).0), 62, "ends are tested");
}

#[test]
fn after_a_skip_the_next_pick_keeps_its_distance() {
    let runs = [&ends()[..], &[searched(500, SKIP)]].concat();
    let [_, start] = after(&question(linear(1000)), &runs, &[], 1);
    assert!((50..250).contains(&start[0].0.abs_diff(500)), "{start:?}");
}

#[test]
fn a_good_commit_on_another_branch_clears_a_skipped_one() {
    // 2 is skipped; 3 breaks; 4, beside 3, is good and so clears 2. git stops with both suspects.
    let rows: &[(u32, &[u32])] = &[(9, &[8]), (8, &[7]), (7, &[3, 4]), (4, &[2]), (3, &[2]), (2, &[1]), (1, &[0])];
    let question = question(graph(rows));
    let ending = |run: InFlight| match number(run.commit) {
        2 => SKIP,
        3 | 7 | 8 | 9 => FAIL,
        _ => PASS,
    };
    let known = [searched(9, FAIL), searched(0, PASS), searched(1, PASS), searched(2, SKIP), searched(3, FAIL)];
    assert_eq!(after(&question, &known, &[], 1)[1], [(4, Hunt)]);
    for lanes in 1..=8 {
        assert_eq!(culprit(&World { question: &question, ending: &ending }.bisect(lanes).0), 3);
    }
}

#[test]
fn a_fix_and_a_second_break_seen_side_by_side_lead_to_the_second() {
    let twice = |run: InFlight| {
        if (200..300).contains(&number(run.commit)) { FAIL } else { since(700)(run) }
    };
    for lanes in 1..=8 {
        let (end, ..) = World { question: &question(linear(1000)), ending: &twice }.bisect(lanes);
        assert!([200, 700].contains(&culprit(&end)), "{lanes} lanes: {end:?}");
    }
    let runs = [&ends()[..], &[searched(250, FAIL), searched(500, PASS)]].concat();
    assert_eq!(after(&question(linear(1000)), &runs, &[], 1)[1], [(750, Hunt)]);
}

#[test]
fn a_commit_inferred_from_two_bad_branches_is_run_twice_before_it_is_named() {
    let rows: &[(u32, &[u32])] = &[(5, &[3, 4]), (4, &[1]), (3, &[1]), (1, &[0])];
    let question = question(graph(rows));
    let runs = [searched(5, FAIL), searched(0, PASS), searched(3, FAIL), searched(4, FAIL)];
    assert_eq!(after(&question, &runs, &[], 3), [vec![], vec![(1, Hunt), (1, Proof), (0, Proof)]]);
    let each = |run: InFlight| {
        if [3, 4, 5].contains(&number(run.commit)) { FAIL } else { PASS }
    };
    let (end, ..) = World { question: &question, ending: &each }.bisect(8);
    assert!([3, 4].contains(&culprit(&end)), "two breaks: one of them");
}

#[test]
fn progress_comes_down_to_nothing() {
    let question = question(linear(1000));
    let mut runs: Vec<Run> = Vec::new();
    let mut before = f64::INFINITY;
    while let Step::Go { start, progress, prepare_proof, .. } = next(&question, &runs, &[], 1) {
        assert!(progress.expected_probes < before, "{progress:?} after {before}");
        assert_eq!(prepare_proof, progress.candidates_left <= 4);
        before = progress.expected_probes;
        runs.push(searched(number(start[0].commit), since(333)(start[0])));
        runs.last_mut().unwrap().purpose = start[0].purpose;
    }
    assert!((before - 1.0).abs() < 0.1, "{before} for the last run");
}

#[test]
fn the_command_aborts_on_a_commit_that_one_lane_would_test_and_on_no_other() {
    let question = question(linear(9));
    for lanes in 1..=6 {
        let aborts_on = |wanted: u32, culprit: u32| {
            let ending = move |run: InFlight| {
                if number(run.commit) == wanted { Ending::Exited(139) } else { since(culprit)(run) }
            };
            World { question: &question, ending: &ending }.bisect(lanes).0
        };
        // One lane tests 4, 6 and 5 on the way to 6: 2 is never needed.
        assert_eq!(culprit(&aborts_on(2, 6)), 6, "{lanes} lanes");
        let needed = aborts_on(5, 6);
        assert!(matches!(needed, Conclusion::Aborted { .. }), "{lanes} lanes: {needed:?}");
        // More lanes may get by without 4.
        let first = aborts_on(4, 6);
        assert!(
            matches!(first, Conclusion::Aborted { .. }) || lanes > 1 && culprit(&first) == 6,
            "{lanes} lanes: {first:?}"
        );
    }
}

#[test]
fn with_fixed_a_newer_end_that_cannot_run_waits_for_the_older_one() {
    let question = Question { fixed: true, ..question(linear(9)) };
    let missing = searched(9, Ending::Exited(127));
    let Step::Go { progress, start, .. } = next(&question, &[missing], &[], 1) else { panic!("concluded") };
    assert_eq!(start, [InFlight { commit: sha(0), purpose: Purpose::Search }]);
    assert!(progress.candidates_left > 0 && progress.expected_probes.is_finite(), "{progress:?}");
}
