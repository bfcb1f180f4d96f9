//! Finding a text in a log of any length, a little at a time.
//!
//! It begins where the reader is, goes down to the end, and then up from there: what is near is found first, and a frame
//! never waits for the rest.

use super::{
    paint,
    store::{Near, Store},
};
use bisect_shared::ProbeId;
use memchr::memmem::Finder;
use std::ops::Range;

/// A text that is looked for. Without capitals it means both cases ("smart case").
#[derive(Debug, Clone)]
pub struct Needle {
    text: String,
    finder: Finder<'static>,
    fold: bool,
}

impl Needle {
    /// For `text`; nothing for an empty one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let fold = !text.chars().any(char::is_uppercase);
        Some(Self { text: text.to_owned(), finder: Finder::new(text).into_owned(), fold })
    }

    /// What is looked for.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it is in a text without colours. Other letters than ASCII are found in the case in which they are written.
    #[must_use]
    pub fn find_all(&self, text: &str) -> Vec<Range<usize>> {
        let folded;
        let text = if self.fold {
            folded = text.to_ascii_lowercase();
            &folded
        } else {
            text
        };
        self.finder.find_iter(text.as_bytes()).map(|start| start..start + self.text.len()).collect()
    }

    /// Whether it is in a stored line.
    fn is_in(&self, line: &str, scratch: &mut Vec<u8>) -> bool {
        let plain = paint::plain(line);
        if !self.fold {
            return self.finder.find(plain.as_bytes()).is_some();
        }
        scratch.clear();
        scratch.extend_from_slice(plain.as_bytes());
        scratch.make_ascii_lowercase();
        self.finder.find(scratch).is_some()
    }
}

/// A search under way: the lines in which something was found.
#[derive(Debug)]
pub struct Search {
    needle: Needle,
    only: Option<ProbeId>,
    start: usize,
    /// Found before `start`, the last one first.
    before: Vec<u32>,
    /// Found at `start` or after it.
    after: Vec<u32>,
    /// Lines from here on were looked at, up to `start`.
    top: usize,
    /// Lines from `start` on were looked at, up to here.
    bottom: usize,
    near: Near,
    scratch: Vec<u8>,
    /// Lines that could not be read.
    unread: bool,
}

/// Read at once while searching.
const BLOCK: usize = 256 * 1024;

impl Search {
    /// Looks for `needle` from line `start` on, in all lines or those of one run.
    #[must_use]
    pub fn new(needle: Needle, only: Option<ProbeId>, start: usize) -> Self {
        Self {
            needle,
            only,
            start,
            before: Vec::new(),
            after: Vec::new(),
            top: start,
            bottom: start,
            near: Near::new(BLOCK),
            scratch: Vec::new(),
            unread: false,
        }
    }

    /// What is looked for.
    #[must_use]
    pub const fn needle(&self) -> &Needle {
        &self.needle
    }

