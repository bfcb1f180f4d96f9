//! The search by many runs of a commit: what is run next of a test that fails by chance, and when that is over.
//!
//! Puts together what the runs showed (`verdict`), what is to be believed of it (`noisy`) and what may be run. All runs count,
//! also those from before the test was known to fail by chance. What it ends with is proven as far as such a test can be: the
//! culprit and its parents have a run in a fresh workspace each, and the belief holds with these.

mod believed;

use super::{
    AbortReason, Conclusion, InFlight, Parent, ParentState, Question, Run, Step, SuspectsWhy, ends,
    graph::Node,
    narrow,
    noisy::{Answer, Place, Posterior, Seen, Tally},
    pick,
    verdict::Record,
};
use bisect_shared::{Purpose, Sha, Verdict};

/// A commit that is likelier than this is run in a fresh workspace when its turn comes, and so are its parents.
const WORTH_PROVING: f64 = 0.5;
/// A search by many runs of a commit.
pub(super) struct Samples<'a> {
    question: &'a Question,
    record: Record,
    seen: Seen,
    /// All runs together: asked for each commit, so counted once.
    total: Tally,
    posterior: Posterior,
    /// The commits whose runs were skips, in rising order.
    skipped: Vec<Node>,
}

/// What is believed so far.
enum Standing {
    /// This commit, and there is no other like it.
    Sure(Node),
    /// One of these, between which nothing can be run.
    Alike(Vec<Node>),
    /// None.
    NoCulprit,
    /// Nothing yet.
    Unsure,
}

impl<'a> Samples<'a> {
    pub(super) fn new(question: &'a Question, runs: &[Run]) -> Self {
        let record = Record::new(question, runs);
        let mut seen = Seen::nothing(&question.graph);
        for (commit, verdict) in record.verdicts() {
            match (place(question, commit), verdict) {
                (Some(place), Verdict::Good) => seen.count(place, false),
                (Some(place), Verdict::Bad) => seen.count(place, true),
                (None, _) | (_, Verdict::Skip) => {}
            }
        }
        let mut skipped = narrow::with_verdict(&question.graph, &record, Verdict::Skip);
        skipped.sort_unstable();
        let (total, posterior) = (seen.total(), seen.posterior(&question.graph));
        Self { question, record, seen, total, posterior, skipped }
    }

    pub(super) fn step(self, in_flight: &[InFlight], lanes: usize) -> Step {
        if let Some(conclusion) = self.unsearchable() {
            return Step::Done(conclusion);
        }
        let mut room = lanes.saturating_sub(in_flight.len());
        let mut start = self.ends_to_run(in_flight, room);
        room -= start.len();
        let standing = if self.ends_known() { self.standing() } else { Standing::Unsure };
        match standing {
            Standing::NoCulprit => return Step::Done(self.no_culprit()),
            Standing::Alike(nodes) => {
                let names = nodes.into_iter().map(|node| self.question.graph.name(node)).collect();
                return Step::Done(self.suspects(names, SuspectsWhy::OnlySkippedLeft));
            }
            Standing::Sure(node) => {
                let missing = self.missing_proofs(node);
                if missing.is_empty() {
                    return Step::Done(self.culprit(node));
                }
                let to_start = missing.iter().filter(|run| !in_flight.contains(run));
                start.extend(to_start.take(room));
                let later =
                    missing.len() - missing.iter().filter(|it| in_flight.contains(it) || start.contains(it)).count();
                return self.go(start, lanes, Some(later));
            }
            Standing::Unsure if self.is_reproduced() => {
                let picks = self.picks(in_flight, room);
                if picks.is_empty() && in_flight.is_empty() && start.is_empty() {
                    let why = SuspectsWhy::NotSure { runs: self.total.runs };
                    return Step::Done(self.suspects(self.credible(self.question.sampling.confidence), why));
                }
                start.extend(picks);
            }
            Standing::Unsure => {}
        }
        self.go(start, lanes, None)
    }

    /// A run is never of no use: also what is in flight tells something.
    fn go(&self, start: Vec<InFlight>, lanes: usize, only_proof: Option<usize>) -> Step {
        let worth = self.posterior.likeliest().1 > WORTH_PROVING && lanes > 0;
        Step::Go { start, stop: Vec::new(), progress: self.progress(), prepare_proof: worth, only_proof }
    }

