//! A log on the screen: where one is in it, what is shown of it, what is searched for.

mod find;
mod moves;

use super::list::Step;
use crate::{
    log::{Meta, Near, Place, Search, Store, paint},
    message::LogOf,
};
use bisect_shared::{ProbeId, admin::LogPiece};
use find::{Origin, Seek};
pub use moves::broken;
use std::{
    io::{self, Write},
    ops::Range,
};

/// More is not given to a terminal's clipboard.
const COPIED_AT_MOST: usize = 74_000;

/// Read at once to copy.
const AHEAD: usize = 32 * 1024;

/// The columns before the text: the cursor, the time, whose line it is.
pub const CURSOR_WIDTH: u16 = 1;
/// `14:03:59 `.
pub const TIME_WIDTH: u16 = 9;
/// `#12 4d1a0c7 `.
pub const LABEL_WIDTH: u16 = 13;

/// The log.
pub struct LogScreen {
    store: Store,
    only: Option<ProbeId>,
    /// The lines of that run, as far as `scanned`.
    rows: Vec<u32>,
    scanned: usize,
    cursor: usize,
    top: Place,
    left: usize,
    follow: bool,
    /// Whether long lines are broken.
    pub wrap: bool,
    /// Whether times are shown.
    pub times: bool,
    selected_from: Option<usize>,
    search: Option<Search>,
    seek: Option<Seek>,
    origin: Option<Origin>,
    ended: bool,
    told: bool,
    area: (usize, usize),
}

impl LogScreen {
    /// An empty one, at its end.
    #[must_use]
    pub fn new(of: LogOf) -> Self {
        Self {
            store: Store::new(of),
            only: None,
            rows: Vec::new(),
            scanned: 0,
            cursor: 0,
            top: Place::default(),
            left: 0,
            follow: true,
            wrap: false,
            times: false,
            selected_from: None,
            search: None,
            seek: None,
            origin: None,
            ended: false,
            told: false,
            area: (80, 20),
        }
    }

    /// What was printed.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Whose output is asked for.
    #[must_use]
    pub const fn of(&self) -> LogOf {
        self.store.of()
    }

    /// The one run that is shown of it.
    #[must_use]
    pub fn only(&self) -> Option<ProbeId> {
        self.only.or(self.of().probe)
    }

    /// Whether nothing more will come.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether anything was told yet, if only that there is nothing.
    #[must_use]
    pub const fn is_told(&self) -> bool {
        self.told
    }

