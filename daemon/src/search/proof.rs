//! The proof: the culprit and its real parents, once more, in fresh workspaces.
//!
//! Knows which runs a commit would need to be proven, and what they mean once they are there.

use super::conclusion::{Conclusion, Parent, ParentState, SuspectsWhy};
use super::graph::Node;
use super::narrow;
use super::verdict::Record;
use super::{Contradiction, Graph, InFlight, Question, Run, ends};
use bisect_shared::{Purpose, Sha, Verdict};

/// Tells what a candidate's proof lacks, and what it says.
pub(super) struct Proof<'a> {
    pub(super) question: &'a Question,
    pub(super) record: &'a Record,
    /// By node of the question's graph: [`cleared_by_search`].
    pub(super) searched: &'a [bool],
}

/// Which commits show the older behaviour by the search's runs alone.
pub(super) fn cleared_by_search(question: &Question, record: &Record) -> Vec<bool> {
    let good = |commit: &Sha| record.verdict_for(*commit, Purpose::Search) == Some(Verdict::Good);
    let commits = record.commits().map(|(commit, _)| commit).filter(good);
    question.graph.ancestors(commits.filter_map(|commit| question.graph.node(&commit)))
}

impl Proof<'_> {
    /// The runs that the proof of this commit needs and that are not recorded yet.
    ///
    /// Once *more*: what the proof confirms was seen by the search before. With idle lanes a proof may
    /// begin so early that it answers first, and then leads the search. Its word alone would make a
    /// culprit out of one lucky run of a flaky parent, with several lanes only, and nothing would tell
    /// that a verdict hung on what an earlier run left behind. So culprit and parent are run for the
    /// search as well, if need be beside the proof; a parent that the search never asks for (another
    /// parent of a merge, below a good commit) is run once, as with one lane.
    pub(super) fn missing(&self, culprit: Sha) -> Vec<InFlight> {
        let proof = |commit| InFlight { commit, purpose: Purpose::Proof };
        let search = |commit| InFlight { commit, purpose: Purpose::Search };
        let parents = parents(self.question, culprit).into_iter();
        let tested: Vec<Sha> = parents.filter(|&parent| !is_skipped(self.question, self.record, parent)).collect();
        let searched = std::iter::once(culprit).chain(tested.iter().copied().filter(|it| self.is_open(it)));
        let proven = std::iter::once(culprit).chain(tested.iter().copied());
        let runs = searched.map(search).chain(proven.map(proof));
        runs.filter(|run| !self.record.has_run(run.commit, run.purpose)).collect()
    }

    /// Whether the search could not go without a run of this commit.
    fn is_open(&self, commit: &Sha) -> bool {
        self.question.graph.node(commit).is_some_and(|node| !self.searched[node as usize])
    }

    /// What the last candidate turns out to be, as soon as its proof tells.
    pub(super) fn conclude(&self, culprit: Sha) -> Result<Option<Conclusion>, Contradiction> {
        let Self { question, record, .. } = *self;
        if let Some(suspects) = untouched_bad_end(question, record, culprit) {
            return Ok(Some(suspects));
        }
        let bad = |parent: &Sha| is_asked_for(question, *parent) && record.verdict(*parent) == Some(Verdict::Bad);
        if let Some(parent) = parents(question, culprit).into_iter().find(bad) {
            return bad_parent(question, record, culprit, parent);
        }
        if !self.missing(culprit).is_empty() {
            return Ok(None);
        }
        let unsure = record.of(culprit).find(|(_, verdict)| *verdict != Some(Verdict::Bad));
        if let (Some((unsure, _)), Some(bad)) = (unsure, record.run_with(culprit, Verdict::Bad)) {
            return Err(Contradiction { runs: [*unsure, bad] });
        }
        let state = |commit| match is_skipped(question, record, commit) {
            true => ParentState::Skipped,
            false if is_proven(record, commit) => ParentState::Proven,
            false if is_asked_for(question, commit) => ParentState::Skipped,
            false => ParentState::RepairedSince,
        };
        let parents = parents(question, culprit).into_iter();
        Ok(Some(Conclusion::Culprit {
            culprit,
            parents: parents.map(|commit| Parent { commit, state: state(commit) }).collect(),
            skipped_merge_bases: ends::skipped_merge_bases(question, record),
            belief: None,
        }))
    }
}

