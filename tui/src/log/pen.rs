//! Assembles the lines of one run out of bytes that may be cut anywhere.
//!
//! Colours stay. A carriage return starts the line anew, so that of a progress bar its last state is seen. Everything
//! else that a terminal would obey is dropped; what it would hide is spelled out (see [`crate::text`]).

use super::sgr::Sgr;
use crate::text::{Cleaner, REPLACEMENT};
use unicode_width::UnicodeWidthChar;

/// Bytes of a line that are kept in one piece. A longer one goes on in the next.
pub(super) const LONGEST: usize = 4096;
/// So many more for the marks of its last character.
const MARKS: usize = 64;

/// Ends whatever sequence is open (ECMA-48, 8.3.10): none goes on over the end of a line.
const CANCEL: u8 = 0x18;

const TAB: usize = 8;

/// A line, or a piece of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Clean text with our own colour sequences in it.
    pub(super) text: String,
    /// Whether it goes on from the piece before.
    pub(super) continued: bool,
}

/// The line that is being printed.
#[derive(Default)]
pub(super) struct Pen {
    parser: vte::Parser,
    /// The beginning of a character that was cut. The parser (0.15) loses characters after such a one.
    held: Vec<u8>,
    line: Line,
}

/// What the parser writes on.
#[derive(Debug, Default)]
struct Line {
    text: String,
    /// Whether anything was printed since the last line ended.
    begun: bool,
    continued: bool,
    column: usize,
    /// The next character starts the line anew.
    returned: bool,
    sgr: Sgr,
    /// What the last sequence in `text` set, and whether that is not known any more.
    written: Sgr,
    unknown: bool,
    cleaner: Cleaner,
    done: Vec<Piece>,
}

impl Pen {
    /// Takes in bytes; gives the pieces that they complete.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let joined;
        let mut rest = bytes;
        if !self.held.is_empty() {
            joined = [&self.held, bytes].concat();
            rest = &joined;
        }
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.parser.advance(&mut self.line, &rest[..end]);
            self.parser.advance(&mut self.line, &[CANCEL]);
            self.line.end(false);
            rest = &rest[end + 1..];
        }
        let (whole, cut) = rest.split_at(rest.len() - unfinished(rest));
        self.parser.advance(&mut self.line, whole);
        self.held = cut.to_vec();
        std::mem::take(&mut self.line.done)
    }

    /// Nothing more is printed: a line that has begun ends.
    pub(super) fn finish(&mut self) -> Vec<Piece> {
        let held = std::mem::take(&mut self.held);
        self.parser.advance(&mut self.line, &held);
        self.parser.advance(&mut self.line, &[CANCEL]);
        if self.line.begun {
            self.line.end(false);
        }
        std::mem::take(&mut self.line.done)
    }

    /// What there is of a line that has not ended, if it has begun.
    pub(super) fn open(&self) -> Option<(&str, bool)> {
        self.line.begun.then_some((&self.line.text, self.line.continued))
    }
}

impl Line {
    fn end(&mut self, goes_on: bool) {
        let text = std::mem::take(&mut self.text);
        self.done.push(Piece { text, continued: self.continued });
        self.continued = goes_on;
        (self.written, self.unknown) = (Sgr::default(), false);
        if !goes_on {
            (self.begun, self.returned, self.column) = (false, false, 0);
            self.cleaner = Cleaner::default();
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.cleaner = Cleaner::default();
        (self.written, self.unknown) = (Sgr::default(), false);
        (self.column, self.returned) = (0, false);
    }

    fn put(&mut self, character: char) {
        self.begun = true;
        if self.returned {
            self.clear();
        }
        // Between a character and its marks only where there is no end of marks.
        let full = LONGEST + if character.width() == Some(0) { MARKS } else { 0 };
        if self.text.len() >= full {
            self.end(true);
            self.begun = true;
        }
        let before = (self.text.len(), self.written, self.unknown);
        if self.unknown || self.written != self.sgr {
            self.sgr.write(&mut self.text);
            (self.written, self.unknown) = (self.sgr, false);
        }
        let coloured = self.text.len();
        self.column += self.cleaner.push(&mut self.text, character);
        // What is not kept needs no colour.
        if self.text.len() == coloured {
            self.text.truncate(before.0);
            (self.written, self.unknown) = (before.1, before.2);
        }
    }

    /// Takes the last character back.
    fn back(&mut self) {
        while let Some(last) = self.text.chars().next_back() {
            if let Some(start) = sequence_at_end(&self.text) {
                self.text.truncate(start);
                self.unknown = true;
                continue;
            }
            self.text.pop();
            self.column = self.column.saturating_sub(last.width().unwrap_or(0));
            return;
        }
    }
}

/// How many bytes at the end may be the beginning of a character (RFC 3629, 3).
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.iter().rev().take(3);
    let follows = tail.clone().take_while(|byte| **byte & 0b1100_0000 == 0b1000_0000).count();
    match tail.clone().nth(follows) {
        Some(0b1100_0000..=0b1101_1111) if follows < 1 => follows + 1,
        Some(0b1110_0000..=0b1110_1111) if follows < 2 => follows + 1,
        Some(0b1111_0000..=0b1111_0111) if follows < 3 => follows + 1,
        _ => 0,
    }
}

