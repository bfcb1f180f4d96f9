//! Replies as GitHub's Markdown. Text of users (subjects, names, output, scripts) goes through `quote`
//! and nowhere else: it cannot mention, refer, link, open HTML or end what it stands in.

mod quote;
mod words;

pub use quote::inline;
pub use words::{advice, for_users, plain_explanation};

use super::{
    Commit, Report,
    odds::{LIKELY_SHOWN, Likelihood},
    plan::huge,
    shell,
    terminal::{duration, plural},
};
use bisect_shared::{ResultKind, Sha, Verdict};
use quote::{cut, cut_chars, fence};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write};

/// The longest comment that GitHub takes, in characters.
pub const MAX_CHARS: usize = 65_536;
/// What a marker may take of that.
const MARKER_CHARS: usize = 1024;

/// A pull request that brought a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullLink {
    /// Its number.
    pub number: i64,
    /// Its title, as its author wrote it.
    pub title: String,
}

/// Where the links of a reply lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The job's page; none where this service has no public address.
    pub job: Option<String>,
    /// The repository's page.
    pub repository: String,
}

impl Links {
    /// `text` as a link to the job's page, where there is one.
    #[must_use]
    pub fn to_job(&self, text: &str) -> String {
        self.job.as_ref().map_or_else(|| text.to_owned(), |page| format!("[{text}]({page})"))
    }
}

/// Where a job is.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It waits.
    Queued {
        /// From 1.
        position: u64,
        /// How many wait.
        of: u64,
    },
    /// It runs.
    Running {
        /// Commits still under suspicion.
        candidates_left: u64,
        /// Commits of the whole range, once it is read.
        candidates: u64,
        /// Whether a good end is still looked for.
        seeking: bool,
        /// Finished runs.
        probes_done: u64,
        /// Runs in flight.
        probes_running: u64,
        /// How many runs it will take, about.
        expected_probes: u64,
        /// Seconds that are left, about, once that can be said.
        seconds_left: Option<f64>,
    },
    /// It has a result.
    Ended {
        /// The result.
        report: Box<Report>,
        /// The pull requests of its commits.
        pulls: BTreeMap<Sha, Vec<PullLink>>,
    },
    /// It ended without one.
    Failed {
        /// Why.
        reason: String,
    },
    /// Somebody stopped it.
    Cancelled {
        /// Their login.
        by: Option<String>,
    },
}

/// A job as its status comment shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusView {
    /// Its number.
    pub job: i64,
    /// Where it is.
    pub state: State,
    /// Where its links lead.
    pub links: Links,
    /// The job that it repeats.
    pub again: Option<Again>,
}

/// That a job repeats another one: of an operator who asked for it the issue would say nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The other one's number.
    pub of: i64,
    /// Who asked.
    pub by: String,
}

/// The hidden mark by which the bot knows its comment again. `tag` is what nobody else can make.
#[must_use]
pub fn marker(kind: &str, key: &str, tag: &str) -> String {
    format!("<!-- bisect-bot:{kind}:{key}:{tag} -->")
}

/// Whether a comment bears this mark.
#[must_use]
pub fn has_marker(body: &str, kind: &str, key: &str, tag: &str) -> bool {
    body.contains(&marker(kind, key, tag))
}

/// A comment as it is sent: the text, and the marker that says whose it is. A text that is too long even
/// so loses its middle.
#[must_use]
pub fn marked(text: &str, marker: &str) -> String {
    format!("{}\n{marker}\n", cut_chars(text, MAX_CHARS - MARKER_CHARS))
}