/// The parents in the whole history, not in the simplified one of `--path`; each once.
pub(super) fn parents(question: &Question, commit: Sha) -> Vec<Sha> {
    let mut parents: Vec<Sha> = Vec::new();
    for parent in real(question).parents(&commit) {
        if !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    parents
}

fn real(question: &Question) -> &Graph {
    question.real.as_ref().unwrap_or(&question.graph)
}

fn is_skipped(question: &Question, record: &Record, commit: Sha) -> bool {
    question.skips(commit) || record.verdict(commit) == Some(Verdict::Skip)
}

/// Whether the search goes by this parent: it is in the range, or an end of it. Another one, below a good
/// end, git takes for good unseen; whatever its run says contradicts nothing.
pub(super) fn is_asked_for(question: &Question, parent: Sha) -> bool {
    real(question).node(&parent).is_some() || question.good.contains(&parent)
}

fn is_proven(record: &Record, parent: Sha) -> bool {
    record.verdict_for(parent, Purpose::Proof) == Some(Verdict::Good)
}

/// With `--path`: when only the bad end is left and touches no path, what it shows came in with one
/// of the commits between, which touch none either.
fn untouched_bad_end(question: &Question, record: &Record, culprit: Sha) -> Option<Conclusion> {
    question.real.as_ref().filter(|_| question.graph.bad_end_added() && culprit == question.bad)?;
    let suspects = real_suspects(question, record);
    (suspects.len() > 1).then(|| between(question, record, culprit, culprit, suspects))
}

/// A bad parent is no culprit's: with `--path` the change came in between two commits that touch
/// the paths; otherwise a descendant of that parent is good, and the two contradict one another.
fn bad_parent(
    question: &Question,
    record: &Record,
    culprit: Sha,
    parent: Sha,
) -> Result<Option<Conclusion>, Contradiction> {
    let suspects = real_suspects(question, record);
    if question.real.is_some() && suspects.contains(&parent) {
        return Ok(Some(between(question, record, culprit, parent, suspects)));
    }
    let pair = good_above(question, record, parent).zip(record.run_with(parent, Verdict::Bad));
    pair.map_or(Ok(None), |(good, bad)| Err(Contradiction { runs: [good, bad] }))
}

fn between(question: &Question, record: &Record, culprit: Sha, bad: Sha, suspects: Vec<Sha>) -> Conclusion {
    Conclusion::Suspects {
        suspects,
        why: SuspectsWhy::BetweenPaths { good: question.graph.parents(&culprit).collect(), bad },
        skipped_merge_bases: ends::skipped_merge_bases(question, record),
        belief: None,
    }
}

/// The commits of the whole history that the verdicts leave, newest first.
fn real_suspects(question: &Question, record: &Record) -> Vec<Sha> {
    let real = real(question);
    let left = narrow::candidates(real, record);
    left.nodes.into_iter().map(|node| real.name(node)).collect()
}

/// A good run of the commit or of a descendant.
fn good_above(question: &Question, record: &Record, commit: Sha) -> Option<Run> {
    let real = real(question);
    let descends = |good: Node| real.node(&commit).is_some_and(|node| real.ancestors([good])[node as usize]);
    let inside = narrow::with_verdict(real, record, Verdict::Good).into_iter().filter(|&good| descends(good));
    let above = inside.map(|node| real.name(node));
    let good = above.chain(question.good.iter().copied().filter(|end| *end == commit));
    good.chain(question.good.iter().copied()).find_map(|good| record.run_with(good, Verdict::Good))
}

#[cfg(test)]
mod tests {
    use super::super::Ending;
    use super::super::graph::tests::{graph, linear, sha};
    use super::super::step::FEW;
    use super::super::tests::{FAIL, PASS, SKIP, World, contradiction, number, question, since};
    use super::*;

    fn bisect(question: &Question, ending: &dyn Fn(InFlight) -> Ending) -> (Conclusion, Vec<Run>) {
        let (end, runs, _) = World { question, ending }.bisect(1);
        for lanes in 2..=FEW {
            let (other, ..) = World { question, ending }.bisect(lanes);
            assert_eq!(other.kind(), end.kind(), "{lanes} lanes");
        }
        (end, runs)
    }

    fn proofs(runs: &[Run]) -> Vec<u32> {
        let proofs = runs.iter().filter(|run| run.purpose == Purpose::Proof);
        proofs.map(|run| number(run.commit)).collect()
    }

    fn parents_of(end: &Conclusion) -> Vec<(u32, ParentState)> {
        match end {
            Conclusion::Culprit { parents, .. } => {
                parents.iter().map(|parent| (number(parent.commit), parent.state)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_end_that_is_the_parent_is_run_once_more() {
        let (end, runs) = bisect(&question(linear(4)), &since(1));
        assert_eq!(parents_of(&end), [(0, ParentState::Proven)]);
        assert_eq!(proofs(&runs), [1, 0]);
    }

    #[test]
    fn all_parents_of_a_merge_are_run_also_those_outside_the_range() {
        // 7 is an ancestor of the good end, so no candidate.
        let merge = graph(&[(4, &[3]), (3, &[2, 1, 7]), (2, &[0]), (1, &[0])]);
        let ending = |run: InFlight| {
            if [3, 4].contains(&number(run.commit)) { FAIL } else { PASS }
        };
        let (end, runs) = bisect(&question(merge), &ending);
        assert_eq!(parents_of(&end), [2, 1, 7].map(|parent| (parent, ParentState::Proven)));
        assert_eq!(proofs(&runs), [3, 2, 1, 7]);
    }

    #[test]
    fn what_a_parent_below_a_good_end_does_contradicts_nothing() {
        // 7, an ancestor of the good end, had an old bug that was repaired since: git names 3 all the same.
        for old in [FAIL, Ending::Exited(139)] {
            let merge = graph(&[(4, &[3]), (3, &[2, 7]), (2, &[0])]);
            let ending = |run: InFlight| match number(run.commit) {
                7 => old,
                3 | 4 => FAIL,
                _ => PASS,
            };
            let (end, _) = bisect(&question(merge), &ending);
            assert_eq!(parents_of(&end), [(2, ParentState::Proven), (7, ParentState::RepairedSince)]);
        }
    }

    #[test]
    fn skipped_parents_are_named_and_not_run() {
        let merge = graph(&[(4, &[3]), (3, &[2, 1]), (2, &[0]), (1, &[0])]);
        let mut question = question(merge);
        question.skip.insert(sha(7));
        let ending = |run: InFlight| match number(run.commit) {
            3 | 4 => FAIL,
            1 if run.purpose == Purpose::Proof => SKIP,
            _ => PASS,
        };
        let (end, _) = bisect(&question, &ending);
        let expected = [(2, ParentState::Proven), (1, ParentState::Skipped)];
        assert_eq!(parents_of(&end), expected);
    }

    #[test]
    fn a_skip_on_the_command_line_never_runs_even_as_a_parent() {
        let merge = graph(&[(4, &[3]), (3, &[2, 7]), (2, &[0])]);
        let mut question = question(merge);
        question.skip.insert(sha(7));
        let (end, runs) = bisect(&question, &since(3));
        assert_eq!(parents_of(&end), [(2, ParentState::Proven), (7, ParentState::Skipped)]);
        assert_eq!(proofs(&runs), [3, 2]);
    }

    #[test]
    fn a_culprit_without_parents_is_proven_alone() {
        let root = graph(&[(2, &[1]), (1, &[])]);
        let (end, _) = bisect(&question(root), &since(1));
        assert_eq!(parents_of(&end), []);
    }

    #[test]
    fn a_proof_that_disagrees_contradicts_a_run() {
        let flaky = |changed: u32, answer: Ending| {
            let ending = move |run: InFlight| match run.purpose {
                Purpose::Proof if number(run.commit) == changed => answer,
                _ => since(5)(run),
            };
            contradiction(&question(linear(8)), &ending).runs.map(|run| (number(run.commit), run.ending))
        };
        assert_eq!(flaky(5, PASS), [(5, PASS), (5, FAIL)]);
        assert_eq!(flaky(5, SKIP), [(5, SKIP), (5, FAIL)]);
        assert_eq!(flaky(4, FAIL), [(4, PASS), (4, FAIL)]);
    }

    #[test]
    fn a_bad_parent_below_a_good_commit_contradicts_it() {
        // 1 was broken and 2 repaired it; 3, beside 2, never had the repair.
        let beside = graph(&[(4, &[2, 3]), (3, &[1]), (2, &[1]), (1, &[0])]);
        let ending = |run: InFlight| {
            if [1, 3, 4].contains(&number(run.commit)) { FAIL } else { PASS }
        };
        let [_, bad] = contradiction(&Question { good: vec![sha(0)], ..question(beside) }, &ending).runs;
        assert_eq!((number(bad.commit), bad.ending), (1, FAIL));
    }

    /// The commits 1 to 9 in a row, of which only 3, 6 and perhaps 9 touch the path.
    fn with_path(bad_end_touches: bool) -> Question {
        let rows: &[(u32, &[u32])] = &[(9, &[6]), (6, &[3]), (3, &[0])];
        let list = if bad_end_touches { graph(rows) } else { graph_below(9, &rows[1..]) };
        Question { real: Some(linear(9)), ..question(list) }
    }

    fn graph_below(bad: u32, rows: &[(u32, &[u32])]) -> Graph {
        let line = |(commit, parents): &(u32, &[u32])| {
            parents.iter().fold(sha(*commit).to_string(), |line, parent| format!("{line} {}", sha(*parent)))
        };
        let text = rows.iter().map(line).collect::<Vec<_>>().join("\n");
        Graph::parse(text.as_bytes(), sha(bad), false).unwrap()
    }

    #[test]
    fn with_a_path_the_real_parents_are_run() {
        let (end, runs) = bisect(&with_path(true), &since(6));
        assert_eq!(parents_of(&end), [(5, ParentState::Proven)]);
        assert_eq!(proofs(&runs), [6, 5]);
    }

    #[test]
    fn with_a_path_a_bad_real_parent_leaves_the_commits_between() {
        for bad_end_touches in [true, false] {
            let (end, _) = bisect(&with_path(bad_end_touches), &since(5));
            let Conclusion::Suspects { suspects, why, .. } = end else { panic!("{end:?}") };
            assert_eq!(suspects, [5, 4].map(sha));
            assert_eq!(why, SuspectsWhy::BetweenPaths { good: vec![sha(3)], bad: sha(5) });
        }
    }

    #[test]
    fn a_bad_end_that_touches_no_path_leaves_the_commits_since_the_last_that_does() {
        let (end, runs) = bisect(&with_path(false), &since(8));
        let Conclusion::Suspects { suspects, why, .. } = end else { panic!("{end:?}") };
        assert_eq!(suspects, [9, 8, 7].map(sha));
        assert_eq!(why, SuspectsWhy::BetweenPaths { good: vec![sha(6)], bad: sha(9) });
        assert!(proofs(&runs).is_empty());
    }

    #[test]
    fn a_bad_end_that_touches_no_path_and_stands_alone_is_proven() {
        let mut question = with_path(false);
        question.real = Some(graph(&[(9, &[6]), (6, &[3]), (3, &[0])]));
        let (end, _) = bisect(&question, &since(9));
        assert_eq!(parents_of(&end), [(6, ParentState::Proven)]);
    }
}
