//! Fuzzing of what strangers write: comments, `.github/bisect.yml`, webhook payloads. Nothing of it may
//! panic, or take over 50 ms of a processor for one input.
//!
//! `BISECT_FUZZ_CASES` says how many inputs each target sees (300); `make fuzz` runs a million in all.

mod comments;
mod payloads;
mod settings;

use nix::time::{ClockId, clock_gettime};
use proptest::{
    prelude::*,
    sample::Index,
    test_runner::{TestCaseError, TestRunner},
};
use std::{cell::Cell, time::Duration};

/// The longest one input may take; a build without optimisation is given more.
const BUDGET: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 50 });

/// Reads many inputs, and says how long the longest took.
fn fuzz<S: Strategy>(target: &str, inputs: S, read: impl Fn(&S::Value)) {
    let asked = std::env::var("BISECT_FUZZ_CASES").ok().map(|cases| cases.parse().expect("a number"));
    let config = ProptestConfig { cases: asked.unwrap_or(300), failure_persistence: None, ..ProptestConfig::default() };
    let (cases, longest) = (config.cases, Cell::new(Duration::ZERO));
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        let took = quickest(|| read(&input));
        longest.set(longest.get().max(took));
        if took < BUDGET { Ok(()) } else { Err(TestCaseError::fail(format!("it took {took:?}"))) }
    });
    if let Err(error) = outcome {
        panic!("{target}: {error}");
    }
    println!("{target}: {cases} inputs, the longest took {:?} of a processor", longest.get());
}

/// The same for one input that somebody thought of.
#[track_caller]
fn in_time(input: &[u8], read: impl Fn()) {
    let took = quickest(read);
    let shown = String::from_utf8_lossy(&input[..input.len().min(200)]);
    assert!(took < BUDGET, "{} bytes took {took:?}: {shown:?}", input.len());
}

/// How long it takes, of this thread's processor. What is slow is tried again: caches and neighbours
/// count in it, too.
fn quickest(read: impl Fn()) -> Duration {
    let once = || {
        let began = processor();
        read();
        processor() - began
    };
    let first = once();
    if first < BUDGET { first } else { first.min(once()).min(once()) }
}

fn processor() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock").into()
}

/// One change of a text that was sound.
#[derive(Debug, Clone)]
enum Edit {
    Byte(Index, u8),
    Insert(Index, &'static str),
    Remove(Index, usize),
    /// So many bytes from there on, so often.
    Repeat(Index, usize, usize),
    /// What stands at one place, at another.
    Copy(Index, usize, Index),
}

impl Edit {
    fn apply(&self, text: &mut Vec<u8>) {
        let span = |at: &Index, length: usize| {
            let start = at.index(text.len() + 1);
            start..text.len().min(start + length)
        };
        match self {
            Self::Byte(at, byte) => {
                let at = at.index(text.len() + 1);
                text.splice(at..text.len().min(at + 1), [*byte]);
            }
            Self::Insert(at, piece) => {
                let at = at.index(text.len() + 1);
                text.splice(at..at, piece.bytes());
            }
            Self::Remove(at, length) => drop(text.drain(span(at, *length))),
            Self::Repeat(at, length, times) => {
                let span = span(at, *length);
                let copies = text[span.clone()].repeat(*times);
                text.splice(span.end..span.end, copies);
            }
            Self::Copy(from, length, to) => {
                let copy = text[span(from, *length)].to_vec();
                let to = to.index(text.len() + 1);
                text.splice(to..to, copy);
            }
        }
    }
}

/// Sound texts with a few changes: bytes, these pieces, what is lost, repeated (up to some 60 kB), moved.
fn mutated(sound: Vec<Vec<u8>>, pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let at = any::<Index>;
    let edit = prop_oneof![
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Byte(at, byte)),
        4 => (at(), prop::sample::select(pieces)).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        2 => (at(), 1..40_usize).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (at(), 1..40_usize, 1..40_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        1 => (at(), 1..8_usize, 1..8000_usize).prop_map(|(at, length, times)| Edit::Repeat(at, length, times)),
        2 => (at(), 1..200_usize, at()).prop_map(|(from, length, to)| Edit::Copy(from, length, to)),
    ];
    (prop::sample::select(sound), prop::collection::vec(edit, 1..8)).prop_map(|(mut text, edits)| {
        for edit in edits {
            edit.apply(&mut text);
        }
        text
    })
}

/// A few of these pieces in a row, with anything between.
fn pieces(known: &'static [&'static str]) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(known).prop_map(str::to_owned);
    let text = prop_oneof![8 => piece, 1 => any::<String>(), 1 => "[a-z/ ]{0,8}"];
    prop::collection::vec(text, 0..40).prop_map(|pieces| pieces.concat())
}
