//! Replies as GitHub's Markdown. Text of users (subjects, names, output, scripts) goes through `inline`,
//! `code` or `fence` and nowhere else: it cannot mention, refer, link, open HTML or end what it stands in.

use super::{
    Commit, Report, shell,
    terminal::{duration, plural},
    text,
};
use bisect_shared::{ResultKind, Sha, Verdict};
use std::{collections::BTreeMap, fmt::Write};

/// The longest comment that GitHub takes, in characters; kept in bytes, which are never fewer.
pub const MAX_CHARS: usize = 65_536;

/// A pull request that brought a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullLink {
    /// Its number.
    pub number: i64,
    /// Its title, as its author wrote it.
    pub title: String,
}

/// Where the links of a reply lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// The job's page.
    pub job: String,
    /// The repository's page.
    pub repository: String,
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

/// The status comment of a job.
#[must_use]
pub fn status(view: &StatusView) -> String {
    let job = format!("[Job {}]({})", view.job, view.links.job);
    match &view.state {
        State::Queued { position, of } => {
            format!("### Bisection queued\n\nPlace {position} of {of}. {job} starts as soon as a server is free.\n")
        }
        State::Running { candidates_left, probes_done, probes_running, expected_probes, seconds_left } => {
            let left = seconds_left.map_or_else(String::new, |left| format!(" About {} left.", duration(left)));
            format!(
                "### Bisecting\n\n{candidates_left} candidate{} left. {probes_done} of about {expected_probes} runs done, \
                 {probes_running} running.{left}\n\n{job} · `/bisect cancel` stops it.\n",
                plural(*candidates_left),
            )
        }
        State::Failed { reason } => format!(
            "### Bisection failed\n\n{}\n\nThis says nothing about any commit. `/bisect retry` runs it again.\n\n{job}\n",
            inline(reason)
        ),
        State::Cancelled { by } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {}", inline(by)));
            format!("### Bisection cancelled\n\nStopped{by}. `/bisect retry` runs it again.\n\n{job}\n")
        }
        // What does not fit is made again with smaller shares for every part, so that nothing is cut inside
        // a fence or a fold. The marker needs room too.
        State::Ended { report, pulls } => (0..12)
            .map(|shrink| ended(report, pulls, &view.links, &job, shrink))
            .find(|text| text.len() <= MAX_CHARS - 1024)
            .unwrap_or_else(|| format!("### {}\n\n{job}\n", title(report))),
    }
}

fn ended(report: &Report, pulls: &BTreeMap<Sha, Vec<PullLink>>, links: &Links, job: &str, shrink: u32) -> String {
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    let mut out = format!("### {}\n\n", title(report));
    for commit in report.commits.iter().take(10) {
        commit_lines(&mut out, commit, pulls.get(&commit.sha).map_or(&[][..], Vec::as_slice), links, shrink);
    }
    let _ = writeln!(out, "{}", inline(&cut(&report.explanation, 1000)));
    if report.confidence > 0.0 {
        let _ = writeln!(out, "\nConfidence: {:.0} %.", report.confidence * 100.0);
    }
    for line in report.proof.iter().take(20) {
        let ending = line.ending.map_or_else(|| "could not be run".to_owned(), |ending| ending.to_string());
        let role = if line.is_culprit { "culprit" } else { "its parent" };
        let _ = writeln!(out, "- proof: {role} `{}` in a fresh workspace: {ending}", line.commit.short());
    }
    for note in report.notes.iter().take(10) {
        let _ = writeln!(out, "- note: {}", inline(&cut(note, 300)));
    }
    if let Some(advice) = &report.advice {
        let _ = writeln!(out, "\n**Next:** {}", inline(&cut(advice, 600)));
    }
    if let Some(failure) = &report.failure {
        let _ = writeln!(out, "\nOutput on `{}` ({}):\n", failure.commit.short(), failure.ending);
        fence(&mut out, &cut(&failure.tail, 6000));
    }
    probes(&mut out, report, links, shrink);
    local(&mut out, report, shrink);
    let _ = writeln!(out, "\n{job} · {} candidates · {}", report.candidates, duration(report.seconds));
    out
}

