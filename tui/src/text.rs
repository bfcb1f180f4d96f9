//! Text of others made safe to draw: nothing in it moves the cursor, hides, or turns the reading direction.
//!
//! What would is shown instead of obeyed: `<U+202E>`. The log's cleaner (`log::clean`) and every name, subject and
//! sentence from outside go through here. Widths are those of `unicode-width`, as ratatui counts them.

use std::borrow::Cow;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for a byte or a control character that cannot be shown.
pub const REPLACEMENT: char = '\u{fffd}';

/// So many combining marks may sit on one letter; more ("zalgo") would be drawn over the neighbours.
const MARKS: u8 = 4;

/// Pushes characters one after the other and remembers what the next one may attach to.
#[derive(Debug, Clone, Default)]
pub struct Cleaner {
    marks: u8,
    /// Whether the last character was a wide one, such as an emoji.
    wide: bool,
}

impl Cleaner {
    /// Appends `character`, or what stands for it, to `out`; says how many columns that takes.
    pub fn push(&mut self, out: &mut String, character: char) -> usize {
        if (' '..='~').contains(&character) {
            (self.marks, self.wide) = (0, false);
            out.push(character);
            return 1;
        }
        match character {
            // How a letter is to look; some terminals change its width for it.
            '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{1f3fb}'..='\u{1f3ff}' => 0,
            // Joins two emoji into one where the terminal can; its width is then anybody's guess.
            '\u{200d}' if self.wide => 0,
            hidden if is_hidden(hidden) => self.spell(out, hidden),
            other => self.push_visible(out, other),
        }
    }

    fn spell(&mut self, out: &mut String, hidden: char) -> usize {
        (self.marks, self.wide) = (0, false);
        let start = out.len();
        if hidden.is_control() {
            out.push(REPLACEMENT);
            return 1;
        }
        out.push_str(&format!("<U+{:04X}>", u32::from(hidden)));
        out.len() - start
    }

    fn push_visible(&mut self, out: &mut String, character: char) -> usize {
        let width = character.width().unwrap_or(0);
        if width > 0 {
            (self.marks, self.wide) = (0, width > 1);
            out.push(character);
        } else if self.marks < MARKS {
            self.marks += 1;
            out.push(character);
        }
        width
    }
}

/// Whether a character is not seen itself and changes how others are: controls, line separators, directions (UAX 9),
/// and what Unicode lets programs ignore (`Default_Ignorable_Code_Point` in `DerivedCoreProperties.txt`, 16.0).
#[must_use]
pub const fn is_hidden(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// `text` on one line, safe to draw. White space at its ends goes; a line feed or tab within becomes a blank.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut cleaner) = (String::with_capacity(text.len()), Cleaner::default());
    for character in text.chars() {
        let character = if matches!(character, '\n' | '\r' | '\t') { ' ' } else { character };
        cleaner.push(&mut out, character);
    }
    Cow::Owned(out)
}

/// What is being typed, safe to draw: as [`clean`], and its blanks stay.
#[must_use]
pub fn clean_typed(text: &str) -> String {
    let (mut out, mut cleaner) = (String::with_capacity(text.len()), Cleaner::default());
    for character in text.chars() {
        cleaner.push(&mut out, character);
    }
    out
}

/// A clean text without its first `columns`.
#[must_use]
pub fn skip(text: &str, columns: usize) -> &str {
    &text[fitting(text, columns)..]
}

/// The columns that a clean text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// A clean text in at most `columns`; one that is cut ends with `mark`.
#[must_use]
pub fn cut<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    if text.len() <= columns || width(text) <= columns {
        return Cow::Borrowed(text);
    }
    match columns.checked_sub(width(mark)) {
        Some(room) => Cow::Owned(format!("{}{mark}", &text[..fitting(text, room)])),
        None => Cow::Borrowed(&text[..fitting(text, columns)]),
    }
}

/// A clean text of which the beginning is cut, if need be: the end of a path or an id says more.
#[must_use]
pub fn cut_front<'a>(text: &'a str, columns: usize, mark: &str) -> Cow<'a, str> {
    let whole = width(text);
    if whole <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(width(mark));
    let start = fitting(text, whole - room);
    // A wide letter may straddle the place.
    let rest = text[start..].char_indices().map(|(at, _)| &text[start + at..]).find(|rest| width(rest) <= room);
    Cow::Owned(format!("{}{}", if width(mark) <= columns { mark } else { "" }, rest.unwrap_or_default()))
}

/// How many bytes of a clean text fit into `columns`.
fn fitting(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, character) in text.char_indices() {
        used += character.width().unwrap_or(0);
        if used > columns {
            return at;
        }
    }
    text.len()
}

/// A clean text broken at blanks into lines of at most `columns`; longer words are broken where they must be.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word;
        let used = lines.last().map_or(0, |line| width(line));
        if used > 0 && used + 1 + width(word) <= columns {
            push_last(&mut lines, " ");
            push_last(&mut lines, word);
            continue;
        }
        if used > 0 {
            lines.push(String::new());
        }
        while width(word) > columns {
            let first = word.chars().next().map_or(0, char::len_utf8);
            let (head, rest) = word.split_at(fitting(word, columns).max(first));
            if rest.is_empty() {
                break;
            }
            push_last(&mut lines, head);
            lines.push(String::new());
            word = rest;
        }
        push_last(&mut lines, word);
    }
    lines
}

fn push_last(lines: &mut [String], text: &str) {
    if let Some(last) = lines.last_mut() {
        last.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain", "plain")]
    #[case("  fix\n\tit  ", "fix  it")]
    #[case("a\x1b[2Jb\u{9b}c\0", "a\u{fffd}[2Jb\u{fffd}c\u{fffd}")]
    #[case("safe\u{202e}txt.exe", "safe<U+202E>txt.exe")]
    #[case("a\u{200b}b\u{ad}", "a<U+200B>b<U+00AD>")]
    #[case("naïve cafe\u{301}", "naïve cafe\u{301}")]
    #[case("❤\u{fe0f} 👨\u{200d}💻 👍\u{1f3fd}", "❤ 👨💻 👍")]
    #[case("a\u{200d}b", "a<U+200D>b")]
    fn nothing_is_hidden(#[case] from: &str, #[case] to: &str) {
        assert_eq!(clean(from), to);
    }

    #[test]
    fn marks_do_not_pile_up() {
        let zalgo = format!("x{}", "\u{301}".repeat(100));
        assert_eq!(clean(&zalgo).chars().count(), 1 + usize::from(MARKS));
    }

    #[test]
    fn cutting_counts_columns() {
        assert_eq!(cut("日本語", 6, "…"), "日本語");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut("abcdef", 3, ".."), "a..");
        assert_eq!(cut("abc", 1, ".."), "a");
        assert_eq!(cut("abc", 0, "…"), "");
        assert_eq!(cut_front("/srv/日本/x", 6, "…"), "…本/x");
        assert_eq!(cut_front("abc", 3, "…"), "abc");
    }

    #[test]
    fn wrapping_breaks_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("日本", 1), ["日", "本"]);
    }

    proptest! {
        #[test]
        fn clean_text_is_clean(text in "\\PC*|[\\x00-\\u{ffff}]*", columns in 0_usize..40) {
            let text = clean(&text);
            prop_assert!(!text.chars().any(is_hidden), "{text:?}");
            prop_assert!(width(&cut(&text, columns, "…")) <= columns);
            prop_assert!(width(&cut_front(&text, columns, "…")) <= columns);
            let _ = wrap(&text, columns);
        }
    }
}
