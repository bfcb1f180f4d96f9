//! What each run says about its commit, by git's exit codes and our rules for endings from outside and for failures that do
//! not count.
//!
//! Pure and independent of the order of runs. Knows nothing of the graph.

use super::{Contradiction, Counts, Question, Run};
use bisect_shared::{Ending, Purpose, Sha, Verdict};
use std::collections::HashMap;

/// The verdict of every run, in order: about the *test*, also with `--fixed`.
///
/// `None` where there is none: the command aborted the bisection (exit ≥ 128), or the run was ended
/// from outside, or must be compared, and the failing end, which tells what that means, is still unknown.
#[must_use]
pub fn judge(question: &Question, runs: &[Run]) -> Vec<Option<Verdict>> {
    let failing = FailingEnd::of(question, runs);
    runs.iter().map(|run| failing.verdict(question.counts, run)).collect()
}

/// Of every run, in order, whether it failed quite otherwise than the failing end did: with another exit code, or with other
/// last words; with `--failure-line`, without the line. None does while that end has not failed.
#[must_use]
pub fn otherwise(question: &Question, runs: &[Run]) -> Vec<bool> {
    let failing = FailingEnd::of(question, runs);
    let known = failing.runs.iter().any(is_failure);
    let differs = |run: &Run| match question.counts {
        Counts::Line => run.said.is_empty(),
        Counts::Any | Counts::Same => !failing.failed_like(run),
    };
    runs.iter().map(|run| known && is_failure(run) && differs(run)).collect()
}

const fn is_failure(run: &Run) -> bool {
    matches!(run.ending, Ending::Exited(1..=124 | 126..=127))
}

/// How the end that fails ended: an ending from outside counts as bad only if it ended likewise.
struct FailingEnd {
    runs: Vec<Run>,
    all_known: bool,
}

impl FailingEnd {
    fn of(question: &Question, runs: &[Run]) -> Self {
        let ends = if question.fixed { &question.good[..] } else { std::slice::from_ref(&question.bad) };
        let verified = |run: &&Run, end: &Sha| run.commit == *end && run.purpose != Purpose::Proof;
        let of = |end| runs.iter().filter(move |run| verified(run, end)).copied();
        Self { runs: ends.iter().flat_map(of).collect(), all_known: ends.iter().all(|end| of(end).next().is_some()) }
    }

    fn failed_like(&self, run: &Run) -> bool {
        self.runs.iter().any(|end| end.ending == run.ending && end.said.is_like(run.said))
    }

    fn verdict(&self, counts: Counts, run: &Run) -> Option<Verdict> {
        let likewise = |is: bool| if is { Some(Verdict::Bad) } else { self.all_known.then_some(Verdict::Skip) };
        match run.ending {
            Ending::Exited(0) => Some(Verdict::Good),
            // Tampered: also where an end did the same, for nobody knows what the command would have said.
            Ending::Exited(125) | Ending::SetupFailed(_) | Ending::Tampered => Some(Verdict::Skip),
            Ending::Exited(1..=127) => match counts {
                Counts::Any => Some(Verdict::Bad),
                Counts::Same => likewise(self.failed_like(run)),
                Counts::Line => Some(if run.said.is_empty() { Verdict::Skip } else { Verdict::Bad }),
            },
            Ending::Exited(128..) => None,
            Ending::TimedOut | Ending::Silent | Ending::OutOfMemory | Ending::OutOfDisk => {
                likewise(self.runs.iter().any(|end| end.ending == run.ending))
            }
        }
    }
}

/// All runs of a bisection with their verdicts, in an order that depends on nothing but the runs.
/// Here a verdict is git's: bad is the newer behaviour, so with `--fixed` a test that passes.
pub(super) struct Record {
    runs: Vec<(Run, Option<Verdict>)>,
    /// Where the runs of each commit begin.
    first: HashMap<Sha, usize>,
}

impl Record {
    pub(super) fn new(question: &Question, runs: &[Run]) -> Self {
        let turned = |verdict| match verdict {
            Verdict::Good if question.fixed => Verdict::Bad,
            Verdict::Bad if question.fixed => Verdict::Good,
            verdict => verdict,
        };
        let verdicts = judge(question, runs).into_iter().map(|verdict| verdict.map(turned));
        let mut runs: Vec<_> = runs.iter().copied().zip(verdicts).collect();
        runs.sort_by_key(|(run, _)| (run.commit, run.purpose, run.ending.name(), run.ending.exit_code(), run.said));
        let first = runs.iter().enumerate().rev().map(|(place, (run, _))| (run.commit, place)).collect();
        Self { runs, first }
    }

    /// The runs of one commit, search before proof.
    pub(super) fn of(&self, commit: Sha) -> impl Iterator<Item = &(Run, Option<Verdict>)> {
        let from = self.first.get(&commit).copied().unwrap_or(self.runs.len());
        self.runs[from..].iter().take_while(move |(run, _)| run.commit == commit)
    }

    /// What is known of a commit from all its runs; a good or bad one outweighs a skip.
    pub(super) fn verdict(&self, commit: Sha) -> Option<Verdict> {
        let known = self.of(commit).filter_map(|(_, verdict)| *verdict);
        known.min_by_key(|verdict| *verdict == Verdict::Skip)
    }

