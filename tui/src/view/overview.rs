//! The numbers: what waits, what ends, how, and what is not yet told to GitHub.

use super::{format, loading, paint::Paint};
use crate::{
    clock::{delta, span},
    layout::Screen,
    state::State,
    text,
    theme::Role,
};
use bisect_shared::{
    ResultKind,
    admin::{Overview, Rate},
};
use ratatui::layout::Rect;

/// Something that waits for longer than this is worth a look, in seconds.
const LONG: f64 = 300.0;

/// Columns of names and numbers; where remarks begin.
const NAMES: u16 = 17;
const NUMBERS: u16 = 6;
const REMARKS: u16 = NAMES + NUMBERS + 2;

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let Some(numbers) = &state.overview else {
        return loading(paint, screen.body, state, "the numbers");
    };
    let body = screen.body;
    let left_width = if body.width >= 120 { 56 } else { 42 };
    let upper = (body.height * 9 / 20).max(9);
    let left = Rect { width: left_width, ..body };
    let right = Rect { x: body.x + left_width + 1, width: body.width - left_width - 1, ..body };
    let above = |area: Rect| Rect { height: upper, ..area };
    let below = |area: Rect| Rect { y: area.y + upper, height: area.height - upper, ..area };
    queue(paint, above(left), numbers);
    last_hour(paint, above(right), numbers);
    results(paint, below(left), numbers);
    mail(paint, below(right), numbers, state);
}

/// A heading, and what is below it.
fn section(paint: &mut Paint<'_>, area: Rect, title: &str) -> Rect {
    let head = Rect { x: area.x + 1, height: 1, width: area.width.saturating_sub(2), ..area };
    paint.text(head, title, Role::Title);
    Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) }
}

/// A number with its name before it, and a remark behind it.
fn fact(paint: &mut Paint<'_>, area: Rect, y: u16, name: &str, number: &str, remark: &str, role: Role) {
    if y >= area.bottom() {
        return;
    }
    let row = Rect { y, height: 1, ..area };
    paint.text(Rect { width: NAMES.min(row.width), ..row }, name, Role::Plain);
    let numbers = Rect { x: row.x + NAMES, width: NUMBERS.min(row.width.saturating_sub(NAMES)), ..row };
    paint.right(numbers, number, Role::Strong);
    paint.text(Rect { x: row.x + REMARKS, width: row.width.saturating_sub(REMARKS), ..row }, remark, role);
}

fn queue(paint: &mut Paint<'_>, area: Rect, numbers: &Overview) {
    let area = section(paint, area, "Jobs");
    let oldest = numbers.oldest_pending.map(|waits| (format!("oldest {}", span(delta(waits))), waits > LONG));
    let (oldest, long) = oldest.unwrap_or_default();
    let stale = if numbers.stale > 0 { format!("{} no pulse", numbers.stale) } else { String::new() };
    let rows = [
        ("waiting", numbers.pending, oldest, if long { Role::Warn } else { Role::Dim }),
        ("running", numbers.running, stale, Role::Bad),
        ("completed", numbers.completed, String::new(), Role::Dim),
        ("failed", numbers.failed, String::new(), Role::Dim),
        ("cancelled", numbers.cancelled, String::new(), Role::Dim),
    ];
    for (y, (name, number, remark, role)) in (area.y..).zip(rows) {
        fact(paint, area, y, name, &format::number(number), &remark, role);
    }
}

fn last_hour(paint: &mut Paint<'_>, area: Rect, numbers: &Overview) {
    let area = section(paint, area, "The last hour");
    let each = (area.height / 2).max(2);
    let most = |values: &[i64]| values.iter().copied().max().unwrap_or(0);
    let ended: i64 = numbers.ended_by_minute.iter().sum();
    let series = [
        (
            &numbers.depth_by_minute,
            format!("waiting: {} now, {} at most", numbers.pending, most(&numbers.depth_by_minute)),
            Role::Warn,
        ),
        (
            &numbers.ended_by_minute,
            format!("ended: {ended}, {} a minute at most", most(&numbers.ended_by_minute)),
            Role::Good,
        ),
    ];
    for (number, (values, said, role)) in (0_u16..).zip(series) {
        let y = area.y + number * each;
        let columns = area.width.min(60);
        let chart = Rect { y, height: (each - 1).min(4), width: columns, ..area };
        paint.spark(chart, values, role);
        paint.text(Rect { y: chart.bottom(), height: 1, ..area }, &said, Role::Plain);
    }
}

