//! Finding a text in a log of any length, a little at a time.
//!
//! It begins where the reader is and goes round: what is near is found first, and a frame never waits for the rest.

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
    /// Found before `start`, and at or after it; both in order.
    before: Vec<u32>,
    after: Vec<u32>,
    /// The next line to look at, of both parts.
    next_before: usize,
    next_after: usize,
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
            next_before: 0,
            next_after: start,
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

    /// The line that was looked at first.
    #[must_use]
    pub const fn start(&self) -> usize {
        self.start
    }

    /// In how many lines it was found.
    #[must_use]
    pub fn count(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// How many of `lines` were looked at.
    #[must_use]
    pub fn looked_at(&self) -> usize {
        self.next_before + (self.next_after - self.start)
    }

    /// Whether a line could not be read.
    #[must_use]
    pub const fn unread(&self) -> bool {
        self.unread
    }

    /// Whether all of `store` was looked at.
    #[must_use]
    pub fn is_done(&self, store: &Store) -> bool {
        self.next_after >= store.len() && self.next_before >= self.start.min(store.len())
    }

    /// Looks at lines until about `budget` bytes were read, and at those that have `late`ly ended.
    pub fn go_on(&mut self, store: &Store, late: &[usize], budget: usize) {
        for line in late {
            self.look_again(store, *line);
        }
        let mut left = budget;
        while self.next_after < store.len() && left > 0 {
            left = left.saturating_sub(self.look(store, self.next_after));
            self.next_after += 1;
        }
        while self.next_before < self.start.min(store.len()) && left > 0 {
            left = left.saturating_sub(self.look(store, self.next_before));
            self.next_before += 1;
        }
    }

    /// Looks at a line that comes after all that were found in its part.
    fn look(&mut self, store: &Store, line: usize) -> usize {
        // A line that has not ended is looked at when it has.
        let skip = self.only.is_some_and(|probe| !store.is_of(line, probe)) || store.meta(line).is_none_or(|m| m.open);
        if skip {
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
        let seen = if line < self.start { line < self.next_before } else { line < self.next_after };
        if !seen {
            return;
        }
        let found = if line < self.start { &self.before } else { &self.after };
        let number = u32::try_from(line).unwrap_or(u32::MAX);
        let Err(place) = found.binary_search(&number) else { return };
        let length = found.len();
        self.look(store, line);
        let found = if line < self.start { &mut self.before } else { &mut self.after };
        if found.len() > length {
            found[place..].rotate_right(1);
        }
    }

    /// The place of a line among those that were found, from 0, or where it would be.
    #[must_use]
    pub fn rank(&self, line: usize) -> usize {
        let below = |found: &[u32]| found.partition_point(|found| (*found as usize) < line);
        below(&self.before) + below(&self.after)
    }

    /// The line that was found at that place.
    #[must_use]
    pub fn at(&self, rank: usize) -> Option<usize> {
        let found = self.before.get(rank).or_else(|| self.after.get(rank.checked_sub(self.before.len())?));
        found.map(|line| *line as usize)
    }

    /// The one before `line`, round the beginning.
    #[must_use]
    pub fn previous(&self, line: usize) -> Option<usize> {
        let last = self.count().checked_sub(1);
        self.rank(line).checked_sub(1).or(last).and_then(|rank| self.at(rank))
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
        let all = |needle: &str, text: &str| Needle::new(needle).unwrap().find_all(text);
        assert_eq!(all("err", "Error err ERR"), [0..3, 6..9, 10..13]);
        assert_eq!(all("Err", "Error err ERR"), vec![0..3; 1]);
        assert_eq!(all("é", "é É"), vec![0..2; 1], "as it is written");
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
        while !search.is_done(&store) {
            search.go_on(&store, &[], 4000);
        }
        assert_eq!(found(&search), (0..10).map(|n| n * 100 + 50).collect::<Vec<_>>(), "within colours, too");
        assert_eq!((search.previous(50), search.previous(660), search.rank(650)), (Some(950), Some(650), 6));
        tell(&mut store, 1, 1000, "needle, not ended");
        tell(&mut store, 2, 0, "hay\nneedle\n");
        search.go_on(&store, &[], usize::MAX);
        assert_eq!(search.count(), 11);
        tell(&mut store, 1, 1001, "\n");
        let late = store.take_late();
        search.go_on(&store, &late, usize::MAX);
        assert_eq!(found(&search)[10..], [1000, 1002]);
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
