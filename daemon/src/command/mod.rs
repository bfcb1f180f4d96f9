//! From the text of a comment to what it asks for. Pure: knows nothing of GitHub or of jobs.
//!
//! Markdown decides *whether* a line is a command; what it says is the raw source line. The grammar
//! is one table, from which the parser, the help text and the examples in replies are made.

pub mod grammar;
pub mod help;
mod line;
mod markdown;
mod mistake;
pub mod repository_config;
#[cfg(test)]
mod tests;
pub(crate) mod value;
mod words;

use std::time::Duration;

/// GitHub takes no comment longer than 65,536 characters; what is longer than their bytes is cut.
const COMMENT_BYTES: usize = 4 * 65_536;

/// A comment that asks for something.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What its first command line asks for, or what is wrong with that line.
    pub command: Result<Command, Mistake>,
    /// How many more command lines it has, which are not obeyed.
    pub further: usize,
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// `/bisect <good> <bad> <command…>`.
    Bisect(Box<Bisect>),
    /// `/bisect help`.
    Help,
    /// `/bisect status`: the jobs of this issue.
    Status,
    /// `/bisect cancel`: stops the unfinished job of this issue.
    Cancel,
    /// `/bisect retry`: the last job of this issue once more.
    Retry {
        /// `--runs`, instead of what was asked for.
        runs: Option<u32>,
    },
    /// `/bisect wrong`: the answer is not right.
    Wrong,
}

/// One bisection as it was asked for; nothing is resolved yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Bisect {
    /// The older end: a SHA, a tag or a branch.
    pub good: String,
    /// The newer end.
    pub bad: String,
    /// One script for `sh -c`: the rest of the line, or the fenced block below it.
    pub script: String,
    /// What stood before it.
    pub options: Options,
}

/// The options of a bisection; `None` and empty leave it to the repository and to the defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options {
    /// `--image`.
    pub image: Option<String>,
    /// `--setup`.
    pub setup: Option<String>,
    /// `--timeout`, of one probe.
    pub timeout: Option<Duration>,
    /// `--jobs`: probes at once.
    pub jobs: Option<u32>,
    /// `--first-parent`.
    pub first_parent: bool,
    /// `--fixed`.
    pub fixed: bool,
    /// `--path`.
    pub paths: Vec<String>,
    /// `--skip`.
    pub skip: Vec<String>,
    /// `--runs`.
    pub runs: Option<u32>,
    /// `--confidence`.
    pub confidence: Option<f64>,
    /// `--same-failure`.
    pub same_failure: bool,
    /// `--failure-line`.
    pub failure_line: Option<String>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--trust-cache`.
    pub trust_cache: bool,
}

/// A command line that is none: what was wrong and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, with the words it is about; user text in it is not yet made safe for Markdown.
    pub what: String,
    /// A command line that would have worked.
    pub example: String,
}

/// What the comment asks for; `None` when it says nothing to the bot.
#[must_use]
pub fn parse(comment: &str) -> Option<Request> {
    let comment = &comment[..comment.floor_char_boundary(COMMENT_BYTES)];
    // Nearly every comment ends here, without being read as Markdown.
    if !markdown::mentions(comment) || markdown::too_deep(comment) {
        return None;
    }
    let lines = markdown::command_lines(comment);
    let first = lines.first()?;
    Some(Request { command: line::parse(first), further: lines.len() - 1 })
}
