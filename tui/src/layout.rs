//! Where everything is on the screen. Pure: drawing and the mouse go by the same.

use crate::{
    keys::Place,
    state::{Column, Pane},
    text,
};
use ratatui::layout::{Position, Rect};
use std::ops::Range;

/// The smallest screen on which everything has its place.
pub const LEAST: (u16, u16) = (80, 24);

/// From so many columns on, panes stand side by side.
const WIDE: u16 = 120;

/// From so many rows on, there is room for more than one line about the job at the cursor.
const TALL: u16 = 32;

/// The parts of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Screen {
    /// The bar on top: tabs, server.
    pub bar: Rect,
    /// What is wrong with the connection; of no height when nothing is.
    pub banner: Rect,
    /// The heading of the view.
    pub title: Rect,
    /// The view.
    pub body: Rect,
    /// Hints, or what was said last.
    pub foot: Rect,
}

/// Divides the screen; nothing when it is too small.
#[must_use]
pub fn screen(area: Rect, banner: u16) -> Option<Screen> {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return None;
    }
    let row = |y: u16, height: u16| Rect { y: area.y + y, height, ..area };
    let top = 2 + banner;
    Some(Screen {
        bar: row(0, 1),
        banner: row(1, banner),
        title: row(1 + banner, 1),
        body: row(top, area.height - top - 1),
        foot: row(area.height - 1, 1),
    })
}

/// The tabs in the bar: each with its columns.
pub fn tabs(bar: Rect) -> impl Iterator<Item = (Place, Rect)> {
    let mut x = bar.x;
    Place::TABS.into_iter().map(move |place| {
        let width = u16::try_from(text::width(place.title())).unwrap_or(0) + 4;
        let tab = Rect { x, width, ..bar };
        x += width;
        (place, tab)
    })
}

/// The table of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobsLayout {
    /// The heads of the columns.
    pub head: Rect,
    /// The rows.
    pub rows: Rect,
    /// About the job at the cursor.
    pub about: Rect,
}

/// Divides the body for the table of jobs.
#[must_use]
pub fn jobs(body: Rect) -> JobsLayout {
    let about = if body.height >= TALL { 6 } else { 2 };
    let [head, rest] = split_top(body, 1);
    let [rows, about] = split_top(rest, rest.height.saturating_sub(about));
    JobsLayout { head, rows, about }
}

/// The columns of the table of jobs that there is room for.
#[must_use]
pub fn job_columns(area: Rect) -> Vec<(Column, Range<u16>)> {
    let wide = area.width >= WIDE;
    let fixed = |column: Column| match column {
        Column::Id => Some(6),
        Column::State => Some(if wide { 18 } else { 12 }),
        Column::Repository => None,
        Column::Requester => Some(if wide { 14 } else { 8 }),
        Column::Progress => Some(if wide { 20 } else { 10 }),
        Column::Probes => Some(6),
        Column::Elapsed | Column::Ends => Some(6),
        Column::Worker => Some(if area.width >= 100 { 16 } else { 0 }),
        Column::Attempt => Some(if area.width >= 100 { 3 } else { 0 }),
    };
    columns(area, 2, Column::ALL.into_iter().map(|column| (column, fixed(column))))
}

