//! What a program printed, made safe to show: colours stay, every other control sequence goes.

/// How many bytes of a run's output are shown with a result.
pub const TAIL_BYTES: usize = 4096;

/// How many lines of a run's output are shown with a result.
pub const TAIL_LINES: usize = 20;

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
            '\u{1b}' => {
                let sequence = escape_sequence(&mut rest);
                if colours && is_colour(&sequence) {
                    coloured = true;
                    shown.push('\u{1b}');
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
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// A name or subject for one line: nothing but its printable characters.
#[must_use]
pub fn line(text: &str) -> String {
    filter(text.as_bytes(), false).replace(['\n', '\t'], " ")
}

/// The end of `bytes` as it is shown with a result.
#[must_use]
pub fn tail(bytes: &[u8]) -> String {
    let text = filter(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..], false);
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
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
const fn is_bidi(c: char) -> bool {
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
    fn a_tail_has_few_lines() {
        let long: Vec<u8> = (0..1000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let shown = tail(&long);
        assert_eq!(shown.lines().count(), TAIL_LINES);
        assert!(shown.ends_with("line 999"));
    }
}
