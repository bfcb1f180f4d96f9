//! The search against `git bisect run`, on generated histories in real repositories.
//!
//! `BISECT_HISTORIES` says how many (300), `BISECT_SEED` which is the first (0).

use crate::search_world::history::Chance;
use crate::search_world::played::play;
use crate::search_world::repository::{Answer, Git, Repository};
use bisect_shared::{Ending, Purpose, ResultKind, Sha};
use bisectd::search::{Conclusion, InFlight, Parent, ParentState, Question, Run, Step, next};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn the_search_agrees_with_git() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let count = number("BISECT_HISTORIES").unwrap_or(300);
    let first = number("BISECT_SEED").unwrap_or(0);
    let seeds = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    let work = || {
        loop {
            let seed = seeds.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let _shown = ShownOnPanic(seed);
            let case = Case(Repository::new(seed));
            case.check(&tally);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("the seed is above");
        }
    });
    let tally = tally.into_inner().unwrap();
    let ratio = |[ours, git]: [usize; 2]| ours as f64 / git as f64;
    let whole = ratio([0, 1].map(|side| tally.plain[side] + tally.skipping[side]));
    println!("{tally:?}: {whole:.4} times git's probes, {:.4} without skips", ratio(tally.plain));
    assert!(count < 100 || whole <= 1.02, "{whole:.4} times git's probes");
}

/// What git said, and the probes (ours on one lane, ends and proof apart; git's).
#[derive(Debug, Default)]
struct Tally {
    git_names: usize,
    git_leaves_suspects: usize,
    of_these_we_name: usize,
    fixed_before: usize,
    plain: [usize; 2],
    skipping: [usize; 2],
}

impl Tally {
    fn add(&mut self, git: &Git, ours: usize, named: bool, skips: bool) {
        match git.answer {
            Answer::Culprit(_) => self.git_names += 1,
            Answer::FixedBefore => self.fixed_before += 1,
            Answer::Suspects | Answer::Lost => {
                self.git_leaves_suspects += 1;
                self.of_these_we_name += usize::from(named);
            }
        }
        let probes = if skips { &mut self.skipping } else { &mut self.plain };
        probes[0] += ours;
        probes[1] += git.probes;
    }
}

struct ShownOnPanic(u64);

impl Drop for ShownOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with BISECT_SEED={} BISECT_HISTORIES=1", self.0);
        }
    }
}

struct Case(Repository);

impl Case {
    /// Checks our answers on one lane and on several against git's.
    fn check(&self, tally: &Mutex<Tally>) {
        let (git, question) = (self.0.git(), self.0.question());
        let code = |commit| self.0.code(self.0.numbers[&commit]);
        let ending = |run: InFlight| Ending::Exited(code(run.commit));
        let alone = play(&question, 1, &ending, &mut |_| 1.0);
        self.compare(&git.answer, &alone.conclusion);
        for lanes in 2..=8 {
            let mut chance = Chance(self.0.seed ^ lanes as u64);
            let played = play(&question, lanes, &ending, &mut |_| chance.fraction());
            if self.is_consistent() {
                let case = || format!("{lanes} lanes, {:?}", self.0.planted);
                assert_eq!(played.conclusion, alone.conclusion, "{}", case());
            }
            any_order(&question, &played.runs, lanes);
        }
        let is_end = |commit| commit == question.bad || question.good.contains(&commit);
        let search = |run: &&Run| run.purpose == Purpose::Search && !is_end(run.commit);
        let ours = alone.runs.iter().filter(search).count();
        let named = alone.conclusion.kind() == ResultKind::Culprit;
        tally.lock().unwrap().add(&git, ours, named, !self.0.planted.skipped.is_empty());
    }

    fn compare(&self, git: &Answer, ours: &Conclusion) {
        let culprit = self.planted_culprit();
        let agree = match (git, ours) {
            (Answer::FixedBefore, Conclusion::FixedBefore { .. }) => true,
            // The bad merge base is skipped, and all commits since are bad: more than one answer is right.
            (Answer::Culprit(_) | Answer::Suspects, ours) if self.0.planted.fixed_before => {
                let (Conclusion::Culprit { skipped_merge_bases, .. }
                | Conclusion::Suspects { skipped_merge_bases, .. }) = ours
                else {
                    panic!("git says {git:?}, we say {ours:?}: {:?}", self.0.planted);
                };
                !skipped_merge_bases.is_empty()
            }
            (Answer::Culprit(git), Conclusion::Culprit { culprit: ours, parents, .. }) => {
                let skipped = |parent: &Parent| parent.state == ParentState::Skipped;
                let unproven = !self.is_consistent() && parents.iter().any(skipped);
                git == ours && (unproven || *ours == culprit)
            }
            (Answer::Suspects | Answer::Lost, Conclusion::Culprit { culprit: ours, .. }) => *ours == culprit,
            // A skipped commit is no proof, so nothing can tell that the question was wrong.
            (Answer::Suspects, Conclusion::Suspects { suspects, .. }) => {
                suspects.contains(&culprit) || !self.is_consistent()
            }
            // git goes by the path alone; the proof finds that the culprit does not touch it.
            (Answer::Culprit(_) | Answer::Lost, Conclusion::Suspects { suspects, .. }) => {
                suspects.contains(&culprit) && self.is_astray()
            }
            _ => false,
        };
        assert!(agree, "git says {git:?}, we say {ours:?}, planted {culprit}: {:?}", self.0.planted);
    }

    /// The first commit with the newer behaviour among those that the search goes by.
    fn planted_culprit(&self) -> Sha {
        let planted = &self.0.planted;
        let by_first = || {
            let line = self.0.history.first_parents(planted.bad);
            line.into_iter().take_while(|commit| planted.newer.contains(commit)).last()
        };
        let commit = if planted.first_parent { by_first().unwrap() } else { planted.culprit };
        self.0.shas[commit]
    }

    /// Whether the verdicts say one thing only, in whatever order they come: the culprit touches the
    /// path, and no commit that the good side fixed looks like a break.
    fn is_consistent(&self) -> bool {
        !self.is_astray() && !self.0.planted.fixed_before
    }

    /// The culprit touches no path, so that the question was wrong.
    fn is_astray(&self) -> bool {
        self.0.planted.path && !self.0.history.touches[self.0.planted.culprit].contains(&0)
    }
}

/// The same runs in any order, and any part of them, give the same step.
fn any_order(question: &Question, runs: &[Run], lanes: usize) {
    let mut chance = Chance(runs.len() as u64);
    let part = &runs[..chance.below(runs.len() + 1)];
    let mut shuffled = part.to_vec();
    for place in (1..shuffled.len()).rev() {
        shuffled.swap(place, chance.below(place + 1));
    }
    let step: Step = next(question, part, &[], lanes);
    assert_eq!(step, next(question, &shuffled, &[], lanes));
}
