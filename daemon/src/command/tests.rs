//! The grammar as people write it, and as nobody should.

use super::repository_config::{self, Allow, NetworkAccess};
use super::*;
use std::time::Instant;

/// What the comment asks for, if it is a bisection.
fn bisect(comment: &str) -> Bisect {
    match parse(comment).unwrap_or_else(|| panic!("no command: {comment}")).command {
        Ok(Command::Bisect(bisect)) => *bisect,
        other => panic!("{comment:?} is {other:?}"),
    }
}

/// What is wrong with the comment; the example in the answer is one that works.
fn mistake(comment: &str) -> Mistake {
    let request = parse(comment).unwrap_or_else(|| panic!("no command: {comment}"));
    let mistake = request.command.expect_err(comment);
    assert!(parse(&mistake.example).is_some_and(|r| r.command.is_ok()), "{mistake:?}");
    mistake
}

#[test]
fn a_command_is_taken_as_it_is_written() {
    let asked =
        bisect("Hello!\r\n\r\n/bisect v1.4.0 main pytest  tests/test___init__.py -k \"a *b* c\" | cat  \r\nThanks");
    assert_eq!((asked.good.as_str(), asked.bad.as_str()), ("v1.4.0", "main"));
    assert_eq!(asked.script, "pytest  tests/test___init__.py -k \"a *b* c\" | cat");
    assert_eq!(asked.options, Options::default());
    for variant in [
        "/Bisect v1 main x",
        "/BISECT\tv1\tmain\tx",
        "/bisect\u{a0}v1\u{a0}main\u{a0}x\u{a0}",
        "   /bisect v1 main x",
        "text before\n/bisect `v1` main -- x\ntext after",
        "/bisect v1 main x\n-- \nAnn, by mail",
        "<!-- note --> \n\n/bisect v1 main x",
        "<details>\n\nold\n\n</details>\n\n/bisect v1 main x",
        "\u{feff}/bisect \"v1\" 'main' x",
    ] {
        let asked = bisect(variant);
        assert_eq!([asked.good, asked.bad, asked.script], ["v1", "main", "x"], "{variant:?}");
    }
}

