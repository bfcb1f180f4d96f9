//! The log: the lines that are seen, in the colours of the program, with what was found in them.

use super::{format, instead, job, loading, paint::Paint};
use crate::{
    clock::seconds,
    layout::{self, LogLayout, Screen},
    log::{Near, paint as stored},
    state::{CURSOR_WIDTH, LABEL_WIDTH, LogScreen, State, TIME_WIDTH, broken},
    text,
    theme::Role,
};
use ratatui::{layout::Rect, style::Style, text::Span};
use std::ops::Range;

/// Read at once: what is seen is mostly written in one piece.
const AHEAD: usize = 32 * 1024;

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let Some(log) = &state.log else { return };
    let LogLayout { rows, status } = layout::log(screen.body);
    if log.is_empty() {
        return nothing(paint, screen.body, log, state);
    }
    let (selection, mut near) = (log.selection(), Near::new(AHEAD));
    let mut last = None;
    for (place, y) in log.seen(rows.width, rows.height).into_iter().zip(rows.y..) {
        let row = Rect { y, height: 1, ..rows };
        let text = match log.store().read(log.line(place.row), &mut near) {
            Ok(text) => text,
            Err(error) => {
                paint.text(row, &format!(" (this line cannot be read: {error})"), Role::Bad);
                continue;
            }
        };
        let meta = log.meta(place.row);
        let probe = meta.map(|meta| meta.probe);
        margin(paint, row, log, state, place.row, place.part > 0, probe == last);
        last = probe;
        let at = Rect { x: row.x + log.before_text(), width: row.width.saturating_sub(log.before_text()), ..row };
        line(paint, at, log, text, place.part, place.row == log.cursor());
        if selection.as_ref().is_some_and(|selected| selected.contains(&place.row)) {
            paint.buffer.set_style(row, Style::new().add_modifier(ratatui::style::Modifier::REVERSED));
        }
    }
    draw_status(paint, status, log, state);
}

/// The cursor, the time, and whose line it is.
fn margin(paint: &mut Paint<'_>, row: Rect, log: &LogScreen, state: &State, number: usize, within: bool, same: bool) {
    let signs = paint.signs();
    let meta = log.meta(number);
    let continued = within || meta.is_some_and(|meta| meta.continued);
    let sign = match (number == log.cursor(), continued) {
        (true, _) => signs.cursor,
        (false, true) => signs.continued,
        (false, false) => " ",
    };
    paint.text(Rect { width: CURSOR_WIDTH, ..row }, sign, if number == log.cursor() { Role::Title } else { Role::Dim });
    let Some(meta) = meta.filter(|_| !within) else { return };
    let mut x = row.x + CURSOR_WIDTH;
    if log.times {
        paint.text(Rect { x, width: TIME_WIDTH - 1, ..row }, &state.clock.time(meta.at), Role::Dim);
        x += TIME_WIDTH;
    }
    if log.is_labelled() && !same {
        paint.text(Rect { x, width: LABEL_WIDTH - 1, ..row }, &state.label(meta.probe), Role::Strong);
    }
}

/// A line, or a part of one that is broken.
fn line(paint: &mut Paint<'_>, at: Rect, log: &LogScreen, text: &str, part: usize, here: bool) {
    let plain = stored::plain(text);
    let found = log.search().map(|search| search.needle().find_all(&plain)).unwrap_or_default();
    let range = if log.wrap {
        broken(&plain, usize::from(at.width).max(1)).get(part).cloned().unwrap_or(0..0)
    } else {
        0..plain.len()
    };
    let skip = if log.wrap { 0 } else { log.left() };
    let cut = draw_parts(paint, at, text, &range, skip, &found, here);
    if cut && !log.wrap {
        let sign = paint.signs().more;
        paint.text(Rect { x: at.right() - 1, width: 1, ..at }, sign, Role::Key);
    }
}

