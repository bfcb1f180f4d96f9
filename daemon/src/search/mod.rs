//! The search: from the graph, the runs recorded and those in flight to the next runs, or the end.
//!
//! Pure: no I/O, no clock, no chance, and `bisect_shared` only. [`next`] depends on the *set* of runs,
//! never on their order, so any server can go on with any job from its rows.

mod conclusion;
mod ends;
mod graph;
mod narrow;
mod pick;
mod proof;
mod verdict;
mod weigh;

pub use conclusion::{AbortReason, Conclusion, Parent, ParentState, SuspectsWhy};
pub use graph::{Graph, GraphError};
pub use verdict::judge;

use bisect_shared::{Ending, Purpose, Sha, Verdict};
use graph::Node;
use narrow::{Candidates, narrow};
use pick::Field;
use std::collections::HashSet;
use verdict::Record;

/// While more candidates than this are left, nothing is run for a proof that may never be needed.
const FEW: usize = 16;

/// What is asked: everything about a bisection that its runs do not change.
#[derive(Debug, Clone)]
pub struct Question {
    /// The commits under suspicion; with `--path`, the simplified history.
    pub graph: Graph,
    /// With `--path`: every commit of the range with its real parents, as `rev-list` prints them
    /// without the paths.
    pub real: Option<Graph>,
    /// The older ends. Those that are ancestors of another one are better left out.
    pub good: Vec<Sha>,
    /// The newer end.
    pub bad: Sha,
    /// What `git merge-base --all BAD GOOD…` prints, if some good end is no ancestor of the bad end;
    /// else empty. They are tested before the search.
    pub merge_bases: Vec<Sha>,
    /// Commits that are never picked (`--skip`). Ends are verified all the same.
    pub skip: HashSet<Sha>,
    /// `--fixed`: the older end must fail and the newer pass.
    pub fixed: bool,
    /// `--first-parent`: how the graphs were read; merges have one parent.
    pub first_parent: bool,
}

impl Question {
    fn is_end(&self, commit: Sha) -> bool {
        commit == self.bad || self.good.contains(&commit)
    }

    fn skips(&self, commit: Sha) -> bool {
        self.skip.contains(&commit) && !self.is_end(commit)
    }
}

/// A finished run: one that the command or a limit ended. A run that was stopped, or that an error of
/// Docker ended, is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// The commit that was tested.
    pub commit: Sha,
    /// What it was run for.
    pub purpose: Purpose,
    /// How it ended.
    pub ending: Ending,
}

/// A run that is under way, or to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InFlight {
    /// The commit to test.
    pub commit: Sha,
    /// What it is run for. A proof gets a fresh workspace.
    pub purpose: Purpose,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Go on. With nothing to start, wait for what is in flight.
    Go {
        /// Runs to start at once, the most urgent first.
        start: Vec<InFlight>,
        /// Runs in flight whose answer is no longer of use.
        stop: Vec<InFlight>,
        /// How far it is.
        progress: Progress,
        /// Whether runs of a proof are near, so that fresh workspaces may be made ready.
        prepare_proof: bool,
    },
    /// The bisection is over; whatever is in flight is of no use.
    Done(Conclusion),
}

/// How far a bisection is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Commits under suspicion.
    pub candidates_left: usize,
    /// Runs still to be finished, those in flight and the proof included: an estimate.
    pub expected_probes: f64,
}

/// The next step, with at most `lanes` runs at once, those in flight included.
#[must_use]
pub fn next(question: &Question, runs: &[Run], in_flight: &[InFlight], lanes: usize) -> Step {
    let record = Record::new(question, runs);
    if let Some(conclusion) = ends::conclude(question, &record) {
        return Step::Done(conclusion);
    }
    Search::new(question, record).step(in_flight, lanes)
}

/// A bisection whose ends and merge bases do not contradict it so far.
struct Search<'a> {
    question: &'a Question,
    record: Record,
    candidates: Candidates,
    /// Runs that must be recorded before anything is concluded.
    unverified: Vec<InFlight>,
    /// By node: whether it may be tested for the search: not skipped, and never run.
    pickable: Vec<bool>,
    /// The commits whose runs were skips.
    skipped: Vec<Node>,
}

impl<'a> Search<'a> {
    fn new(question: &'a Question, record: Record) -> Self {
        let graph = &question.graph;
        let [good, bad, skipped] = [Verdict::Good, Verdict::Bad, Verdict::Skip]
            .map(|verdict| proof::nodes(graph, &record, verdict));
        let mut pickable = vec![true; graph.len()];
        let run = record.commits().map(|(commit, _)| commit);
        for commit in run
            .chain(question.skip.iter().copied())
            .chain([question.bad])
        {
            if let Some(node) = graph.node(&commit) {
                pickable[node as usize] = false;
            }
        }
        let candidates = narrow(graph, &good, &bad);
        let unverified = ends::unverified(question, &record);
        Self {
            question,
            record,
            candidates,
            unverified,
            pickable,
            skipped,
        }
    }

