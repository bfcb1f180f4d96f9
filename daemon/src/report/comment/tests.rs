//! The comments, whole; and that no text of a user changes what they are.

use super::*;
use crate::report::tests::{
    aborted, culprit, fix, flaky, infrastructure, likely, no_culprit, not_reproducible, report, suspects, unsure,
};
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};

fn view(state: State) -> StatusView {
    let links = Links { job: Some("https://bisect.example/job/7".into()), repository: "https://github.com/o/r".into() };
    StatusView { job: 7, state, links, again: None }
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
    for event in Parser::new_ext(body, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM) {
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
            // The short name of a commit may stand in any sentence of ours, and is nothing but letters and digits.
            Event::Code(code) if code.len() == 12 && code.bytes().all(|b| b.is_ascii_hexdigit()) => {}
            Event::Code(code) => shape.push(format!("code {code}")),
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
        candidates: 112,
        seeking: false,
        probes_done: 5,
        probes_running: 3,
        expected_probes: 9,
        seconds_left: Some(75.0),
    };
    insta::assert_snapshot!("comment_running", status(&view(running)));
    let seeking = State::Running {
        candidates_left: 48_210,
        candidates: 48_210,
        seeking: true,
        probes_done: 0,
        probes_running: 3,
        expected_probes: 19,
        seconds_left: None,
    };
    insta::assert_snapshot!("comment_seeking", status(&view(seeking)));
    let pull = PullLink { number: 407, title: "Drop @legacy, fixes #1".into() };
    let report = culprit();
    let pulls = BTreeMap::from([(report.culprit.unwrap(), vec![pull])]);
    insta::assert_snapshot!("comment_culprit", status(&view(State::Ended { report: Box::new(report), pulls })));
}

fn good_fails() -> Report {
    let mut told = report(ResultKind::GoodFails, "The command fails on the good end 348b614957bd too (exit 1).");
    told.failure = not_reproducible().failure;
    told
}

fn fixed_before() -> Report {
    let mut told = report(
        ResultKind::FixedBefore,
        "The command already fails on 2ee11a90e33c, where both sides part: something between it and 348b614957bd fixed \
         it, and that fix is not on the bad side.",
    );
    told.failure = culprit().failure;
    told
}

fn timed_out() -> Report {
    report(ResultKind::TimedOut, "The job's 1800 s were used up before the answer was certain.")
}

fn cancelled() -> Report {
    report(ResultKind::Cancelled, "Cancelled by ada.")
}

/// Nothing in a comment sends its reader to a shell on the server.
#[test]
fn every_result_has_its_words_for_github() {
    let mut setup = aborted();
    setup.explanation = "--setup fails on the end c213372bfd29 (exit 1), so there is nothing to compare with.".into();
    if let Some(failure) = &mut setup.failure {
        failure.ending = bisect_shared::Ending::SetupFailed(1);
    }
    let mut away = infrastructure();
    away.explanation =
        "reaching Docker at unix:///var/run/docker.sock: no such file; start it (`make setup`). This says \
                        nothing about any commit."
            .into();
    for (name, told) in [
        ("fix", fix()),
        ("suspects", suspects()),
        ("not_reproducible", not_reproducible()),
        ("good_fails", good_fails()),
        ("fixed_before", fixed_before()),
        ("flaky", flaky()),
        ("likely", likely()),
        ("unsure", unsure()),
        ("no_culprit", no_culprit()),
        ("aborted", aborted()),
        ("aborted_setup", setup),
        ("timed_out", timed_out()),
        ("cancelled", cancelled()),
        ("infrastructure", away),
    ] {
        let body = status(&view(State::Ended { report: Box::new(told), pulls: BTreeMap::new() }));
        for word in ["--job-timeout", "make setup", "bisectd", "--env", "--network", "-- sh", "--json"] {
            assert!(!body.contains(word), "{name} speaks of {word}:\n{body}");
        }
        insta::assert_snapshot!(format!("comment_{name}"), body);
    }
    let failed = State::Failed { reason: "attempt 3 of 3: its worker w-1 stopped answering".into() };
    insta::assert_snapshot!("comment_failed", status(&view(failed)));
    insta::assert_snapshot!("comment_cancelled_state", status(&view(State::Cancelled { by: Some("@ada".into()) })));
}

#[test]
fn without_a_public_address_nothing_is_linked_to() {
    let mut view = view(State::Queued { position: 1, of: 1 });
    view.links.job = None;
    assert!(status(&view).contains("Job 7 starts") && !status(&view).contains("]("));
}

