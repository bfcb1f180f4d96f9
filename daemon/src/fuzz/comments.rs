//! Comments: anything that people, phones and attackers write.

use super::{fuzz, in_time, mutated, pieces};
use crate::{
    command::{Command, Request, help, parse, value::is_hidden},
    report::replies::{Rejection, rejection},
};
use proptest::prelude::*;

/// Reads it, and holds what is answered to its promises.
fn read(comment: &str) {
    let Some(Request { command, further }) = parse(comment) else { return };
    assert!(further < comment.len() / "/bisect".len());
    match command {
        Ok(Command::Bisect(asked)) => {
            for end in asked.good.iter().chain([&asked.bad]) {
                assert!(!end.is_empty() && !end.starts_with('-') && !end.contains(is_hidden), "{end:?}");
            }
            assert!(!asked.script.trim().is_empty() && !asked.script.contains('\0'), "{asked:?}");
        }
        Ok(_) => {}
        Err(mistake) => {
            assert!(mistake.what.ends_with(['.', '?']), "whole sentences: {mistake:?}");
            assert!(parse(&mistake.example).is_some_and(|request| request.command.is_ok()), "{mistake:?}");
            let reply = rejection(&Rejection::Mistake(mistake));
            assert!(reply.len() < 10_000, "{} bytes of reply", reply.len());
            assert_eq!(parse(&reply), None, "a reply is no command: {reply}");
        }
    }
}

const PIECES: &[&str] = &[
    "/bisect",
    "/bisect ",
    "/Bisect v1 main x",
    "\n/bisect v1 main x\n",
    "v1 ",
    "main ",
    "help",
    "retry ",
    "--setup ",
    "--image=",
    "--runs ",
    "--path ",
    "--upload-pack=x ",
    "auto ",
    "\"",
    "'",
    "\u{201c}",
    "\u{2014}",
    "-",
    "--",
    "\\",
    "`",
    "```",
    "```\n",
    "~~~\n",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "    ",
    "> ",
    "* ",
    "1. ",
    "|",
    "|-|\n",
    "#",
    "---\n",
    "[",
    "](",
    ")",
    "[^a]: ",
    "[a]: b\n",
    "<!--",
    "-->",
    "<details>",
    "</details>\n",
    "<b>",
    "<a href=\"",
    "*",
    "__",
    "~~",
    "\0",
    "\u{7}",
    "\u{200b}",
    "\u{202e}",
    "\u{a0}",
    "é",
    "\u{1f600}",
    "a..b ",
    "=",
    "&#x",
];

/// Comments that somebody could have written.
fn sound() -> Vec<Vec<u8>> {
    let comments = [
        "/bisect v1.4.0 main pytest tests/test_x.py",
        "Hello!\r\n\r\n/bisect --jobs 4 --setup \"pip install -e '.[test]'\" v1 main make check\r\n\r\nThanks, @ann",
        "> /bisect v1 main x\n\nI think so too:\n\n/bisect --path src/ --skip a..b --timeout 10m v1 main -- ./x -k \"a b\"",
        "/bisect v1 main\n```sh\nset -e\nmake\n./x | grep -v `y`\n```\n\nand\n\n/bisect cancel",
        "<details><summary>Log</summary>\n\n```\n/bisect a b c\n```\n\n</details>\n\n/bisect retry --runs 3",
        "1. one\n2. two\n   - three\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[x]: http://y.z 'w'\n[^1]: note\n\n/bisect status",
        "/bisect --fixed \u{2014}first-parent \u{201c}v1\u{201d} main true",
    ];
    comments.iter().map(|text| (*text).to_owned()).chain([help::markdown()]).map(String::into_bytes).collect()
}

