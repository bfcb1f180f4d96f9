//! Lines as they were stored, taken apart again: text, and the colours that the pen wrote into it.

use super::sgr::Sgr;
use std::borrow::Cow;

/// A part of a line in one colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its colours.
    pub sgr: Sgr,
}

/// The parts of a stored line.
pub fn parts(line: &str) -> impl Iterator<Item = Part<'_>> {
    let mut sgr = Sgr::default();
    line.split('\x1b').enumerate().filter_map(move |(number, part)| {
        let text = match (number, part.strip_prefix('[').and_then(|part| part.split_once('m'))) {
            (1.., Some((codes, text))) => {
                sgr = Sgr::read(codes);
                text
            }
            _ => part,
        };
        (!text.is_empty()).then_some(Part { text, sgr })
    })
}

/// The text of a stored line alone.
#[must_use]
pub fn plain(line: &str) -> Cow<'_, str> {
    if line.contains('\x1b') { Cow::Owned(parts(line).map(|part| part.text).collect()) } else { Cow::Borrowed(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = "plain \x1b[0;38;5;1mred\x1b[0m end";
        let texts: Vec<&str> = parts(line).map(|part| part.text).collect();
        assert_eq!(texts, ["plain ", "red", " end"]);
        assert_eq!(plain(line), "plain red end");
        assert_eq!(plain("m"), "m");
        assert!(matches!(plain("x"), Cow::Borrowed(_)));
    }
}
