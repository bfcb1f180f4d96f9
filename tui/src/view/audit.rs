//! Who did what.

use super::{instead, loading, paint::Paint, table};
use crate::{
    layout::{self, Screen},
    state::State,
    text,
    theme::Role,
};
use bisect_shared::admin::AuditEntry;
use ratatui::layout::Rect;
use std::ops::Range;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    At,
    Actor,
    Channel,
    Action,
    Job,
    Detail,
}

impl Cell {
    const fn title(self) -> &'static str {
        match self {
            Self::At => "WHEN",
            Self::Actor => "WHO",
            Self::Channel => "THROUGH",
            Self::Action => "DID",
            Self::Job => "JOB",
            Self::Detail => "DETAIL",
        }
    }
}

fn columns(area: Rect) -> Vec<(Cell, Range<u16>)> {
    let wide = area.width >= 120;
    let wanted = [
        (Cell::At, Some(if wide { 19 } else { 12 })),
        (Cell::Actor, Some(if wide { 24 } else { 12 })),
        (Cell::Channel, Some(8)),
        (Cell::Action, Some(16)),
        (Cell::Job, Some(6)),
        (Cell::Detail, None),
    ];
    layout::columns(area, 2, wanted.into_iter())
}

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let [head, rows] = layout::table(screen.body);
    let columns = columns(head);
    table::heads(paint, head, columns.iter().map(|(cell, range)| (cell.title(), range.clone(), *cell == Cell::Job)));
    let audit = &state.audit;
    if !audit.is_loaded() {
        return loading(paint, rows, state, "the audit");
    }
    if audit.is_empty() {
        let why = "Nobody has done anything yet.";
        let then = "Cancelling, retrying and draining is recorded here, with the name of who did it.";
        return instead(paint, rows, &[(why, Role::Strong), (then, Role::Dim)]);
    }
    let list = audit.list();
    let seen = audit.newest_first().skip(list.top);
    for ((number, row), entry) in table::rows(rows, list.top, audit.len()).zip(seen) {
        for (cell, range) in &columns {
            entry_cell(paint, table::cell(row, range), *cell, entry, state);
        }
        if number == list.row {
            table::cursor(paint, row);
        }
    }
}

fn entry_cell(paint: &mut Paint<'_>, at: Rect, cell: Cell, entry: &AuditEntry, state: &State) {
    let said = match cell {
        Cell::At if at.width >= 19 => state.clock.date(entry.at).into(),
        Cell::At => state.clock.moment(entry.at).into(),
        Cell::Actor => text::clean(&entry.actor),
        Cell::Channel => text::clean(&entry.channel),
        Cell::Action => text::clean(&entry.action),
        Cell::Job => {
            let job = entry.job.map(|job| job.to_string()).unwrap_or_default();
            return paint.right(at, &job, Role::Plain);
        }
        Cell::Detail => text::clean(&entry.detail),
    };
    let role = match cell {
        Cell::At | Cell::Channel => Role::Dim,
        Cell::Actor if entry.actor != "system" => Role::Strong,
        _ => Role::Plain,
    };
    paint.text(at, &said, role);
}
