//! What our script in a test container says: its own words, and what of the output is the command's.
//!
//! A number that only the script was told makes a word its own. The command runs as the script's own user, though, and can
//! find it out: so nothing here is believed that would lift a limit.

use super::{engine, events::Fate, probe::DOING};
use crate::sandbox::SandboxError;
use bisect_shared::Ending;
use bytes::Bytes;
use std::time::Instant;

/// What the script exits with when its input ended: then nobody heard its words.
const UNHEARD: u8 = 75;

/// What the script inside said on its own stream.
pub(super) struct Control {
    nonce: String,
    line: Vec<u8>,
    pub(super) begun: bool,
    pub(super) ended_at: Option<Instant>,
    word: Option<Word>,
    /// There were several last words: one at least is forged.
    contradicted: bool,
}

/// `end setup|command CODE GUARDED FULL MEMORY STAYS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    of_setup: bool,
    code: u8,
    /// The container's own deadline ended the command.
    guarded: bool,
    /// The command failed and left `/tmp` full. One that tidied up first failed with its own code.
    full: bool,
    /// The kernel has killed a process for memory, or nobody can see: the engine says which.
    memory: bool,
    /// The container is as new, and may run another commit.
    stays: bool,
}

impl Control {
    /// No word of the script is longer.
    const LONGEST: usize = 128;

    pub(super) fn new(nonce: &str) -> Self {
        Self {
            nonce: nonce.to_owned(),
            line: Vec::new(),
            begun: false,
            ended_at: None,
            word: None,
            contradicted: false,
        }
    }

    /// Takes the script's words out of a piece of its stream. What is left is the shell's own
    /// (`Segmentation fault`), and belongs to the output.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Bytes {
        let mut rest = Vec::new();
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' || self.line.len() >= Self::LONGEST {
                let line = std::mem::take(&mut self.line);
                // An empty one comes before each word.
                if line != b"\n" && !self.understand(&line) {
                    rest.extend(line);
                }
            }
        }
        rest.into()
    }

    fn understand(&mut self, line: &[u8]) -> bool {
        let Ok(text) = str::from_utf8(line) else {
            return false;
        };
        let Some(text) = text.strip_prefix(&self.nonce) else {
            return false;
        };
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["begin"] => self.begun = true,
            ["end", phase, code, guarded, full, memory, stays] if self.word.is_none() => {
                self.word = code.parse().ok().map(|code| Word {
                    of_setup: phase == "setup",
                    code,
                    guarded: guarded == "1",
                    full: full == "1",
                    memory: memory != "0",
                    stays: stays == "1",
                });
                self.ended_at = Some(Instant::now());
            }
            ["end", ..] => self.contradicted = true,
            _ => {}
        }
        true
    }

    /// Whether it said that the container waits for another commit.
    pub(super) fn stays(&self) -> bool {
        self.word.is_some_and(|word| word.stays)
    }

    /// Whether the engine may have a word to say on memory that decides what the end means.
    pub(super) fn asks_for_memory(&self) -> bool {
        self.word.is_some_and(|word| word.memory && word.code != 0)
    }

    /// Whether it said two different last words.
    pub(super) fn is_contradicted(&self) -> bool {
        self.contradicted
    }

    /// What a probe that ended by itself came to.
    pub(super) fn ending(&self, fate: Fate) -> Result<Ending, SandboxError> {
        if fate.signalled {
            let reason = "somebody had Docker signal the container, or Docker stops";
            return Err(engine::failed(DOING, reason));
        }
        if self.contradicted {
            return Ok(Ending::Tampered);
        }
        match self.word {
            Some(Word { code: 0, of_setup: false, .. }) => Ok(Ending::Exited(0)),
            _ if fate.out_of_memory => Ok(Ending::OutOfMemory),
            Some(word) if word.guarded => Ok(Ending::TimedOut),
            Some(word) if word.full => Ok(Ending::OutOfDisk),
            Some(Word { code, of_setup: true, .. }) => Ok(Ending::SetupFailed(code)),
            Some(Word { code, .. }) => Ok(Ending::Exited(code)),
            None if fate.code == Some(UNHEARD) => {
                Err(engine::failed(DOING, "the connection to the test container ended before it did"))
            }
            // It always says one, and nothing else can kill process 1.
            None => Ok(Ending::Tampered),
        }
    }
}

/// What setup and command print: what comes on the output between the script's two marks. What comes before is an
/// earlier commit's, of which one that forged its end may have left something.
pub(super) struct Printed {
    begin: Vec<u8>,
    done: Vec<u8>,
    /// May be the beginning of a mark.
    held: Vec<u8>,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Before,
    Within,
    After,
}

impl Printed {
    /// What a mark begins with, and little else has in it (the record separator of ASCII).
    const MARK: u8 = 0x1e;

    pub(super) fn new(nonce: &str) -> Self {
        let mark = |word: &str| [&[Self::MARK], nonce.as_bytes(), word.as_bytes()].concat();
        Self { begin: mark(" begin\n"), done: mark(" done\n"), held: Vec::new(), part: Part::Before }
    }