    /// Why there is nothing to be searched, whatever else is believed.
    fn unsearchable(&self) -> Option<Conclusion> {
        let Self { question, record, .. } = self;
        if let Some(conclusion) = ends::unusable_command(question, record) {
            return Some(conclusion);
        }
        // Of the runs from before, git would not need all.
        if let Some(run) = record.aborts().find(|run| run.purpose == Purpose::Sample) {
            return Some(Conclusion::Aborted { run, why: AbortReason::CommandSaidSo });
        }
        if self.chances_left() == 0
            && !self.is_reproduced()
            && let Some(run) = record.run_with(question.bad, Verdict::Good)
        {
            return Some(Conclusion::NotReproducible { run, runs: self.bad_end().runs });
        }
        ends::untestable_end(question, record)
    }

    /// How often the bad end may still be run to show the newer behaviour.
    fn chances_left(&self) -> usize {
        let chances = self.question.sampling.runs.max(1) as usize;
        chances.saturating_sub(self.record.of(self.question.bad).count())
    }

    /// How often the bad end was run, and showed the newer behaviour.
    fn bad_end(&self) -> Tally {
        place(self.question, self.question.bad).map_or_else(Tally::default, |place| self.seen.tally(place))
    }

    fn is_reproduced(&self) -> bool {
        self.bad_end().failures > 0
    }

    /// The good ends and merge bases that are to be tested.
    fn older_ends(&self) -> impl Iterator<Item = Sha> {
        let merge_bases = self.question.merge_bases.iter().filter(|base| !self.question.skips(**base));
        self.question.good.iter().chain(merge_bases).copied()
    }

    fn ends_known(&self) -> bool {
        self.is_reproduced() && self.older_ends().all(|end| self.record.of(end).next().is_some())
    }

    /// Each end once, and the bad end until it shows the newer behaviour.
    fn ends_to_run(&self, in_flight: &[InFlight], room: usize) -> Vec<InFlight> {
        let going = |commit: Sha| in_flight.iter().filter(|run| run.commit == commit).count();
        let unknown = |end: &Sha| self.record.of(*end).next().is_none() && going(*end) == 0;
        let bad = self.question.bad;
        let more = match self.is_reproduced() {
            true => 0,
            false => self.chances_left().saturating_sub(going(bad)),
        };
        let wanted = std::iter::repeat_n(bad, more.min(1))
            .chain(self.older_ends().filter(unknown))
            .chain(std::iter::repeat_n(bad, more.saturating_sub(1)));
        wanted.map(|commit| InFlight { commit, purpose: Purpose::Sample }).take(room).collect()
    }

    fn standing(&self) -> Standing {
        let confidence = self.question.sampling.confidence;
        let (_, share) = self.posterior.likeliest();
        match self.posterior.concludes(confidence) {
            Some(Answer::NoCulprit) => return Standing::NoCulprit,
            Some(Answer::Culprit(node, _)) => return Standing::Sure(node),
            None => {}
        }
        // Commits are as likely as one another if nothing was run between them.
        let shares = self.posterior.culprit.iter().enumerate();
        let alike: Vec<Node> =
            shares.filter(|(_, other)| (*other - share).abs() < 1e-12).map(|(node, _)| node as Node).collect();
        let together = share * alike.len() as f64;
        if together >= confidence && !self.can_be_told_apart(&alike) {
            Standing::Alike(alike)
        } else {
            Standing::Unsure
        }
    }

    /// Whether a commit can be run that is below some of these and not below others.
    fn can_be_told_apart(&self, nodes: &[Node]) -> bool {
        let graph = &self.question.graph;
        let all: Vec<Node> = (0..graph.len() as Node).collect();
        let below = super::weigh::weigh(graph, &all, |node| u32::from(nodes.binary_search(&node).is_ok()));
        all.iter().any(|node| {
            let between = (1..nodes.len() as u32).contains(&below[*node as usize]);
            between && self.chance(Place::Commit(*node), 0) > 0.0
        })
    }

    fn picks(&self, in_flight: &[InFlight], room: usize) -> Vec<InFlight> {
        let going = in_flight.len() as u32;
        let left = self.question.sampling.budget(self.question.graph.len()).saturating_sub(self.total.runs + going);
        let places: Vec<Place> = in_flight.iter().filter_map(|run| place(self.question, run.commit)).collect();
        let room = room.min(left as usize);
        let picks = self.posterior.picks(&self.question.graph, &places, room, |place, times| self.chance(place, times));
        let (likeliest, share) = self.posterior.likeliest();
        let mut to_prove = if share > WORTH_PROVING { self.missing_proofs(likeliest) } else { Vec::new() };
        to_prove.retain(|run| !in_flight.contains(run));
        let mut run = |place| {
            let commit = self.commit(place)?;
            let proof = to_prove.iter().position(|run| run.commit == commit);
            Some(proof.map_or(InFlight { commit, purpose: Purpose::Sample }, |at| to_prove.swap_remove(at)))
        };
        picks.into_iter().filter_map(&mut run).collect()
    }

