//! The result as a person reads it on a terminal.

use super::{Commit, Failure, ProofLine, Report, shell, text};
use anstyle::{AnsiColor, Style};
use bisect_shared::{ResultKind, Sha, Verdict};
use std::fmt::Write;

/// Files of a commit that are listed; the rest is counted.
const FILES_SHOWN: usize = 8;

/// How text is painted: with colours, or plainly.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Whether colours are written.
    pub colours: bool,
}

impl Paint {
    const STRONG: Style = Style::new().bold();
    const FAINT: Style = Style::new().dimmed();
    const GOOD: Style = AnsiColor::Green.on_default();
    const BAD: Style = AnsiColor::Red.on_default().bold();
    const SKIP: Style = AnsiColor::Yellow.on_default();

    fn paint(self, style: Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// A heading, or the one thing to see.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint(Self::STRONG, text)
    }

    /// What may be overlooked.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.paint(Self::FAINT, text)
    }

    /// A verdict by its name, in its colour.
    #[must_use]
    pub fn verdict(self, verdict: Option<Verdict>) -> String {
        match verdict {
            Some(Verdict::Good) => self.paint(Self::GOOD, "good"),
            Some(Verdict::Bad) => self.paint(Self::BAD, "bad "),
            Some(Verdict::Skip) => self.paint(Self::SKIP, "skip"),
            None => self.faint("-   "),
        }
    }

    fn result(self, result: ResultKind, text: &str) -> String {
        let style = match result {
            ResultKind::Culprit => Self::GOOD.bold(),
            ResultKind::Suspects | ResultKind::Cancelled | ResultKind::TimedOut => Self::SKIP.bold(),
            _ => Self::BAD,
        };
        self.paint(style, text)
    }
}

/// The whole result: what was found, who wrote it, the proof, the failure, how to see it by hand.
#[must_use]
pub fn render(report: &Report, paint: Paint) -> String {
    let mut out = String::new();
    headline(&mut out, report, paint);
    for commit in &report.commits {
        commit_block(&mut out, commit, paint);
    }
    if report.suspects.len() > report.commits.len() {
        let more = report.suspects.len() - report.commits.len();
        let _ = writeln!(out, "  … and {more} more (all of them are in --json)");
    }
    proof(&mut out, &report.proof, paint);
    if let Some(failure) = &report.failure {
        failure_block(&mut out, failure, paint);
    }
    by_hand(&mut out, report, paint);
    for note in &report.notes {
        let _ = writeln!(out, "\nNote: {note}");
    }
    if let Some(advice) = &report.advice {
        let _ = writeln!(out, "\n{} {advice}", paint.strong("Next:"));
    }
    footer(&mut out, report, paint);
    out
}

fn headline(out: &mut String, report: &Report, paint: Paint) {
    let title = match report.result {
        ResultKind::Culprit if report.request.fixed => "First fixed commit found and proven",
        ResultKind::Culprit => "Culprit found and proven",
        ResultKind::Suspects => "Narrowed down, but not to one commit",
        ResultKind::NotReproducible => "Not reproducible",
        ResultKind::GoodFails => "The good end fails too",
        ResultKind::FixedBefore => "Nothing was broken here: the good side was fixed",
        ResultKind::Flaky => "The runs contradict one another",
        ResultKind::Aborted => "Stopped: the command cannot answer",
        ResultKind::TimedOut => "Out of time",
        ResultKind::Cancelled => "Cancelled",
        ResultKind::Infrastructure => "Failed: not the tested code, but what it runs on",
    };
    let _ = writeln!(out, "{}", paint.result(report.result, title));
    // A failure is told in the words of git or Docker, which may be a server's.
    let _ = writeln!(out, "{}", text::filter(report.explanation.as_bytes(), false));
}

fn commit_block(out: &mut String, commit: &Commit, paint: Paint) {
    let subject = paint.strong(&text::line(&commit.subject));
    let _ = writeln!(out, "\n  {}  {subject}", paint.strong(&commit.sha.to_string()));
    let _ = writeln!(out, "  author  {}", text::line(&commit.author));
    let _ = writeln!(out, "  date    {}", text::line(&commit.date));
    let shown = commit.files.iter().take(FILES_SHOWN).map(|file| text::line(file));
    for (index, file) in shown.enumerate() {
        let _ = writeln!(out, "  {}  {file}", if index == 0 { "files " } else { "      " });
    }
    if let Some(more) = commit.files.len().checked_sub(FILES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(out, "          … and {more} more");
    }
}

fn proof(out: &mut String, lines: &[ProofLine], paint: Paint) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", paint.strong("Proof, run once more in fresh workspaces"));
    for line in lines {
        let role = if line.is_culprit { "culprit" } else { "its parent" };
        let ending = line.ending.map_or_else(|| "could not be run".to_owned(), |ending| ending.to_string());
        let verdict = paint.verdict(line.verdict);
        let _ = writeln!(out, "  {verdict}  {}  {role:<10}  {ending}", line.commit.short());
    }
}

fn failure_block(out: &mut String, failure: &Failure, paint: Paint) {
    let title = format!("The failure, on {} ({})", failure.commit.short(), failure.ending);
    let _ = writeln!(out, "\n{}", paint.strong(&title));
    if failure.tail.is_empty() {
        let _ = writeln!(out, "  {}", paint.faint("(it printed nothing)"));
    }
    for line in failure.tail.lines() {
        let _ = writeln!(out, "  {} {line}", paint.faint("│"));
    }
}

fn by_hand(out: &mut String, report: &Report, paint: Paint) {
    let command = shell::join(&report.request.command);
    let before = report
        .request
        .setup
        .as_ref()
        .map_or_else(String::new, |setup| format!("{} && ", shell::join(&["sh", "-c", setup])));
    let run = |sha: &Sha| format!("  git checkout {} && {before}{command}\n", sha.short());
    let steps = match (report.culprit, report.proof.iter().find(|line| !line.is_culprit)) {
        (Some(culprit), parent) => run(&culprit) + &parent.map_or_else(String::new, |line| run(&line.commit)),
        (None, _) => report.failure.as_ref().map_or_else(String::new, |failure| run(&failure.commit)),
    };
    if !steps.is_empty() {
        let _ = write!(out, "\n{}\n{steps}", paint.strong("See it by hand"));
    }
}

fn footer(out: &mut String, report: &Report, paint: Paint) {
    let runs: u32 = report.probes.iter().map(|probe| probe.runs).sum();
    let commits = report.candidates;
    let told = format!(
        "{commits} candidate{}, {runs} run{}, {}",
        plural(commits as u64),
        plural(u64::from(runs)),
        duration(report.seconds)
    );
    let _ = writeln!(out, "\n{}", paint.faint(&told));
}

/// An `s`, where the number wants one.
#[must_use]
pub const fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min 05 s`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}