/// Markdown in Markdown: quotes, lists, code, tables, HTML, links, within one another.
fn nested() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "/bisect v1 main x",
        "/bisect --setup 'a b' v1 main\n```\nx\n```",
        "/bisect help",
        "text",
        "",
        "a `b",
        "<b>",
        "---",
    ]);
    let line = prop_oneof![6 => line.prop_map(str::to_owned), 1 => pieces(PIECES)];
    line.prop_recursive(8, 60, 4, |inner| {
        let marks = prop::sample::select(vec!["> ", "- ", "* ", "1. ", "  ", "    ", "\t", ">", "# ", "| ", "[^a]: "]);
        let around = prop::sample::select(vec![
            ("```\n", "\n```"),
            ("~~~~sh\n", "\n~~~~"),
            ("<details>\n\n", "\n\n</details>"),
            ("<blockquote>", "</blockquote>"),
            ("<!-- ", " -->"),
            ("~~", "~~"),
            ("**", "**"),
            ("`` ", " ``"),
            ("[", "](http://a.b 'c')"),
            ("![", "][a]"),
            ("|a|\n|-|\n|", "|"),
            ("", "\n\n---\n"),
        ]);
        let separator = prop::sample::select(vec!["\n", "\n\n", "\r\n", " "]);
        prop_oneof![
            (prop::collection::vec(inner.clone(), 1..4), separator).prop_map(|(parts, by)| parts.join(by)),
            (inner.clone(), marks).prop_map(|(text, mark)| {
                let lines = text.split('\n').map(|line| format!("{mark}{line}"));
                lines.collect::<Vec<_>>().join("\n")
            }),
            (inner, around).prop_map(|(text, (before, after))| format!("{before}{text}{after}")),
        ]
    })
}

#[test]
fn any_text_is_read() {
    fuzz("comments, any text", any::<String>(), |comment| {
        read(comment);
        read(&format!("/bisect {comment}"));
    });
}

#[test]
fn any_pieces_are_read() {
    fuzz("comments, pieces", pieces(PIECES), |comment| read(comment));
}

#[test]
fn any_nesting_is_read() {
    fuzz("comments, nested", nested(), |comment| read(comment));
}

#[test]
fn any_change_of_a_comment_is_read() {
    fuzz("comments, changed", mutated(sound(), PIECES), |comment| read(&String::from_utf8_lossy(comment)));
}

#[test]
fn hostile_comments_are_read_in_time() {
    let size = 60_000;
    let fill = |piece: &str| piece.repeat(size / piece.len());
    let mut hostile: Vec<String> = [
        "/bisect v1 main x\n",
        "a",
        ">",
        "> ",
        "[",
        "]",
        "![",
        "[a](",
        "[a](<b",
        "*a_ ",
        "**a *",
        "_a __",
        "`",
        "` `` ``` ",
        "<",
        "<a ",
        "<!--",
        "<?",
        "<![CDATA[",
        "<!A",
        "</a",
        "<a href='",
        "- ",
        "-\t",
        "1. ",
        "* ",
        "|",
        "|a",
        "| a |\n|-|\n",
        "[^a]",
        "[^a]: b\n\n",
        "[a]: b\n",
        "[a]: <",
        "[a]: b 'c",
        "~~a ",
        "~",
        "&",
        "&#x",
        "\\",
        "\\\n",
        "$",
        ":",
        "http://a.b",
        "a@b.c ",
        "#",
        "# a\n",
        "\r",
        "\r\n",
        "\t",
        "    a\n",
        "```\n",
        "~~~\n",
        "<details>\n\n",
        "<details>",
        "> [!NOTE]\n",
        "\0",
        "\u{a0}",
        "\u{201c}",
        "--setup \"",
        "--a ",
        "--path a ",
        "[a][b]",
        "]: ",
        "](a",
        "((",
        "[](",
        "<b>a",
        "<pre>\n",
        "<script>\n",
        "\n",
        " \n",
        "> a\n",
        ">a\nb\n",
        "* a\n",
        "  * a\n",
    ]
    .map(fill)
    .into();
    // Code spans of every length, opened and never closed.
    hostile.push((1..340).map(|n| format!("a{}", "`".repeat(n))).collect());
    // Lists that nest ever deeper, and lines deep within.
    hostile.push((0..240).map(|n| format!("{}* a\n", " ".repeat(2 * n))).collect());
    hostile.push(format!("{} a\n{}", ">".repeat(10_000), "> b\n".repeat(12_000)));
    hostile.push(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    hostile.push(format!("{}a{}", "*".repeat(20_000), "*".repeat(20_000)));
    hostile.push(format!("|{}\n|{}\n{}", "a|".repeat(10_000), "-|".repeat(10_000), "a\n".repeat(5000)));
    hostile.push(format!("[a]: b\n\n{}", fill("[a] ")));
    hostile.push(format!("[^a]\n\n[^a]: {}", fill("[^a] ")));
    let reads = |comment: &str| in_time(comment.as_bytes(), || read(comment));
    for body in hostile {
        reads(&body);
        for around in ["/bisect v1 main x\n", "/bisect v1 main x\n\n", "/bisect ", "/bisect --setup \""] {
            reads(&format!("{around}{body}"));
            reads(&format!("{body}\n\n{around}"));
        }
    }
}
