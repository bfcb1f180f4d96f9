//! The ends and the merge bases: what must be verified before anything is concluded, and the
//! conclusions that need no search.

use super::conclusion::{AbortReason, Conclusion};
use super::verdict::Record;
use super::{Contradiction, InFlight, Question, Run};
use bisect_shared::{Ending, Purpose, Sha, Verdict};

/// The runs that verify the ends and the merge bases and are not recorded yet, in git's order.
pub(super) fn unverified(question: &Question, record: &Record) -> Vec<InFlight> {
    let merge_bases = question.merge_bases.iter().filter(|&base| !question.skips(*base));
    let wanted = std::iter::once(&question.bad).chain(&question.good).chain(merge_bases);
    let mut runs: Vec<InFlight> = Vec::new();
    for &commit in wanted {
        let run = InFlight { commit, purpose: Purpose::Search };
        if !record.has_run(commit, Purpose::Search) && !runs.contains(&run) {
            runs.push(run);
        }
    }
    runs
}

/// The merge bases that cannot be tested: the search goes on as git's does, and says so.
pub(super) fn skipped_merge_bases(question: &Question, record: &Record) -> Vec<Sha> {
    let skipped = |base: &&Sha| question.skips(**base) || record.verdict(**base) == Some(Verdict::Skip);
    question.merge_bases.iter().filter(skipped).copied().collect()
}

/// A conclusion that holds whatever the search would find.
pub(super) fn conclude(question: &Question, record: &Record) -> Result<Option<Conclusion>, Contradiction> {
    if let Some(conclusion) = unusable_command(question, record) {
        return Ok(Some(conclusion));
    }
    if let Some(contradiction) = record.contradiction() {
        return Err(contradiction);
    }
    let tells = |run: &Run| can_tell(question, record, run);
    if let Some(run) = record.run_with(question.bad, Verdict::Good).filter(tells) {
        return Ok(Some(Conclusion::NotReproducible { run, runs: 1 }));
    }
    if let Some(conclusion) = untestable_end(question, record) {
        return Ok(Some(conclusion));
    }
    let failing = failing_side(question, record).filter(|(run, _)| record.has_run(run.commit, Purpose::Proof));
    Ok(failing.map(|(_, conclusion)| conclusion))
}

/// What says that nothing can be searched with this command: it stopped the bisection on an end, or cannot run on either.
pub(super) fn unusable_command(question: &Question, record: &Record) -> Option<Conclusion> {
    // Of other commits git would not need all: `step` decides which of those count.
    let is_end = |commit: Sha| commit == question.bad || question.good.contains(&commit);
    let verified = |run: &Run| is_end(run.commit) || question.merge_bases.contains(&run.commit);
    if let Some(run) = record.aborts().find(verified) {
        return Some(Conclusion::Aborted { run, why: AbortReason::CommandSaidSo });
    }
    let run = cannot_run(question, record)?;
    Some(Conclusion::Aborted { run, why: AbortReason::CommandCannotRun })
}

/// An end on which nothing can be tested.
pub(super) fn untestable_end(question: &Question, record: &Record) -> Option<Conclusion> {
    let mut ends = std::iter::once(question.bad).chain(question.good.iter().copied());
    let run = ends.find_map(|end| untestable(record, end))?;
    let why = match run.ending {
        Ending::SetupFailed(_) => AbortReason::EndSetupFails,
        Ending::Tampered => AbortReason::EndTampers,
        Ending::Exited(1..=124 | 126..=127) => AbortReason::EndFailsOtherwise,
        _ => AbortReason::EndSkipped,
    };
    Some(Conclusion::Aborted { run, why })
}

/// The run that must confirm, in a fresh workspace, that there is no use in searching: what failed on
/// the good side may have failed only for what an earlier run left in its workspace.
pub(super) fn to_confirm(question: &Question, record: &Record) -> Option<InFlight> {
    let (run, _) = failing_side(question, record)?;
    Some(InFlight { commit: run.commit, purpose: Purpose::Proof })
}

/// A run of a good end or merge base that shows the newer behaviour, and what that means.
fn failing_side(question: &Question, record: &Record) -> Option<(Run, Conclusion)> {
    let fails = |&good: &Sha| record.run_with(good, Verdict::Bad);
    if let Some(run) = question.good.iter().filter_map(fails).find(|run| can_tell(question, record, run)) {
        return Some((run, Conclusion::GoodFails { run }));
    }
    let mut ends = std::iter::once(question.bad).chain(question.good.iter().copied());
    ends.all(|end| record.verdict(end).is_some()).then(|| bad_merge_base(question, record)).flatten()
}

