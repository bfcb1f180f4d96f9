//! A log on the screen: where one is in it, what is shown of it, what is searched for.

use super::list::Step;
use crate::{
    log::{Meta, Near, Needle, Place, Search, Store, Window, paint},
    message::LogOf,
    text,
};
use bisect_shared::{ProbeId, admin::LogPiece};
use std::{
    cell::RefCell,
    io::{self, Write},
    ops::Range,
};

/// Bytes that a search reads before the next frame.
const SEARCHED_AT_ONCE: usize = 4 * 1024 * 1024;

/// More is not given to a terminal's clipboard.
const COPIED_AT_MOST: usize = 74_000;

/// Read at once to draw.
const AHEAD: usize = 32 * 1024;

/// The columns before the text: the cursor, the time, whose line it is.
pub const CURSOR_WIDTH: u16 = 1;
/// `14:03:59 `.
pub const TIME_WIDTH: u16 = 9;
/// `#12 4d1a0c7 `.
pub const LABEL_WIDTH: u16 = 13;

/// Where a search is to go as soon as it has looked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seek {
    /// The first at this line or after it.
    From(usize),
    /// The next after the cursor.
    Next,
    /// The one before.
    Previous,
}

/// Where one was before a search was typed.
#[derive(Debug, Clone, Copy)]
struct Origin {
    cursor: usize,
    top: Place,
    follow: bool,
}

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
        self.area = (usize::from(width), usize::from(height).max(1));
        self.reveal();
    }

    fn text_width(&self) -> usize {
        self.area.0.saturating_sub(usize::from(self.before_text())).max(1)
    }

    /// Runs `look` with the window of so many rows and columns of text.
    fn with_window<T>(&self, width: usize, height: usize, look: impl FnOnce(&Window<'_>) -> T) -> T {
        let near = RefCell::new(Near::new(AHEAD));
        let tall = |row: usize| {
            if !self.wrap {
                return 1;
            }
            let mut near = near.borrow_mut();
            self.store.read(self.line(row), &mut near).map_or(1, |line| broken(&paint::plain(line), width).len())
        };
        look(&Window { rows: self.len(), height, tall: &tall })
    }

    fn window<T>(&self, look: impl FnOnce(&Window<'_>) -> T) -> T {
        self.with_window(self.text_width(), self.area.1, look)
    }

    /// The place on top when the end is seen.
    fn end_place(&self) -> Place {
        self.window(|window| window.end())
    }

    /// What is on a screen of that size.
    #[must_use]
    pub fn seen(&self, width: u16, height: u16) -> Vec<Place> {
        let columns = usize::from(width.saturating_sub(self.before_text())).max(1);
        self.with_window(columns, usize::from(height), |window| {
            let end = window.end();
            window.seen(if self.follow { end } else { self.top.min(end) })
        })
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
    pub const fn end(&mut self) {
        (self.told, self.ended) = (true, true);
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
        let done = search.is_done(&self.store);
        let here = self.line(self.cursor());
        let (from, back) = match seek {
            Seek::From(line) => (line, false),
            Seek::Next => (here + 1, false),
            Seek::Previous => (here, true),
        };
        let rank = search.rank(from);
        let found = match search.at(rank) {
            // What was looked at in order has nothing nearer.
            Some(line) if !back && (done || from >= search.start() || line < search.start()) => Some(line),
            _ if !done => return,
            _ if back => search.previous(from),
            _ => search.at(rank).or_else(|| search.at(0)),
        };
        self.seek = None;
        if let Some(line) = found {
            self.go_to(self.row(line));
        }
    }

    /// Puts the cursor on a row.
    pub fn go_to(&mut self, row: usize) {
        self.unfollow();
        self.cursor = row.min(self.len().saturating_sub(1));
        self.reveal();
    }

    /// The cursor leaves the end: it stays where it is seen.
    fn unfollow(&mut self) {
        if self.follow {
            self.cursor = self.cursor();
            self.top = self.end_place();
            self.follow = false;
        }
    }

    fn reveal(&mut self) {
        self.cursor = self.cursor.min(self.len().saturating_sub(1));
        let mut top = self.window(|window| window.reveal(self.top, self.cursor));
        if !self.wrap {
            top.part = 0;
        }
        self.top = top;
    }

    /// Moves the cursor; at the end of a log that goes on, it stays there.
    pub fn step(&mut self, step: Step) {
        if step == Step::Last {
            self.follow = !self.ended;
            if self.ended {
                self.go_to(usize::MAX);
            }
            return;
        }
        self.unfollow();
        let height = self.area.1;
        let inside = self.window(|window| (window.tall)(self.cursor)) > height;
        match step {
            // A line that is taller than the window is scrolled through.
            Step::Down | Step::Up | Step::PageDown | Step::PageUp if inside && self.top.row == self.cursor => {
                let by = if matches!(step, Step::Down | Step::Up) { 1 } else { height.saturating_sub(1) };
                let back = matches!(step, Step::Up | Step::PageUp);
                let top = self.window(|window| if back { window.up(self.top, by) } else { window.down(self.top, by) });
                if top == self.top {
                    self.go_to(step.from(self.cursor, self.len(), 2));
                } else {
                    self.top = top;
                    self.cursor = self.cursor.clamp(top.row, usize::MAX);
                    self.take_cursor_along();
                }
            }
            _ => self.go_to(step.from(self.cursor, self.len(), height)),
        }
    }

    /// Moves the window, the cursor with it.
    pub fn scroll(&mut self, by: isize) {
        self.unfollow();
        let rows = by.unsigned_abs();
        self.top = self.window(|window| if by < 0 { window.up(self.top, rows) } else { window.down(self.top, rows) });
        self.take_cursor_along();
    }

    fn take_cursor_along(&mut self) {
        let seen = self.window(|window| window.seen(self.top));
        if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
            self.cursor = self.cursor.clamp(first.row, last.row);
        }
    }

    /// Moves sideways.
    pub fn shift(&mut self, right: bool) {
        let by = (self.text_width() / 2).max(1);
        if !self.wrap {
            self.left = if right { self.left + by } else { self.left.saturating_sub(by) };
        }
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

    /// To where another run prints.
    pub fn next_probe(&mut self, back: bool) {
        let here = self.cursor();
        let Some(probe) = self.meta(here).map(|meta| meta.probe) else { return };
        let other = |row: &usize| self.meta(*row).is_some_and(|meta| meta.probe != probe);
        let found = if back { (0..here).rev().find(other) } else { (here..self.len()).find(other) };
        if let Some(row) = found {
            self.go_to(row);
        }
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

    /// A search begins to be typed.
    pub fn start_search(&mut self) {
        self.origin = Some(Origin { cursor: self.cursor(), top: self.end_place(), follow: self.follow });
        if let (Some(origin), false) = (&mut self.origin, self.follow) {
            origin.top = self.top;
        }
    }

    /// Searches for what is typed so far, from where one was.
    pub fn search_for(&mut self, text: &str) {
        let origin = self.origin.unwrap_or(Origin { cursor: self.cursor(), top: self.top, follow: self.follow });
        (self.cursor, self.top, self.follow) = (origin.cursor, origin.top, origin.follow);
        let start = self.line(origin.cursor).min(self.store.len());
        self.search = Needle::new(text).map(|needle| Search::new(needle, self.only, start));
        self.seek = self.search.is_some().then_some(Seek::From(start));
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
        self.seek = self.search.is_some().then_some(if back { Seek::Previous } else { Seek::Next });
        self.work();
    }

    /// The text of rows, one a line; an error is a sentence.
    pub fn text_of(&self, rows: impl Iterator<Item = usize>) -> Result<String, String> {
        let (mut out, mut near) = (String::new(), Near::new(AHEAD));
        for row in rows {
            let line = self.store.read(self.line(row), &mut near).map_err(|error| format!("not copied: {error}"))?;
            out.push_str(&paint::plain(line));
            out.push('\n');
            if out.len() > COPIED_AT_MOST {
                return Err("too much to copy through a terminal; S saves the log to a file".to_owned());
            }
        }
        Ok(out)
    }

    /// The rows on the screen.
    #[must_use]
    pub fn rows_seen(&self) -> Vec<usize> {
        let (width, height) = self.area;
        let mut rows: Vec<usize> = self
            .seen(u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(height).unwrap_or(u16::MAX))
            .iter()
            .map(|place| place.row)
            .collect();
        rows.dedup();
        rows
    }

    /// Writes what is shown, each line after what `before` says of it. Lines that were cut are whole again.
    ///
    /// # Errors
    /// Those of the log's own file, and of `out`.
    pub fn write_to(&self, out: &mut dyn Write, before: &dyn Fn(&Meta) -> String) -> io::Result<()> {
        let mut near = Near::new(256 * 1024);
        let mut begun = false;
        for row in 0..self.len() {
            let line = self.line(row);
            let Some(meta) = self.store.meta(line) else { break };
            if !(meta.continued && begun) {
                if begun {
                    out.write_all(b"\n")?;
                }
                out.write_all(before(&meta).as_bytes())?;
            }
            out.write_all(paint::plain(self.store.read(line, &mut near)?).as_bytes())?;
            begun = true;
        }
        if begun { out.write_all(b"\n") } else { Ok(()) }
    }
}

/// The parts of a line that is broken after `columns`; at least one.
#[must_use]
pub fn broken(line: &str, columns: usize) -> Vec<Range<usize>> {
    if line.len() <= columns {
        return std::iter::once(0..line.len()).collect();
    }
    let (mut parts, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, character) in line.char_indices() {
        let width = if character.is_ascii() { 1 } else { text::width(character.encode_utf8(&mut [0; 4])) };
        if used + width > columns && at > start {
            parts.push(start..at);
            (start, used) = (at, 0);
        }
        used += width;
    }
    parts.push(start..line.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use bisect_shared::JobId;

    fn screen(lines: usize) -> LogScreen {
        let mut screen = LogScreen::new(LogOf { job: JobId(1), probe: None });
        screen.resize(80, 10);
        let text: String = (0..lines).map(|line| format!("line {line}\n")).collect();
        screen.ingest(&[samples::log_piece(1, 0, 0, text.as_bytes())]);
        screen
    }

    fn rows(screen: &LogScreen) -> (usize, usize) {
        let seen = screen.seen(80, 10);
        (seen.first().map_or(0, |place| place.row), seen.last().map_or(0, |place| place.row))
    }

    #[test]
    fn it_follows_until_one_scrolls_back_and_again_at_the_end() {
        let mut log = screen(100);
        assert_eq!((rows(&log), log.cursor()), ((90, 99), 99));
        log.step(Step::Up);
        assert_eq!((rows(&log), log.cursor(), log.follows()), ((90, 99), 98, false));
        log.ingest(&[samples::log_piece(1, 1, 0, b"more\nand more\n")]);
        assert_eq!(rows(&log), (90, 99), "nothing moves");
        log.step(Step::Last);
        assert_eq!((rows(&log), log.cursor(), log.follows()), ((92, 101), 101, true));
        log.step(Step::PageUp);
        assert_eq!((rows(&log), log.cursor()), ((92, 101), 92));
        log.scroll(-50);
        assert_eq!((rows(&log), log.cursor()), ((42, 51), 51));
    }

    #[test]
    fn a_search_goes_where_it_finds_and_back_when_it_is_given_up() {
        let mut log = screen(1000);
        log.go_to(500);
        log.start_search();
        log.search_for("line 77");
        assert_eq!(log.cursor(), 770);
        log.search_for("line 777");
        assert_eq!((log.cursor(), log.search().unwrap().count()), (777, 1));
        log.end_search(false);
        assert_eq!((log.cursor(), log.search().is_none()), (500, true));
        log.start_search();
        log.search_for("line 77");
        log.end_search(true);
        assert_eq!(log.search().unwrap().count(), 11);
        log.go_to_found(false);
        log.go_to_found(true);
        log.go_to_found(true);
        assert_eq!(log.cursor(), 77, "before 770 comes 77");
        log.go_to_found(true);
        assert_eq!(log.cursor(), 779, "round the beginning");
        assert!(log.clear() && !log.clear());
    }

    #[test]
    fn one_run_alone_keeps_the_place() {
        let mut log = screen(3);
        log.ingest(&[samples::log_piece(2, 0, 0, b"other 0\nother 1\n"), samples::log_piece(1, 1, 0, b"line 3\n")]);
        log.go_to(4);
        assert_eq!(log.toggle_only(), None);
        assert_eq!((log.len(), log.cursor(), log.only()), (2, 1, Some(ProbeId(2))));
        log.ingest(&[samples::log_piece(2, 1, 0, b"other 2\n")]);
        assert_eq!(log.text_of(0..3).unwrap(), "other 0\nother 1\nother 2\n");
        log.toggle_only();
        assert_eq!((log.len(), log.cursor()), (7, 4));
        log.next_probe(false);
        assert_eq!(log.cursor(), 5);
        log.next_probe(true);
        assert_eq!(log.cursor(), 4);
        let mut one = LogScreen::new(LogOf { job: JobId(1), probe: Some(ProbeId(1)) });
        assert_eq!(one.toggle_only(), Some(LogOf { job: JobId(1), probe: None }), "more has to be asked for");
    }

    #[test]
    fn a_line_taller_than_the_window_is_scrolled_through() {
        let mut log = screen(5);
        let long = format!("{}\nend\n", "x".repeat(80 * 30));
        log.ingest(&[samples::log_piece(1, 1, 0, long.as_bytes())]);
        log.toggle_wrap();
        log.go_to(0);
        log.go_to(5);
        assert_eq!(rows(&log), (5, 5));
        let mut steps = 0;
        while log.cursor() == 5 {
            log.step(Step::Down);
            steps += 1;
            assert!(steps < 100);
        }
        assert!(steps > 20, "every part was seen");
        assert_eq!(log.cursor(), 6);
    }

    #[test]
    fn what_is_saved_is_what_is_shown() {
        let mut log = screen(2);
        let long = format!("\x1b[31mred\x1b[0m {}\n", "y".repeat(10_000));
        log.ingest(&[samples::log_piece(2, 0, 0, long.as_bytes())]);
        let mut out = Vec::new();
        log.write_to(&mut out, &|meta| format!("{} ", meta.probe)).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("1 line 0\n1 line 1\n2 red {}\n", "y".repeat(10_000)));
        log.toggle_selection();
        log.step(Step::First);
        assert_eq!(log.selection(), Some(0..5));
        assert!(log.text_of(0..5).is_ok());
    }

    #[test]
    fn lines_are_broken_by_columns() {
        assert_eq!(broken("abcdef", 4), [0..4, 4..6]);
        assert_eq!(broken("日本語", 4), [0..6, 6..9]);
        assert_eq!(broken("日本", 1), [0..3, 3..6]);
        assert_eq!(broken("", 4), vec![0..0; 1]);
    }
}