    /// Whether it stays at its end.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.follow
    }

    /// The first column that is shown.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.left
    }

    /// How many lines are shown.
    #[must_use]
    pub fn len(&self) -> usize {
        if self.only.is_some() { self.rows.len() } else { self.store.len() }
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row of the cursor.
    #[must_use]
    pub fn cursor(&self) -> usize {
        if self.follow { self.len().saturating_sub(1) } else { self.cursor }
    }

    /// The rows that are selected.
    #[must_use]
    pub fn selection(&self) -> Option<Range<usize>> {
        let from = self.selected_from?;
        Some(from.min(self.cursor())..from.max(self.cursor()) + 1)
    }

    /// What is searched for.
    #[must_use]
    pub const fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// Whether a search still has lines to look at.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.search.as_ref().is_some_and(|search| !search.is_done(&self.store))
    }

    /// The number of a row's line in the store.
    #[must_use]
    pub fn line(&self, row: usize) -> usize {
        match self.only {
            Some(_) => self.rows.get(row).map_or(usize::MAX, |line| *line as usize),
            None => row,
        }
    }

    fn row(&self, line: usize) -> usize {
        match self.only {
            Some(_) => self.rows.partition_point(|known| (*known as usize) < line),
            None => line,
        }
    }

    /// What is known of a row.
    #[must_use]
    pub fn meta(&self, row: usize) -> Option<Meta> {
        self.store.meta(self.line(row))
    }

    /// Whether it must be said whose each line is.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.only().is_none()
    }

    /// The columns before the text.
    #[must_use]
    pub fn before_text(&self) -> u16 {
        CURSOR_WIDTH + if self.times { TIME_WIDTH } else { 0 } + if self.is_labelled() { LABEL_WIDTH } else { 0 }
    }

    /// The window has another size.
    pub fn resize(&mut self, width: u16, height: u16) {
        let area = (usize::from(width), usize::from(height).max(1));
        if self.area != area {
            self.area = area;
            self.reveal();
        }
    }

    /// Takes pieces in.
    pub fn ingest(&mut self, pieces: &[LogPiece]) {
        self.told = true;
        for piece in pieces {
            self.store.ingest(piece);
        }
        self.scan();
        self.work();
    }

    /// Nothing more will come.
    pub fn end(&mut self) {
        (self.told, self.ended) = (true, true);
        self.store.finish();
        self.work();
    }

    fn scan(&mut self) {
        let Some(only) = self.only else { return };
        for line in self.scanned..self.store.len() {
            if self.store.is_of(line, only) {
                self.rows.push(u32::try_from(line).unwrap_or(u32::MAX));
            }
        }
        self.scanned = self.store.len();
    }

    /// Stays at the end, or no longer.
    pub fn toggle_follow(&mut self) {
        if self.follow { self.unfollow() } else { self.follow = true }
    }

    /// Breaks long lines, or not.
    pub fn toggle_wrap(&mut self) {
        self.wrap = !self.wrap;
        self.left = 0;
        self.top.part = 0;
        self.reveal();
    }

    /// Shows times, or not.
    pub fn toggle_times(&mut self) {
        self.times = !self.times;
        self.reveal();
    }

    /// Shows one run only, or all; the cursor stays on its line. Says what has to be asked for, when that is more.
    pub fn toggle_only(&mut self) -> Option<LogOf> {
        let of = self.of();
        if of.probe.is_some() {
            return Some(LogOf { probe: None, ..of });
        }
        let line = self.line(self.cursor());
        let probe = self.store.meta(line)?.probe;
        self.only = if self.only.is_some() { None } else { Some(probe) };
        (self.rows, self.scanned, self.selected_from) = (Vec::new(), 0, None);
        self.scan();
        self.cursor = self.row(line);
        self.top = Place { row: self.cursor.saturating_sub(self.area.1 / 2), part: 0 };
        self.reveal();
        if let Some(search) = self.search.take() {
            self.search = Some(Search::new(search.needle().clone(), self.only, line));
            self.work();
        }
        None
    }

    /// Selects from the cursor on, or nothing.
    pub fn toggle_selection(&mut self) {
        self.unfollow();
        self.selected_from = if self.selected_from.is_some() { None } else { Some(self.cursor) };
    }

    /// Selects nothing, searches for nothing; says whether anything was.
    pub fn clear(&mut self) -> bool {
        if self.selected_from.take().is_some() {
            return true;
        }
        self.seek = None;
        self.search.take().is_some()
    }

    /// The text of rows, one a line; an error is a sentence.
    pub fn text_of(&self, rows: impl Iterator<Item = usize>) -> Result<String, String> {
        let (mut out, mut near) = (String::new(), Near::new(AHEAD));
        let mut last = None;
        for row in rows {
            let line = self.line(row);
            if last.is_some() && !self.goes_on(last, line) {
                out.push('\n');
            }
            last = Some(line);
            let line = self.store.read(line, &mut near).map_err(|error| format!("not copied: {error}"))?;
            out.push_str(&paint::plain(line));
            if out.len() > COPIED_AT_MOST {
                return Err("too much to copy through a terminal; S saves the log to a file".to_owned());
            }
        }
        if last.is_some() {
            out.push('\n');
        }
        Ok(out)
    }

    /// Whether a line is the rest of the one that was written last.
    fn goes_on(&self, last: Option<usize>, line: usize) -> bool {
        let probe = |line: usize| self.store.meta(line).map(|meta| meta.probe);
        self.store.meta(line).is_some_and(|meta| meta.continued) && last.is_some_and(|last| probe(last) == probe(line))
    }

    /// Writes what is shown, each line after what `before` says of it. Lines that were cut are whole again, unless another
    /// probe has printed in between.
    ///
    /// # Errors
    /// Those of the log's own file, and of `out`.
    pub fn write_to(&self, out: &mut dyn Write, before: &dyn Fn(&Meta) -> String) -> io::Result<()> {
        let mut near = Near::new(256 * 1024);
        let mut last = None;
        for row in 0..self.len() {
            let line = self.line(row);
            let Some(meta) = self.store.meta(line) else { break };
            if !self.goes_on(last, line) {
                if last.is_some() {
                    out.write_all(b"\n")?;
                }
                out.write_all(before(&meta).as_bytes())?;
            }
            out.write_all(paint::plain(self.store.read(line, &mut near)?).as_bytes())?;
            last = Some(line);
        }
        if last.is_some() { out.write_all(b"\n") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
