//! What a result means to somebody who asked on GitHub, and what to do next there: options of `/bisect` and
//! of `.github/bisect.yml`, not those of a shell.

use super::{
    Links,
    quote::{cut, escape},
};
use crate::report::Report;
use bisect_shared::{Ending, ResultKind, Sha, Verdict};

/// How long the short name of a commit is, in our own sentences.
const SHORT: usize = 12;

/// What was found, in a sentence or two of at most about `bytes`.
pub(super) fn explanation(report: &Report, links: &Links, bytes: usize) -> String {
    sentence(&cut(&plain_explanation(report), bytes), report, links)
}

/// The same without Markdown; it may hold text of users.
#[must_use]
pub fn plain_explanation(report: &Report) -> String {
    let failed = report.failure.as_ref().map(|failure| (failure.commit, failure.ending));
    match (report.result, failed) {
        (ResultKind::Aborted, Some((commit, ending @ Ending::SetupFailed(_)))) => {
            format!("The setup fails on the end {} ({ending}), so there is nothing to compare with.", commit.short())
        }
        (ResultKind::Infrastructure, _) => {
            let reason = for_users(&report.explanation).trim_end_matches('.');
            let reason = reason.split(". This says nothing").next().unwrap_or(reason);
            format!("{reason}. This says nothing about any commit.")
        }
        _ => report.explanation.clone(),
    }
}

/// The reason of a failure without what an operator could do about it, which follows the first semicolon.
#[must_use]
pub fn for_users(reason: &str) -> &str {
    reason.split(';').next().unwrap_or(reason)
}

/// A sentence of ours, in which commits may have short names: those are shown as such, and lead to commits
/// that this report knows. All else is text of whoever.
pub(super) fn sentence(source: &str, report: &Report, links: &Links) -> String {
    let source = crate::report::text::line(source);
    let mut out = String::new();
    let mut rest = source.trim();
    while let Some((before, name)) = next_name(rest) {
        let first = out.is_empty();
        out.push_str(&escape(before, first));
        match known(report, name) {
            Some(sha) => out.push_str(&format!("[`{name}`]({}/commit/{sha})", links.repository)),
            None => out.push_str(&format!("`{name}`")),
        }
        rest = &rest[before.len() + name.len()..];
    }
    let first = out.is_empty();
    out + &escape(rest, first)
}

/// The first short name of a commit, and what stands before it.
fn next_name(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if word.len() == SHORT && word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Some((&text[..at], word));
        }
        at += word.len();
        at += text[at..].chars().next().map_or(0, char::len_utf8);
    }
    None
}

fn known(report: &Report, name: &str) -> Option<Sha> {
    let request = &report.request;
    let ends = request.good.iter().chain([&request.bad]).copied();
    let found = ends
        .chain(report.probes.iter().map(|probe| probe.commit))
        .chain(report.proof.iter().map(|line| line.commit))
        .chain(report.suspects.iter().copied())
        .chain(report.culprit);
    found.into_iter().find(|sha| sha.short() == name)
}

/// What to do next, as Markdown; nothing of it is a user's text.
#[must_use]
pub fn advice(report: &Report) -> Option<String> {
    let fixed = report.request.fixed;
    let plain = match report.result {
        ResultKind::Culprit if report.odds.is_some() => {
            return Some(
                "`/bisect wrong` if this is not it; `/bisect retry --runs 50` looks again with more runs.".to_owned(),
            );
        }
        ResultKind::Culprit => return None,
        ResultKind::FixedBefore => return Some(find_the_fix(report)),
        ResultKind::Suspects if report.odds.as_ref().is_some_and(|odds| odds.one_more.is_some()) => {
            "`/bisect retry --runs 50` gives it more runs. Better still, make the command fail more surely: a smaller test, \
             or the same one many times in a loop."
        }
        ResultKind::Suspects if skipped(report) => {
            "Make them testable (`--setup`, another `--image`), or look at their changes."
        }
        ResultKind::Suspects => "Ask again without `--path`.",
        ResultKind::NotReproducible if fixed => "Name a newer end on which the command passes.",
        ResultKind::NotReproducible => {
            "Check that the command fails there by hand in the same image. It may need `--setup`, another `--image`, or \
             `env` or `network: egress` in `.github/bisect.yml`. If it fails only now and then: `/bisect retry --runs 20`."
        }
        ResultKind::GoodFails if fixed => "Name an older end on which it fails.",
        ResultKind::GoodFails => {
            "Name an older commit on which it passes, or look at the output: it may fail for another reason than the \
             one you hunt."
        }
        ResultKind::Flaky if report.odds.is_some() => {
            "It was flaky at the good end already. Look for what it depends on besides the commit (time, order, seed, network), \
             or name an older good commit to find what made it so."
        }
        ResultKind::Flaky => {
            "Make the command surer (fix the seed, retry inside it, wait for what it needs), then ask again."
        }
        ResultKind::Aborted => aborted(report.failure.as_ref().map(|failure| failure.ending)),
        ResultKind::TimedOut => {
            "Ask with a narrower range, more probes at once (`--jobs`) or a faster command. How long a bisection may \
             take is a matter of the installation's tier."
        }
        ResultKind::Cancelled => "`/bisect retry` runs it again.",
        ResultKind::Infrastructure => {
            "`/bisect retry` runs it again. If that fails too, whoever runs this bot should know of it."
        }
    };
    Some(plain.to_owned())
}

/// Whether suspects are left because they could not be tested.
fn skipped(report: &Report) -> bool {
    let skip = |sha: &Sha| report.probes.iter().any(|p| p.commit == *sha && p.verdict == Some(Verdict::Skip));
    report.request.paths.is_empty() || report.suspects.iter().any(skip)
}

fn find_the_fix(report: &Report) -> String {
    let ends = report.failure.as_ref().zip(report.request.good.first());
    let ends = ends.map(|(failure, good)| format!("{} {}", failure.commit.short(), good.short()));
    let ends = ends.unwrap_or_else(|| "<where it fails> <where it passes>".to_owned());
    format!("Find the fix: `/bisect --fixed {ends} <your command>`.")
}

const fn aborted(ending: Option<Ending>) -> &'static str {
    match ending {
        Some(Ending::SetupFailed(_)) => "Look at its output and mend the setup, or name another end.",
        Some(Ending::Exited(126 | 127)) => {
            "Check its name and the image. Relative programs are looked up in the tree; `--setup` can install what is \
             missing."
        }
        Some(Ending::Exited(128..)) => {
            "If that is the failure you hunt, let the command end with another status: `your command || exit 1`."
        }
        _ => "Name another commit for this end, one on which the command can answer.",
    }
}