/// Places columns from left to right, a blank apart; the one without a width takes what is left.
pub fn columns<C>(area: Rect, gutter: u16, wanted: impl Iterator<Item = (C, Option<u16>)>) -> Vec<(C, Range<u16>)> {
    let wanted: Vec<(C, Option<u16>)> = wanted.filter(|(_, width)| *width != Some(0)).collect();
    let blanks = u16::try_from(wanted.len().saturating_sub(1)).unwrap_or(0);
    let taken: u16 = wanted.iter().filter_map(|(_, width)| *width).sum();
    let flexible = u16::try_from(wanted.iter().filter(|(_, width)| width.is_none()).count()).unwrap_or(1).max(1);
    let left = area.width.saturating_sub(gutter + blanks + taken) / flexible;
    let mut x = area.x + gutter;
    wanted
        .into_iter()
        .map(|(column, width)| {
            let end = (x + width.unwrap_or(left)).min(area.right());
            let range = x.min(end)..end;
            x = end + 1;
            (column, range)
        })
        .collect()
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLayout {
    /// The facts.
    pub facts: Rect,
    /// The range.
    pub strip: Rect,
    /// The panes that are seen, each with its heading.
    pub panes: Vec<(Pane, Rect, Rect)>,
}

/// Divides the body for one job.
#[must_use]
pub fn job(body: Rect, chosen: Pane) -> JobLayout {
    let wide = body.width >= WIDE;
    let [facts, rest] = split_top(body, 5);
    let [strip, rest] = split_top(rest, if body.height >= 30 { 7 } else { 5 });
    let headed = |area: Rect| {
        let [head, rows] = split_top(area, 1);
        (head, rows)
    };
    let panes = if wide {
        let half = rest.width * 11 / 20;
        let left = Rect { width: half, ..rest };
        let right = Rect { x: rest.x + half + 2, width: rest.width - half - 2, ..rest };
        let [upper, lower] = split_top(right, (right.height * 2 / 5).max(3));
        [(Pane::Probes, left), (Pane::History, upper), (Pane::Result, lower)]
            .map(|(pane, area)| (pane, headed(area).0, headed(area).1))
            .to_vec()
    } else {
        let (head, rows) = headed(rest);
        vec![(chosen, head, rows)]
    };
    JobLayout { facts, strip, panes }
}

/// The headings of the panes of a job, where one is shown at a time.
pub fn pane_tabs(head: Rect) -> impl Iterator<Item = (Pane, Rect)> {
    let mut x = head.x;
    Pane::ALL.into_iter().map(move |pane| {
        let width = u16::try_from(text::width(pane.title())).unwrap_or(0) + 2;
        let tab = Rect { x, width, ..head };
        x += width + 1;
        (pane, tab)
    })
}

/// A log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLayout {
    /// The lines.
    pub rows: Rect,
    /// About the line at the cursor, and what is searched for.
    pub status: Rect,
}

/// Divides the body for a log.
#[must_use]
pub fn log(body: Rect) -> LogLayout {
    let [rows, status] = split_top(body, body.height.saturating_sub(1));
    LogLayout { rows, status }
}

/// A table with heads over its rows.
#[must_use]
pub fn table(body: Rect) -> [Rect; 2] {
    split_top(body, 1)
}

/// The servers: heads, rows, and about the one at the cursor.
#[must_use]
pub fn servers(body: Rect) -> [Rect; 3] {
    let [head, rest] = split_top(body, 1);
    let [rows, about] = split_top(rest, rest.height.saturating_sub(3));
    [head, rows, about]
}

/// The upper `height` rows, and the rest.
#[must_use]
pub fn split_top(area: Rect, height: u16) -> [Rect; 2] {
    let height = height.min(area.height);
    [Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area }]
}

/// A box in the middle of the screen, as large as it may be and no larger than it need be.
#[must_use]
pub fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The row of `area` that a click is on.
#[must_use]
pub fn row_at(area: Rect, at: Position) -> Option<usize> {
    area.contains(at).then(|| usize::from(at.y - area.y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_part_is_on_the_screen(width in 80_u16..400, height in 24_u16..200, banner in 0_u16..4) {
            let area = Rect::new(0, 0, width, height);
            let screen = screen(area, banner).unwrap();
            let JobsLayout { head, rows, about } = jobs(screen.body);
            let LogLayout { rows: lines, status } = log(screen.body);
            let parts = [screen.bar, screen.banner, screen.title, screen.body, screen.foot, head, rows, about, lines, status];
            for part in parts.into_iter().chain(servers(screen.body)).chain(table(screen.body)) {
                prop_assert_eq!(area.intersection(part), part);
            }
            for pane in [Pane::Probes, Pane::History, Pane::Result] {
                let job = job(screen.body, pane);
                for (_, head, rows) in job.panes {
                    prop_assert!(area.intersection(rows) == rows && area.intersection(head) == head && rows.height > 0);
                }
            }
            for (_, range) in job_columns(screen.body) {
                prop_assert!(range.start < range.end && range.end <= width);
            }
        }
    }

    #[test]
    fn a_small_screen_is_none() {
        assert_eq!(screen(Rect::new(0, 0, 79, 24), 0), None);
        assert_eq!(screen(Rect::new(0, 0, 80, 23), 0), None);
    }
}
