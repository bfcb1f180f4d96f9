//! What a job came to.

use crate::{
    report::{self, Commit, Likely, ProofLine, Report},
    web::read::JobRead,
};
use bisect_shared::{Sha, Verdict};
use serde::Serialize;
use utoipa::ToSchema;

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeAnswer {
    /// `culprit`, `suspects`, `not_reproducible`, and so on.
    pub result: &'static str,
    /// The same as a headline.
    pub title: &'static str,
    /// What that means.
    pub explanation: String,
    /// What to do next.
    pub advice: Option<String>,
    /// The probability that the answer is right, 0 to 1.
    pub confidence: f64,
    /// The commits that cannot be told apart, full ids.
    pub suspects: Vec<String>,
    /// The culprit, or the first suspects.
    pub commits: Vec<CommitAnswer>,
    /// The runs that prove the culprit.
    pub proof: Vec<ProofAnswer>,
    /// How probable each commit is, where the test fails by chance, too: the likeliest first.
    pub likely: Vec<LikelyAnswer>,
    /// The end of the output of the failure that was hunted, without its colours.
    pub failure: Option<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// Commits under suspicion at the start.
    pub candidates: usize,
    /// From the first claim to the result.
    pub seconds: f64,
    /// Shell commands that show the same in a clone.
    pub reproduce: String,
    /// A log for `git bisect replay`.
    pub replay: String,
}

impl OutcomeAnswer {
    pub(super) fn of(report: &Report, read: &JobRead) -> Self {
        Self {
            result: report.result.name(),
            title: report.title(),
            explanation: report::comment::plain_explanation(report),
            advice: report::comment::advice(report),
            confidence: report.confidence,
            suspects: report.suspects.iter().map(Sha::to_string).collect(),
            commits: report.commits.iter().map(|commit| CommitAnswer::of(commit, read)).collect(),
            proof: report.proof.iter().map(Into::into).collect(),
            likely: report.odds.iter().flat_map(|odds| &odds.likely).map(Into::into).collect(),
            failure: report.failure.as_ref().map(|it| report::text::shown_tail(&it.tail, false).into_owned()),
            notes: report.notes.clone(),
            candidates: report.candidates,
            seconds: report.seconds,
            reproduce: report::comment::steps(report),
            replay: report.replay.clone(),
        }
    }
}

/// A commit as people know it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommitAnswer {
    /// Its full id.
    pub sha: String,
    /// Its author's name.
    pub author: String,
    /// The author's date, ISO 8601.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
    /// Changed files, each with its status letter.
    pub files: Vec<String>,
    /// The pull requests that brought it, as far as GitHub has told them.
    pub pulls: Vec<PullAnswer>,
}

/// A pull request.
#[derive(Debug, Serialize, ToSchema)]
pub struct PullAnswer {
    /// Its number.
    pub number: i64,
    /// Its title.
    pub title: String,
    /// Its page on GitHub.
    pub url: String,
}

impl CommitAnswer {
    fn of(commit: &Commit, read: &JobRead) -> Self {
        let text = report::text::line;
        let pulls = read.pulls_of(commit.sha).iter();
        Self {
            sha: commit.sha.to_string(),
            // Without the address: a page is read by more people than a history.
            author: text(commit.author.split(" <").next().unwrap_or_default()),
            date: commit.date.clone(),
            subject: text(&commit.subject),
            files: commit.files.clone(),
            pulls: pulls
                .map(|pull| PullAnswer { number: pull.number, title: text(&pull.title), url: read.pull_url(pull) })
                .collect(),
        }
    }
}

/// One run in a fresh workspace.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProofAnswer {
    /// The commit, its full id.
    pub commit: String,
    /// Whether it is the culprit itself or one of its parents.
    pub is_culprit: bool,
    /// How the run ended, in words.
    pub ending: Option<String>,
    /// `good`, `bad` or `skip`.
    pub verdict: Option<&'static str>,
}

impl From<&ProofLine> for ProofAnswer {
    fn from(line: &ProofLine) -> Self {
        Self {
            commit: line.commit.to_string(),
            is_culprit: line.is_culprit,
            ending: line.ending.map(|ending| ending.to_string()),
            verdict: line.verdict.map(Verdict::name),
        }
    }
}

/// A commit that may be it, where the test fails by chance, too.
#[derive(Debug, Serialize, ToSchema)]
pub struct LikelyAnswer {
    /// The commit, its full id.
    pub commit: String,
    /// How probable it is, 0 to 1.
    pub probability: f64,
    /// The first line of its message.
    pub subject: String,
}

impl From<&Likely> for LikelyAnswer {
    fn from(likely: &Likely) -> Self {
        let subject = report::text::line(&likely.subject);
        Self { commit: likely.commit.to_string(), probability: likely.probability, subject }
    }
}
