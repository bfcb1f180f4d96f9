//! One step: which runs are still of use, which to start, or that nothing more can be told.
//!
//! Puts together what the other files know; decides nothing about a single run or commit itself.

use super::graph::Node;
use super::narrow::{self, Candidates};
use super::pick::Field;
use super::proof::{self, Proof};
use super::verdict::Record;
use super::{AbortReason, Conclusion, Contradiction, InFlight, Progress, Question, Run, Step, SuspectsWhy, ends};
use bisect_shared::{Purpose, Sha, Verdict};
use std::collections::HashMap;

/// While more candidates than this are left, nothing is run for a proof that may never be needed.
pub(super) const FEW: usize = 16;

/// A bisection whose ends and merge bases do not contradict it so far.
pub(super) struct Search<'a> {
    question: &'a Question,
    record: Record,
    candidates: Candidates,
    /// Runs that must be recorded before anything is concluded.
    unverified: Vec<InFlight>,
    /// By node: whether runs of the search alone clear it.
    searched: Vec<bool>,
    /// By node: whether it may be tested for the search: not skipped, and never run.
    pickable: Vec<bool>,
    /// The commits whose runs were skips.
    skipped: Vec<Node>,
}

impl<'a> Search<'a> {
    pub(super) fn new(question: &'a Question, record: Record) -> Self {
        let graph = &question.graph;
        let mut pickable = vec![true; graph.len()];
        let run = record.commits().map(|(commit, _)| commit);
        let never = run.chain(question.skip.iter().copied()).chain([question.bad]);
        for node in never.filter_map(|commit| graph.node(&commit)) {
            pickable[node as usize] = false;
        }
        Self {
            question,
            candidates: narrow::candidates(graph, &record),
            unverified: ends::unverified(question, &record),
            searched: proof::cleared_by_search(question, &record),
            pickable,
            skipped: narrow::with_verdict(graph, &record, Verdict::Skip),
            record,
        }
    }

    pub(super) fn step(self, in_flight: &[InFlight], lanes: usize) -> Result<Step, Contradiction> {
        if let Some(conclusion) = self.aborted() {
            return Ok(Step::Done(conclusion));
        }
        if let Some(conclusion) = self.culprit()? {
            return Ok(Step::Done(conclusion));
        }
        let needed = self.needed();
        let telling = self.telling(in_flight);
        let of_use = |run: &&InFlight| self.unverified.contains(run) || needed.contains(run) || telling.contains(run);
        let (kept, stop): (Vec<InFlight>, Vec<InFlight>) = in_flight.iter().partition(of_use);
        let mut plan = Plan { room: lanes.saturating_sub(kept.len()), kept, start: Vec::new() };
        plan.add(&self.unverified);
        if self.last().is_some() {
            plan.add(&needed);
        } else {
            let picks = self.pick(&telling, plan.room);
            let idle = picks.is_empty() && telling.is_empty() && plan.room > 0;
            if idle && self.unverified.is_empty() {
                return Ok(Step::Done(self.suspects()));
            }
            plan.add(&picks);
        }
        if lanes > 1 {
            plan.add(&likeliest_proofs(&needed));
        }
        Ok(Step::Go {
            only_proof: self.only_proof(&needed, &plan),
            start: plan.start,
            stop,
            progress: self.progress(lanes),
            prepare_proof: self.candidates.nodes.len() <= (lanes + 1).pow(2),
        })
    }

    /// Only this run is of use: it tells whether there is anything to search for.
    pub(super) fn confirm(self, run: InFlight, in_flight: &[InFlight], lanes: usize) -> Step {
        let (kept, stop): (Vec<InFlight>, Vec<InFlight>) = in_flight.iter().partition(|it| **it == run);
        let start = if kept.is_empty() { vec![run] } else { Vec::new() };
        Step::Go { start, stop, progress: self.progress(lanes), prepare_proof: false, only_proof: Some(0) }
    }

    /// A run in which the command aborted the bisection, if git would have come by it: on the commit that
    /// one lane would test next, or in a run of the proof. Several lanes also run commits that git never
    /// needs, and the answer must not depend on their number.
    fn aborted(&self) -> Option<Conclusion> {
        let aborts: Vec<Run> = self.record.aborts().collect();
        if aborts.is_empty() {
            return None;
        }
        let proven =
            self.last().map(|last| (last, proof::parents(self.question, last))).filter(|_| self.unverified.is_empty());
        let in_proof = |run: &Run| {
            proven.as_ref().is_some_and(|(last, parents)| {
                let parent = parents.contains(&run.commit) && proof::is_asked_for(self.question, run.commit);
                run.commit == *last || parent
            })
        };
        let why = AbortReason::CommandSaidSo;
        if let Some(run) = aborts.iter().copied().find(in_proof) {
            return Some(Conclusion::Aborted { run, why });
        }
        let mut pickable = self.pickable.clone();
        for node in aborts.iter().filter_map(|run| self.question.graph.node(&run.commit)) {
            pickable[node as usize] = true;
        }
        let field = Field { pickable: &pickable, ..self.field() };
        let next = *field.pick(&[], 1).first()?;
        let run = aborts.into_iter().find(|run| run.commit == self.question.graph.name(next))?;
        Some(Conclusion::Aborted { run, why })
    }