/// The status comment of a job.
#[must_use]
pub fn status(view: &StatusView) -> String {
    let again = view.again.as_ref().map_or_else(String::new, |again| {
        format!(", which repeats job {} as {} asked", again.of, inline(&cut(&again.by, 100)))
    });
    let job = view.links.to_job(&format!("Job {}", view.job)) + &again;
    match &view.state {
        State::Queued { position, of } => {
            format!(
                "### Bisection queued\n\nPlace {position} of {of}. {job}{} starts as soon as a server is free.\n",
                if again.is_empty() { "" } else { "," }
            )
        }
        State::Running {
            candidates_left,
            candidates,
            seeking,
            probes_done,
            probes_running,
            expected_probes,
            seconds_left,
        } => {
            let (title, range) = if *seeking {
                let range =
                    "I step back through the releases, each time twice as far, until the command passes on one.";
                ("Looking for a good end", range.to_owned())
            } else {
                let of = if candidates > candidates_left { format!(" of {candidates}") } else { String::new() };
                ("Bisecting", format!("{candidates_left}{of} candidate{} left.", plural(*candidates_left)))
            };
            let warning =
                huge(*candidates).filter(|_| *probes_done == 0).map_or_else(String::new, |text| format!("\n\n{text}."));
            let left = seconds_left.map_or_else(String::new, |left| format!(" About {} left.", duration(left)));
            format!(
                "### {title}\n\n{range} {probes_done} of about {expected_probes} runs done, {probes_running} \
                 running.{left}{warning}\n\n{job} · `/bisect cancel` stops it.\n",
            )
        }
        State::Failed { reason } => format!(
            "### Bisection failed\n\n{}\n\nThis says nothing about any commit. `/bisect retry` runs it again.\n\n{job}\n",
            inline(words::for_users(reason))
        ),
        State::Cancelled { by } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {}", inline(by)));
            format!("### Bisection cancelled\n\nStopped{by}. `/bisect retry` runs it again.\n\n{job}\n")
        }
        // What does not fit is made again with smaller shares for every part, so that nothing is cut inside
        // a fence or a fold. The marker needs room too.
        State::Ended { report, pulls } => (0..12)
            .map(|shrink| ended(report, pulls, &view.links, &job, shrink))
            .find(|text| text.chars().count() <= MAX_CHARS - MARKER_CHARS)
            .unwrap_or_else(|| format!("### {}\n\n{job}\n", report.title())),
    }
}

fn ended(report: &Report, pulls: &BTreeMap<Sha, Vec<PullLink>>, links: &Links, job: &str, shrink: u32) -> String {
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    let mut out = format!("### {}\n\n", report.title());
    for commit in report.commits.iter().take(10) {
        commit_lines(&mut out, commit, pulls.get(&commit.sha).map_or(&[][..], Vec::as_slice), links, shrink);
    }
    let _ = writeln!(out, "{}", words::explanation(report, links, 1000 >> shrink));
    if report.confidence > 0.0 {
        let _ = writeln!(out, "\nConfidence: {:.0} %.", report.confidence * 100.0);
    }
    for line in report.proof.iter().take(20) {
        let role = if line.is_culprit { "culprit" } else { "its parent" };
        // By chance a single run may say the opposite: then it is no proof by itself.
        let label = if report.odds.is_some() { "" } else { "proof: " };
        let ended = report.proof_ended(line);
        let _ = writeln!(out, "- {label}{role} `{}` in a fresh workspace: {ended}", line.commit.short());
    }
    odds(&mut out, report, links, shrink);
    for note in report.notes.iter().take(10) {
        let _ = writeln!(out, "- note: {}", words::sentence(&cut(note, 300), report, links));
    }
    if let Some(advice) = words::advice(report) {
        let _ = writeln!(out, "\n**Next:** {advice}");
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "\nOutput on `{}` ({}):\n", failure.commit.short(), failure.ending);
        fence(&mut out, &cut(&failure.tail, 6000));
    }
    probes(&mut out, report, links, shrink);
    local(&mut out, report, shrink);
    let (count, took) = (report.candidates, duration(report.seconds));
    let _ = writeln!(out, "\n{job} · {count} candidate{} · {took}", plural(count as u64));
    out
}

fn commit_lines(out: &mut String, commit: &Commit, pulls: &[PullLink], links: &Links, shrink: u32) {
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    let author = commit.author.split(" <").next().unwrap_or_default();
    let day = commit.date.split('T').next().unwrap_or_default();
    let plain = day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let day = if plain { day.to_owned() } else { inline(&cut(day, 40)) };
    let (sha, subject) = (commit.sha, inline(&cut(&commit.subject, 200)));
    // A line end in a comment is a new line on GitHub; a `<br>` beside it would be a second one.
    let _ = writeln!(out, "**[`{}`]({}/commit/{sha})** {subject}", sha.short(), links.repository);
    let _ = writeln!(out, "by {} on {}", inline(&cut(author, 100)), day);
    for pull in pulls.iter().take(5) {
        let (number, title) = (pull.number, inline(&cut(&pull.title, 200)));
        let _ = writeln!(out, "in [pull request {number}]({}/pull/{number}): {title}", links.repository);
    }
    out.push('\n');
}