/// Where the colour sequence begins with which `text` ends. Only our own are in it.
fn sequence_at_end(text: &str) -> Option<usize> {
    let codes = text.strip_suffix('m')?;
    let start = codes.rfind('\x1b')?;
    let numbers = codes[start..].strip_prefix("\x1b[")?;
    numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';').then_some(start)
}

impl vte::Perform for Line {
    fn print(&mut self, character: char) {
        // The parser executes C1 controls, but for those that were cut in the middle.
        if !('\u{80}'..='\u{9f}').contains(&character) {
            self.put(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0 => self.put(REPLACEMENT),
            b'\t' => {
                let blanks = TAB - self.column % TAB;
                for _ in 0..blanks {
                    self.put(' ');
                }
            }
            b'\r' => self.returned = true,
            // Spinners overwrite themselves so.
            8 if !self.returned => self.back(),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, parameters: &vte::Params, intermediates: &[u8], ignored: bool, action: char) {
        if ignored || !intermediates.is_empty() {
            return;
        }
        match action {
            'm' => self.sgr.apply(parameters.iter()),
            // Erase in line: all of it, or what is after the cursor at its beginning.
            'K' => match parameters.iter().next().and_then(|first| first.first()) {
                Some(2) => self.clear(),
                Some(0) | None if self.returned => self.clear(),
                _ => {}
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// All lines, those that have ended first.
    fn lines(pieces: &[&[u8]]) -> Vec<Piece> {
        let mut pen = Pen::default();
        let mut all: Vec<Piece> = pieces.iter().flat_map(|bytes| pen.write(bytes)).collect();
        all.extend(pen.open().map(|(text, continued)| Piece { text: text.to_owned(), continued }));
        all
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        lines(&[bytes]).into_iter().map(|piece| piece.text).collect()
    }

    #[rstest]
    #[case(b"one\ntwo\r\n\nthree", &["one", "two", "", "three"])]
    #[case(b"10%\r50%\r100%\ndone", &["100%", "done"])]
    #[case(b"long text\rshort", &["short"])]
    #[case(b"a\x1b[2K\rb", &["b"])]
    #[case(b"work \x08\x08!", &["wor!"])]
    #[case(b"a\tb\t\tc", &["a       b               c"])]
    #[case(b"\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b\x1b]8;;http://x\x1b\\link", &["ablink"])]
    #[case(b"a\x1b[2J\x1b[10;10H\x1b[c\x1b[6n\x1bP+q544e\x1b\\b\x1bc\x1b(0c", &["abc"])]
    #[case(b"\xc2\x9b31mx\x9b31my", &["31mx31my"])]
    #[case(b"\xc2\x80a\x85", &["a"])]
    #[case(b"nul\0 bad\xff\xfe utf \xe2\x82", &["nul\u{fffd} bad\u{fffd}\u{fffd} utf "])]
    #[case("safe\u{202e}txt.exe \u{200b}|".as_bytes(), &["safe<U+202E>txt.exe <U+200B>|"])]
    #[case(b"\x1b]never ended\nnext \x1b[31\nlast \x1bPq\n", &["", "next ", "last "])]
    #[case(b"\x1b[31mred\x1b[0m not", &["\x1b[0;38;5;1mred\x1b[0m not"])]
    #[case(b"\x1b[1;31mred\nstill\x1b[m\n", &["\x1b[0;1;38;5;1mred", "\x1b[0;1;38;5;1mstill"])]
    #[case(b"\x1b[31m", &[])]
    fn cleaning(#[case] from: &[u8], #[case] to: &[&str]) {
        assert_eq!(texts(from), to);
    }

    #[test]
    fn nothing_is_lost_behind_a_character_that_is_cut() {
        assert_eq!(lines(&[b"\xc3", b"\xa9 \x80\n"])[0].text, "é ");
        let mut pen = Pen::default();
        assert_eq!((pen.write(b"a\xc3").len(), pen.finish()[0].text.as_str(), pen.finish().len()), (0, "a\u{fffd}", 0));
        assert_eq!(["", "a", "\u{e9}a"].map(|text| unfinished(text.as_bytes())), [0, 0, 0]);
        assert_eq!([&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98", b"\x80\x80\x80"].map(unfinished), [1, 2, 3, 0]);
    }

    #[test]
    fn a_character_that_is_taken_back_takes_its_colour_along() {
        assert_eq!(texts(b"a\x1b[31mb\x08\x08c"), ["\x1b[0;38;5;1mc"]);
        assert_eq!(texts(b"m\x1b[31mm\x08c"), ["m\x1b[0;38;5;1mc"]);
    }

    #[test]
    fn a_line_of_ten_megabytes_comes_in_pieces() {
        let mut pen = Pen::default();
        let long = vec![b'x'; 10_000_000];
        let mut pieces: Vec<Piece> = long.chunks(65_536).flat_map(|bytes| pen.write(bytes)).collect();
        pieces.extend(pen.write(b"\nend\n"));
        assert!(pieces.iter().all(|piece| piece.text.len() <= LONGEST + 2 * MARKS));
        assert_eq!(pieces.iter().filter(|piece| !piece.continued).count(), 2);
        let (end, long) = pieces.split_last().unwrap();
        assert_eq!(end.text, "end");
        assert_eq!(long.iter().map(|piece| piece.text.len()).sum::<usize>(), 10_000_000);
    }

    #[test]
    fn an_endless_sequence_takes_no_memory() {
        let mut pen = Pen::default();
        for start in [b"\x1b]0;".as_slice(), b"\x1bPq", b"\x1b[1;", b"\x1b_"] {
            pen.write(start);
            for _ in 0..1000 {
                assert_eq!(pen.write(&[b'1'; 1000]), []);
            }
            pen.write(b"\n");
        }
        assert!(pen.line.text.capacity() < 2 * LONGEST);
    }

    /// Bytes with much in them that matters.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let special = prop_oneof![
            Just(b"\x1b[31m".to_vec()),
            Just(b"\x1b[38;2;1;2;3m".to_vec()),
            Just(b"\x1b]0;title\x07".to_vec()),
            Just(b"\x1bP1$q\x1b\\".to_vec()),
            Just("\u{202e}".as_bytes().to_vec()),
            Just("e\u{301}👨\u{200d}💻".as_bytes().to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\t\r\x08\0".to_vec()),
            Just(b"\xff\xe2\x82".to_vec()),
            Just(vec![b'x'; 3000]),
            proptest::collection::vec(any::<u8>(), 0..8),
            "[ -~\n]{0,12}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(special, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn cut_anywhere_the_lines_are_the_same(bytes in bytes(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for place in places.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[start..place]);
                start = place;
            }
            prop_assert_eq!(lines(&pieces), lines(&[&bytes]));
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(lines(&single), lines(&[&bytes]));
        }

        #[test]
        fn nothing_but_our_own_colours_is_left(bytes in bytes()) {
            for piece in lines(&[&bytes]) {
                for part in super::super::paint::parts(&piece.text) {
                    prop_assert!(!part.text.chars().any(crate::text::is_hidden), "{:?}", piece.text);
                }
            }
        }
    }
}
