//! The result as a person reads it on a terminal.

use super::{
    Commit, Failure, ProofLine, Report,
    odds::{LIKELY_SHOWN, Likelihood},
    shell, text,
};
use anstyle::{AnsiColor, Style};
use bisect_shared::{Ending, ResultKind, Sha, Verdict};
use std::fmt::Write;

/// Files of a commit that are listed; the rest is counted.
const FILES_SHOWN: usize = 8;

/// Sentences are broken to this many columns, as `--help` is.
const WIDTH: usize = 100;

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
    match report.commits.as_slice() {
        [commit] => commit_block(&mut out, commit, paint),
        commits => suspects(&mut out, report, commits, paint),
    }
    proof(&mut out, report, paint);
    odds(&mut out, report, paint);
    for note in &report.notes {
        labelled(&mut out, "Note:", note, paint);
    }
    if let Some(failure) = report.failure.as_ref().filter(|failure| tells(report, failure)) {
        failure_block(&mut out, failure, paint);
    }
    by_hand(&mut out, report, paint);
    if let Some(advice) = &report.advice {
        labelled(&mut out, "Next:", advice, paint);
    }
    footer(&mut out, report, paint);
    out
}

fn headline(out: &mut String, report: &Report, paint: Paint) {
    let _ = writeln!(out, "{}", paint.result(report.result, report.title()));
    // A failure is told in the words of git or Docker, which may be a server's.
    let explanation = text::filter(report.explanation.as_bytes(), false);
    let _ = writeln!(out, "{}", wrapped(&explanation, 0));
}

/// A paragraph with a word before it that says what it is.
fn labelled(out: &mut String, label: &str, text: &str, paint: Paint) {
    let _ = writeln!(out, "\n{} {}", paint.strong(label), wrapped(text, label.len() + 1));
}

/// `text` in lines of [`WIDTH`] columns, all but the first indented by `indent`, broken at spaces only.
fn wrapped(text: &str, indent: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && indent + line + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else if let Some(last) = lines.last_mut() {
            last.push_str(if line > 0 { " " } else { "" });
            last.push_str(word);
        }
    }
    lines.join(&format!("\n{:indent$}", ""))
}

fn commit_block(out: &mut String, commit: &Commit, paint: Paint) {
    let subject = paint.strong(&text::line(&commit.subject));
    let _ = writeln!(out, "\n  {}  {subject}", paint.strong(&commit.sha.to_string()));
    let _ = writeln!(out, "  author  {}", text::line(&commit.author));
    let _ = writeln!(out, "  date    {}", date(&commit.date));
    let shown = commit.files.iter().take(FILES_SHOWN).map(|file| text::line(file));
    for (index, file) in shown.enumerate() {
        let _ = writeln!(out, "  {}  {file}", if index == 0 { "files " } else { "      " });
    }
    if let Some(more) = commit.files.len().checked_sub(FILES_SHOWN).filter(|more| *more > 0) {
        let _ = writeln!(out, "          … and {more} more");
    }
}

/// An ISO 8601 date as people read it: `2022-03-28 17:37:50 +0000`, as `git log --date=iso` has it.
fn date(iso: &str) -> String {
    let date = text::line(iso).replacen('T', " ", 1);
    match date.strip_suffix('Z') {
        Some(utc) => format!("{utc} +0000"),
        None => match date.rsplit_once(['+', '-']) {
            Some((time, zone)) if time.len() == 19 => {
                format!("{time} {}{}", &date[19..20], zone.replace(':', ""))
            }
            _ => date,
        },
    }
}

/// Several commits, a line each.
fn suspects(out: &mut String, report: &Report, commits: &[Commit], paint: Paint) {
    if commits.is_empty() {
        return;
    }
    let _ = writeln!(out);
    for commit in commits {
        let (day, author) = (text::line(&commit.date), text::line(&commit.author));
        let author = author.split(" <").next().unwrap_or_default();
        let _ = writeln!(
            out,
            "  {}  {}  {}  {}",
            paint.strong(&commit.sha.short()),
            day.split('T').next().unwrap_or_default(),
            text::line(&commit.subject),
            paint.faint(&format!("({author})")),
        );
    }
    if let Some(more) = report.suspects.len().checked_sub(commits.len()).filter(|more| *more > 0) {
        let _ = writeln!(out, "  … and {more} more (--json names all of them)");
    }
}