    /// What of the next bytes was printed.
    pub(super) fn read(&mut self, bytes: Bytes) -> Bytes {
        let mut bytes =
            if self.held.is_empty() { bytes } else { [std::mem::take(&mut self.held), bytes.into()].concat().into() };
        if self.part == Part::Before {
            match self.find(&self.begin, &bytes) {
                Found::At(at) => {
                    self.part = Part::Within;
                    bytes = bytes.slice(at + self.begin.len()..);
                }
                Found::Perhaps(at) => {
                    self.held = bytes[at..].to_vec();
                    return Bytes::new();
                }
            }
        }
        if self.part == Part::After {
            return Bytes::new();
        }
        match self.find(&self.done, &bytes) {
            Found::At(at) => {
                self.part = Part::After;
                bytes.truncate(at);
            }
            Found::Perhaps(at) => {
                self.held = bytes[at..].to_vec();
                bytes.truncate(at);
            }
        }
        bytes
    }

    /// What was held back, when nothing more will come.
    pub(super) fn rest(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if self.part == Part::Within { held.into() } else { Bytes::new() }
    }

    /// Whether everything was read.
    pub(super) fn is_done(&self) -> bool {
        self.part == Part::After
    }

    fn find(&self, mark: &[u8], bytes: &[u8]) -> Found {
        let mut from = 0;
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == Self::MARK).map(|at| at + from) {
            let rest = &bytes[at..];
            if rest.starts_with(mark) {
                return Found::At(at);
            }
            if mark.starts_with(rest) {
                return Found::Perhaps(at);
            }
            from = at + 1;
        }
        Found::Perhaps(bytes.len())
    }
}

/// Where a mark is.
enum Found {
    At(usize),
    /// It is not; from here on what is there may be the beginning of one.
    Perhaps(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_lies_between_the_marks_however_they_are_split() {
        let whole =
            b"of before\x1e0 begin\n\x1e5ec2e7 begin\none\x1etwo\x1e5ec2e7 dont\nthree\x1e5ec2e7 done\nof after";
        for size in 1..whole.len() {
            let mut printed = Printed::new("5ec2e7");
            let read: Vec<u8> =
                whole.chunks(size).flat_map(|piece| printed.read(Bytes::copy_from_slice(piece))).collect();
            assert_eq!(read, b"one\x1etwo\x1e5ec2e7 dont\nthree", "in pieces of {size}");
            assert!(printed.is_done());
        }
    }

    #[test]
    fn what_was_held_back_is_the_commands_when_no_mark_follows() {
        let mut printed = Printed::new("5ec2e7");
        assert_eq!(printed.read("\x1e5ec2e7 begin\nhalf\x1e5ec2e7 do".into()), "half");
        assert_eq!(printed.rest(), "\x1e5ec2e7 do");
        assert!(!printed.is_done());
    }

    fn control(pieces: &[&str]) -> (Control, Vec<u8>) {
        let mut control = Control::new("5ec2e7");
        let mut rest = Vec::new();
        for piece in pieces {
            rest.extend(control.read(piece.as_bytes()));
        }
        (control, rest)
    }

    #[test]
    fn words_are_understood_however_they_are_split() {
        let (control, rest) =
            control(&["5ec", "2e7 be", "gin\nSegmentation fault\n5ec2e7 end com", "mand 139 0 0 0 0\n"]);
        assert!(control.begun);
        assert_eq!(rest, b"Segmentation fault\n");
        assert_eq!(control.ending(Fate::default()).unwrap(), Ending::Exited(139));
    }

    #[test]
    fn nobody_else_can_say_them() {
        let (control, rest) = control(&["0 end command 0 0 0 0 0\n", "5ec2e8 end command 0 0 0 0 0\n"]);
        assert_eq!(control.word, None);
        assert_eq!(rest.len(), 53);
        assert_eq!(control.ending(Fate::default()).unwrap(), Ending::Tampered);
    }

    #[test]
    fn what_others_write_between_them_hides_none() {
        let (control, rest) = control(&["\n5ec2e7 begin\n", "junk", "\n5ec2e7 end command 3 0 0 0 0\n"]);
        assert_eq!(rest, b"junk\n");
        assert_eq!(control.ending(Fate { code: Some(0), ..Fate::default() }).unwrap(), Ending::Exited(3));
    }

    #[test]
    fn a_container_that_ended_unheard_is_an_error_and_one_without_its_word_is_none() {
        let ended = |code| control(&["\n5ec2e7 begin\n"]).0.ending(Fate { code: Some(code), ..Fate::default() });
        assert!(ended(UNHEARD).is_err());
        assert_eq!(ended(0).unwrap(), Ending::Tampered);
        assert_eq!(ended(139).unwrap(), Ending::Tampered);
    }

    #[test]
    fn memory_is_told_by_the_engine_and_only_when_the_command_failed() {
        let oom = Fate { out_of_memory: true, ..Fate::default() };
        let ended = |word: &str| control(&[&format!("5ec2e7 end {word}\n")]).0.ending(oom).unwrap();
        assert_eq!(ended("command 0 0 0 0 0"), Ending::Exited(0));
        assert_eq!(ended("command 1 0 0 0 0"), Ending::OutOfMemory);
        assert_eq!(ended("setup 137 0 0 0 0"), Ending::OutOfMemory);
        assert_eq!(control(&[]).0.ending(oom).unwrap(), Ending::OutOfMemory);
    }

    #[test]
    fn a_code_that_arrives_while_docker_signals_the_container_is_discarded() {
        let signalled = Fate { signalled: true, ..Fate::default() };
        assert!(control(&["5ec2e7 end command 0 0 0 0 0\n"]).0.ending(signalled).is_err());
    }
}
