//! Every word and option of a bisection, once: the parser, `/bisect help` and the examples in replies are
//! made from this table, and a test holds the command line of `bisectd bisect` to it.

use super::{Command, Options, value};

/// What examples are made of.
pub(super) const GOOD: &str = "v1.4.0";
/// See [`GOOD`].
pub(super) const BAD: &str = "main";
/// See [`GOOD`].
pub(super) const SCRIPT: &str = "pytest tests/test_x.py";

/// Where an option may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a `/bisect` comment.
    Comment,
    /// On the command line of `bisectd bisect`.
    Shell,
    /// In both.
    Both,
}

/// What an option does to the options of a comment; the error is the rest of a sentence about its value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Take {
    /// It stands alone.
    Flag(fn(&mut Options)),
    /// It takes a value.
    Value(fn(&mut Options, &str) -> Result<(), String>),
    /// It is for the command line only; what a comment has in its stead.
    ShellOnly(&'static str),
}

/// One option.
#[derive(Debug)]
pub struct OptionRow {
    /// With its dashes.
    pub name: &'static str,
    /// What its value is called, if it takes one.
    pub argument: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
    /// A value that works; empty without one.
    pub sample: &'static str,
    /// Where it may stand.
    pub place: Place,
    pub(super) take: Take,
}

impl OptionRow {
    /// Whether a comment may use it today.
    #[must_use]
    pub const fn offered(&self) -> bool {
        matches!(self.take, Take::Flag(_) | Take::Value(_))
    }

    /// As it is written, with a value that works.
    #[must_use]
    pub fn fragment(&self) -> String {
        if self.sample.is_empty() { self.name.to_owned() } else { format!("{} {}", self.name, self.sample) }
    }

    /// A whole command with it.
    #[must_use]
    pub fn example(&self) -> String {
        format!("/bisect {} {GOOD} {BAD} {SCRIPT}", self.fragment())
    }
}

/// One word that stands in the place of a bisection.
#[derive(Debug)]
pub struct WordRow {
    /// The word.
    pub name: &'static str,
    /// The option that may follow it.
    pub option: Option<&'static str>,
    /// What it means.
    pub meaning: &'static str,
    pub(super) command: fn(&Options) -> Command,
}

impl WordRow {
    /// A whole command with it.
    #[must_use]
    pub fn example(&self) -> String {
        format!("/bisect {}", self.name)
    }

    /// How it is written, with what may follow it.
    #[must_use]
    pub fn usage(&self) -> String {
        let option = self.option.and_then(option).map(super::help::usage);
        option.map_or_else(|| self.example(), |option| format!("{} [{option}]", self.example()))
    }
}

/// The words.
pub const WORDS: [WordRow; 5] = [
    WordRow { name: "help", option: None, meaning: "shows this text", command: |_| Command::Help },
    WordRow {
        name: "status",
        option: None,
        meaning: "lists the bisections of this issue",
        command: |_| Command::Status,
    },
    WordRow { name: "cancel", option: None, meaning: "stops the running one", command: |_| Command::Cancel },
    WordRow {
        name: "retry",
        option: Some("--runs"),
        meaning: "runs the last one of this issue once more",
        command: |options| Command::Retry { runs: options.runs },
    },
    WordRow {
        name: "wrong",
        option: None,
        meaning: "reports that the answer is not right",
        command: |_| Command::Wrong,
    },
];

const fn row(
    name: &'static str,
    argument: Option<&'static str>,
    sample: &'static str,
    meaning: &'static str,
    place: Place,
    take: Take,
) -> OptionRow {
    OptionRow { name, argument, meaning, sample, place, take }
}

const CONFIGURED: Take = Take::ShellOnly("in a comment's repository it can be set in `.github/bisect.yml`");
const SHELL: Take = Take::ShellOnly("a comment cannot set it");

