//! Which remembered runs are worth recalling: those that tell candidates apart, the best first, as if they were run one after
//! another. So a job recalls about as many as it would have run, however many are remembered.

use super::narrow;
use super::pick::Field;
use super::verdict::Record;
use super::{Question, Run, judge};
use bisect_shared::{Sha, Verdict};
use std::collections::HashMap;

/// The runs of `remembered` that narrow what these runs leave, in the order in which they do. Never one of an end.
#[must_use]
pub fn recall(question: &Question, runs: &[Run], remembered: &HashMap<Sha, Run>) -> Vec<Run> {
    let is_end = |commit: &Sha| *commit == question.bad || question.good.contains(commit);
    let useful = |run: &&Run| !is_end(&run.commit) && !question.skips(run.commit);
    let known: Vec<Run> = remembered.values().filter(useful).copied().collect();
    let verdicts = judge(question, &[runs, &known].concat()).split_off(runs.len());
    let telling = known.into_iter().zip(verdicts).filter(|(_, it)| matches!(it, Some(Verdict::Good | Verdict::Bad)));
    let mut left: HashMap<Sha, Run> = telling.map(|(run, _)| (run.commit, run)).collect();
    left.retain(|commit, _| !runs.iter().any(|run| run.commit == *commit));
    let mut all = runs.to_vec();
    let mut found = Vec::new();
    while !left.is_empty() {
        let record = Record::new(question, &all);
        let candidates = narrow::candidates(&question.graph, &record);
        let mut pickable = vec![false; question.graph.len()];
        for node in left.keys().filter_map(|commit| question.graph.node(commit)) {
            pickable[node as usize] = true;
        }
        let field = Field { graph: &question.graph, candidates: &candidates, pickable: &pickable, skipped: &[] };
        let Some(node) = field.pick(&[], 1).first().copied() else { break };
        let Some(run) = left.remove(&question.graph.name(node)) else { break };
        all.push(run);
        found.push(run);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{linear, sha};
    use super::super::tests::{question, searched};
    use super::super::{Counts, Fingerprint};
    use super::*;
    use bisect_shared::Ending;

    fn remembered(culprit: u32, commits: impl IntoIterator<Item = u32>) -> HashMap<Sha, Run> {
        let ending = |commit| Ending::Exited(u8::from(commit >= culprit));
        commits.into_iter().map(|commit| (sha(commit), searched(commit, ending(commit)))).collect()
    }

    fn numbers(runs: &[Run]) -> Vec<u32> {
        (0..2000).filter(|number| runs.iter().any(|run| run.commit == sha(*number))).collect()
    }

    #[test]
    fn of_a_thousand_that_are_known_a_bisection_of_them_is_recalled() {
        let question = question(linear(1000));
        let found = recall(&question, &[], &remembered(700, 0..=1000));
        assert!(found.len() <= 11, "{}", found.len());
        let around = numbers(&found);
        assert!(around.contains(&699) && around.contains(&700), "{around:?}");
    }

    #[test]
    fn what_says_nothing_new_and_what_is_an_end_is_left() {
        let question = question(linear(9));
        assert_eq!(numbers(&recall(&question, &[], &remembered(5, [0, 2, 9]))), [2]);
        let run = [searched(3, Ending::Exited(0))];
        assert_eq!(numbers(&recall(&question, &run, &remembered(5, [2, 3]))), [0; 0]);
        let skip: HashMap<Sha, Run> = [(sha(4), searched(4, Ending::Exited(125)))].into();
        assert_eq!(recall(&question, &[], &skip), []);
    }

    #[test]
    fn a_failure_that_must_be_compared_waits_for_the_end_that_fails() {
        let mut question = question(linear(9));
        question.counts = Counts::Same;
        let said = |commit, line| Run { said: Fingerprint::new([line]), ..searched(commit, Ending::Exited(1)) };
        let known: HashMap<Sha, Run> = [(sha(4), said(4, 7)), (sha(6), said(6, 8))].into();
        assert_eq!(recall(&question, &[], &known), []);
        assert_eq!(numbers(&recall(&question, &[said(9, 7)], &known)), [4]);
    }
}