    fn step(self, in_flight: &[InFlight], lanes: usize) -> Step {
        if let Some(conclusion) = self.culprit() {
            return Step::Done(conclusion);
        }
        let needed = self.needed();
        let telling = self.telling(in_flight);
        let (mut busy, stop): (Vec<InFlight>, Vec<InFlight>) = in_flight.iter().partition(|run| {
            self.unverified.contains(run) || needed.contains(run) || telling.contains(run)
        });
        let kept = busy.len();
        let mut add = |runs: &[InFlight]| {
            let new: Vec<InFlight> = runs
                .iter()
                .filter(|run| !busy.contains(run))
                .copied()
                .collect();
            busy.extend(new.into_iter().take(lanes.saturating_sub(busy.len())));
            lanes.saturating_sub(busy.len())
        };
        let mut room = add(&self.unverified);
        if self.last().is_some() {
            room = add(&needed);
        } else {
            let picks = self.pick(&telling, room);
            if picks.is_empty() && telling.is_empty() && room > 0 && self.unverified.is_empty() {
                return Step::Done(self.suspects());
            }
            room = add(&picks);
        }
        if lanes > 1 {
            let proofs = proof::speculate(&needed, in_flight, room);
            add(&proofs);
        }
        let start = busy.split_off(kept);
        let few = self.candidates.nodes.len() <= (lanes + 1).pow(2);
        Step::Go {
            start,
            stop,
            progress: self.progress(lanes),
            prepare_proof: few,
        }
    }

    /// The only candidate left, unless it cannot be tested.
    fn last(&self) -> Option<Sha> {
        let [node] = self.candidates.nodes[..] else {
            return None;
        };
        let commit = self.question.graph.name(node);
        (!self.is_skipped(commit)).then_some(commit)
    }

    fn is_skipped(&self, commit: Sha) -> bool {
        self.question.skips(commit) || self.record.verdict(commit) == Some(Verdict::Skip)
    }

    fn culprit(&self) -> Option<Conclusion> {
        let commit = self.last().filter(|_| self.unverified.is_empty())?;
        proof::conclude(self.question, &self.record, commit)
    }

    /// The runs that would prove one of the candidates, once they are few; one that would prove two of
    /// them is there twice.
    fn needed(&self) -> Vec<InFlight> {
        if self.candidates.nodes.len() > FEW {
            return Vec::new();
        }
        let commits = self
            .candidates
            .nodes
            .iter()
            .map(|&node| self.question.graph.name(node));
        let testable = commits.filter(|&commit| !self.is_skipped(commit));
        testable
            .flat_map(|commit| proof::missing(self.question, &self.record, commit))
            .collect()
    }

    /// The search runs in flight, or still undecided, whose answers would tell candidates apart.
    fn telling(&self, in_flight: &[InFlight]) -> Vec<InFlight> {
        let run = |commit| InFlight {
            commit,
            purpose: Purpose::Search,
        };
        let undecided = self
            .record
            .commits()
            .filter(|(_, verdict)| verdict.is_none());
        let undecided = undecided.map(|(commit, _)| run(commit));
        let searching = in_flight
            .iter()
            .filter(|flying| flying.purpose == Purpose::Search);
        let open = searching.filter(|flying| self.record.verdict(flying.commit).is_none());
        let runs: Vec<(InFlight, Node)> = open
            .copied()
            .chain(undecided)
            .filter_map(|run| Some((run, self.question.graph.node(&run.commit)?)))
            .collect();
        let nodes: Vec<Node> = runs.iter().map(|(_, node)| *node).collect();
        let weights = self.field().weights(&nodes);
        let tells = |weight: usize| 0 < weight && weight < self.candidates.nodes.len();
        runs.into_iter()
            .zip(weights)
            .filter(|(_, weight)| tells(*weight))
            .map(|((run, _), _)| run)
            .collect()
    }

    fn pick(&self, telling: &[InFlight], room: usize) -> Vec<InFlight> {
        let nodes: Vec<Node> = telling
            .iter()
            .filter_map(|run| self.question.graph.node(&run.commit))
            .collect();
        let mut picks = self.field().pick(&nodes, room);
        if picks.is_empty() && nodes.is_empty() && room > 0 {
            picks.extend(self.field().pick_outside());
        }
        let run = |node| InFlight {
            commit: self.question.graph.name(node),
            purpose: Purpose::Search,
        };
        picks.into_iter().map(run).collect()
    }

    fn field(&self) -> Field<'_> {
        let Self {
            question,
            candidates,
            pickable,
            skipped,
            ..
        } = self;
        Field {
            graph: &question.graph,
            candidates,
            pickable,
            skipped,
        }
    }

    fn suspects(&self) -> Conclusion {
        Conclusion::Suspects {
            suspects: self
                .candidates
                .nodes
                .iter()
                .map(|&node| self.question.graph.name(node))
                .collect(),
            why: SuspectsWhy::OnlySkippedLeft,
            skipped_merge_bases: ends::skipped_merge_bases(self.question, &self.record),
        }
    }

    /// With `k` lanes a round of `k` runs leaves one part in `k + 1`.
    fn progress(&self, lanes: usize) -> Progress {
        let left = self.candidates.nodes.len() as f64;
        let lanes = lanes.max(1) as f64;
        let search = (lanes * left.ln() / (lanes + 1.0).ln()).min(left - 1.0);
        let proof = self.last().map_or(2, |culprit| {
            proof::missing(self.question, &self.record, culprit).len()
        });
        Progress {
            candidates_left: self.candidates.nodes.len(),
            expected_probes: self.unverified.len() as f64 + search + proof as f64,
        }
    }
}

#[cfg(test)]
mod tests;
