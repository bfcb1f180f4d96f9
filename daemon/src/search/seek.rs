//! `auto`: steps back from the bad end to find a commit that shows the older behaviour, in doubling steps over the
//! stations, which are releases as a rule. Then it is an ordinary bisection from there, for which all these runs count.

use super::verdict::Record;
use super::{AbortReason, Conclusion, InFlight, Progress, Question, Run, Step, ends};
use bisect_shared::{Purpose, Sha, Verdict};

/// Where the last station cannot be tested, so many before it are tried.
const NEXT_TO_LAST: usize = 8;
/// Of a test that fails by chance, too, a station must pass so often before it is taken for a good end.
const PASSES: u32 = 5;

/// The next step of a question without a good end. `question.stations` are its ancestors, the newest first.
pub(super) fn step(question: &Question, runs: &[Run], in_flight: &[InFlight], lanes: usize) -> Step {
    let record = Record::new(question, runs);
    if let Some(conclusion) = bad_end(question, &record) {
        return Step::Done(conclusion);
    }
    let order = order(question, &record);
    let passes =
        |station: &&Sha| record.run_with(**station, Verdict::Bad).is_none() && times(&record, **station) >= PASSES;
    let found = |station: &&Sha| match question.sampling.asked {
        true => passes(station) && record.run_with(**station, Verdict::Good).is_some(),
        false => record.run_with(**station, Verdict::Good).is_some(),
    };
    if let Some(good) = order.iter().find(found) {
        return Step::Found(*good);
    }
    let is_open = |commit: &Sha| {
        let most = match (question.sampling.asked, *commit == question.bad) {
            (true, true) => question.sampling.runs,
            (true, false) => PASSES,
            (false, _) => 1,
        };
        let told = !matches!(record.verdict(*commit), None | Some(Verdict::Good));
        times(&record, *commit) < most && !(told || record.run_with(*commit, Verdict::Bad).is_some())
    };
    let tries = [vec![question.bad], order.clone()].concat().into_iter();
    let mut wanted: Vec<InFlight> =
        tries.filter(is_open).map(|commit| InFlight { commit, purpose: Purpose::Search }).collect();
    if wanted.is_empty() {
        // What fails on the last one may fail only for what an earlier run left in its workspace.
        match question.stations.iter().rev().find_map(|station| record.run_with(*station, Verdict::Bad)) {
            Some(run) if record.has_run(run.commit, Purpose::Proof) => {
                return Step::Done(Conclusion::GoodFails { run });
            }
            Some(run) => wanted.push(InFlight { commit: run.commit, purpose: Purpose::Proof }),
            None => return untestable(question, runs, &order),
        }
    }
    let (kept, stop): (Vec<InFlight>, Vec<InFlight>) = in_flight.iter().partition(|run| wanted.contains(run));
    let room = lanes.saturating_sub(kept.len());
    let start = wanted.iter().filter(|run| !kept.contains(run)).take(room).copied().collect();
    let left = question.graph.len();
    // Half of the stations that are left to try, and the bisection that follows.
    let expected_probes = wanted.len() as f64 / 2.0 + (left as f64).log2().max(0.0) + 2.0;
    let progress = Progress { candidates_left: left, expected_probes };
    Step::Go { start, stop, progress, prepare_proof: false, only_proof: None }
}

fn times(record: &Record, commit: Sha) -> u32 {
    record.of(commit).filter(|(run, _)| run.purpose == Purpose::Search).count().try_into().unwrap_or(u32::MAX)
}

/// What the bad end alone says. Where the test is known to fail by chance, it has all its chances to fail.
fn bad_end(question: &Question, record: &Record) -> Option<Conclusion> {
    if !question.sampling.asked {
        // Runs of one commit that differ: whichever release passes, the search from there deals with it.
        return ends::conclude(question, record).unwrap_or_default();
    }
    if let Some(conclusion) =
        ends::unusable_command(question, record).or_else(|| ends::untestable_end(question, record))
    {
        return Some(conclusion);
    }
    let (runs, fails) = (times(record, question.bad), record.run_with(question.bad, Verdict::Bad));
    let run =
        record.run_with(question.bad, Verdict::Good).filter(|_| fails.is_none() && runs >= question.sampling.runs);
    run.map(|run| Conclusion::NotReproducible { run, runs })
}

/// The stations to try, in order: the nearest one, then twice as far each time, the last one at the end.
fn order(question: &Question, record: &Record) -> Vec<Sha> {
    let stations: Vec<Sha> = question.stations.iter().copied().filter(|it| !question.skips(*it)).collect();
    let Some(last) = stations.len().checked_sub(1) else { return Vec::new() };
    let doubling = std::iter::successors(Some(0_usize), |at| Some(at * 2 + 1)).take_while(|at| *at < last);
    let mut order: Vec<Sha> = doubling.chain([last]).map(|at| stations[at]).collect();
    if record.verdict(stations[last]) == Some(Verdict::Skip) {
        // Up to the first one that fails: those after it say nothing more.
        let fails = |station: &Sha| record.verdict(*station) == Some(Verdict::Bad);
        let before = stations.iter().rev().skip(1).take(NEXT_TO_LAST);
        let new: Vec<Sha> = before.take_while(|it| !fails(it)).filter(|it| !order.contains(it)).copied().collect();
        order.extend(new);
    }
    order
}