/// The options.
pub const OPTIONS: [OptionRow; 26] = [
    row(
        "--image",
        Some("IMAGE"),
        "python:3.12",
        "the image to run in",
        Place::Both,
        Take::Value(|options, text| once(&mut options.image, value::image(text)?)),
    ),
    row(
        "--setup",
        Some("CMD"),
        "\"pip install -e .\"",
        "run after every checkout; where it fails, the commit is skipped",
        Place::Both,
        Take::Value(|options, text| once(&mut options.setup, value::script(text)?)),
    ),
    row(
        "--timeout",
        Some("TIME"),
        "10m",
        "the longest one commit may take",
        Place::Both,
        Take::Value(|options, text| {
            once(
                &mut options.timeout,
                value::duration(text)
                    .map_err(|_| "must be a time above 0 and at most a week, for example `90s` or `10m`")?,
            )
        }),
    ),
    row(
        "--jobs",
        Some("K"),
        "4",
        "how many commits to test at once",
        Place::Both,
        Take::Value(|options, text| once(&mut options.jobs, value::jobs(text)?)),
    ),
    row(
        "--first-parent",
        None,
        "",
        "follow only the first parent of merges: which merge broke it?",
        Place::Both,
        Take::Flag(|options| options.first_parent = true),
    ),
    row(
        "--fixed",
        None,
        "",
        "find the commit that fixed it: the older end stays first and fails, the newer one passes",
        Place::Both,
        Take::Flag(|options| options.fixed = true),
    ),
    row(
        "--path",
        Some("PATH"),
        "src/",
        "only commits that touch this path (repeatable)",
        Place::Both,
        Take::Value(|options, text| more(&mut options.paths, value::path(text)?)),
    ),
    row(
        "--skip",
        Some("A..B"),
        "v1.4.1..v1.4.3",
        "never test these commits (repeatable)",
        Place::Both,
        Take::Value(|options, text| more(&mut options.skip, value::skip(text)?)),
    ),
    row(
        "--runs",
        Some("N"),
        "20",
        "the test fails by chance, too: up to N runs for each step of the search, weighed together",
        Place::Both,
        Take::Value(|options, text| once(&mut options.runs, value::runs(text)?)),
    ),
    row(
        "--confidence",
        Some("C"),
        "0.99",
        "how probable the answer must be where the test fails by chance",
        Place::Both,
        Take::Value(|options, text| once(&mut options.confidence, value::confidence(text)?)),
    ),
    row(
        "--same-failure",
        None,
        "",
        "only the failure of the bad end counts: a commit that fails otherwise is skipped",
        Place::Both,
        Take::Flag(|options| options.same_failure = true),
    ),
    row(
        "--failure-line",
        Some("REGEX"),
        "'AssertionError'",
        "only failures that print a line like this count; a commit that fails otherwise is skipped",
        Place::Both,
        Take::Value(|options, text| {
            value::failure_line(text)?;
            once(&mut options.failure_line, text.to_owned())
        }),
    ),
    row(
        "--no-cache",
        None,
        "",
        "run every commit anew, whatever earlier bisections found out about it",
        Place::Both,
        Take::Flag(|options| options.no_cache = true),
    ),
    row(
        "--trust-cache",
        None,
        "",
        "take the word of earlier bisections for the ends and for the proof, too",
        Place::Both,
        Take::Flag(|options| options.trust_cache = true),
    ),
    row("--good", Some("REV"), "v1.3.0", "another good end", Place::Shell, SHELL),
    row("--job-timeout", Some("TIME"), "1h", "the longest the whole search may take", Place::Shell, SHELL),
    row("--silence", Some("TIME"), "5m", "the longest a run may print nothing", Place::Shell, SHELL),
    row("--env", Some("NAME=VALUE"), "CI=1", "set a variable", Place::Shell, CONFIGURED),
    row("--network", Some("NETWORK"), "none", "what the command may reach", Place::Shell, CONFIGURED),
    row("--sandbox", Some("SANDBOX"), "docker", "where the command runs", Place::Shell, SHELL),
    row("--json", None, "", "print one JSON object", Place::Shell, SHELL),
    row("--quiet", None, "", "show no progress", Place::Shell, SHELL),
    row("--color", Some("WHEN"), "never", "when to use colours", Place::Shell, SHELL),
    row("--env-file", Some("FILE"), ".env", "read variables from this file", Place::Shell, SHELL),
    row("--version", None, "", "print the version", Place::Shell, SHELL),
    row("--help", None, "", "print help", Place::Shell, Take::ShellOnly("write `/bisect help`")),
];

/// The option of this name.
pub(super) fn option(name: &str) -> Option<&'static OptionRow> {
    static ROWS: [OptionRow; 26] = OPTIONS;
    ROWS.iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// The option of a comment that somebody may have meant: one or two letters away.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let near = OPTIONS.iter().filter(|row| row.offered()).map(|row| (distance(row.name, name), row.name));
    near.min().filter(|(distance, _)| *distance <= 2).map(|(_, name)| name)
}

/// Letters to change, add or leave out (Levenshtein); long words are far from everything.
fn distance(one: &str, other: &str) -> usize {
    if other.len() > 32 {
        return usize::MAX;
    }
    let mut costs: Vec<usize> = (0..=other.chars().count()).collect();
    for (row, a) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut costs[0], row + 1);
        for (column, b) in other.chars().enumerate() {
            let cost = (diagonal + usize::from(a != b)).min(costs[column] + 1).min(costs[column + 1] + 1);
            diagonal = std::mem::replace(&mut costs[column + 1], cost);
        }
    }
    costs[costs.len() - 1]
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), String> {
    if place.is_some() {
        return Err("is given a second time".into());
    }
    *place = Some(value);
    Ok(())
}

fn more(list: &mut Vec<String>, value: String) -> Result<(), String> {
    if list.len() == value::REPEATS {
        return Err(format!("is one too many: at most {} are taken", value::REPEATS));
    }
    list.push(value);
    Ok(())
}
