//! The search when the answers make no sense: commits that break and mend at random, flaky tests, ends
//! that time out. It must end, test nothing twice but what fails by chance, and depend on nothing but the runs.

use crate::search_world::history::{Chance, History};
use crate::search_world::played::play;
use bisect_shared::{Ending, Purpose, Sha};
use bisectd::search::{Graph, InFlight, Question, Run, Sampling, next};
use std::collections::HashSet;

fn sha(commit: usize) -> Sha {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(commit as u64).to_be_bytes());
    Sha::from_bytes(bytes)
}

/// The range between the oldest commit, which is good, and the newest, which is bad; with a path, only
/// a row of commits is listed.
fn question(chance: &mut Chance, history: &History) -> Question {
    let bad = history.len() - 1;
    let first_parent = chance.once_in(5);
    let line: HashSet<usize> = history.first_parents(bad).into_iter().collect();
    let rows = (1..=bad).rev().filter(|commit| !first_parent || line.contains(commit));
    let row = |commit: usize| {
        let parents = history.parents[commit].iter().map(|parent| format!(" {}", sha(*parent)));
        format!("{}{}\n", sha(commit), parents.collect::<String>())
    };
    let text: String = rows.map(row).collect();
    let whole = Graph::parse(text.as_bytes(), sha(bad), first_parent).unwrap();
    let touching: Vec<usize> = (1..=bad - chance.below(2)).filter(|_| chance.once_in(3)).collect();
    let row = |pair: &[usize]| format!("{} {}\n", sha(pair[1]), sha(pair[0]));
    let simplified: String = touching.windows(2).rev().map(row).collect();
    let path = chance.once_in(3);
    let simplified = || Graph::parse(simplified.as_bytes(), sha(bad), false).unwrap();
    let graph = if path { simplified() } else { whole.clone() };
    Question {
        real: path.then_some(whole),
        merge_bases: (0..chance.one_of(&[0, 0, 0, 0, 1, 2])).map(|base| sha(1_000_000 + base)).collect(),
        skip: (0..bad).filter(|_| chance.once_in(10)).map(sha).collect(),
        fixed: chance.once_in(3),
        first_parent,
        sampling: Sampling { runs: 0, ..Sampling::default() },
        ..Question::new(graph, sha(0), sha(bad))
    }
}

/// Mostly what the ends should say; now and then anything.
fn answers(seed: u64, question: &Question) -> impl Fn(InFlight) -> Ending {
    let mut chance = Chance(seed);
    let odd = chance.one_of(&[0, 3, 10, 50]);
    let flaky = chance.one_of(&[0, 0, 5, 30]);
    let (bad, good, fixed) = (question.bad, question.good[0], question.fixed);
    move |run| {
        let of = |salt| {
            let bytes = <[u8; 8]>::try_from(&run.commit.to_string().as_bytes()[8..16]).unwrap();
            Chance(seed ^ salt ^ u64::from_be_bytes(bytes))
        };
        let mut chance = of(1);
        if run.purpose == Purpose::Proof && flaky > 0 && of(2).once_in(flaky) {
            chance = of(3);
        }
        let surely = (run.commit == bad || run.commit == good) && !chance.once_in(20);
        match chance.below(100) {
            0 if odd > 0 && !surely => Ending::Exited(chance.one_of(&[126, 127, 130])),
            dice if dice < odd && !surely => chance.one_of(&[
                Ending::Exited(125),
                Ending::SetupFailed(1),
                Ending::TimedOut,
                Ending::OutOfMemory,
                Ending::Tampered,
            ]),
            _ if surely => Ending::Exited(u8::from((run.commit == bad) != fixed)),
            dice => Ending::Exited(u8::from(dice % 2 == 0)),
        }
    }
}

#[test]
fn every_search_ends_and_depends_on_its_runs_alone() {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..3000 {
        let mut chance = Chance(seed);
        let length = 4 + chance.below(60);
        let history = History::generate(&mut chance, length);
        let mut question = question(&mut chance, &history);
        // Sampling thinks long about each step: most searches have no runs for it.
        if seed < 150 {
            question.sampling = Sampling { asked: seed < 50, runs: 3, ..Sampling::default() };
        }
        let answer = answers(seed, &question);
        let lanes = 1 + chance.below(8);
        let played = play(&question, lanes, &answer, &mut |_| chance.fraction());
        *kinds.entry(played.conclusion.kind()).or_insert(0) += 1;
        let turned: Vec<Run> = played.runs.iter().rev().copied().collect();
        let sampled = turned.iter().any(|run| run.purpose == Purpose::Sample);
        for known in (0..=turned.len()).step_by(if sampled { 1 + turned.len() / 4 } else { 1 }) {
            let (mut one, other) = (turned[known..].to_vec(), &turned[known..]);
            one.reverse();
            assert_eq!(next(&question, &one, &[], lanes), next(&question, other, &[], lanes), "seed {seed}");
        }
    }
    println!("{kinds:?}");
    // All but that of a test that fails everywhere alike: that takes many runs.
    assert!(kinds.len() == 6, "every kind of end is met: {kinds:?}");
}