/// Not one of them can be tested.
fn untestable(question: &Question, runs: &[Run], order: &[Sha]) -> Step {
    let of = |commit: Sha| runs.iter().find(move |run| run.commit == commit).copied();
    let run = order.iter().rev().find_map(|station| of(*station)).or_else(|| of(question.bad));
    match run {
        Some(run) => Step::Done(Conclusion::Aborted { run, why: AbortReason::EndSkipped }),
        // There is no station, which nobody asks for.
        None => Step::Found(question.bad),
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{linear, sha};
    use super::super::tests::{question, searched};
    use super::super::{Counts, Sampling, next};
    use super::*;
    use bisect_shared::Ending;

    /// Of commits 0 to 1,000 every hundredth is a release; 1,000 is the bad end.
    fn seeking() -> Question {
        let stations = (0..10).rev().map(|release| sha(release * 100)).collect();
        Question { good: Vec::new(), stations, ..question(linear(1000)) }
    }

    /// Runs it with a test that fails from `culprit` on; the commits tried, and what it came to.
    fn seek(question: &Question, lanes: usize, ending: impl Fn(InFlight) -> Ending) -> (Vec<u32>, Step) {
        let (mut runs, mut tried) = (Vec::new(), Vec::new());
        loop {
            match next(question, &runs, &[], lanes) {
                Step::Go { start, .. } => {
                    assert!(!start.is_empty() && start.len() <= lanes, "{start:?}");
                    for run in start {
                        tried.extend((0..=1000).find(|number| sha(*number) == run.commit));
                        runs.push(Run::new(run.commit, run.purpose, ending(run)));
                    }
                }
                end => return (tried, end),
            }
        }
    }

    fn from(culprit: u32) -> impl Fn(InFlight) -> Ending {
        move |run| Ending::Exited(u8::from((culprit..=1000).any(|number| sha(number) == run.commit)))
    }

    #[test]
    fn it_steps_back_twice_as_far_each_time_until_one_passes() {
        assert_eq!(seek(&seeking(), 1, from(650)), (vec![1000, 900, 800, 600], Step::Found(sha(600))));
        assert_eq!(seek(&seeking(), 1, from(950)), (vec![1000, 900], Step::Found(sha(900))));
        let (tried, end) = seek(&seeking(), 3, from(950));
        assert_eq!((tried, end), (vec![1000, 900, 800], Step::Found(sha(900))), "the nearest that passes");
    }

    #[test]
    fn where_no_release_passes_the_last_one_says_so_twice() {
        let (tried, end) = seek(&seeking(), 1, from(0));
        assert_eq!(tried, [1000, 900, 800, 600, 200, 0, 0]);
        assert!(matches!(end, Step::Done(Conclusion::GoodFails { run }) if run.commit == sha(0)), "{end:?}");
        let fresh = |run: InFlight| if run.purpose == Purpose::Proof { Ending::Exited(0) } else { Ending::Exited(1) };
        assert_eq!(seek(&seeking(), 1, fresh).1, Step::Found(sha(0)), "it failed for its workspace only");
    }

    #[test]
    fn a_bad_end_that_passes_ends_it_and_releases_that_cannot_be_tested_are_passed_by() {
        let (_, end) = seek(&seeking(), 3, |_| Ending::Exited(0));
        assert!(matches!(end, Step::Done(Conclusion::NotReproducible { .. })), "{end:?}");
        let old = |run: InFlight| match (0..=300).any(|number| sha(number) == run.commit) {
            true => Ending::Exited(125),
            false => from(350)(run),
        };
        let (tried, end) = seek(&seeking(), 1, old);
        assert_eq!(tried, [1000, 900, 800, 600, 200, 0, 100, 300, 400, 400], "back from the last");
        assert!(matches!(end, Step::Done(Conclusion::GoodFails { run }) if run.commit == sha(400)), "{end:?}");
        let skips = |run: InFlight| Ending::Exited(if run.commit == sha(1000) { 1 } else { 125 });
        let (_, end) = seek(&seeking(), 1, skips);
        assert!(matches!(end, Step::Done(Conclusion::Aborted { why: AbortReason::EndSkipped, .. })), "{end:?}");
    }

    #[test]
    fn of_a_test_that_fails_by_chance_a_release_must_pass_several_times() {
        let sampling = Sampling { asked: true, ..Sampling::default() };
        let question = Question { sampling, ..seeking() };
        let seen = std::cell::RefCell::new(std::collections::HashMap::new());
        // The bad end fails at its third run, release 900 at its fourth; 800 never does.
        let ending = |run: InFlight| {
            let mut seen = seen.borrow_mut();
            let times: &mut u32 = seen.entry(run.commit).or_default();
            *times += 1;
            let fails = (run.commit == sha(1000) && *times == 3) || (run.commit == sha(900) && *times == 4);
            Ending::Exited(u8::from(fails))
        };
        let (tried, end) = seek(&question, 1, ending);
        assert_eq!(
            (tried, end),
            (vec![1000, 1000, 1000, 900, 900, 900, 900, 800, 800, 800, 800, 800], Step::Found(sha(800)))
        );
        let (tried, end) = seek(&question, 1, |_| Ending::Exited(0));
        assert!(matches!(end, Step::Done(Conclusion::NotReproducible { runs: 20, .. })), "{end:?} {tried:?}");
    }

    #[test]
    fn a_release_that_fails_otherwise_is_passed_by() {
        let question = Question { counts: Counts::Same, ..seeking() };
        let otherwise = |run: InFlight| match run.commit {
            commit if commit == sha(1000) => Ending::Exited(1),
            commit if commit == sha(600) => Ending::Exited(0),
            _ => Ending::Exited(2),
        };
        assert_eq!(seek(&question, 1, otherwise).1, Step::Found(sha(600)));
        assert_eq!(next(&question, &[searched(900, Ending::Exited(0))], &[], 1), Step::Found(sha(900)));
    }
}