    /// The verdict of the commit's run for this purpose.
    pub(super) fn verdict_for(&self, commit: Sha, purpose: Purpose) -> Option<Verdict> {
        self.of(commit).find(|(run, _)| run.purpose == purpose).and_then(|(_, verdict)| *verdict)
    }

    pub(super) fn has_run(&self, commit: Sha, purpose: Purpose) -> bool {
        self.of(commit).any(|(run, _)| run.purpose == purpose)
    }

    /// A run of the commit with this verdict.
    pub(super) fn run_with(&self, commit: Sha, wanted: Verdict) -> Option<Run> {
        self.of(commit).find(|(_, verdict)| *verdict == Some(wanted)).map(|(run, _)| *run)
    }

    /// The commits that have runs, each with what is known of it (nothing, while it is undecided).
    pub(super) fn commits(&self) -> impl Iterator<Item = (Sha, Option<Verdict>)> {
        self.runs.chunk_by(|(one, _), (other, _)| one.commit == other.commit).map(|runs| {
            let commit = runs[0].0.commit;
            (commit, self.verdict(commit))
        })
    }

    /// The commit and the verdict of every run that has one.
    pub(super) fn verdicts(&self) -> impl Iterator<Item = (Sha, Verdict)> {
        self.runs.iter().filter_map(|(run, verdict)| Some((run.commit, (*verdict)?)))
    }

    /// The runs in which the command aborted the bisection.
    pub(super) fn aborts(&self) -> impl Iterator<Item = Run> {
        self.runs.iter().map(|(run, _)| *run).filter(|run| matches!(run.ending, Ending::Exited(128..)))
    }

    /// Two runs of one commit, one good and one bad.
    pub(super) fn contradiction(&self) -> Option<Contradiction> {
        let pair = |commit| Some([self.run_with(commit, Verdict::Good)?, self.run_with(commit, Verdict::Bad)?]);
        self.commits().find_map(|(commit, _)| pair(commit)).map(|runs| Contradiction { runs })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fingerprint;
    use super::super::graph::tests::{linear, sha};
    use super::super::tests::{question, searched};
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, Some(Verdict::Good))]
    #[case(1, Some(Verdict::Bad))]
    #[case(2, Some(Verdict::Bad))]
    #[case(124, Some(Verdict::Bad))]
    #[case(125, Some(Verdict::Skip))]
    #[case(126, Some(Verdict::Bad))]
    #[case(127, Some(Verdict::Bad))]
    #[case(128, None)]
    #[case(129, None)]
    #[case(137, None)]
    #[case(255, None)]
    fn exit_codes_mean_what_they_mean_to_git(#[case] code: u8, #[case] verdict: Option<Verdict>) {
        let mut question = question(linear(9));
        let runs = [searched(5, Ending::Exited(code))];
        assert_eq!(judge(&question, &runs), [verdict]);
        question.fixed = true;
        assert_eq!(judge(&question, &runs), [verdict], "the verdict names the test's outcome");
    }

    #[rstest]
    fn an_ending_from_outside_is_bad_if_the_bad_end_ended_likewise(
        #[values(Ending::TimedOut, Ending::Silent, Ending::OutOfMemory, Ending::OutOfDisk)] ending: Ending,
    ) {
        let question = question(linear(9));
        let probe = searched(5, ending);
        assert_eq!(judge(&question, &[probe]), [None]);
        let failed = searched(9, Ending::Exited(1));
        assert_eq!(judge(&question, &[probe, failed]), [Some(Verdict::Skip), Some(Verdict::Bad)]);
        let likewise = searched(9, ending);
        assert_eq!(judge(&question, &[probe, likewise]), [Some(Verdict::Bad); 2]);
    }

    #[test]
    fn with_a_line_to_look_for_nothing_else_makes_a_failure_another_one() {
        let question = Question { counts: Counts::Line, ..question(linear(9)) };
        let said = |commit, code, line| Run { said: Fingerprint::new(line), ..searched(commit, Ending::Exited(code)) };
        let runs = [said(9, 1, Some(1)), said(6, 2, Some(1)), said(5, 1, None)];
        assert_eq!(otherwise(&question, &runs), [false, false, true]);
        assert_eq!(judge(&question, &runs), [Some(Verdict::Bad), Some(Verdict::Bad), Some(Verdict::Skip)]);
        let plain = Question { counts: Counts::Any, ..question };
        assert_eq!(otherwise(&plain, &runs), [false, true, true], "another exit code, and other words");
    }

    #[test]
    fn with_fixed_the_failing_end_is_the_older_one() {
        let mut question = question(linear(9));
        question.fixed = true;
        let probe = searched(5, Ending::TimedOut);
        assert_eq!(judge(&question, &[probe, searched(9, Ending::Exited(0))])[0], None);
        let runs = [probe, searched(0, Ending::TimedOut)];
        assert_eq!(judge(&question, &runs), [Some(Verdict::Bad); 2]);
        assert_eq!(Record::new(&question, &runs).verdict(sha(5)), Some(Verdict::Good), "turned");
    }

    #[rstest]
    fn what_says_nothing_is_a_skip_whatever_the_ends_came_to(
        #[values(Ending::SetupFailed(1), Ending::Tampered)] ending: Ending,
    ) {
        let runs = [searched(5, ending), searched(9, ending)];
        assert_eq!(judge(&question(linear(9)), &runs), [Some(Verdict::Skip); 2]);
    }
}