fn proof(out: &mut String, report: &Report, paint: Paint) {
    let lines: &[ProofLine] = &report.proof;
    if lines.is_empty() {
        return;
    }
    // By chance a single run may say the opposite: then it is no proof by itself.
    let title =
        if report.odds.is_some() { "Run in fresh workspaces, too" } else { "Proof, run once more in fresh workspaces" };
    let _ = writeln!(out, "\n{}", paint.strong(title));
    for line in lines {
        let role = match (line.is_culprit, report.request.fixed) {
            (true, false) => "culprit",
            (true, true) => "the fix",
            (false, _) => "its parent",
        };
        let ending = report.proof_ended(line);
        let verdict = paint.verdict(line.verdict);
        let _ = writeln!(out, "  {verdict}  {}  {role:<10}  {ending}", line.commit.short());
    }
}

fn odds(out: &mut String, report: &Report, paint: Paint) {
    // Where there is no culprit, how probable each would be is of no interest.
    let Some(odds) = report.odds.as_ref().filter(|_| report.result != ResultKind::Flaky) else { return };
    let _ = writeln!(out, "\n{}", paint.strong("How probable each commit is, and how often it failed"));
    let _ = writeln!(out, "  oldest {} newest", odds.blocks());
    let lines: Vec<Likelihood> = report.likelihoods(LIKELY_SHOWN).collect();
    let width = lines.iter().map(|line| line.failed.len()).max().unwrap_or_default();
    for Likelihood { probability, commit, failed, subject } in lines {
        let commit = commit.map_or_else(|| "-".to_owned(), |commit| commit.short());
        let _ = writeln!(out, "  {probability:>8}  {commit:<12}  {failed:>width$}  {subject}");
    }
    if let Some(one_more) = odds.one_more.as_ref().filter(|_| report.result == ResultKind::Suspects) {
        let _ = writeln!(out, "  {}", wrapped(&one_more.sentence(), 2));
    }
}

/// Whether a run's output says something about the result: with a fix found, a passing run does not.
fn tells(report: &Report, failure: &Failure) -> bool {
    report.result != ResultKind::Culprit || failure.ending != Ending::Exited(0)
}

fn failure_block(out: &mut String, failure: &Failure, paint: Paint) {
    let what = if failure.ending == Ending::Exited(0) { "The output" } else { "The failure" };
    let title = format!("{what}, on {}: {}", failure.commit.short(), failure.ending);
    let _ = writeln!(out, "\n{}", paint.strong(&title));
    let tail = text::shown_tail(&failure.tail, paint.colours);
    if tail.is_empty() {
        let _ = writeln!(out, "  {}", paint.faint("(it printed nothing)"));
    }
    for line in tail.lines() {
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
    let run = |sha: &Sha| {
        let (checkout, run) = (format!("git checkout {} &&", sha.short()), format!("{before}{command}"));
        // A long command stands on a line of its own, where its beginning is seen; the shell goes on after `&&`.
        let long = 2 + checkout.len() + 1 + run.chars().count() > WIDTH;
        format!("  {checkout}{}{run}\n", if long { "\n    " } else { " " })
    };
    let steps = match (report.culprit, report.proof.iter().find(|line| !line.is_culprit)) {
        (Some(culprit), parent) => run(&culprit) + &parent.map_or_else(String::new, |line| run(&line.commit)),
        (None, _) => report.failure.as_ref().map_or_else(String::new, |failure| run(&failure.commit)),
    };
    if !steps.is_empty() {
        let _ = write!(out, "\n{}{}\n{steps}", paint.strong("See it by hand"), surroundings(report));
    }
}

/// What a shell of one's own may lack.
fn surroundings(report: &Report) -> String {
    let image = report.request.image.as_ref().map(|image| format!("in {image}"));
    let env = (!report.request.env.is_empty()).then(|| format!("with {} set", report.request.env.join(", ")));
    let told: Vec<String> = image.into_iter().chain(env).map(|part| text::line(&part)).collect();
    if told.is_empty() { String::new() } else { format!(" (it ran {})", told.join(", ")) }
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
