//! The range of a job: as a whole, and the part in which the culprit must be, with what was tested there.

use super::{
    format,
    paint::Paint,
    strip::{Column, columns, open_part},
};
use crate::theme::Role;
use bisect_shared::admin::{JobDetail, StripMark};
use ratatui::layout::Rect;

/// Columns of the words before the strips.
const LABEL: u16 = 17;

pub(super) fn draw(paint: &mut Paint<'_>, area: Rect, detail: &JobDetail) {
    let rows = area.height.min(5);
    let first = area.y + (area.height - rows) / 2;
    let row = |number: u16| Rect { x: area.x + 1, y: first + number, width: area.width - 2, height: 1 };
    let Some(strip) = detail.strip.as_ref().filter(|strip| strip.commits() > 0) else {
        let why = match detail.job.status.is_final() {
            true => "The range was not read.",
            false => "The range is read when a worker begins with the job.",
        };
        paint.text(row(2), why, Role::Dim);
        return;
    };
    let width = area.width.saturating_sub(LABEL + 2);
    let whole = columns(strip, &[], &(0..strip.commits()), usize::from(width));
    let commits = format!("{} commits", format::number(i64::try_from(strip.commits()).unwrap_or(i64::MAX)));
    label(paint, row(0), &commits);
    marks(paint, row(0), &whole, 1);
    if let Some(part) = open_part(strip) {
        let open = columns(strip, &detail.probes, &part, usize::from(width));
        let left = strip.pieces.iter().filter(|(mark, _)| matches!(mark, StripMark::Candidate | StripMark::Skipped));
        let left: u64 = left.map(|(_, count)| u64::from(*count)).sum();
        let left = format::number(i64::try_from(left).unwrap_or(i64::MAX));
        let running = detail.probes.iter().any(|probe| probe.running()) && strip.odds.is_empty();
        label(paint, row(1), if running { "running" } else { "" });
        label(paint, row(2), &if left == "1" { "only one left".to_owned() } else { format!("{left} may be it") });
        label(paint, row(3), "tested");
        // Commits that can be told apart are.
        let step = if open.len() * 2 <= usize::from(width) { 2 } else { 1 };
        marks(paint, row(2), &open, step);
        probes(paint, row(1), row(3), &open, step);
    }
    if !strip.odds.is_empty() {
        label(paint, row(1), "probability");
        odds(paint, row(1), &strip.odds, usize::from(width));
    }
    legend(paint, row(4));
}

fn label(paint: &mut Paint<'_>, row: Rect, text: &str) {
    paint.text(Rect { width: LABEL - 1, ..row }, text, Role::Dim);
}

fn marks(paint: &mut Paint<'_>, row: Rect, columns: &[Column], step: usize) {
    let signs = paint.signs();
    for (x, column) in (row.x + LABEL..).step_by(step).zip(columns) {
        let (sign, role) = match column.mark {
            Some(StripMark::Good) => (signs.range_good, Role::Good),
            Some(StripMark::Candidate) => (signs.range_open, Role::Live),
            Some(StripMark::Skipped) => (signs.range_skip, Role::Warn),
            Some(StripMark::Bad) => (signs.range_bad, Role::Bad),
            None => (" ", Role::Plain),
        };
        paint.text(Rect { x, width: 1, ..row }, sign, role);
    }
}

/// How probable it is that the culprit is there, below the whole range: the highest part is the likeliest.
fn odds(paint: &mut Paint<'_>, row: Rect, odds: &[u16], width: usize) {
    let heights = paint.signs().heights;
    let most = odds.iter().copied().max().unwrap_or(0).max(1);
    for (x, at) in (row.x + LABEL..).zip(0..width) {
        let share = odds[at * odds.len() / width.max(1)];
        let height = usize::from(share) * (heights.len() - 1) / usize::from(most);
        let role = if height == 0 { Role::Dim } else { Role::Live };
        paint.text(Rect { x, width: 1, ..row }, heights[height], role);
    }
}

fn probes(paint: &mut Paint<'_>, above: Rect, below: Rect, columns: &[Column], step: usize) {
    for (x, column) in (above.x + LABEL..).step_by(step).zip(columns) {
        if column.running {
            let sign = paint.signs().pointer;
            paint.text(Rect { x, width: 1, ..above }, sign, Role::Live);
        }
        if let Some(verdict) = column.tested {
            let (sign, role) = paint.theme.verdict(verdict);
            paint.text(Rect { x, width: 1, ..below }, sign, role);
        }
    }
}

fn legend(paint: &mut Paint<'_>, row: Rect) {
    let signs = paint.signs();
    let row = Rect { x: row.x + LABEL, width: row.width.saturating_sub(LABEL), ..row };
    paint.pieces(
        row,
        [
            (signs.range_good, Role::Good),
            (" good  ", Role::Dim),
            (signs.range_open, Role::Live),
            (" may be it  ", Role::Dim),
            (signs.range_skip, Role::Warn),
            (" skipped  ", Role::Dim),
            (signs.range_bad, Role::Bad),
            (" bad  ", Role::Dim),
            (signs.pointer, Role::Live),
            (" running", Role::Dim),
        ],
    );
}
