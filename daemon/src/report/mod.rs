//! What a bisection found, and how it is told: on the terminal, as JSON, as a `git bisect` log.
//!
//! Pure. A [`Report`] is made once, by the worker that finished the job, and stored with it, so
//! that whoever shows it needs neither the repository nor the search.

pub mod comment;
pub mod json;
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
    /// How its first run ended.
    pub ending: Ending,
    /// All its runs together.
    pub seconds: f64,
    /// Remembered from an earlier job, not run.
    pub cached: bool,
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