fn title(report: &Report) -> &'static str {
    match report.result {
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
    }
}

fn commit_lines(out: &mut String, commit: &Commit, pulls: &[PullLink], links: &Links, shrink: u32) {
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    let author = commit.author.split(" <").next().unwrap_or_default();
    let day = commit.date.split('T').next().unwrap_or_default();
    let (sha, subject) = (commit.sha, inline(&cut(&commit.subject, 200)));
    // A line end in a comment is a new line on GitHub; a `<br>` beside it would be a second one.
    let _ = writeln!(out, "**[`{}`]({}/commit/{sha})** {subject}", sha.short(), links.repository);
    let _ = writeln!(out, "by {} on {}", inline(&cut(author, 100)), inline(&cut(day, 40)));
    for pull in pulls.iter().take(5) {
        let (number, title) = (pull.number, inline(&cut(&pull.title, 200)));
        let _ = writeln!(out, "in [pull request {number}]({}/pull/{number}): {title}", links.repository);
    }
    out.push('\n');
}

fn probes(out: &mut String, report: &Report, links: &Links, shrink: u32) {
    let shown = 60 >> shrink;
    let _ = writeln!(out, "\n<details><summary>All {} commits that ran</summary>\n", report.probes.len());
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
            probe.runs,
            probe.seconds,
            inline(&cut(&probe.subject, 80 >> shrink)),
        );
    }
    if let Some(more) = report.probes.len().checked_sub(shown).filter(|more| *more > 0) {
        let _ = writeln!(out, "\n{more} more are on the job's page.");
    }
    out.push_str("\n</details>\n");
}

fn local(out: &mut String, report: &Report, shrink: u32) {
    let cut = |source: &str, bytes: usize| cut(source, bytes >> shrink);
    out.push_str("\n<details><summary>See it locally</summary>\n\n");
    let request = &report.request;
    let good: Vec<String> = request.good.iter().take(20).map(Sha::to_string).collect();
    let terms = if request.fixed { "--term-new=fixed --term-old=broken " } else { "" };
    let first = if request.first_parent { "--first-parent " } else { "" };
    let run = shell::join(&request.command);
    let steps = format!("git bisect start {terms}{first}{} {}\ngit bisect run {run}", request.bad, good.join(" "));
    fence(out, &cut(&steps, 6000));
    out.push_str("\nOr the whole search, by `git bisect replay` of this log:\n\n");
    fence(out, &cut(&report.replay, 12_000));
    out.push_str("\n</details>\n");
}

