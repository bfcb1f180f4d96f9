//! What a program printed, made safe to show: colours stay, every other control sequence goes.

use std::borrow::Cow;

/// How many bytes of a run's output are shown with a result.
pub const TAIL_BYTES: usize = 4096;

/// How many lines of a run's output are shown with a result.
pub const TAIL_LINES: usize = 20;

const ESC: char = '\u{1b}';

/// Everything off (SGR 0).
const RESET: &str = "\u{1b}[0m";

/// `bytes` as text for a terminal: invalid UTF-8 replaced, colours (SGR, ECMA-48 8.3.117) kept if
/// `colours`, other escape sequences, control characters and bidirectional overrides dropped. A
/// carriage return starts the line anew, as a terminal would show it.
#[must_use]
pub fn filter(bytes: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ESC => {
                let sequence = escape_sequence(&mut rest);
                if colours && is_colour(&sequence) {
                    coloured = true;
                    shown.push(ESC);
                    shown.push_str(&sequence);
                }
            }
            '\r' => {
                if rest.peek().is_some_and(|next| *next != '\n') {
                    shown.truncate(shown.rfind('\n').map_or(0, |end| end + 1));
                }
            }
            '\n' | '\t' => shown.push(c),
            c if c.is_control() || is_bidi(c) => {}
            c => shown.push(c),
        }
    }
    if coloured {
        shown.push_str(RESET);
    }
    shown
}

/// A name or subject for one line: nothing but its printable characters.
#[must_use]
pub fn line(text: &str) -> String {
    filter(text.as_bytes(), false).replace(['\n', '\t'], " ")
}

/// The end of `bytes` as it is kept with a result. Colours stay, for those who want to see them:
/// each line begins in those that are on, and ends without, so that it may stand alone.
#[must_use]
pub fn tail(bytes: &[u8]) -> String {
    let text = filter(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..], true);
    let mut on = String::new();
    let mut lines: Vec<String> = text.lines().map(|line| self_contained(line, &mut on)).collect();
    while lines.last().is_some_and(|line| filter(line.as_bytes(), false).trim().is_empty()) {
        lines.pop();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// A kept [`tail`] for a place that shows colours, or does not.
#[must_use]
pub fn shown_tail(tail: &str, colours: bool) -> Cow<'_, str> {
    if colours { Cow::Borrowed(tail) } else { Cow::Owned(filter(tail.as_bytes(), false)) }
}

/// A filtered `line` with the colours that are `on` before it; they are carried on to the next.
fn self_contained(line: &str, on: &mut String) -> String {
    let mut own = on.clone();
    let mut rest = line;
    while let Some((text, after)) = rest.split_once(ESC) {
        let (sequence, after) = after.split_at(after.find('m').map_or(after.len(), |end| end + 1));
        own.push_str(text);
        rest = after;
        if matches!(sequence, "[m" | "[0m") {
            if !on.is_empty() {
                own.push_str(RESET);
            }
            on.clear();
        } else {
            own.extend([ESC]);
            own.push_str(sequence);
            on.extend([ESC]);
            on.push_str(sequence);
        }
    }
    own.push_str(rest);
    let own = own.trim_end().to_owned();
    if on.is_empty() { own } else { own + RESET }
}

/// Takes one escape sequence after its ESC: CSI up to its final byte, OSC and the other strings up
/// to BEL or ST, else one character.
fn escape_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut sequence = String::new();
    let Some(kind) = rest.next() else { return sequence };
    sequence.push(kind);
    match kind {
        '[' => {
            while let Some(c) = rest.next_if(|c| (' '..='~').contains(c)) {
                sequence.push(c);
                if ('@'..='~').contains(&c) {
                    break;
                }
            }
        }
        ']' | 'P' | 'X' | '^' | '_' => {
            while let Some(c) = rest.next() {
                if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
    sequence
}

fn is_colour(sequence: &str) -> bool {
    let parameters = sequence.strip_prefix('[').and_then(|rest| rest.strip_suffix('m'));
    parameters.is_some_and(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b';' || b == b':'))
}

/// The overrides and isolates that can make a line read otherwise than it is (Unicode TR 9).
pub(crate) const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_pass() {
        let hostile = b"\x1b]0;title\x07a\x1b[31mred\x1b[0m\x1b[2Jb\x1b]52;c;aGk=\x1b\\c\x00\xff\x9b";
        assert_eq!(filter(hostile, false), "aredbc\u{fffd}\u{fffd}");
        assert_eq!(filter(hostile, true), "a\u{1b}[31mred\u{1b}[0mbc\u{fffd}\u{fffd}\u{1b}[0m");
    }

    #[test]
    fn a_progress_bar_shows_its_last_state() {
        assert_eq!(filter(b"10%\r50%\r100%\r\ndone\n", false), "100%\ndone\n");
    }

    #[test]
    fn a_line_stays_a_line() {
        assert_eq!(line("fix\n\u{202e}evil\x1b[2J"), "fix evil");
    }

    #[test]
    fn each_line_of_a_tail_has_its_own_colours() {
        let printed = b"plain\n\x1b[31mred \x1b[1mbold\nstill\x1b[0m not\x1b[2J\x1b[m\n\x1b[32mok\x1b[0m\n\x1b[0m\n";
        let shown = "plain\n\u{1b}[31mred \u{1b}[1mbold\u{1b}[0m\n\u{1b}[31m\u{1b}[1mstill\u{1b}[0m not\n\
                     \u{1b}[32mok\u{1b}[0m";
        assert_eq!(tail(printed), shown);
        assert_eq!(filter(tail(printed).as_bytes(), false), "plain\nred bold\nstill not\nok");
    }

    #[test]
    fn a_tail_has_few_lines() {
        let long: Vec<u8> = (0..1000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let shown = tail(&long);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 999"));
    }
}