#[test]
fn our_own_short_names_of_commits_can_be_copied() {
    let told = fixed_before();
    let body = status(&view(State::Ended { report: Box::new(told), pulls: BTreeMap::new() }));
    let first = body.lines().find(|line| line.starts_with("The command")).unwrap();
    assert!(!first.contains('\u{200b}'), "{first}");
    assert!(first.contains("[`348b614957bd`](https://github.com/o/r/commit/348b614957bdabef"), "{first}");
    let note = words::sentence(
        "its parent 27ea2e424b48 could not be run",
        &culprit(),
        &view(State::Cancelled { by: None }).links,
    );
    assert_eq!(note, "its parent `27ea2e424b48` could not be run");
}

#[test]
fn what_is_too_long_loses_its_middle() {
    let text = format!("begin {} end", "ä".repeat(200_000));
    let body = marked(&text, &marker("reply", "x", "tag"));
    assert!(body.chars().count() <= MAX_CHARS && body.chars().count() > MAX_CHARS - 2000);
    assert!(
        body.starts_with("begin") && body.contains("characters left out") && body.contains("end\n<!-- bisect-bot:")
    );
    assert_eq!(marked("short", "m"), "short\nm\n");
}

/// What GitHub would make a mention, a reference or a link of, in a shown text.
fn references(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let chars: Vec<char> = lower.chars().collect();
    let follows = |at: usize, wanted: fn(char) -> bool| chars.get(at + 1).is_some_and(|c| wanted(*c));
    let mut found = Vec::new();
    for (at, c) in chars.iter().enumerate() {
        let before: String = chars[at.saturating_sub(5)..at].iter().collect();
        if match c {
            '@' => follows(at, |c| c.is_alphanumeric()),
            '#' => follows(at, |c| c.is_ascii_digit()),
            '-' => before.ends_with("gh") && follows(at, |c| c.is_ascii_digit()),
            ':' => (before.ends_with("http") || before.ends_with("https")) && follows(at, |c| c == '/'),
            '.' => before.ends_with("www") && follows(at, |c| c.is_alphanumeric()),
            _ => false,
        } {
            found.push(chars[at.saturating_sub(5)..(at + 8).min(chars.len())].iter().collect());
        }
    }
    let word = |word: &&str| word.len() >= 7 && word.bytes().all(|b| b.is_ascii_hexdigit());
    found.extend(lower.split(|c: char| !c.is_alphanumeric() && c != '\u{200b}').filter(word).map(str::to_owned));
    found
}

#[test]
fn what_pings_is_known_to_this_test() {
    for text in
        ["hi @ada", "see #12", "GH-12", "o/r#1", "https://a.b", "www.a.b", "deadbee", "o/r@deadbeef1", "@org/team"]
    {
        assert!(!references(text).is_empty(), "{text}");
        let shown = structure(&format!("x {}", inline(text))).1;
        assert_eq!(references(&shown), Vec::<String>::new(), "{text}: {shown}");
        assert_eq!(shown.replace('\u{200b}', ""), format!("x {text}"), "it reads as it was written");
    }
    assert_eq!(inline("20.0 of a well-known/path! (yes: 3, 4)"), "20.0 of a well-known/path! (yes&#58; 3, 4)");
    assert_eq!(inline("- no item"), "&#45; no item");
    assert_eq!(inline("1. no item"), "1&#46; no item");
}

#[test]
fn a_job_that_repeats_another_says_who_asked() {
    let again = Some(Again { of: 5, by: "ada@ops".into() });
    let told = |state| {
        let text = status(&StatusView { again: again.clone(), ..view(state) });
        text.replace('\u{200b}', "").replace("&#64;", "@")
    };
    let queued = told(State::Queued { position: 1, of: 1 });
    assert!(queued.contains("which repeats job 5 as ada@ops asked, starts as soon as a server is free"), "{queued}");
    assert!(told(State::Cancelled { by: None }).contains("which repeats job 5 as ada@ops asked\n"));
    assert!(told(found("x")).contains("which repeats job 5 as ada@ops asked"));
    let shown = structure(&status(&StatusView { again, ..view(State::Cancelled { by: None }) })).1;
    assert_eq!(references(&shown), Vec::<String>::new(), "it pings nobody");
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
        prop_assert!(body.chars().count() <= MAX_CHARS);
        let (shape, text) = structure(&body);
        prop_assert_eq!(shape, structure(&status(&view(found("harmless")))).0);
        // The short name of the commit itself stands in code, and so not in the text.
        prop_assert_eq!(references(&text), Vec::<String>::new());
    }
}
