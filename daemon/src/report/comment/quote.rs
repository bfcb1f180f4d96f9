//! Text of users inside of GitHub's Markdown, where it stays text. What is shown reads as it was written;
//! characters of no width stand only where GitHub would make a mention, a reference or a link.

use crate::report::text;
use std::{borrow::Cow, fmt::Write};

/// A character of no width.
const NOTHING: char = '\u{200b}';

/// A line of a user's text: every character that Markdown or HTML could read there is an entity, and what GitHub
/// would read in the shown text (`@name`, `#1`, `GH-1`, addresses, names of commits) is interrupted.
#[must_use]
pub fn inline(source: &str) -> String {
    escape(text::line(source).trim(), true)
}

/// The same for a part of a line, whose blanks stay; `first` where the line begins with it.
pub(super) fn escape(line: &str, first: bool) -> String {
    let mut out = String::with_capacity(line.len());
    let (mut word, mut digits) = (String::new(), 0);
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        // GitHub makes links of seven or more hexadecimal digits.
        digits = if c.is_ascii_hexdigit() { digits + 1 } else { 0 };
        if digits == 7 {
            out.push(NOTHING);
            digits = 1;
        }
        match c {
            // Means something at the beginning of a line only, as a list or a heading does.
            '-' | '.' | ')' if !(first && is_item(&out, rest.peek())) => out.push(c),
            ',' | '/' | '!' | '(' | ';' | '?' | '\'' | '"' | '%' => out.push(c),
            c if c.is_ascii_punctuation() => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
        let begins = match c {
            '@' | '#' => true,
            ':' => rest.peek().is_some_and(|next| *next != ' '),
            '-' => word.ends_with("gh"),
            '.' => word.ends_with("www"),
            _ => false,
        };
        if begins {
            out.push(NOTHING);
        }
        if c.is_alphanumeric() { word.extend(c.to_lowercase()) } else { word.clear() }
    }
    out
}

/// Whether a mark between these two makes a list or a rule of a line: only digits before it, no word behind it.
fn is_item(before: &str, next: Option<&char>) -> bool {
    before.bytes().all(|b| b.is_ascii_digit()) && next.is_none_or(|next| !next.is_alphanumeric())
}

/// A user's text in a fence that is longer than any run of backticks in it.
pub(super) fn fence(out: &mut String, source: &str) {
    let shown = text::filter(source.as_bytes(), false);
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(out, "{ticks}text\n{}\n{ticks}", shown.trim_end());
}

/// At most `bytes` of the text, the middle left out with a note.
pub(super) fn cut(source: &str, bytes: usize) -> String {
    if source.len() <= bytes {
        return source.to_owned();
    }
    let head = source.floor_char_boundary(bytes / 2);
    let tail = source.ceil_char_boundary(source.len() - bytes / 2);
    format!("{} … ({} bytes left out) … {}", &source[..head], tail - head, &source[tail..])
}

/// At most `chars` characters of a text, the middle left out with a note on a line of its own.
pub(super) fn cut_chars(text: &str, chars: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= chars {
        return Cow::Borrowed(text);
    }
    const ROOM: usize = 100;
    let half = (chars - ROOM) / 2;
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    let (head, tail) = (&text[..at(half)], &text[at(count - half)..]);
    Cow::Owned(format!("{head}\n\n… ({} characters left out) …\n\n{tail}", count - 2 * half))
}