#[test]
fn options_stand_before_the_command() {
    let line = "/bisect --image=python:3.12 --setup \u{201c}pip install -e '.[test]'\u{201d} v1 --timeout 1m30s main \
                --jobs 4 --first-parent \u{2014}fixed --path src/a --path 'b c' --skip a..b --skip v2 \
                --runs 30 --confidence 99% --same-failure --failure-line 'a b' --no-cache --trust-cache run --jobs 9";
    let asked = bisect(line);
    let Options { image, setup, timeout, jobs, first_parent, fixed, paths, skip, .. } = asked.options.clone();
    let Options { runs, confidence, same_failure, failure_line, no_cache, trust_cache, .. } = asked.options;
    assert_eq!(image.as_deref(), Some("python:3.12"));
    assert_eq!(setup.as_deref(), Some("pip install -e '.[test]'"));
    assert_eq!((timeout, jobs), (Some(Duration::from_secs(90)), Some(4)));
    assert!(first_parent && fixed && same_failure && no_cache && trust_cache);
    assert_eq!(failure_line.as_deref(), Some("a b"));
    assert_eq!((runs, confidence), (Some(30), Some(0.99)));
    assert_eq!((paths, skip), (vec!["src/a".into(), "b c".into()], vec!["a..b".into(), "v2".to_owned()]));
    assert_eq!(asked.script, "run --jobs 9");
    for (source, meant) in [
        (r#""a \"b\" \n \\ \$x""#, r#"a "b" \n \ $x"#),
        (r"'a \n'", r"a \n"),
        (r"a\ b'c'", "a bc"),
        ("\u{2018}it\u{2019}", "it"),
        ("\u{201e}a\u{201c}", "a"),
        ("don\u{2019}t", "don\u{2019}t"),
    ] {
        let asked = bisect(&format!("/bisect --setup {source} v1 main x"));
        assert_eq!(asked.options.setup.as_deref(), Some(meant), "{source}");
    }
}

#[test]
fn a_fence_is_the_script() {
    let script = "set -e\n\necho `a`  *b*\n";
    for (between, line) in [("\n", "/bisect v1 main"), ("\n\n", "/bisect v1 main"), ("\n", "/bisect v1 main ignored")] {
        let comment = format!("{line}{between}```sh\n{script}```\n");
        assert_eq!(bisect(&comment).script, script, "{comment}");
        assert_eq!(bisect(&comment.replace('\n', "\r\n")).script, script, "{comment}");
    }
    assert_eq!(bisect("/bisect v1 main x\n\n```\nTraceback\n```").script, "x");
    mistake("/bisect v1 main\nmore\n```\nx\n```");
    mistake("/bisect v1 main\n\n---\n\n```\nx\n```");
    mistake("/bisect v1 main\n```\n  \n```");
    mistake("/bisect v1 main\n\n    indented\n");
    // An example is one line: a lone carriage return would end it.
    let found = mistake("/bisect -v1 main\n~~~\n\ra\r~~~");
    assert_eq!(found.example, "/bisect v1.4.0 main pytest tests/test_x.py");
}

#[test]
fn words_are_commands() {
    let said = |comment: &str| parse(comment).unwrap().command.unwrap();
    assert_eq!(said("/bisect help"), Command::Help);
    assert_eq!(said("/bisect Help me, please"), Command::Help);
    assert_eq!(said("/bisect status\n"), Command::Status);
    assert_eq!(said("/bisect cancel \r\n"), Command::Cancel);
    assert_eq!(said("/bisect retry"), Command::Retry { runs: None });
    assert_eq!(said("/bisect wrong"), Command::Wrong);
    assert_eq!(said("/bisect retry --runs 3"), Command::Retry { runs: Some(3) });
    assert_eq!(said("/bisect retry —runs=50 "), Command::Retry { runs: Some(50) });
    assert!(mistake("/bisect retry --runs many").what.contains("a whole number from 1 to 100"));
    assert!(mistake("/bisect retry --runs 3 v1").what.contains("takes --runs and nothing else"));
    assert!(mistake("/bisect retry --runs 3 --fixed").what.contains("takes --runs and nothing else"));
    assert!(mistake("/bisect retry now").what.contains("but “now” follows"));
    assert_eq!(mistake("/bisect status now").example, "/bisect status");
}

#[test]
fn only_ones_own_line_is_a_command() {
    for comment in [
        "Try /bisect v1 main x",
        "> /bisect v1 main x",
        "> quoted\n/bisect v1 main x",
        "- /bisect v1 main x",
        "1. a\n/bisect v1 main x",
        "* [ ] a\n\n  /bisect v1 main x",
        "`/bisect v1 main x`",
        "a `b\n/bisect v1 main x` c",
        "```\n/bisect v1 main x\n```",
        "~~~\n/bisect v1 main x",
        "    /bisect v1 main x",
        "<!-- \n/bisect v1 main x\n-->",
        "a <!-- b\n/bisect v1 main x\n--> c",
        "<details>\n/bisect v1 main x\n</details>",
        "<details><summary>a</summary>\n\n/bisect v1 main x\n\n</details>",
        "<blockquote>\n\n/bisect v1 main x\n\n</blockquote>",
        "a <kbd>b\n/bisect v1 main x</kbd>",
        "# /bisect v1 main x",
        "| a |\n|---|\n/bisect v1 main x",
        "[a\n/bisect v1 main x](http://b)",
        "![a\n/bisect v1 main x](http://b)",
        "~~a\n/bisect v1 main x~~",
        "[^1]: a\n/bisect v1 main x\n\n[^1]",
        "> [!NOTE]\n> /bisect v1 main x",
        "/bisected v1 main x",
        "/bisect-foo v1 main x",
        "/bisect/foo",
        "//bisect v1 main x",
        "\\/bisect v1 main x",
        "nothing at all",
        "",
    ] {
        assert_eq!(parse(comment), None, "{comment:?}");
    }
}

#[test]
fn one_command_counts_and_the_others_are_counted() {
    let request = parse("/bisect v1 main x\n/bisect help\n\n> /bisect cancel\n\n/bisect status").unwrap();
    assert!(matches!(request.command, Ok(Command::Bisect(_))));
    assert_eq!(request.further, 2);
    assert_eq!(parse(&"/bisect v1 main x\n".repeat(1000)).unwrap().further, 999);
}

#[test]
fn each_mistake_is_told_with_an_example_that_works() {
    let long = "x".repeat(70_000);
    for (line, part) in [
        ("", "After /bisect stands nothing"),
        (": v1 main x", "belongs a space"),
        (" v1", "bad commit is missing"),
        (" v1 main", "command is missing"),
        (" --fixed", "good commit is missing"),
        (" v1 v1 x", "nothing between"),
        (" v1..main x", "is a range"),
        (" -v1 main x", "begins with a dash"),
        (" v1 ma\u{7}in x", "control"),
        (" v1 ma\u{200b}in x", "invisible"),
        (" v1\0 main x", "control"),
        (" v1 main x\0", "NUL"),
        (" --setup 'a\0' v1 main x", "NUL"),
        (" <v1> main x", "angle brackets"),
        (" main~3 main x", "SHA"),
        (" a:b main x", "no name that git allows"),
        (" v1 main `x`", "backticks"),
        (" v1 main x \\", "backslash"),
        (" v1 main -x", "dash"),
        (" --setup \"x v1 main", "quote"),
        (" --image v1", "good commit is missing"),
        (" --image", "--image needs a value"),
        (" --image --fixed v1 main x", "--image needs a value"),
        (" --image a --image b v1 main x", "second time"),
        (" --image A!! v1 main x", "must be the name of an image"),
        (" --fixed=yes v1 main x", "takes no value"),
        (" --timeout soon v1 main x", "must be a time"),
        (" --jobs 0 v1 main x", "from 1 to 64"),
        (" --path ../a v1 main x", "inside the repository"),
        (" --skip -a v1 main x", "must be a range"),
        (" --imgae a v1 main x", "Did you mean --image?"),
        (" --frobnicate v1 main x", "no option"),
        (" --env A=b v1 main x", ".github/bisect.yml"),
        (" --json v1 main x", "bisectd"),
        (" auto main x", "not offered yet"),
        (" v1 main --runs 0 x", "from 1 to 100"),
        (" v1 main --runs=1e2 x", "from 1 to 100"),
        (" --no-cache=yes v1 main x", "takes no value"),
        (" --confidence=1 v1 main x", "from 0.5 to 0.9999"),
        (" --confidence nan v1 main x", "from 0.5 to 0.9999"),
        (" --failure-line 'a(b' v1 main x", "unclosed group"),
        (" --failure-line '' v1 main x", "every line"),
        (" --failure-line '(a{100}){1000}' v1 main x", "too large"),
        (&format!(" {long} main x"), "70000 bytes"),
        (&format!(" v1 main {long}"), "70000 bytes"),
        (&format!(" --{long} v1 main x"), "no option"),
        (&format!(" --path a{} v1 main x", " --path a".repeat(60)), "one too many"),
    ] {
        let found = mistake(&format!("/bisect{line}"));
        assert!(found.what.contains(part), "{:?} → {found:?}", &line[..line.floor_char_boundary(80)]);
        assert!(found.what.len() < 600 && found.example.len() < 2000, "{found:?}");
    }
}

#[test]
fn the_example_keeps_what_was_right() {
    assert_eq!(
        mistake("/bisect --jobs 99 --fixed v2 dev make check").example,
        "/bisect --fixed --jobs 4 v2 dev make check"
    );
    assert_eq!(mistake("/bisect --no-cache=1 v2 dev make check").example, "/bisect --no-cache v2 dev make check");
    assert_eq!(mistake("/bisect --runs no v2 dev make check").example, "/bisect --runs 20 v2 dev make check");
    assert_eq!(mistake("/bisect v2 -dev make check").example, "/bisect v2 main make check");
    assert_eq!(mistake("/bisect v1 main `x y`").example, "/bisect v1 main pytest tests/test_x.py");
}

#[test]
fn every_row_of_the_table_holds() {
    for row in &grammar::OPTIONS {
        let parsed = parse(&row.example()).unwrap().command;
        assert_eq!(parsed.is_ok(), row.offered(), "{parsed:?}");
        assert_eq!(row.argument.is_some(), !row.sample.is_empty());
        if !row.offered() {
            mistake(&row.example());
        }
    }
    for row in &grammar::WORDS {
        assert!(parse(&row.example()).unwrap().command.is_ok());
    }
}

#[test]
fn the_help_names_everything_that_is_offered() {
    let help = help::markdown();
    assert!(grammar::OPTIONS.iter().all(|row| help.contains(&format!("`{}", row.name)) == row.offered()));
    assert!(grammar::WORDS.iter().all(|row| help.contains(&row.example())));
    assert_eq!(parse(&help), None, "the help must not obey itself");
    insta::assert_snapshot!(help);
}

#[test]
fn a_sound_file_is_read() {
    let file = b"# ours\nimage: python:3.12\nsetup: |\n  pip install -e .\ntimeout: 10m\nenv:\n  CI: 1\n  V: 1.10\n  ON: yes\nnetwork: none\nallow: triage\n";
    let config = repository_config::parse(file).unwrap();
    assert_eq!(config.image.as_deref(), Some("python:3.12"));
    assert_eq!(config.setup.as_deref(), Some("pip install -e .\n"));
    assert_eq!(config.timeout, Some(Duration::from_mins(10)));
    let env: Vec<(&str, &str)> = config.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(env, [("CI", "1"), ("ON", "yes"), ("V", "1.10")]);
    assert_eq!((config.network, config.allow), (Some(NetworkAccess::None), Allow::Triage));
    assert_eq!(repository_config::parse(b"timeout: 90").unwrap().timeout, Some(Duration::from_secs(90)));
    for empty in ["", "\n# nothing\n", "\u{feff}"] {
        assert_eq!(repository_config::parse(empty.as_bytes()).unwrap(), Default::default(), "{empty:?}");
    }
}

#[test]
fn an_unsound_file_is_refused_with_its_line() {
    let bomb = (1..60).fold("a0: &a0 [x, x]\n".to_owned(), |bomb, n| {
        bomb + &format!("a{n}: &a{n} [*a{}, *a{}, *a{0}, *a{0}]\n", n - 1, n - 1)
    });
    let merges = (1..9)
        .fold("env: &a0 {A: b}\n".to_owned(), |bomb, n| bomb + &format!("x{n}: &a{n} {{<<: [*a{0}, *a{0}]}}\n", n - 1));
    for (file, line, part) in [
        ("image: a\nimgae: b\n", Some(2), "imgae"),
        ("image: [a]\n", Some(1), ""),
        ("setup: x\n\nimage: {a: b}\n", Some(3), ""),
        ("allow: everyone\n", Some(1), "write, triage or anyone"),
        ("\nnetwork: full\n", Some(2), "egress or none"),
        ("timeout: 0\n", Some(1), "above 0"),
        ("timeout: soon\n", Some(1), "above 0"),
        ("env: a\n", Some(1), ""),
        ("env:\n  A: [b]\n", Some(2), ""),
        ("env:\n  A: b\n  A B: c\n", Some(3), "letters"),
        ("image: a\nimage: b\n", Some(2), ""),
        ("- a\n", Some(1), ""),
        ("just text", Some(1), ""),
        ("image: \"a\n", None, ""),
        ("image: a\n---\nimage: b\n", None, ""),
        (bomb.as_str(), None, ""),
        (merges.as_str(), None, ""),
        (&"[".repeat(60_000), None, ""),
        (&"- ".repeat(30_000), None, ""),
        (&"a: ".repeat(20_000), None, ""),
        (&format!("image: {}", "x".repeat(65_000)), Some(1), "512"),
        (&"#".repeat(66_000), None, "65536"),
    ] {
        let started = Instant::now();
        let found = repository_config::parse(file.as_bytes()).expect_err(&file[..file.len().min(60)]);
        assert!(started.elapsed().as_millis() < 500, "{:?} for {}", started.elapsed(), &file[..file.len().min(60)]);
        assert!(line.is_none() || found.line == line, "{:?} → {found:?}", &file[..file.len().min(60)]);
        assert!(found.what.contains(part) && !found.what.is_empty() && found.what.len() < 1000, "{found:?}");
    }
    assert!(repository_config::parse(b"image: \xff").unwrap_err().what.contains("UTF-8"));
}
