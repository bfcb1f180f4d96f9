//! Rows and columns: heads, the cursor, cells that are cut to their columns.

use super::paint::Paint;
use crate::theme::Role;
use ratatui::layout::Rect;
use std::ops::Range;

/// The cell of a column in a row.
pub(super) const fn cell(row: Rect, columns: &Range<u16>) -> Rect {
    Rect { x: columns.start, width: columns.end - columns.start, ..row }
}

/// Draws the heads of columns.
pub(super) fn heads<'t>(paint: &mut Paint<'_>, row: Rect, heads: impl Iterator<Item = (&'t str, Range<u16>, bool)>) {
    for (title, columns, right) in heads {
        let at = cell(row, &columns);
        if right {
            paint.right(at, title, Role::Heading);
        } else {
            paint.text(at, title, Role::Heading);
        }
    }
}

/// The rows of the screen that show rows `top..` of a list of `length`, each with its number.
pub(super) fn rows(area: Rect, top: usize, length: usize) -> impl Iterator<Item = (usize, Rect)> {
    (area.y..area.bottom()).zip(top..length).map(move |(y, number)| (number, Rect { y, height: 1, ..area }))
}

/// Marks the row that keys act upon.
pub(super) fn cursor(paint: &mut Paint<'_>, row: Rect) {
    let sign = paint.signs().cursor;
    paint.text(Rect { width: 1, ..row }, sign, Role::Strong);
    paint.wash(row, Role::Cursor);
}
