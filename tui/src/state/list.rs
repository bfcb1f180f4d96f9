//! A cursor in a list behind a window.

/// How a cursor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// Half a window up.
    HalfUp,
    /// Half a window down.
    HalfDown,
    /// A window up.
    PageUp,
    /// A window down.
    PageDown,
    /// To the first row.
    First,
    /// To the last row.
    Last,
}

impl Step {
    /// Where a cursor at `row` of `rows` comes to, behind a window of `height`.
    #[must_use]
    pub fn from(self, row: usize, rows: usize, height: usize) -> usize {
        let (page, half) = (height.saturating_sub(1).max(1), (height / 2).max(1));
        let to = match self {
            Self::Up => row.saturating_sub(1),
            Self::Down => row + 1,
            Self::HalfUp => row.saturating_sub(half),
            Self::HalfDown => row + half,
            Self::PageUp => row.saturating_sub(page),
            Self::PageDown => row + page,
            Self::First => 0,
            Self::Last => usize::MAX,
        };
        to.min(rows.saturating_sub(1))
    }
}

/// Where a list is scrolled to, and the row that keys act upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct List {
    /// The row of the cursor.
    pub row: usize,
    /// The row on top of the window.
    pub top: usize,
}

impl List {
    /// Moves the cursor, and the window with it.
    pub fn step(&mut self, step: Step, rows: usize, height: usize) {
        self.go_to(step.from(self.row, rows, height), rows, height);
    }

    /// Puts the cursor on a row, and the window where it is seen.
    pub fn go_to(&mut self, row: usize, rows: usize, height: usize) {
        self.row = row.min(rows.saturating_sub(1));
        self.fit(rows, height);
    }

    /// Keeps cursor and window within the list, and the cursor within the window.
    pub fn fit(&mut self, rows: usize, height: usize) {
        let height = height.max(1);
        self.row = self.row.min(rows.saturating_sub(1));
        let lowest = (self.row + 1).saturating_sub(height);
        self.top = self.top.clamp(lowest, self.row).min(rows.saturating_sub(height));
    }

    /// Moves the window; the cursor stays, or is taken along.
    pub fn scroll(&mut self, by: isize, rows: usize, height: usize) {
        self.top = self.top.saturating_add_signed(by).min(rows.saturating_sub(height));
        self.row = self.row.clamp(self.top, self.top + height.saturating_sub(1)).min(rows.saturating_sub(1));
    }

    /// Moves a window without a cursor.
    pub fn step_window(&mut self, step: Step, rows: usize, height: usize) {
        let to = step.from(self.top, rows, height);
        self.top = to.min(rows.saturating_sub(height));
        self.row = self.top;
    }

    /// The cursor is on another row because of what came or went before it: it stays where it is on the screen.
    pub fn follow(&mut self, row: usize, rows: usize, height: usize) {
        let shift = row as isize - self.row as isize;
        self.top = self.top.saturating_add_signed(shift);
        self.row = row;
        self.fit(rows, height);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_in_the_list_and_in_the_window() {
        let mut list = List::default();
        list.step(Step::Down, 0, 5);
        assert_eq!(list, List::default());
        list.step(Step::PageDown, 100, 5);
        assert_eq!(list, List { row: 4, top: 0 });
        list.step(Step::Down, 100, 5);
        assert_eq!(list, List { row: 5, top: 1 });
        list.step(Step::Last, 100, 5);
        assert_eq!(list, List { row: 99, top: 95 });
        list.scroll(-3, 100, 5);
        assert_eq!(list, List { row: 96, top: 92 });
        list.fit(10, 5);
        assert_eq!(list, List { row: 9, top: 5 });
        list.step(Step::HalfUp, 10, 5);
        assert_eq!(list, List { row: 7, top: 5 });
    }

    #[test]
    fn what_comes_above_does_not_move_the_screen() {
        let mut list = List { row: 12, top: 10 };
        list.follow(15, 100, 5);
        assert_eq!(list, List { row: 15, top: 13 });
        list.follow(1, 100, 5);
        assert_eq!(list, List { row: 1, top: 0 });
    }
}