/// Which commit it is, with what probability.
fn odds(out: &mut String, report: &Report, links: &Links, shrink: u32) {
    // Where there is no culprit, how probable each would be is of no interest.
    let Some(odds) = report.odds.as_ref().filter(|_| report.result != ResultKind::Flaky) else { return };
    let _ = writeln!(out, "\noldest `{}` newest\n", odds.blocks());
    out.push_str("| probability | commit | failed | |\n|---|---|---|---|\n");
    for Likelihood { probability, commit, failed, subject } in report.likelihoods(LIKELY_SHOWN) {
        let commit =
            commit.map_or_else(String::new, |sha| format!("[`{}`]({}/commit/{sha})", sha.short(), links.repository));
        let _ = writeln!(out, "| {probability} | {commit} | {failed} | {} |", inline(&cut(&subject, 120 >> shrink)));
    }
    out.push('\n');
    if let Some(one_more) = odds.one_more.as_ref().filter(|_| report.result == ResultKind::Suspects) {
        let _ = writeln!(out, "{}\n", words::sentence(&one_more.sentence(), report, links));
    }
}

fn probes(out: &mut String, report: &Report, links: &Links, shrink: u32) {
    if report.probes.is_empty() {
        return;
    }
    let shown = 60 >> shrink;
    let count = report.probes.len();
    let _ = writeln!(out, "\n<details><summary>All {count} commit{} that ran</summary>\n", plural(count as u64));
    out.push_str("| commit | verdict | ended | runs | seconds | subject |\n|---|---|---|---|---|---|\n");
    for probe in report.probes.iter().take(shown) {
        let verdict = probe.verdict.map_or("-", |verdict| match verdict {
            Verdict::Good => "good",
            Verdict::Bad => "bad",
            Verdict::Skip => "skip",
        });
        let _ = writeln!(
            out,
            "| [`{}`]({}/commit/{}) | {verdict} | {} | {} | {:.1} | {} |",
            probe.commit.short(),
            links.repository,
            probe.commit,
            probe.ending,
            if report.odds.is_some() {
                format!("{} of {} failed", probe.failures, probe.runs)
            } else {
                probe.runs.to_string()
            },
            probe.seconds,
            inline(&cut(&probe.subject, 80 >> shrink)),
        );
    }
    if let Some(more) = report.probes.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(out, "\n… and {more} more.");
    }
    out.push_str("\n</details>\n");
}

fn local(out: &mut String, report: &Report, shrink: u32) {
    if report.replay.is_empty() {
        return;
    }
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    out.push_str("\n<details><summary>See it locally</summary>\n\n");
    fence(out, &cut(&steps(report), 6000));
    out.push_str("\nOr the whole search, by `git bisect replay` of this log:\n\n");
    fence(out, &cut(&report.replay, 12_000));
    out.push_str("\n</details>\n");
}

/// Shell commands that show the same in a clone.
#[must_use]
pub fn steps(report: &Report) -> String {
    let request = &report.request;
    let good: Vec<String> = request.good.iter().take(20).map(Sha::to_string).collect();
    let terms = if request.fixed { "--term-new=fixed --term-old=broken " } else { "" };
    let first = if request.first_parent { "--first-parent " } else { "" };
    let command = shell::join(&request.command);
    // As here: a commit whose setup fails is skipped.
    let run = request.setup.as_ref().map_or_else(
        || command.clone(),
        |setup| shell::join(&["sh", "-c", &format!("({setup}) || exit 125; {command}")]),
    );
    format!("git bisect start {terms}{first}{} {}\ngit bisect run {run}", request.bad, good.join(" "))
}

#[cfg(test)]
mod tests;
