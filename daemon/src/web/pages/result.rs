//! The result of a job as its page shows it: what was found, why it is believed, and how to see it locally.

use super::{block, line, odds::OddsCard};
use crate::{
    report::{Commit, Report, comment, text},
    web::{
        ansi::{self, Span},
        read::JobRead,
    },
};
use bisect_shared::ResultKind;

/// A commit under the headline, with where it came from.
pub(super) struct CommitCard {
    pub(super) url: String,
    pub(super) short: String,
    pub(super) subject: String,
    pub(super) author: String,
    pub(super) day: String,
    pub(super) files: String,
    pub(super) files_title: String,
    pub(super) pulls: Vec<PullLine>,
}

/// A pull request that brought a commit.
pub(super) struct PullLine {
    pub(super) url: String,
    pub(super) number: i64,
    pub(super) title: String,
}

/// One run in a fresh workspace.
pub(super) struct ProofLine {
    pub(super) role: &'static str,
    pub(super) short: String,
    pub(super) ended: String,
}

/// The output of the failure that was hunted.
pub(super) struct Failure {
    pub(super) short: String,
    pub(super) ended: String,
    pub(super) spans: Vec<Span>,
}

/// A piece of a sentence of ours.
pub(super) struct Part {
    pub(super) is_code: bool,
    pub(super) text: String,
}

/// What was found.
pub(super) struct ResultCard {
    /// Whether it is what was asked for.
    pub(super) good: bool,
    pub(super) heading: &'static str,
    pub(super) commits: Vec<CommitCard>,
    pub(super) explanation: String,
    /// In percent.
    pub(super) confidence: Option<String>,
    pub(super) proof: Vec<ProofLine>,
    pub(super) proof_heading: &'static str,
    pub(super) odds: Option<OddsCard>,
    pub(super) notes: Vec<String>,
    pub(super) advice: Vec<Part>,
    pub(super) failure: Option<Failure>,
    pub(super) steps: String,
    pub(super) replay: String,
}

impl ResultCard {
    pub(super) fn of(report: &Report, read: &JobRead) -> Self {
        let confidence = (report.confidence > 0.0).then(|| format!("{:.0}", report.confidence * 100.0));
        let proof = report.proof.iter().take(20).map(|line| ProofLine {
            role: match (line.is_culprit, report.request.fixed) {
                (true, false) => "The culprit",
                (true, true) => "The fix",
                (false, _) => "Its parent",
            },
            short: line.commit.short(),
            ended: report.proof_ended(line),
        });
        Self {
            good: report.result == ResultKind::Culprit,
            heading: heading(report),
            commits: report.commits.iter().take(10).map(|commit| CommitCard::of(commit, read)).collect(),
            explanation: block(&comment::plain_explanation(report)),
            confidence,
            proof: proof.collect(),
            proof_heading: if report.odds.is_some() { "In fresh workspaces, too" } else { "Proof" },
            odds: OddsCard::of(report, read),
            notes: report.notes.iter().take(10).map(|note| line(note)).collect(),
            advice: advice(report),
            failure: report.failure.as_ref().map(|failure| Failure {
                short: failure.commit.short(),
                ended: failure.ending.to_string(),
                spans: ansi::spans(failure.tail.as_bytes()),
            }),
            steps: block(&comment::steps(report)),
            replay: text::filter(report.replay.as_bytes(), false).chars().take(16_000).collect(),
        }
    }
}

fn heading(report: &Report) -> &'static str {
    match (report.result, report.request.fixed) {
        (ResultKind::Culprit, false) => "The culprit",
        (ResultKind::Culprit, true) => "The fix",
        (ResultKind::Suspects, _) => "One of these",
        _ => "What that means",
    }
}

/// Our own words, in which code stands between backticks.
fn advice(report: &Report) -> Vec<Part> {
    let said = comment::advice(report).unwrap_or_default();
    let parts = said.split('`').enumerate().map(|(n, text)| Part { is_code: n % 2 == 1, text: text.to_owned() });
    parts.filter(|part| !part.text.is_empty()).collect()
}

impl CommitCard {
    fn of(commit: &Commit, read: &JobRead) -> Self {
        let files: Vec<String> = commit.files.iter().take(50).map(|file| line(file)).collect();
        let (count, more) = (commit.files.len(), commit.files.len() - files.len());
        let pulls = read.pulls_of(commit.sha).iter().take(5);
        Self {
            url: read.commit_url(commit.sha),
            short: commit.sha.short(),
            subject: line(&commit.subject),
            author: line(commit.author.split(" <").next().unwrap_or_default()),
            day: line(commit.date.split('T').next().unwrap_or_default()),
            files: files.join("\n") + &if more > 0 { format!("\n… and {more} more") } else { String::new() },
            files_title: format!("{count} changed file{}", if count == 1 { "" } else { "s" }),
            pulls: pulls
                .map(|pull| PullLine { url: read.pull_url(pull), number: pull.number, title: line(&pull.title) })
                .collect(),
        }
    }
}