    /// How likely a run there tells anything; 0 where none may be made: no commit gets more runs than all others together and
    /// those of one stretch.
    fn chance(&self, place: Place, times: usize) -> f64 {
        let runs = self.seen.tally(place).runs;
        let most = self.total.runs - runs + self.question.sampling.runs;
        match place {
            _ if runs + times as u32 >= most => 0.0,
            Place::Before => f64::from(self.commit(place).is_some()),
            Place::Commit(node) if self.is_closed(self.question.graph.name(node)) => 0.0,
            Place::Commit(_) if self.seen.tally(place).runs > 0 => 1.0,
            Place::Commit(node) => pick::testable(node, self.question.graph.len() as u32, &self.skipped),
        }
    }

    fn is_closed(&self, commit: Sha) -> bool {
        let aborted = self.record.aborts().any(|run| run.commit == commit);
        self.question.skips(commit) || self.record.verdict(commit) == Some(Verdict::Skip) || aborted
    }

    /// The commit that is run for a place: of the good ends the one with the fewest runs.
    fn commit(&self, place: Place) -> Option<Sha> {
        let good = || self.question.good.iter().filter(|end| !self.is_closed(**end)).copied();
        match place {
            Place::Commit(node) => Some(self.question.graph.name(node)),
            Place::Before => good().min_by_key(|end| self.record.of(*end).count()),
        }
    }

    /// The runs in fresh workspaces that this commit lacks, of itself and of its parents.
    fn missing_proofs(&self, node: Node) -> Vec<InFlight> {
        let culprit = self.question.graph.name(node);
        let of = std::iter::once(culprit).chain(self.parents(culprit)).filter(|commit| !self.is_closed(*commit));
        let lacks = |commit: &Sha| !self.record.has_run(*commit, Purpose::Proof);
        of.filter(lacks).map(|commit| InFlight { commit, purpose: Purpose::Proof }).collect()
    }

    /// The parents by which the search goes: with `--path` those of the simplified history.
    fn parents(&self, commit: Sha) -> Vec<Sha> {
        let mut parents: Vec<Sha> = Vec::new();
        for parent in self.question.graph.parents(&commit).filter(|it| place(self.question, *it).is_some()) {
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
        parents
    }

    fn culprit(&self, node: Node) -> Conclusion {
        let culprit = self.question.graph.name(node);
        let state = |commit| if self.is_closed(commit) { ParentState::Skipped } else { ParentState::Proven };
        let parents = self.parents(culprit).into_iter().map(|commit| Parent { commit, state: state(commit) });
        Conclusion::Culprit {
            culprit,
            parents: parents.collect(),
            skipped_merge_bases: ends::skipped_merge_bases(self.question, &self.record),
            belief: Some(Box::new(self.belief())),
        }
    }

    fn suspects(&self, suspects: Vec<Sha>, why: SuspectsWhy) -> Conclusion {
        let skipped_merge_bases = ends::skipped_merge_bases(self.question, &self.record);
        Conclusion::Suspects { suspects, why, skipped_merge_bases, belief: Some(Box::new(self.belief())) }
    }

    /// Also where the test failed in each and every run: then the good end was none.
    fn no_culprit(&self) -> Conclusion {
        let (good, all) = (self.seen.tally(Place::Before), self.total);
        let failing = self.question.good.iter().find_map(|end| self.record.run_with(*end, Verdict::Bad));
        match failing {
            Some(run) if all.failures == all.runs => Conclusion::GoodFails { run },
            _ => Conclusion::NoCulprit { good, range: all.minus(good), belief: Box::new(self.belief()) },
        }
    }
}

/// Where a commit stands: what is no end and not in the range counts nowhere.
fn place(question: &Question, commit: Sha) -> Option<Place> {
    let older = question.good.contains(&commit) || question.merge_bases.contains(&commit);
    question.graph.node(&commit).map(Place::Commit).or_else(|| older.then_some(Place::Before))
}

#[cfg(test)]
mod tests;