fn results(paint: &mut Paint<'_>, area: Rect, numbers: &Overview) {
    let area = section(paint, area, "Results of 24 hours");
    if numbers.results.is_empty() {
        paint.text(Rect { height: 1, ..area }, "No job has ended within 24 hours.", Role::Dim);
        return;
    }
    let most = numbers.results.iter().map(|count| count.jobs).max().unwrap_or(1).max(1);
    for (y, count) in (area.y..area.bottom()).zip(&numbers.results) {
        let (name, role) = match count.result {
            Some(ResultKind::Culprit) => ("culprit".to_owned(), Role::Good),
            Some(ResultKind::Infrastructure) | None => ("failed".to_owned(), Role::Bad),
            Some(other) => (other.name().replace('_', " "), Role::Warn),
        };
        fact(paint, area, y, &name, &format::number(count.jobs), "", Role::Plain);
        let bar = Rect { x: area.x + REMARKS, y, height: 1, width: area.width.saturating_sub(REMARKS) };
        let share = count.jobs as f64 / most as f64;
        let filled = ((share * f64::from(bar.width)).round() as u16).clamp(1, bar.width.max(1));
        paint.bar(Rect { width: filled, ..bar }, 1.0, role);
    }
}

fn mail(paint: &mut Paint<'_>, area: Rect, numbers: &Overview, state: &State) {
    let area = section(paint, area, "To and from GitHub");
    let rows = [("comments in", numbers.inbox, numbers.inbox_age), ("replies out", numbers.outbox, numbers.outbox_age)];
    let mut y = area.y;
    for (name, waiting, age) in rows {
        let (remark, role) = match waiting {
            0 => ("none waits".to_owned(), Role::Dim),
            _ => (format!("oldest {}", span(delta(age))), if age > LONG { Role::Warn } else { Role::Dim }),
        };
        fact(paint, area, y, name, &format::number(waiting), &remark, role);
        y += 1;
    }
    y += 1;
    if y >= area.bottom() {
        return;
    }
    if numbers.github.is_empty() {
        paint.text(Rect { y, height: 1, ..area }, "No GitHub App is configured, or it was not asked yet.", Role::Dim);
        return;
    }
    paint.text(Rect { y, height: 1, ..area }, "calls that GitHub still allows", Role::Dim);
    for (y, rate) in (y + 1..area.bottom()).zip(&numbers.github) {
        draw_rate(paint, Rect { y, height: 1, ..area }, rate, state);
    }
}

fn draw_rate(paint: &mut Paint<'_>, row: Rect, rate: &Rate, state: &State) {
    let share = rate.left as f64 / rate.limit.max(1) as f64;
    let role = match share {
        0.0..0.05 => Role::Bad,
        0.05..0.2 => Role::Warn,
        _ => Role::Good,
    };
    paint.text(Rect { width: 17.min(row.width), ..row }, &text::clean(&rate.whose), Role::Plain);
    let wide = row.width > 44;
    let of = if wide { format!(" of {}", format::number(rate.limit)) } else { String::new() };
    let said = format!("{}{of} until {}", format::number(rate.left), &state.clock.time(rate.resets_at)[..5]);
    if wide {
        paint.bar(Rect { x: row.x + 18, width: 20, ..row }, share, role);
    }
    let x = row.x + if wide { 39 } else { 18 };
    paint.text(Rect { x, width: row.right().saturating_sub(x), ..row }, &said, role);
}