    fn has_aborted(&self, commit: Sha) -> bool {
        self.record.aborts().any(|run| run.commit == commit)
    }

    /// How many runs of the proof are to come after this step, if nothing else is needed.
    fn only_proof(&self, needed: &[InFlight], plan: &Plan) -> Option<usize> {
        let is_proof = |run: &InFlight| run.purpose == Purpose::Proof;
        let searching = plan.kept.iter().chain(&plan.start).chain(needed).any(|run| !is_proof(run));
        let only = self.last().is_some() && self.unverified.is_empty() && !searching;
        let to_come = needed.iter().filter(|run| !plan.kept.contains(run) && !plan.start.contains(run));
        only.then(|| to_come.count())
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

    fn proof(&self) -> Proof<'_> {
        Proof { question: self.question, record: &self.record, searched: &self.searched }
    }

    fn culprit(&self) -> Result<Option<Conclusion>, Contradiction> {
        let last = self.last().filter(|_| self.unverified.is_empty());
        last.map_or(Ok(None), |commit| self.proof().conclude(commit))
    }

    /// The runs that would prove one of the candidates, once they are few; one that would prove two
    /// of them is there twice.
    fn needed(&self) -> Vec<InFlight> {
        if self.candidates.nodes.len() > FEW {
            return Vec::new();
        }
        let testable = self.names().into_iter().filter(|&commit| !self.is_skipped(commit) && !self.has_aborted(commit));
        let missing = |commit| self.proof().missing(commit);
        testable.flat_map(missing).collect()
    }

    /// The candidates, newest first.
    fn names(&self) -> Vec<Sha> {
        self.candidates.nodes.iter().map(|&node| self.question.graph.name(node)).collect()
    }

    /// The search runs in flight, or still undecided, whose answers would tell candidates apart.
    fn telling(&self, in_flight: &[InFlight]) -> Vec<InFlight> {
        let undecided =
            self.record.commits().filter(|&(commit, verdict)| verdict.is_none() && !self.has_aborted(commit));
        let searching = in_flight.iter().filter(|run| run.purpose == Purpose::Search);
        let open = searching.map(|run| run.commit).filter(|&it| self.record.verdict(it).is_none());
        let commits = open.chain(undecided.map(|(commit, _)| commit));
        let nodes: Vec<Node> = commits.filter_map(|commit| self.question.graph.node(&commit)).collect();
        let tells = |weight: usize| 0 < weight && weight < self.candidates.nodes.len();
        let weighed = nodes.iter().zip(self.field().weights(&nodes));
        weighed.filter(|(_, weight)| tells(*weight)).map(|(node, _)| self.search(*node)).collect()
    }

    fn pick(&self, telling: &[InFlight], room: usize) -> Vec<InFlight> {
        let node = |run: &InFlight| self.question.graph.node(&run.commit);
        let nodes: Vec<Node> = telling.iter().filter_map(node).collect();
        let mut picks = self.field().pick(&nodes, room);
        if picks.is_empty() && nodes.is_empty() && room > 0 {
            picks.extend(self.field().pick_outside());
        }
        picks.into_iter().map(|node| self.search(node)).collect()
    }

    fn search(&self, node: Node) -> InFlight {
        InFlight { commit: self.question.graph.name(node), purpose: Purpose::Search }
    }

    fn field(&self) -> Field<'_> {
        Field {
            graph: &self.question.graph,
            candidates: &self.candidates,
            pickable: &self.pickable,
            skipped: &self.skipped,
        }
    }

    fn suspects(&self) -> Conclusion {
        Conclusion::Suspects {
            suspects: self.names(),
            why: SuspectsWhy::OnlySkippedLeft,
            skipped_merge_bases: ends::skipped_merge_bases(self.question, &self.record),
            belief: None,
        }
    }

    /// With `k` lanes a round of `k` runs leaves one part in `k + 1`.
    fn progress(&self, lanes: usize) -> Progress {
        let candidates_left = self.candidates.nodes.len();
        let (left, lanes) = (candidates_left.max(1) as f64, lanes.max(1) as f64);
        let search = (lanes * left.ln() / (lanes + 1.0).ln()).min(left - 1.0);
        let missing = |culprit| self.proof().missing(culprit).len();
        let proof = self.last().map_or(2, missing);
        let expected_probes = self.unverified.len() as f64 + search + proof as f64;
        Progress { candidates_left, expected_probes }
    }
}

/// The lanes: what goes on, and what is started, up to the room there is.
struct Plan {
    kept: Vec<InFlight>,
    start: Vec<InFlight>,
    room: usize,
}

impl Plan {
    fn add(&mut self, runs: &[InFlight]) {
        for run in runs {
            if self.room > 0 && !self.kept.contains(run) && !self.start.contains(run) {
                self.start.push(*run);
                self.room -= 1;
            }
        }
    }
}

/// The proofs among these runs, those that most candidates need first.
fn likeliest_proofs(needed: &[InFlight]) -> Vec<InFlight> {
    let mut times: HashMap<InFlight, usize> = HashMap::new();
    needed.iter().for_each(|run| *times.entry(*run).or_default() += 1);
    let proofs = needed.iter().filter(|run| run.purpose == Purpose::Proof);
    let mut proofs: Vec<InFlight> = proofs.copied().collect();
    proofs.sort_by_key(|run| std::cmp::Reverse(times[run]));
    proofs
}
