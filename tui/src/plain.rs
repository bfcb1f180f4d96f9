//! Text of others made harmless: what ssh, a server or a file said may hold control sequences, and a terminal obeys them.

/// `text` with every control sequence gone; line feeds stay, tabs are blanks.
#[must_use]
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => skip_sequence(&mut rest),
            '\u{9b}' => skip_parameters(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}' => skip_string(&mut rest),
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            '\r' => {}
            other if other.is_control() || hides(other) => {}
            other => out.push(other),
        }
    }
    out
}

/// As [`text`], on one line: what is left of its lines is joined by blanks.
#[must_use]
pub fn line(text: &str) -> String {
    self::text(text).split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Characters that are not seen and change how others are: directions (Unicode UAX 9), joiners, line separators.
const fn hides(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What follows ESC (ECMA-48, 5).
fn skip_sequence(rest: &mut Characters<'_>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_parameters(rest);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            rest.next();
            skip_string(rest);
        }
        _ => {
            // Intermediate bytes, then a final one.
            while rest.next_if(|character| (' '..='/').contains(character)).is_some() {}
            rest.next_if(|character| ('0'..='~').contains(character));
        }
    }
}

fn skip_parameters(rest: &mut Characters<'_>) {
    while rest.next_if(|character| (' '..='?').contains(character)).is_some() {}
    rest.next_if(|character| ('@'..='~').contains(character));
}

/// A string ends with ST or BEL. One that does not end by its line is none: the line feed is kept.
fn skip_string(rest: &mut Characters<'_>) {
    while let Some(character) = rest.next_if(|character| *character != '\n') {
        match character {
            '\x07' | '\u{9c}' => return,
            '\x1b' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("plain", "plain")]
    #[case("\x1b[31mred\x1b[0m", "red")]
    #[case("\x1b]0;title\x07after", "after")]
    #[case("\x1b]52;c;AAAA\x1b\\after", "after")]
    #[case("\u{9b}31mred", "red")]
    #[case("\u{9d}0;title\u{9c}after", "after")]
    #[case("a\x1b(0b\x1bcd", "abd")]
    #[case("\x1b]unended\nnext", "\nnext")]
    #[case("safe\u{202e}txt.exe", "safetxt.exe")]
    #[case("a\x08\x00\x7fb\tc\r\n", "ab c\n")]
    #[case("\x1b", "")]
    #[case("\x1b[", "")]
    fn nothing_is_left_to_obey(#[case] from: &str, #[case] to: &str) {
        assert_eq!(text(from), to);
    }

    #[test]
    fn a_line_is_one() {
        assert_eq!(line("  one\r\n\n two \x1b[2J\n"), "one two");
    }
}
