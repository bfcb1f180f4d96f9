//! Moving in a log: the window over its lines, the cursor in it.

use super::{LogScreen, Step};
use crate::{
    log::{Near, Place, Window, paint},
    text,
};
use std::{cell::RefCell, ops::Range};

/// Read at once to know how tall lines are.
const AHEAD: usize = 32 * 1024;

impl LogScreen {
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
    pub(super) fn end_place(&self) -> Place {
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

    /// Puts the cursor on a row.
    pub fn go_to(&mut self, row: usize) {
        self.unfollow();
        self.cursor = row.min(self.len().saturating_sub(1));
        self.reveal();
    }

    /// The cursor leaves the end: it stays where it is seen.
    pub(super) fn unfollow(&mut self) {
        if self.follow {
            self.cursor = self.cursor();
            self.top = self.end_place();
            self.follow = false;
        }
    }

    pub(super) fn reveal(&mut self) {
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
