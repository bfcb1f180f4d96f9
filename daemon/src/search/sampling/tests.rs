//! The search by samples, on small histories in which a test fails by chance.

use super::{
    super::{
        Sampling,
        graph::tests::{graph, linear, sha},
        next,
        tests::{FAIL, PASS, SKIP, World, number, question, since},
    },
    believed::pieces,
    *,
};
use bisect_shared::Ending;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::cell::RefCell;

fn sampled(runs: u32, question: Question) -> Question {
    Question { sampling: Sampling { asked: true, runs, ..Sampling::default() }, ..question }
}

/// Fails at one rate before the culprit, and at another from it on.
fn by_chance(seed: u64, culprit: u32, before: f64, after: f64) -> impl Fn(InFlight) -> Ending {
    let random = RefCell::new(StdRng::seed_from_u64(seed));
    move |run| {
        let rate = if number(run.commit) >= culprit { after } else { before };
        if random.borrow_mut().random_bool(rate) { FAIL } else { PASS }
    }
}

fn proofs(runs: &[Run]) -> Vec<u32> {
    let mut proofs: Vec<u32> =
        runs.iter().filter(|run| run.purpose == Purpose::Proof).map(|run| number(run.commit)).collect();
    proofs.sort_unstable();
    proofs
}

#[test]
fn a_culprit_is_found_where_the_test_fails_by_chance_and_run_in_a_fresh_workspace_with_its_parent() {
    let question = sampled(30, question(linear(64)));
    for lanes in [1, 3, 7] {
        let mut right = 0;
        for seed in 0..20 {
            let world = World { question: &question, ending: &by_chance(seed, 23, 0.05, 0.7) };
            let (end, runs, _) = world.bisect(lanes);
            let Conclusion::Culprit { culprit, belief: Some(belief), parents, .. } = end else { continue };
            assert!(belief.likely[0] == (culprit, belief.likely[0].1) && belief.likely[0].1 >= 0.95, "{belief:?}");
            let wanted = [number(culprit), number(parents[0].commit)];
            assert!(wanted.iter().all(|commit| proofs(&runs).contains(commit)), "{wanted:?} {:?}", proofs(&runs));
            assert_eq!(belief.before.runs + belief.after.runs, runs.len() as u32, "every run counts");
            assert!((belief.range.iter().sum::<f64>() + belief.none - 1.0).abs() < 1e-9);
            right += u32::from(culprit == sha(23));
        }
        assert!(right >= 18, "{lanes} lanes: {right} of 20");
    }
}

#[test]
fn what_is_asked_for_next_depends_on_the_set_of_runs_alone() {
    let question = sampled(30, question(linear(40)));
    let (_, runs, _) = World { question: &question, ending: &by_chance(3, 23, 0.1, 0.6) }.bisect(3);
    for known in 0..=runs.len() {
        let reversed: Vec<Run> = runs[..known].iter().rev().copied().collect();
        assert_eq!(next(&question, &runs[..known], &[], 3), next(&question, &reversed, &[], 3), "{known}");
    }
}

#[test]
fn two_runs_that_contradict_one_another_begin_it_and_count() {
    // The search was misled once, in its run of 8.
    let question = question(linear(16));
    let ending = |run: InFlight| match run.purpose {
        Purpose::Search if number(run.commit) == 8 => PASS,
        _ => since(5)(run),
    };
    for lanes in [1, 3] {
        let (end, runs, _) = World { question: &question, ending: &ending }.bisect(lanes);
        let Conclusion::Culprit { culprit, belief: Some(belief), .. } = end else { panic!("{lanes}: {end:?}") };
        assert_eq!(number(culprit), 5, "{lanes} lanes");
        assert_eq!(belief.before.runs + belief.after.runs, runs.len() as u32);
        assert_eq!(belief.after.runs - belief.after.failures, 1, "the one that misled: {belief:?}");
    }
}

#[test]
fn a_test_that_depends_on_the_commit_alone_pays_nothing() {
    let question = question(linear(100));
    let (_, runs, _) = World { question: &question, ending: &since(31) }.bisect(3);
    assert!(runs.iter().all(|run| run.purpose != Purpose::Sample), "{runs:?}");
}

#[test]
fn the_bad_end_gets_as_many_chances_as_were_asked_for() {
    let question = sampled(7, question(linear(9)));
    for lanes in [1, 2, 9] {
        let (end, runs, _) = World { question: &question, ending: &|_| PASS }.bisect(lanes);
        assert!(matches!(end, Conclusion::NotReproducible { runs: 7, .. }), "{end:?}");
        assert_eq!(runs.iter().filter(|run| number(run.commit) == 9).count(), 7);
    }
}

