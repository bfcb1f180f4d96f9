//! Searching in a log: where one goes as something is found, and where one comes back to.

use super::LogScreen;
use crate::log::{Needle, Place, Search};

/// Bytes that a search reads before the next frame.
const SEARCHED_AT_ONCE: usize = 8 * 1024 * 1024;

/// Where a search is to go as soon as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seek {
    /// The first at this line or after it.
    From(usize),
    /// The last before this line.
    Before(usize),
}

/// Where one was before a search was typed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    cursor: usize,
    top: Place,
    follow: bool,
}

impl LogScreen {
    /// Goes on with what is too long for one frame.
    pub fn work(&mut self) {
        let late = self.store.take_late();
        if let Some(search) = &mut self.search {
            search.go_on(&self.store, &late, SEARCHED_AT_ONCE);
            self.seek();
        }
    }

    fn seek(&mut self) {
        let (Some(seek), Some(search)) = (self.seek, &self.search) else { return };
        let known = match seek {
            Seek::From(line) => search.from(&self.store, line),
            Seek::Before(line) => search.before(&self.store, line),
        };
        let Some(found) = known else { return };
        self.seek = None;
        if let Some(line) = found {
            self.go_to(self.row(line));
        }
    }

    /// A search begins to be typed.
    pub fn start_search(&mut self) {
        self.origin = Some(Origin { cursor: self.cursor(), top: self.end_place(), follow: self.follow });
        if let (Some(origin), false) = (&mut self.origin, self.follow) {
            origin.top = self.top;
        }
    }

    /// Searches for what is typed so far, from where one was; at the end of a log: back from there.
    pub fn search_for(&mut self, text: &str) {
        let origin = self.origin.unwrap_or(Origin { cursor: self.cursor(), top: self.top, follow: self.follow });
        (self.cursor, self.top, self.follow) = (origin.cursor, origin.top, origin.follow);
        let start = self.line(origin.cursor).min(self.store.len());
        self.search = Needle::new(text).map(|needle| Search::new(needle, self.only, start));
        let seek = if origin.follow { Seek::Before(usize::MAX) } else { Seek::From(start) };
        self.seek = self.search.is_some().then_some(seek);
        self.work();
    }

    /// The search is taken as it is, or given up: then one is where one was.
    pub fn end_search(&mut self, taken: bool) {
        let origin = self.origin.take();
        if let (Some(origin), false) = (origin, taken) {
            (self.search, self.seek) = (None, None);
            (self.cursor, self.top, self.follow) = (origin.cursor, origin.top, origin.follow);
        }
    }

    /// To the next line that was found, or the one before.
    pub fn go_to_found(&mut self, back: bool) {
        let here = self.line(self.cursor());
        self.seek = self.search.is_some().then_some(if back { Seek::Before(here) } else { Seek::From(here + 1) });
        self.work();
    }
}
