//! The search: from the graph, the runs recorded and those in flight to the next runs, or the end.
//!
//! Pure: no I/O, no clock, no chance, and `bisect_shared` only. [`next`] depends on the *set* of runs,
//! never on their order, so any server can go on with any job from its rows.

mod conclusion;
mod ends;
mod fingerprint;
mod graph;
mod narrow;
pub mod noisy;
mod pick;
mod proof;
mod recall;
mod sampling;
mod seek;
mod step;
mod strip;
mod verdict;
mod weigh;

pub use conclusion::{AbortReason, Belief, Conclusion, OneMore, Parent, ParentState, SuspectsWhy};
pub use fingerprint::{Fingerprint, LINES};
pub use graph::{Graph, GraphError};
pub use recall::recall;
pub use strip::{MOST_PIECES, strip};
pub use verdict::{judge, otherwise};

use bisect_shared::{Ending, Purpose, Sha};
use sampling::Samples;
use std::collections::HashSet;
use step::Search;
use verdict::Record;

/// What is asked: everything about a bisection that its runs do not change.
#[derive(Debug, Clone)]
pub struct Question {
    /// The commits under suspicion; with `--path`, the simplified history.
    pub graph: Graph,
    /// With `--path`: every commit of the range with its real parents, as `rev-list` prints them
    /// without the paths.
    pub real: Option<Graph>,
    /// The older ends, all verified; those that are ancestors of another one are better left out, as
    /// `git merge-base --independent` does.
    pub good: Vec<Sha>,
    /// With no good end: ancestors of the bad end, the newest first, of which one is to be found that shows the older behaviour.
    pub stations: Vec<Sha>,
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
    /// How a test is searched that fails by chance.
    pub sampling: Sampling,
    /// Which failures count.
    pub counts: Counts,
}

/// Which failures count. One that does not is a skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counts {
    /// Every one.
    #[default]
    Any,
    /// `--same-failure`: those with the exit code of the failing end that said nearly the same at last.
    Same,
    /// `--failure-line`: those that printed the line, and so have a fingerprint that is not empty.
    Line,
}

/// How a test is searched that fails by chance, too: by many runs of a commit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// `--runs` was given: so it is searched from the start. Else only once two runs contradict one another.
    pub asked: bool,
    /// `--runs`: what a plain search runs once may be run so many times. They are made where they tell most, and at most so
    /// many in a row of one commit from which nothing else is known; so often the bad end is given the chance to show itself.
    pub runs: u32,
    /// `--confidence`: how probable a commit must be before it is named, ½ to 1.
    pub confidence: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { asked: false, runs: 20, confidence: noisy::CONFIDENCE }
    }
}

impl Sampling {
    /// The most runs in all for a range of so many commits: [`Sampling::runs`] for each halving of a plain bisection, for both
    /// ends and for the proof.
    #[must_use]
    pub fn budget(&self, candidates: usize) -> u32 {
        let halvings = candidates.max(1).ilog2() + 1;
        self.runs.saturating_mul(halvings + 3)
    }
}

/// Two runs that a test which depends on the commit alone cannot give: of one commit, or of a bad commit and a good
/// descendant. The one that showed the older behaviour is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Contradiction {
    runs: [Run; 2],
}

impl Question {
    /// Which of the graph's commits broke it: with one good end, an ancestor of the bad one, and no options.
    #[must_use]
    pub fn new(graph: Graph, good: Sha, bad: Sha) -> Self {
        Self {
            graph,
            real: None,
            good: vec![good],
            stations: Vec::new(),
            bad,
            merge_bases: Vec::new(),
            skip: HashSet::new(),
            fixed: false,
            first_parent: false,
            sampling: Sampling::default(),
            counts: Counts::default(),
        }
    }

    /// Whether the commit is never run. An end is, whatever `skip` says.
    fn skips(&self, commit: Sha) -> bool {
        let is_end = commit == self.bad || self.good.contains(&commit);
        self.skip.contains(&commit) && !is_end
    }

    /// The commit's place among those under suspicion, 0 being the oldest; `None` outside of the range.
    #[must_use]
    pub fn position(&self, commit: &Sha) -> Option<u32> {
        let last = u32::try_from(self.graph.len()).unwrap_or(u32::MAX) - 1;
        self.graph.node(commit).filter(|node| *node <= last).map(|node| last - node)
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
    /// What it said last.
    pub said: Fingerprint,
}

impl Run {
    /// One of which nothing but its ending is known.
    #[must_use]
    pub fn new(commit: Sha, purpose: Purpose, ending: Ending) -> Self {
        Self { commit, purpose, ending, said: Fingerprint::default() }
    }
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
        /// Once nothing but runs of the proof is needed any more: how many of them are neither in flight
        /// nor in `start`. Workspaces beside those are of no more use.
        only_proof: Option<usize>,
    },
    /// A good end, where none was named: the question is to be asked anew from there, with all runs so far.
    Found(Sha),
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
///
/// Depends on the set of runs only. On 100,000 candidates with 20,000 merges it takes some hundredths of
/// a second (`benches/picks.rs`).
#[must_use]
pub fn next(question: &Question, runs: &[Run], in_flight: &[InFlight], lanes: usize) -> Step {
    if question.good.is_empty() {
        return seek::step(question, runs, in_flight, lanes);
    }
    let plain = plain(question, runs, in_flight, lanes);
    plain.unwrap_or_else(|| Samples::new(question, runs).step(in_flight, lanes))
}

/// The same as long as every commit is run once; `None` for a test that is known to fail by chance, or whose runs contradict
/// one another.
#[must_use]
pub fn plain(question: &Question, runs: &[Run], in_flight: &[InFlight], lanes: usize) -> Option<Step> {
    if question.good.is_empty() || is_sampled(question, runs) {
        None
    } else {
        bisect(question, runs, in_flight, lanes).ok()
    }
}

/// Whether the test is known to fail by chance: somebody said so, or it was sampled before.
fn is_sampled(question: &Question, runs: &[Run]) -> bool {
    question.sampling.asked || runs.iter().any(|run| run.purpose == Purpose::Sample)
}

/// The next step of a test that depends on the commit alone.
fn bisect(question: &Question, runs: &[Run], in_flight: &[InFlight], lanes: usize) -> Result<Step, Contradiction> {
    let record = Record::new(question, runs);
    if let Some(conclusion) = ends::conclude(question, &record)? {
        return Ok(Step::Done(conclusion));
    }
    let confirming = ends::to_confirm(question, &record);
    let search = Search::new(question, record);
    match confirming {
        Some(run) => Ok(search.confirm(run, in_flight, lanes)),
        None => search.step(in_flight, lanes),
    }
}

#[cfg(test)]
mod tests;
