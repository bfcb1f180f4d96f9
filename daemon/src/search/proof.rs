//! The proof: the culprit and its real parents, once more, in fresh workspaces.
//!
//! Knows which runs a commit would need to be proven, and what they mean once they are there.

use super::conclusion::{Conclusion, Parent, ParentState, SuspectsWhy};
use super::graph::Node;
use super::narrow::narrow;
use super::verdict::Record;
use super::{Graph, InFlight, Question, Run, ends};
use bisect_shared::{Purpose, Sha, Verdict};

/// The runs that the proof of this commit needs and that are not recorded yet. The culprit itself
/// counts as proven by a search run and one more.
pub(super) fn missing(question: &Question, record: &Record, culprit: Sha) -> Vec<InFlight> {
    let proof = |commit| InFlight {
        commit,
        purpose: Purpose::Proof,
    };
    let parents = parents(question, culprit);
    let tested = parents
        .into_iter()
        .filter(|&parent| !is_skipped(question, record, parent));
    let runs = [
        InFlight {
            commit: culprit,
            purpose: Purpose::Search,
        },
        proof(culprit),
    ];
    let runs = runs.into_iter().chain(tested.map(proof));
    runs.filter(|run| !record.has_run(run.commit, run.purpose))
        .collect()
}

/// The parents in the whole history, not in the simplified one of `--path`.
fn parents(question: &Question, commit: Sha) -> Vec<Sha> {
    real(question).parents(&commit).collect()
}

fn real(question: &Question) -> &Graph {
    question.real.as_ref().unwrap_or(&question.graph)
}

fn is_skipped(question: &Question, record: &Record, commit: Sha) -> bool {
    question.skips(commit) || record.verdict(commit) == Some(Verdict::Skip)
}

/// What the last candidate turns out to be, as soon as its proof tells.
pub(super) fn conclude(question: &Question, record: &Record, culprit: Sha) -> Option<Conclusion> {
    if let Some(suspects) = untouched_bad_end(question, record, culprit) {
        return Some(suspects);
    }
    let bad = |parent: &Sha| record.verdict(*parent) == Some(Verdict::Bad);
    if let Some(parent) = parents(question, culprit).into_iter().find(bad) {
        return bad_parent(question, record, culprit, parent);
    }
    if !missing(question, record, culprit).is_empty() {
        return None;
    }
    let unsure = record
        .of(culprit)
        .find(|(_, verdict)| *verdict != Some(Verdict::Bad));
    if let (Some((unsure, _)), Some(bad)) = (unsure, record.run_with(culprit, Verdict::Bad)) {
        return Some(Conclusion::Flaky {
            runs: [*unsure, bad],
        });
    }
    let state = |commit| match is_skipped(question, record, commit) || !is_proven(record, commit) {
        true => ParentState::Skipped,
        false => ParentState::Proven,
    };
    let parents = parents(question, culprit).into_iter();
    Some(Conclusion::Culprit {
        culprit,
        parents: parents
            .map(|commit| Parent {
                commit,
                state: state(commit),
            })
            .collect(),
        skipped_merge_bases: ends::skipped_merge_bases(question, record),
    })
}

fn is_proven(record: &Record, parent: Sha) -> bool {
    record.verdict_for(parent, Purpose::Proof) == Some(Verdict::Good)
}

/// With `--path`: when only the bad end is left and touches no path, what it shows came in with one
/// of the commits between, which touch none either.
fn untouched_bad_end(question: &Question, record: &Record, culprit: Sha) -> Option<Conclusion> {
    question
        .real
        .as_ref()
        .filter(|_| question.graph.bad_end_added() && culprit == question.bad)?;
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
) -> Option<Conclusion> {
    let suspects = real_suspects(question, record);
    if question.real.is_some() && suspects.contains(&parent) {
        return Some(between(question, record, culprit, parent, suspects));
    }
    let bad = record.run_with(parent, Verdict::Bad)?;
    Some(Conclusion::Flaky {
        runs: [good_above(question, record, parent)?, bad],
    })
}

fn between(
    question: &Question,
    record: &Record,
    culprit: Sha,
    bad: Sha,
    suspects: Vec<Sha>,
) -> Conclusion {
    Conclusion::Suspects {
        suspects,
        why: SuspectsWhy::BetweenPaths {
            good: question.graph.parents(&culprit).collect(),
            bad,
        },
        skipped_merge_bases: ends::skipped_merge_bases(question, record),
    }
}

/// The commits of the whole history that the verdicts leave, newest first.
fn real_suspects(question: &Question, record: &Record) -> Vec<Sha> {
    let real = real(question);
    let left = narrow(
        real,
        &nodes(real, record, Verdict::Good),
        &nodes(real, record, Verdict::Bad),
    );
    left.nodes.into_iter().map(|node| real.name(node)).collect()
}

/// The commits of the graph with this verdict.
pub(super) fn nodes(graph: &Graph, record: &Record, wanted: Verdict) -> Vec<Node> {
    let with = record
        .commits()
        .filter(|(_, verdict)| *verdict == Some(wanted));
    with.filter_map(|(commit, _)| graph.node(&commit)).collect()
}

/// A good run of the commit or of a descendant.
fn good_above(question: &Question, record: &Record, commit: Sha) -> Option<Run> {
    let real = real(question);
    let descends = |good: Node| {
        real.node(&commit)
            .is_some_and(|node| real.ancestors([good])[node as usize])
    };
    let inside = nodes(real, record, Verdict::Good)
        .into_iter()
        .filter(|&good| descends(good));
    let above = inside.map(|node| real.name(node));
    let good = above.chain(question.good.iter().copied().filter(|end| *end == commit));
    good.chain(question.good.iter().copied())
        .find_map(|good| record.run_with(good, Verdict::Good))
}

/// Up to `room` runs of proofs that one of these candidates would need, those most likely needed first.
pub(super) fn speculate(needed: &[InFlight], in_flight: &[InFlight], room: usize) -> Vec<InFlight> {
    let mut runs: Vec<(usize, InFlight)> = Vec::new();
    for run in needed
        .iter()
        .filter(|run| run.purpose == Purpose::Proof && !in_flight.contains(run))
    {
        match runs.iter_mut().find(|(_, other)| other == run) {
            Some((times, _)) => *times += 1,
            None => runs.push((1, *run)),
        }
    }
    runs.sort_by_key(|(times, _)| std::cmp::Reverse(*times));
    runs.into_iter().take(room).map(|(_, run)| run).collect()
}
