//! What a run said last: heard while its output passes by, and reduced to what two runs of one failure have in common.
//!
//! Numbers, addresses, paths and times are left out, and so are colours and rulers.

use crate::search::{Fingerprint, LINES};
use regex::{Regex, bytes};
use sha2::{Digest, Sha256};
use std::{collections::VecDeque, sync::LazyLock};

/// The fingerprint is made from so many bytes at the end of the output.
const TAIL: usize = 16 << 10;
/// Of one line so many bytes are looked at for `--failure-line`.
const LONGEST_LINE: usize = 64 << 10;

/// What is heard of one run.
#[derive(Default)]
pub(super) struct Ear {
    tail: VecDeque<u8>,
    /// What is before the tail, and the beginning of its first line, were let go.
    cut: bool,
    /// `--failure-line`: then only whether a line has it is of interest.
    wanted: Option<bytes::Regex>,
    line: Vec<u8>,
    found: bool,
}

impl Ear {
    pub(super) fn new(wanted: Option<bytes::Regex>) -> Self {
        Self { wanted, ..Self::default() }
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        if self.wanted.is_some() {
            return self.hear_lines(bytes);
        }
        let kept = &bytes[bytes.len().saturating_sub(TAIL)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL);
        self.tail.drain(..surplus);
        self.tail.extend(kept);
        self.cut |= surplus > 0 || kept.len() < bytes.len();
    }

    fn hear_lines(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.found {
                return;
            }
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if pieces.peek().is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.found |= self.wanted.as_ref().is_some_and(|wanted| wanted.is_match(&line));
    }

    /// What it said, in all.
    pub(super) fn fingerprint(mut self) -> Fingerprint {
        if self.wanted.is_some() {
            self.end_line();
            return Fingerprint::new(self.found.then_some(1));
        }
        let tail: Vec<u8> = self.tail.into();
        let text = String::from_utf8_lossy(&tail);
        let mut lines: Vec<u32> = Vec::new();
        for line in text.lines().skip(usize::from(self.cut)).collect::<Vec<_>>().into_iter().rev() {
            let line = plain(line);
            if line.chars().any(char::is_alphabetic) {
                let number = number(&line);
                if !lines.contains(&number) {
                    lines.push(number);
                }
            }
            if lines.len() == LINES {
                break;
            }
        }
        Fingerprint::new(lines)
    }
}

/// The line without what differs between two runs of one failure.
fn plain(line: &str) -> String {
    static REPLACED: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            // Colours and the like.
            (r"\x1b\[[0-?]*[ -/]*[@-~]", ""),
            // Paths, but for the name at the end.
            (r"(?:[A-Za-z]:)?(?:[\w.+@~-]*[/\\])+", "/"),
            // Addresses, hashes and identifiers.
            (r"\b0x[0-9A-Fa-f]+\b|\b[0-9a-f]{7,}\b", "#"),
            (r"[0-9]+(?:[.:,][0-9]+)*", "#"),
            // Rulers, whose length goes by the width of a screen or of a name.
            (r"[=_*~.-]{3,}", "-"),
            (r"\s+", " "),
        ];
        rules.into_iter().filter_map(|(rule, with)| Some((Regex::new(rule).ok()?, with))).collect()
    });
    let mut plain = line.to_owned();
    for (rule, with) in REPLACED.iter() {
        plain = rule.replace_all(&plain, *with).into_owned();
    }
    plain.trim().to_owned()
}

/// Never 0, which stands for no line.
fn number(line: &str) -> u32 {
    let digest = Sha256::digest(line.as_bytes());
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Fingerprint {
        let mut ear = Ear::default();
        text.as_bytes().chunks(7).for_each(|piece| ear.hear(piece));
        ear.fingerprint()
    }

    #[test]
    fn numbers_addresses_paths_times_and_colours_do_not_count() {
        let one =
            "E   assert 3 == 4\ntests/test_x.py:12: AssertionError\n<Shop at 0x7f3a90>\n==== 1 failed in 0.12s ====\n";
        let other = "\x1b[31mE   assert 17 == 9\x1b[0m\n/bisect/work/tests/test_x.py:480: AssertionError\n<Shop at 0x5511c2>\n======= 1 failed in 12.80s =======\n";
        assert_eq!(of(one), of(other));
    }

    #[test]
    fn another_failure_is_told_from_it() {
        let fails = "E   assert 3 == 4\ntests/test_x.py:12: AssertionError\nFAILED tests/test_x.py::test_total\n1 failed in 0.12s\n";
        let breaks = "ImportError while importing test module\nE   ModuleNotFoundError: No module named 'shop'\nERROR tests/test_x.py\n1 error in 0.08s\n";
        assert!(!of(fails).is_like(of(breaks)));
        assert!(of("").is_empty() && of("---\n123\n").is_empty());
    }

    #[test]
    fn only_the_end_of_a_long_output_counts() {
        let long = format!("{}the end\n", "something else\n".repeat(10_000));
        let mut ear = Ear::default();
        ear.hear(long.as_bytes());
        assert!(ear.tail.len() <= TAIL);
        assert_eq!(ear.fingerprint(), of("something else\nthe end\n"));
    }

    #[test]
    fn a_line_that_is_looked_for_may_come_in_pieces_and_without_an_end() {
        let heard = |pieces: &[&str]| {
            let mut ear = Ear::new(Some(bytes::Regex::new("Assertion(Error)? .*42$").unwrap()));
            pieces.iter().for_each(|piece| ear.hear(piece.as_bytes()));
            !ear.fingerprint().is_empty()
        };
        assert!(heard(&["a\nAsser", "tionError is 4", "2\nmore"]));
        assert!(heard(&["AssertionError 42"]));
        assert!(!heard(&["AssertionError 4", "3\n42\n"]));
        assert!(!heard(&[]));
    }
}
