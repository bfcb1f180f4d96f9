//! `.github/bisect.yml`: anything that a repository may hold under that name.

use super::{fuzz, in_time, mutated, pieces};
use crate::command::repository_config::parse;
use proptest::prelude::*;

/// Reads it, and holds what comes of it to its promises.
fn read(file: &[u8]) {
    match parse(file) {
        Ok(config) => {
            let hidden = |(name, value): (&String, &String)| name.is_empty() || value.contains('\0');
            assert!(!config.env.iter().any(hidden), "{config:?}");
            assert!(config.timeout.is_none_or(|timeout| !timeout.is_zero()), "{config:?}");
        }
        Err(mistake) => {
            let told = mistake.to_string();
            assert!(!mistake.what.is_empty() && told.len() < 2000, "{told}");
        }
    }
}

const PIECES: &[&str] = &[
    "image",
    "setup",
    "timeout",
    "env",
    "network",
    "allow",
    ": ",
    ":",
    "\n",
    "\n  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "&a ",
    "*a",
    "*a ",
    "<<: ",
    "<<: *a\n",
    "|\n  ",
    ">-\n ",
    "\"",
    "'",
    "#",
    "!!str ",
    "!!binary ",
    "!a ",
    "---\n",
    "...\n",
    "? ",
    ",",
    "1",
    "10m",
    "-1",
    "1e999",
    ".inf",
    "~",
    "null",
    "none",
    "write",
    "\t",
    "%YAML 1.2\n",
    "%TAG ! tag:a:\n",
    "\u{feff}",
    "\0",
    "\u{2028}",
    "\\x",
    "\\u0000",
    "é",
];

fn sound() -> Vec<Vec<u8>> {
    let files = [
        "# ours\nimage: python:3.12\nsetup: |\n  pip install -e .\ntimeout: 10m\nenv:\n  CI: 1\n  V: 1.10\nallow: triage\n",
        "image: &i \"a/b:c@sha256:d\"\nenv: {A: *i, B: 'x', C: \"\\u00e9\\n\", D: >-\n  folded\n  text\n}\nnetwork: none\n",
        "---\n? image\n: python:3\n? setup\n: !!str make\n...\n",
        "timeout: 90\nnetwork: egress\nallow: anyone\n",
    ];
    files.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Nodes in flow style, with anchors and aliases anywhere: bombs among them.
fn node() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => (0..10_u8).prop_map(|n| format!("*a{n}")),
        2 => prop::sample::select(vec!["x", "1", "~", "''", "!!int z"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 200, 10, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..10);
        let map = prop::collection::vec((prop::sample::select(vec!["A", "b", "<<", "? x", "*a1 "]), inner), 0..6);
        let entries = |pairs: Vec<(&str, String)>| {
            let pairs = pairs.iter().map(|(key, value)| format!("{key}: {value}"));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        };
        let bare = prop_oneof![list.prop_map(|items| format!("[{}]", items.join(", "))), map.prop_map(entries)];
        (prop::option::of(0..10_u8), bare).prop_map(|(anchor, node)| match anchor {
            Some(n) => format!("&a{n} {node}"),
            None => node,
        })
    })
}

/// Such nodes under our keys and others, each of which may use what stands above it.
fn anchored() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec!["image", "setup", "timeout", "env", "network", "allow", "x", "<<", "a0"]);
    let line = (key, node()).prop_map(|(key, node)| format!("{key}: {node}\n"));
    prop::collection::vec(line, 1..20).prop_map(|lines| lines.concat())
}

#[test]
fn any_bytes_are_a_file() {
    fuzz("bisect.yml, any bytes", prop::collection::vec(any::<u8>(), 0..200), |file| read(file));
}

#[test]
fn any_pieces_are_a_file() {
    fuzz("bisect.yml, pieces", pieces(PIECES), |file| read(file.as_bytes()));
}

#[test]
fn any_anchors_are_a_file() {
    fuzz("bisect.yml, anchors", anchored(), |file| read(file.as_bytes()));
}

#[test]
fn any_change_of_a_file_is_a_file() {
    fuzz("bisect.yml, changed", mutated(sound(), PIECES), |file| read(file));
}

#[test]
fn bombs_are_refused_in_time() {
    let chain = |first: &str, next: &dyn Fn(usize) -> String| {
        (1..200).fold(first.to_owned(), |text, n| format!("{text}a{n}: &a{n} {}\n", next(n - 1)))
    };
    let aliases = |n: usize| vec![format!("*a{n}"); 20].join(", ");
    let bombs = [
        chain("a0: &a0 [x, x]\n", &|n| format!("[{}]", aliases(n))),
        chain("a0: &a0 {A: x}\n", &|n| format!("{{<<: [{}]}}", aliases(n))),
        chain("a0: &a0 xxxxxxxxxxxxxxxx\n", &|n| format!("{{A: {}}}", vec![format!("*a{n}"); 20].join(", B: "))),
        format!("env: &a0 [{}]\n", vec!["*a0"; 9000].join(", ")),
        format!("image: &a {}\nenv: {{{}}}\n", "x".repeat(30_000), "A: *a, ".repeat(4000)),
        format!("env:\n{}", (0..6000).map(|n| format!("  V{n}: x\n")).collect::<String>()),
        format!("env: {{{}}}\n", "A: x, ".repeat(10_000)),
        format!("setup: |\n{}", "  x\n".repeat(16_000)),
        format!("setup: \"{}\"", "\\\n  x".repeat(10_000)),
        format!("image: {}", "&a ".repeat(20_000)),
        format!("image: {}", "!!str ".repeat(10_000)),
        "? ".repeat(30_000),
        "? a\n".repeat(16_000),
        "- - ".repeat(16_000),
        "{a: ".repeat(16_000),
        "[".repeat(65_000),
        "%TAG ! a\n".repeat(7000),
        "---\n".repeat(16_000),
        "#\n".repeat(32_000),
        " \n".repeat(32_000),
        "\"".repeat(65_000),
        "a:\n ".repeat(16_000),
    ];
    for bomb in bombs {
        in_time(bomb.as_bytes(), || read(bomb.as_bytes()));
    }
}