/// The first bad merge base, as soon as those before it are known.
fn bad_merge_base(question: &Question, record: &Record) -> Option<(Run, Conclusion)> {
    let tested = question.merge_bases.iter().filter(|&base| !question.skips(*base));
    let mut tested = tested.map(|&base| (base, record.verdict(base)));
    let (merge_base, _) = tested.find(|(_, verdict)| !matches!(verdict, Some(Verdict::Good | Verdict::Skip)))?;
    let run = record.run_with(merge_base, Verdict::Bad)?;
    Some((run, Conclusion::FixedBefore { merge_base, good: question.good.clone() }))
}

/// The end's run, if the end has been run and can only be skipped.
fn untestable(record: &Record, end: Sha) -> Option<Run> {
    let skip = record.verdict(end) == Some(Verdict::Skip);
    skip.then(|| record.run_with(end, Verdict::Skip)).flatten()
}

const fn is_missing_command(ending: Ending) -> bool {
    matches!(ending, Ending::Exited(126 | 127))
}

/// A good end's run, if it ended with the same 126 or 127 as the bad end's.
fn cannot_run(question: &Question, record: &Record) -> Option<Run> {
    let missing = |(run, _): &&(Run, _)| is_missing_command(run.ending);
    let bad = record.of(question.bad).find(missing)?.0.ending;
    let good = question.good.iter().flat_map(|&good| record.of(good));
    good.map(|(run, _)| *run).find(|run| run.ending == bad)
}

