//! The answer to `/bisect help`: Markdown, made from the grammar.

use super::grammar::{BAD, GOOD, OPTIONS, OptionRow, SCRIPT, WORDS};
use std::fmt::Write;

/// The whole text.
#[must_use]
pub fn markdown() -> String {
    let mut out = format!(
        "### How to bisect\n\
         \n\
         ```\n/bisect [options] <good> <bad> <command>\n/bisect {GOOD} {BAD} {SCRIPT}\n```\n\
         \n\
         I look for the first commit after `<good>` on which the command fails, and prove it. `<good>` and `<bad>` are \
         commits, tags or branches; for `auto` instead of `<good>` I look for a release that passes, the newest first, each time \
         twice as far back. The command runs by `sh -c` in a container, at the root of the commit's tree: \
         exit 0 is good, 125 cannot be tested, 1 to 127 is bad, 128 and above stops the search. A fenced code block \
         right after the line is run instead of the command.\n\
         \n\
         | option, before the command | |\n|---|---|\n"
    );
    for row in OPTIONS.iter().filter(|row| row.offered()) {
        let _ = writeln!(out, "| `{}` | {} |", usage(row), row.meaning);
    }
    out.push_str("\n| instead of a bisection | |\n|---|---|\n");
    for row in &WORDS {
        let _ = writeln!(out, "| `{}` | {} |", row.usage(), row.meaning);
    }
    out.push_str(
        "\nThe command stands at the start of a line, one to a comment; quotes, lists and code are not read. \
         A repository can set `image`, `setup`, `timeout`, `env`, `network` and `allow` in `.github/bisect.yml`.\n\
         \n<details><summary>Examples</summary>\n\n```\n",
    );
    for row in OPTIONS.iter().filter(|row| row.offered()) {
        let _ = writeln!(out, "{}", row.example());
    }
    out.push_str("```\n\n</details>\n");
    out
}

/// A whole command.
#[must_use]
pub fn example() -> String {
    format!("/bisect {GOOD} {BAD} {SCRIPT}")
}

/// An option with the name of its value.
#[must_use]
pub fn usage(row: &OptionRow) -> String {
    row.argument.map_or_else(|| row.name.to_owned(), |argument| format!("{} {argument}", row.name))
}
