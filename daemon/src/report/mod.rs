//! What a bisection found, and how it is told: on the terminal, as JSON, as a `git bisect` log.
//!
//! Pure. A [`Report`] is made once, by the worker that finished the job, and stored with it, so
//! that whoever shows it needs neither the repository nor the search.

pub mod comment;
pub mod json;
pub mod odds;
pub mod replay;
pub mod replies;
pub mod shell;
pub mod terminal;
pub mod text;

#[cfg(test)]
mod tests;

use bisect_shared::{Ending, ResultKind, Sha, Verdict};
use serde::{Deserialize, Serialize};

/// The result of one job, with everything that is shown of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it ended with.
    pub result: ResultKind,
    /// The commit that did it, where one was found.
    pub culprit: Option<Sha>,
    /// The commits that cannot be told apart, the bad end's side first.
    pub suspects: Vec<Sha>,
    /// The probability that the answer is right, 0 to 1.
    pub confidence: f64,
    /// Every commit that was run, in the order of its first run.
    pub probes: Vec<ProbeLine>,
    /// How many commits were under suspicion at the start, the bad end included.
    pub candidates: usize,
    /// From the first claim to the result.
    pub seconds: f64,
    /// A log for `git bisect replay`.
    pub replay: String,
    /// What was asked.
    pub request: Request,
    /// What the result means, in a sentence or two.
    pub explanation: String,
    /// What to do next, where there is something to do.
    pub advice: Option<String>,
    /// The culprit, or the first suspects, with author, date and files.
    pub commits: Vec<Commit>,
    /// The runs that prove the culprit.
    pub proof: Vec<ProofLine>,
    /// The failure that was hunted, with the end of its output.
    pub failure: Option<Failure>,
    /// What else a reader should know: skipped merge bases, skipped parents.
    pub notes: Vec<String>,
    /// What many runs say of a test that fails by chance, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odds: Option<Odds>,
}

/// What many runs say of a test that fails by chance, too. All probabilities are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// The commits that may be it, the likeliest first; the improbable ones are left out.
    pub likely: Vec<Likely>,
    /// How probable it is that no commit of the range changed how often it fails.
    pub none: f64,
    /// How often it failed before the likeliest of them.
    pub before: Rate,
    /// How often it failed on that one and after it.
    pub after: Rate,
    /// Where in the range it may be: the probability of each of some pieces of the same length, oldest first.
    pub range: Vec<f64>,
    /// What one more run would tell.
    pub one_more: Option<OneMore>,
}

/// A commit that may be it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likely {
    /// The commit.
    pub commit: Sha,
    /// How probable it is.
    pub probability: f64,
    /// The first line of its message.
    pub subject: String,
}

/// How often a test failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Runs that failed.
    pub failures: u32,
    /// All runs that told anything.
    pub runs: u32,
}

/// The run that would tell most, and how probable the likeliest commit would be after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneMore {
    /// Of which commit.
    pub commit: Sha,
    /// If it fails.
    pub if_fails: f64,
    /// If it passes.
    pub if_passes: f64,
}

impl Report {
    /// What was found, as a headline.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        match (self.result, self.odds.is_some()) {
            (ResultKind::Culprit, true) if self.request.fixed => "First fixed commit found, by many runs",
            (ResultKind::Culprit, true) => "Culprit found, by many runs",
            (ResultKind::Culprit, false) if self.request.fixed => "First fixed commit found and proven",
            (ResultKind::Culprit, false) => "Culprit found and proven",
            (ResultKind::Suspects, _) => "Narrowed down, but not to one commit",
            (ResultKind::NotReproducible, _) => "Not reproducible",
            (ResultKind::GoodFails, _) => "The good end fails too",
            (ResultKind::FixedBefore, _) => "Nothing was broken here: the good side was fixed",
            (ResultKind::Flaky, true) => "No culprit: the command fails by chance on both sides of the range",
            (ResultKind::Flaky, false) => "The runs contradict one another",
            (ResultKind::Aborted, _) => "Stopped: the command cannot answer",
            (ResultKind::TimedOut, _) => "Out of time",
            (ResultKind::Cancelled, _) => "Cancelled",
            (ResultKind::Infrastructure, _) => "Failed: not the tested code, but what it runs on",
        }
    }
}

/// What was asked, as it was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The repository: a path or an address without a password.
    pub source: String,
    /// The good ends, resolved.
    pub good: Vec<Sha>,
    /// The bad end, resolved.
    pub bad: Sha,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Run before the command.
    pub setup: Option<String>,
    /// The image it ran in; none where it ran as a plain process.
    pub image: Option<String>,
    /// The names of the variables that were set for it: their values may be secret.
    pub env: Vec<String>,
    /// Only first parents were followed.
    pub first_parent: bool,
    /// The commit that fixed it was sought.
    pub fixed: bool,
    /// Only commits that touch these were considered.
    pub paths: Vec<String>,
    /// Never to be tested.
    pub skip: Vec<Sha>,
}

/// One commit and what its runs said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// The commit.
    pub commit: Sha,
    /// The verdict of its first run.
    pub verdict: Option<Verdict>,
    /// How often it ran, proof included.
    pub runs: u32,
    /// In how many of these the test failed.
    #[serde(default)]
    pub failures: u32,
    /// How its first run ended.
    pub ending: Ending,
    /// All its runs together.
    pub seconds: f64,
    /// Remembered from an earlier job, not run.
    pub cached: bool,
    /// It fails quite otherwise than the end that fails.
    #[serde(default)]
    pub otherwise: bool,
    /// The first line of its message.
    pub subject: String,
}

/// A commit as people know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The commit.
    pub sha: Sha,
    /// Its author, name and address.
    pub author: String,
    /// The author's date, ISO 8601.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
    /// Changed files, each with its status letter.
    pub files: Vec<String>,
}

/// One run in a fresh workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofLine {
    /// The commit.
    pub commit: Sha,
    /// Whether it is the culprit itself or one of its parents.
    pub is_culprit: bool,
    /// How the run ended; none where the commit could not be run.
    pub ending: Option<Ending>,
    /// What that says.
    pub verdict: Option<Verdict>,
}

/// A failing run's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The commit that ran.
    pub commit: Sha,
    /// How it ended.
    pub ending: Ending,
    /// The end of what it printed, filtered for display: nothing but its text and its colours.
    pub tail: String,
}