    /// In how many lines it was found.
    #[must_use]
    pub fn count(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// How many of `lines` were looked at.
    #[must_use]
    pub const fn looked_at(&self) -> usize {
        self.bottom - self.top
    }

    /// Whether a line could not be read.
    #[must_use]
    pub const fn unread(&self) -> bool {
        self.unread
    }

    /// Whether all of `store` was looked at.
    #[must_use]
    pub fn is_done(&self, store: &Store) -> bool {
        self.bottom >= store.len() && self.top == 0
    }

    /// Looks at lines until about `budget` bytes were read, and at those that have `late`ly ended.
    pub fn go_on(&mut self, store: &Store, late: &[usize], budget: usize) {
        for line in late {
            self.look_again(store, *line);
        }
        let mut left = budget;
        while self.bottom < store.len() && left > 0 {
            left = left.saturating_sub(self.look(store, self.bottom));
            self.bottom += 1;
        }
        while self.top > 0 && left > 0 {
            self.top -= 1;
            left = left.saturating_sub(self.look(store, self.top));
        }
    }

    /// Looks at a line that comes after all that were found in its part.
    fn look(&mut self, store: &Store, line: usize) -> usize {
        // One that has not ended is looked at as far as it goes, and once more when it has.
        if self.only.is_some_and(|probe| !store.is_of(line, probe)) {
            return 16;
        }
        let Ok(text) = store.read(line, &mut self.near) else {
            self.unread = true;
            return 16;
        };
        let length = text.len() + 16;
        if self.needle.is_in(text, &mut self.scratch) {
            let found = if line < self.start { &mut self.before } else { &mut self.after };
            found.push(u32::try_from(line).unwrap_or(u32::MAX));
        }
        length
    }

    fn look_again(&mut self, store: &Store, line: usize) {
        if !(self.top..self.bottom).contains(&line) {
            return;
        }
        let before = line < self.start;
        let place = if before {
            self.before.partition_point(|found| *found as usize > line)
        } else {
            self.after.partition_point(|found| (*found as usize) < line)
        };
        let found = if before { &self.before } else { &self.after };
        if found.get(place).is_some_and(|found| *found as usize == line) {
            return;
        }
        let known = self.count();
        self.look(store, line);
        if self.count() > known {
            let found = if before { &mut self.before } else { &mut self.after };
            found[place..].rotate_right(1);
        }
    }

    /// The place of a line among those that were found so far, from 0, or where it would be.
    #[must_use]
    pub fn rank(&self, line: usize) -> usize {
        let not_before = self.before.partition_point(|found| *found as usize >= line);
        self.before.len() - not_before + self.after.partition_point(|found| (*found as usize) < line)
    }

    /// The line that was found at that place.
    #[must_use]
    pub fn at(&self, rank: usize) -> Option<usize> {
        let found = match rank.checked_sub(self.before.len()) {
            None => self.before.get(self.before.len() - 1 - rank),
            Some(rank) => self.after.get(rank),
        };
        found.map(|line| *line as usize)
    }

    /// The first that is found at `line` or after it, else the very first. `None` while that is not known.
    #[must_use]
    pub fn from(&self, store: &Store, line: usize) -> Option<Option<usize>> {
        let done = self.is_done(store);
        match self.at(self.rank(line)) {
            Some(found) if done || line >= self.top => Some(Some(found)),
            _ if !done => None,
            _ => Some(self.at(0)),
        }
    }

    /// The last that is found before `line`, else the very last. `None` while that is not known.
    #[must_use]
    pub fn before(&self, store: &Store, line: usize) -> Option<Option<usize>> {
        let done = self.is_done(store);
        match self.rank(line).checked_sub(1).and_then(|rank| self.at(rank)) {
            Some(found) if done || line.min(store.len()) <= self.bottom => Some(Some(found)),
            _ if !done => None,
            _ => Some(self.count().checked_sub(1).and_then(|last| self.at(last))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::LogOf;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use bisect_shared::{JobId, admin::LogPiece};

    fn tell(store: &mut Store, probe: i64, seq: i64, text: &str) {
        let at = chrono::DateTime::UNIX_EPOCH;
        store.ingest(&LogPiece { probe: ProbeId(probe), seq, at, bytes: STANDARD.encode(text) });
    }

    fn found(search: &Search) -> Vec<usize> {
        (0..search.count()).filter_map(|rank| search.at(rank)).collect()
    }

    #[test]
    fn cases_are_smart() {
        let starts = |needle: &str, text: &str| -> Vec<usize> {
            Needle::new(needle).unwrap().find_all(text).iter().map(|found| found.start).collect()
        };
        assert_eq!(starts("err", "Error err ERR"), [0, 6, 10]);
        assert_eq!(starts("Err", "Error err ERR"), [0]);
        assert_eq!(starts("é", "é É"), [0], "as it is written");
        assert!(Needle::new("").is_none());
    }

    #[test]
    fn it_goes_round_and_finds_what_comes_later() {
        let mut store = Store::new(LogOf { job: JobId(1), probe: None });
        for number in 0..1000 {
            let word = if number % 100 == 50 { "\x1b[31mne\x1b[1medle\x1b[m" } else { "hay" };
            tell(&mut store, 1, number, &format!("{number} {word}\n"));
        }
        let mut search = Search::new(Needle::new("needle").unwrap(), None, 500);
        search.go_on(&store, &[], 4000);
        assert!(!search.is_done(&store) && search.looked_at() < 1000);
        assert_eq!(found(&search), [550, 650], "the nearest first");
        assert_eq!((search.from(&store, 500), search.before(&store, 500)), (Some(Some(550)), None));
        while !search.is_done(&store) {
            search.go_on(&store, &[], 4000);
        }
        assert_eq!(found(&search), (0..10).map(|n| n * 100 + 50).collect::<Vec<_>>(), "within colours, too");
        assert_eq!((search.from(&store, 951), search.from(&store, 51)), (Some(Some(50)), Some(Some(150))));
        assert_eq!((search.before(&store, 50), search.before(&store, 660)), (Some(Some(950)), Some(Some(650))));
        assert_eq!((search.rank(650), search.rank(0), search.rank(5000)), (6, 0, 10));
        tell(&mut store, 1, 1000, "needle, not ended");
        tell(&mut store, 2, 0, "hay\nneedle\n");
        search.go_on(&store, &[], usize::MAX);
        assert_eq!(found(&search)[10..], [1000, 1002], "also in what has not ended");
        for (seq, rest) in [(1001, "\nnee"), (1002, "dle\n")] {
            tell(&mut store, 1, seq, rest);
            let late = store.take_late();
            search.go_on(&store, &late, usize::MAX);
        }
        assert_eq!(found(&search)[10..], [1000, 1002, 1003], "each once, and what came later");
    }

    #[test]
    fn one_run_alone() {
        let mut store = Store::new(LogOf { job: JobId(1), probe: None });
        tell(&mut store, 1, 0, "x\nx\n");
        tell(&mut store, 2, 0, "x\n");
        let mut search = Search::new(Needle::new("x").unwrap(), Some(ProbeId(2)), 0);
        search.go_on(&store, &[], usize::MAX);
        assert_eq!(found(&search), [2]);
    }
}