/// Draws bytes `range` of the plain text, without the first `skip` columns; says whether something did not fit.
fn draw_parts(
    paint: &mut Paint<'_>,
    at: Rect,
    line: &str,
    range: &Range<usize>,
    skip: usize,
    found: &[Range<usize>],
    here: bool,
) -> bool {
    let (mut byte, mut column) = (0, 0);
    let end = skip + usize::from(at.width);
    let highlight = paint.theme.style(if here { Role::MatchHere } else { Role::Match });
    let mut found = found.iter().peekable();
    for part in stored::parts(line) {
        let style = part.sgr.style(paint.theme.colours);
        for grapheme in Span::raw(part.text).styled_graphemes(Style::new()) {
            let start = byte;
            byte += grapheme.symbol.len();
            if start < range.start {
                continue;
            }
            if start >= range.end {
                return false;
            }
            while found.next_if(|found| found.end <= start).is_some() {}
            let width = text::width(grapheme.symbol);
            if column + width > end {
                return true;
            }
            if column >= skip && width > 0 {
                let matched = found.peek().is_some_and(|found| found.start < byte);
                let x = at.x + u16::try_from(column - skip).unwrap_or(u16::MAX);
                let style = if matched { style.patch(highlight) } else { style };
                paint.buffer.set_stringn(x, at.y, grapheme.symbol, width, style);
            }
            column += width;
        }
    }
    false
}

fn draw_status(paint: &mut Paint<'_>, row: Rect, log: &LogScreen, state: &State) {
    paint.wash(row, Role::Bar);
    let bar = paint.theme.style(Role::Bar);
    let search = search_status(log, state);
    let width = u16::try_from(text::width(&search)).unwrap_or(0) + 2;
    let at = Rect { x: row.x + 1, width: row.width.saturating_sub(width + 2), ..row };
    let said = place_status(paint, log, state);
    paint.styled(at, &said, bar);
    let right = Rect { x: row.right().saturating_sub(width), width: width - 1, ..row };
    paint.styled(right, &search, bar);
}

fn place_status(paint: &Paint<'_>, log: &LogScreen, state: &State) -> String {
    let number = |number: usize| format::number(i64::try_from(number).unwrap_or(i64::MAX));
    let mut said = format!("line {} of {}", number(log.cursor() + 1), number(log.len()));
    let dot = paint.signs().dot;
    if let Some(selected) = log.selection() {
        said += &format!(" {dot} {} selected", number(selected.len()));
    }
    let meta = log.meta(log.cursor());
    if meta.is_some_and(|meta| meta.continued) {
        said += " (goes on from the line before)";
    }
    let probe = meta.and_then(|meta| state.probe(meta.probe));
    if let Some((number, probe)) = probe {
        let (_, word, _) = job::verdict(paint, probe);
        let took = probe.seconds.map(|took| format!(" {}", seconds(took))).unwrap_or_default();
        let subject = probe.subject.as_deref().map(text::clean).unwrap_or_default();
        said += &format!(" {dot} #{number} {} {word}{took} {dot} {subject}", &probe.commit.short()[..7]);
    }
    said
}

fn search_status(log: &LogScreen, state: &State) -> String {
    let Some(search) = log.search() else { return String::new() };
    let number = |number: usize| format::number(i64::try_from(number).unwrap_or(i64::MAX));
    let needle = text::clean(search.needle().text()).into_owned();
    let needle = text::cut(&needle, 20, state.theme.signs.ellipsis);
    let (count, line) = (search.count(), log.line(log.cursor()));
    let rank = search.rank(line);
    let known = !log.is_searching() && search.at(rank) == Some(line);
    let place = if known { format!("{} of ", number(rank + 1)) } else { String::new() };
    let lines = if count == 1 { "line" } else { "lines" };
    let unread = if search.unread() { ", some could not be read" } else { "" };
    let going_on = if log.is_searching() {
        let all = log.store().len().max(1);
        format!(", {} % searched", search.looked_at() * 100 / all)
    } else {
        String::new()
    };
    format!("/{needle}: {place}{} {lines}{going_on}{unread}", number(count))
}

fn nothing(paint: &mut Paint<'_>, area: Rect, log: &LogScreen, state: &State) {
    if !log.is_told() && state.is_loading() && !job_waits(state) {
        return loading(paint, area, state, "the log");
    }
    let why = match (log.has_ended(), job_waits(state)) {
        (true, _) => "Nothing was printed.",
        (false, true) => "The job waits for a worker: nothing was printed yet.",
        (false, false) => "Nothing was printed yet.",
    };
    let then = if log.has_ended() {
        "Logs are removed some time after their jobs have ended (LOG_RETENTION_DAYS)."
    } else {
        "What its commands print is seen here within half a second."
    };
    instead(paint, area, &[(why, Role::Strong), (then, Role::Dim)]);
}

fn job_waits(state: &State) -> bool {
    state.job_view().is_some_and(|job| job.status == bisect_shared::JobStatus::Pending)
}