/// Whether an end's run can be told from one of a command that cannot run anywhere: that takes a run
/// of the other end.
fn can_tell(question: &Question, record: &Record, run: &Run) -> bool {
    let known = |end: Sha| record.has_run(end, Purpose::Search);
    let other_known = match run.commit == question.bad {
        true => question.good.iter().all(|&good| known(good)),
        false => known(question.bad),
    };
    other_known || !is_missing_command(run.ending)
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{linear, sha};
    use super::super::tests::{question, searched};
    use super::*;
    use bisect_shared::ResultKind;

    fn ended(runs: &[(u32, Ending)]) -> Option<Conclusion> {
        let question = question(linear(9));
        let runs: Vec<Run> = runs.iter().map(|&(commit, ending)| searched(commit, ending)).collect();
        conclude(&question, &Record::new(&question, &runs)).unwrap()
    }

    /// The same, after what has to be confirmed was, with the same ending.
    fn confirmed(runs: &[(u32, Ending)]) -> Option<Conclusion> {
        let question = question(linear(9));
        let mut runs: Vec<Run> = runs.iter().map(|&(commit, ending)| searched(commit, ending)).collect();
        let confirm = to_confirm(&question, &Record::new(&question, &runs))?;
        let ending = runs.iter().find(|run| run.commit == confirm.commit)?.ending;
        runs.push(Run::new(confirm.commit, confirm.purpose, ending));
        conclude(&question, &Record::new(&question, &runs)).unwrap()
    }

    fn why(runs: &[(u32, Ending)]) -> AbortReason {
        match ended(runs) {
            Some(Conclusion::Aborted { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bad_end_that_passes_and_a_good_end_that_fails_end_the_search() {
        let kind = |runs: &[_]| ended(runs).map(|conclusion| conclusion.kind());
        assert_eq!(kind(&[(9, Ending::Exited(0))]), Some(ResultKind::NotReproducible));
        assert_eq!(kind(&[(0, Ending::Exited(1))]), None, "not before a fresh workspace says so too");
        assert_eq!(kind(&[(9, Ending::Exited(1)), (0, Ending::Exited(0))]), None);
        let likewise = [(9, Ending::TimedOut), (0, Ending::TimedOut)];
        assert_eq!(kind(&likewise), None);
        assert_eq!(confirmed(&likewise).map(|end| end.kind()), Some(ResultKind::GoodFails));
        assert_eq!(confirmed(&[(0, Ending::Exited(1))]).map(|end| end.kind()), Some(ResultKind::GoodFails));
    }

    #[test]
    fn an_end_that_cannot_be_tested_aborts() {
        assert_eq!(why(&[(9, Ending::Exited(125))]), AbortReason::EndSkipped);
        assert_eq!(why(&[(0, Ending::Exited(125))]), AbortReason::EndSkipped);
        assert_eq!(why(&[(0, Ending::SetupFailed(1))]), AbortReason::EndSetupFails);
        assert_eq!(why(&[(9, Ending::Tampered)]), AbortReason::EndTampers);
        assert_eq!(why(&[(9, Ending::Exited(1)), (0, Ending::Silent)]), AbortReason::EndSkipped);
    }

    #[test]
    fn a_command_that_cannot_run_on_either_end_aborts() {
        for code in [126, 127] {
            let code = Ending::Exited(code);
            assert_eq!(why(&[(9, code), (0, code)]), AbortReason::CommandCannotRun);
            assert_eq!(ended(&[(9, code)]), None);
            assert_eq!(ended(&[(0, code)]), None, "waits for the bad end");
            assert_eq!(ended(&[(9, code), (0, Ending::Exited(0))]), None, "bad: it is gone in the bad end");
            let fails = confirmed(&[(9, Ending::Exited(1)), (0, code)]).map(|end| end.kind());
            assert_eq!(fails, Some(ResultKind::GoodFails));
        }
    }

    #[test]
    fn with_fixed_a_command_that_cannot_run_is_no_newer_end_that_fails() {
        let question = Question { fixed: true, ..question(linear(9)) };
        let end = |runs: &[Run]| conclude(&question, &Record::new(&question, runs)).unwrap();
        let missing = Ending::Exited(127);
        assert_eq!(end(&[searched(9, missing)]), None, "waits for the older end");
        let both = end(&[searched(9, missing), searched(0, missing)]);
        assert!(matches!(both, Some(Conclusion::Aborted { .. })), "{both:?}");
        let fails = end(&[searched(9, missing), searched(0, Ending::Exited(1))]);
        assert_eq!(fails.map(|end| end.kind()), Some(ResultKind::NotReproducible));
    }

    #[test]
    fn the_command_may_abort_on_an_end() {
        for code in [128, 129, 137, 255] {
            assert_eq!(why(&[(9, Ending::Exited(code))]), AbortReason::CommandSaidSo);
            assert_eq!(why(&[(0, Ending::Exited(code))]), AbortReason::CommandSaidSo);
        }
    }

    #[test]
    fn a_good_end_that_fails_in_a_used_workspace_only_contradicts_itself() {
        let question = question(linear(9));
        let runs = [searched(9, Ending::Exited(1)), searched(0, Ending::Exited(1))];
        let confirm = InFlight { commit: sha(0), purpose: Purpose::Proof };
        assert_eq!(to_confirm(&question, &Record::new(&question, &runs)), Some(confirm));
        let fresh = Run::new(sha(0), Purpose::Proof, Ending::Exited(0));
        let end = conclude(&question, &Record::new(&question, &[runs[0], runs[1], fresh]));
        assert_eq!(end, Err(Contradiction { runs: [fresh, runs[1]] }));
    }

    #[test]
    fn two_answers_of_one_commit_contradict_one_another() {
        let mut proof = searched(5, Ending::Exited(0));
        proof.purpose = Purpose::Proof;
        let question = question(linear(9));
        let runs = [searched(5, Ending::Exited(1)), proof];
        let end = conclude(&question, &Record::new(&question, &runs));
        assert_eq!(end, Err(Contradiction { runs: [proof, runs[0]] }));
    }

    #[test]
    fn a_bad_merge_base_means_fixed_before() {
        let mut question = question(linear(9));
        question.merge_bases = vec![sha(50), sha(51)];
        question.skip.insert(sha(50));
        let ends = [searched(9, Ending::Exited(1)), searched(0, Ending::Exited(0))];
        let record = Record::new(&question, &ends);
        let base = InFlight { commit: sha(51), purpose: Purpose::Search };
        assert_eq!(unverified(&question, &record), [base]);
        assert_eq!(skipped_merge_bases(&question, &record), [sha(50)]);
        let runs = [ends[0], ends[1], searched(51, Ending::Exited(1))];
        let again = InFlight { commit: sha(51), purpose: Purpose::Proof };
        assert_eq!(to_confirm(&question, &Record::new(&question, &runs)), Some(again));
        let early = to_confirm(&question, &Record::new(&question, &runs[2..]));
        assert_eq!(early, None, "not before the ends are verified");
        let fresh = Run { purpose: Purpose::Proof, ..runs[2] };
        let end = conclude(&question, &Record::new(&question, &[runs[0], runs[1], runs[2], fresh]));
        assert_eq!(end, Ok(Some(Conclusion::FixedBefore { merge_base: sha(51), good: vec![sha(0)] })));
    }
}