/// A line of a user's text: every character that Markdown, HTML or GitHub could read is an entity or is
/// kept from its neighbours by a character of no width.
#[must_use]
pub fn inline(source: &str) -> String {
    let mut out = String::new();
    for c in text::line(source).trim().chars() {
        match c {
            // An entity alone would still mention and refer: GitHub looks at what is shown.
            '@' | '#' | ':' => {
                out.push_str(&format!("&#{};\u{200b}", u32::from(c)));
            }
            '.' | '/' | '-' | '!' => out.extend([c, '\u{200b}']),
            ' ' => out.push(' '),
            c if c.is_ascii_punctuation() => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    unlink_hex(&out)
}

/// Breaks runs of seven or more hexadecimal digits, of which GitHub makes links to commits.
fn unlink_hex(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut run = 0;
    for c in source.chars() {
        run = if c.is_ascii_hexdigit() { run + 1 } else { 0 };
        if run == 7 {
            out.push('\u{200b}');
            run = 1;
        }
        out.push(c);
    }
    out
}

/// A user's text in a fence that is longer than any run of backticks in it.
fn fence(out: &mut String, source: &str) {
    let shown = text::filter(source.as_bytes(), false);
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{ticks}text\n{}\n{ticks}", shown.trim_end());
}

/// At most `bytes` of the text, the middle left out with a note.
fn cut(source: &str, bytes: usize) -> String {
    if source.len() <= bytes {
        return source.to_owned();
    }
    let head = source.floor_char_boundary(bytes / 2);
    let tail = source.ceil_char_boundary(source.len() - bytes / 2);
    format!("{} … ({} bytes left out) … {}", &source[..head], tail - head, &source[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::culprit;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    fn view(state: State) -> StatusView {
        let links = Links { job: "https://bisect.example/jobs/7".into(), repository: "https://github.com/o/r".into() };
        StatusView { job: 7, state, links }
    }

    fn found(hostile: &str) -> State {
        let mut report = culprit();
        for commit in &mut report.commits {
            (commit.subject, commit.author, commit.date) = (hostile.into(), hostile.into(), hostile.into());
        }
        report.probes.iter_mut().for_each(|probe| probe.subject = hostile.into());
        (report.explanation, report.replay) = (hostile.into(), hostile.into());
        (report.advice, report.notes) = (Some(hostile.into()), vec![hostile.into()]);
        report.request.command = vec![hostile.into()];
        if let Some(failure) = &mut report.failure {
            failure.tail = hostile.into();
        }
        let pull = PullLink { number: 12, title: hostile.into() };
        let pulls = BTreeMap::from([(report.culprit.unwrap(), vec![pull])]);
        State::Ended { report: Box::new(report), pulls }
    }

    /// What stands in it, without the text; the text outside of code beside it.
    fn structure(body: &str) -> (Vec<String>, String) {
        let (mut shape, mut text, mut code) = (Vec::new(), String::new(), 0);
        for event in Parser::new_ext(body, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM)
        {
            match event {
                Event::Start(tag) => {
                    code += i32::from(matches!(tag, Tag::CodeBlock(_)));
                    shape.push(format!("{tag:?}"));
                }
                Event::End(end) => {
                    code -= i32::from(matches!(end, pulldown_cmark::TagEnd::CodeBlock));
                    shape.push(format!("/{end:?}"));
                }
                Event::Text(piece) if code == 0 => text.push_str(&piece),
                Event::Html(html) | Event::InlineHtml(html) => shape.push(html.to_string()),
                Event::Code(_) => shape.push("code".into()),
                _ => {}
            }
        }
        (shape, text)
    }

    #[test]
    fn the_status_is_told() {
        insta::assert_snapshot!("comment_queued", status(&view(State::Queued { position: 2, of: 5 })));
        let running = State::Running {
            candidates_left: 14,
            probes_done: 5,
            probes_running: 3,
            expected_probes: 9,
            seconds_left: Some(75.0),
        };
        insta::assert_snapshot!("comment_running", status(&view(running)));
        let pull = PullLink { number: 407, title: "Drop @legacy, fixes #1".into() };
        let report = culprit();
        let pulls = BTreeMap::from([(report.culprit.unwrap(), vec![pull])]);
        insta::assert_snapshot!("comment_culprit", status(&view(State::Ended { report: Box::new(report), pulls })));
    }

    #[test]
    fn a_marker_is_known_by_its_tag() {
        let body = format!("text\n{}", marker("status", "7", "abc"));
        assert!(has_marker(&body, "status", "7", "abc") && !has_marker(&body, "status", "7", "abd"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_of_a_user_changes_what_a_reply_is(
            pieces in prop::collection::vec(prop_oneof![any::<String>(), prop::sample::select(vec![
                "@user", "#12", "GH-12", "o/r#1", "fixes #1", "```", "`", "~~~", "</details>", "<b>", "<!-- bisect-bot:a:b:c -->",
                "[a](b)", "![a](b)", "https://a.b", "www.a.b", "a@b.c", "|", "\n", "\n\n", "\n# a", "* ", "\\", "&lt;", "abcdef0123",
            ]).prop_map(str::to_owned)], 1..20),
            times in prop_oneof![Just(1_usize), Just(3000)],
        ) {
            let hostile = format!("x{}x", pieces.concat().repeat(times).chars().take(100_000).collect::<String>());
            let body = status(&view(found(&hostile)));
            prop_assert!(body.len() <= MAX_CHARS);
            let (shape, text) = structure(&body);
            prop_assert_eq!(shape, structure(&status(&view(found("harmless")))).0);
            let mentions = text.split('@').skip(1).any(|after| after.starts_with(|c: char| c != '\u{200b}'));
            prop_assert!(!mentions, "{}", text);
        }
    }
}