#[test]
fn a_test_that_fails_everywhere_alike_has_no_culprit() {
    let question = sampled(50, question(linear(32)));
    let (end, ..) = World { question: &question, ending: &by_chance(1, 0, 0.3, 0.3) }.bisect(3);
    let Conclusion::NoCulprit { good, range, belief } = end else { panic!("{end:?}") };
    assert!(good.runs > 0 && range.runs > good.runs, "{good:?} {range:?}");
    assert!(belief.likely.iter().all(|(_, probability)| *probability < 0.2), "{belief:?}");
    let (end, ..) = World { question: &question, ending: &|_| FAIL }.bisect(3);
    assert!(matches!(end, Conclusion::GoodFails { .. }), "always is not by chance: {end:?}");
}

#[test]
fn commits_that_cannot_be_run_are_suspects_with_the_next_that_can() {
    let question = sampled(30, question(linear(32)));
    let ending = |run: InFlight| if (11..14).contains(&number(run.commit)) { SKIP } else { since(12)(run) };
    let (end, ..) = World { question: &question, ending: &ending }.bisect(2);
    let Conclusion::Suspects { suspects, why: SuspectsWhy::OnlySkippedLeft, .. } = end else { panic!("{end:?}") };
    let mut suspects: Vec<u32> = suspects.into_iter().map(number).collect();
    suspects.sort_unstable();
    assert_eq!(suspects, [11, 12, 13, 14]);
}

#[test]
fn what_stays_unsure_ends_with_the_likeliest_and_keeps_to_what_was_allowed() {
    let question = sampled(3, question(linear(64)));
    let mut unsure = 0;
    for seed in 0..10 {
        let (end, runs, _) = World { question: &question, ending: &by_chance(seed, 20, 0.1, 0.4) }.bisect(3);
        assert!(runs.len() as u32 <= question.sampling.budget(64) + 3, "{}", runs.len());
        for run in &runs {
            let times = runs.iter().filter(|other| other.commit == run.commit).count();
            assert!(2 * times <= runs.len() + 3, "{times} runs of {}", number(run.commit));
        }
        if let Conclusion::Suspects { suspects, belief: Some(belief), .. } = end {
            assert_eq!(suspects[0], belief.likely[0].0);
            assert!(belief.likely.is_sorted_by(|one, other| one.1 >= other.1), "{belief:?}");
            assert!(belief.one_more.is_none_or(|more| more.if_newer >= 0.0 && more.if_older <= 1.0));
            unsure += 1;
        }
    }
    assert!(unsure > 0);
}

#[test]
fn a_fix_is_found_by_the_runs_that_pass() {
    let question = sampled(30, Question { fixed: true, ..question(linear(16)) });
    let ending = |run: InFlight| if since(9)(run) == FAIL { PASS } else { FAIL };
    let (end, ..) = World { question: &question, ending: &ending }.bisect(1);
    assert!(matches!(end, Conclusion::Culprit { culprit, .. } if culprit == sha(9)), "{end:?}");
}

#[test]
fn a_sampled_command_that_stops_the_bisection_stops_it() {
    let question = sampled(30, question(linear(16)));
    let ending = |run: InFlight| if number(run.commit) == 8 { Ending::Exited(130) } else { since(9)(run) };
    let (end, ..) = World { question: &question, ending: &ending }.bisect(1);
    assert!(matches!(end, Conclusion::Aborted { run, .. } if run.commit == sha(8)), "{end:?}");
}

#[test]
fn a_merge_is_told_from_both_of_its_sides() {
    // 6 merges 4 and 5, which stand on 2 and 3, both on 1.
    let rows: &[(u32, &[u32])] = &[(6, &[4, 5]), (5, &[3]), (3, &[1]), (4, &[2]), (2, &[1]), (1, &[0])];
    let question = sampled(40, question(graph(rows)));
    let random = RefCell::new(StdRng::seed_from_u64(7));
    let ending = |run: InFlight| {
        let after = [3, 5, 6].contains(&number(run.commit));
        if random.borrow_mut().random_bool(if after { 0.7 } else { 0.05 }) { FAIL } else { PASS }
    };
    let (end, ..) = World { question: &question, ending: &ending }.bisect(2);
    assert!(matches!(end, Conclusion::Culprit { culprit, .. } if culprit == sha(3)), "{end:?}");
}

#[test]
fn the_range_is_told_in_pieces_that_add_up() {
    assert_eq!(pieces(&[0.25; 4], 60), [0.25; 4]);
    assert_eq!(pieces(&[0.5, 0.25, 0.125, 0.125], 2), [0.75, 0.25]);
}
