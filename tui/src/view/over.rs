//! What lies over a view: questions, lines that are typed, the palette, a choice of servers.

use super::{chrome, paint::Paint};
use crate::{
    keys::Place,
    layout::{self, Screen},
    state::{Line, LineFor, List, Modal, Palette, State, question},
    text,
    theme::Role,
};
use ratatui::layout::{Position, Rect};
use tui_input::Input;

/// Suggestions that are seen at once.
const SUGGESTED: usize = 10;

/// Draws it; says where one types.
pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, area: Rect, state: &State) -> Option<Position> {
    match state.modal.as_ref()? {
        Modal::Question(asked) => {
            ask(paint, area, &question(state, asked));
            None
        }
        Modal::Line(line) => Some(type_line(paint, screen.foot, line, state)),
        Modal::Palette(palette) => Some(type_command(paint, screen, palette, state)),
        Modal::Hosts(list) => {
            hosts(paint, area, *list, state);
            None
        }
    }
}

fn wrapped(said: &[String], columns: u16) -> Vec<String> {
    said.iter().flat_map(|line| text::wrap(line, usize::from(columns))).collect()
}

/// A box with lines in the middle; gives what is free below them in it.
fn lines_box(paint: &mut Paint<'_>, area: Rect, title: &str, lines: &[String], below: u16) -> Rect {
    let widest = lines.iter().map(|line| text::width(line)).max().unwrap_or(0).max(34);
    let width = u16::try_from(widest).unwrap_or(u16::MAX).saturating_add(4);
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2 + below);
    let inner = paint.boxed(layout::centred(area, width, height), title);
    for (number, (y, line)) in (inner.y..inner.bottom()).zip(lines).enumerate() {
        paint.text(Rect { y, height: 1, ..inner }, line, if number == 0 { Role::Strong } else { Role::Plain });
    }
    Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }
}

fn ask(paint: &mut Paint<'_>, area: Rect, said: &[String]) {
    let free = lines_box(paint, area, "Sure?", &wrapped(said, area.width.min(76) - 6), 2);
    chrome::hints(paint, Rect { x: free.x.saturating_sub(1), ..free }, Place::Question, false);
}

/// Draws a line that is typed; gives the place of its cursor.
fn typed(paint: &mut Paint<'_>, area: Rect, label: &str, input: &Input) -> Position {
    paint.clear(area);
    let x = paint.text(area, label, Role::Key);
    let room = Rect { x, width: area.right().saturating_sub(x), ..area };
    let value = text::clean_typed(input.value());
    let before: String = input.value().chars().take(input.cursor()).collect();
    let cursor = text::width(&text::clean_typed(&before));
    let skip = cursor.saturating_sub(usize::from(room.width).saturating_sub(2));
    let shown = text::skip(&value, skip);
    paint.text(room, shown, Role::Plain);
    Position { x: (room.x + u16::try_from(cursor - skip).unwrap_or(0)).min(area.right() - 1), y: area.y }
}

fn type_line(paint: &mut Paint<'_>, foot: Rect, line: &Line, state: &State) -> Position {
    let found = match line.wanted {
        LineFor::Jobs => format!("{} found", state.jobs.shown().len()),
        LineFor::Log => state.log.as_ref().and_then(|log| log.search()).map_or_else(String::new, |search| {
            format!("{}{}", search.count(), if search.count() == 1 { " line" } else { " lines" })
        }),
        LineFor::Save | LineFor::Runs(_) => String::new(),
    };
    let said = if found.is_empty() { "Enter Esc".to_owned() } else { format!("{found}  Enter Esc") };
    let width = u16::try_from(text::width(&said)).unwrap_or(0) + 2;
    let cursor =
        typed(paint, Rect { width: foot.width - width, ..foot }, &format!(" {}", line.wanted.label()), &line.input);
    let right = Rect { x: foot.right() - width, width, ..foot };
    paint.clear(right);
    paint.text(Rect { x: right.x + 1, width: width - 1, ..right }, &said, Role::Dim);
    cursor
}

fn type_command(paint: &mut Paint<'_>, screen: &Screen, palette: &Palette, state: &State) -> Position {
    let found = state.suggestions(palette);
    let rows = found.len().min(SUGGESTED);
    let top = palette.chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(SUGGESTED));
    if rows > 0 {
        let height = u16::try_from(rows).unwrap_or(0) + 2;
        let foot = screen.foot;
        let area = Rect { y: foot.y - height, height, ..foot };
        let title = if found.len() > rows { format!("{} commands", found.len()) } else { "Commands".to_owned() };
        let inner = paint.boxed(area, &title);
        for (y, (number, suggestion)) in (inner.y..inner.bottom()).zip(found.iter().enumerate().skip(top)) {
            let row = Rect { y, height: 1, ..inner };
            let line = format!("{} {}", suggestion.line.trim_end(), suggestion.takes);
            paint.text(Rect { width: 22, ..row }, &text::clean(&line), Role::Key);
            paint.text(Rect { x: row.x + 23, width: 6, ..row }, &suggestion.keys, Role::Dim);
            paint.text(
                Rect { x: row.x + 30, width: row.width.saturating_sub(30), ..row },
                suggestion.help,
                Role::Plain,
            );
            if palette.chosen == Some(number) {
                paint.wash(row, Role::Cursor);
                let sign = paint.signs().cursor;
                paint.text(Rect { x: row.x - 1, width: 1, ..row }, sign, Role::Strong);
            }
        }
    }
    typed(paint, screen.foot, " :", &palette.input)
}

fn hosts(paint: &mut Paint<'_>, area: Rect, list: List, state: &State) {
    let hosts = &state.options.hosts;
    let lines: Vec<String> = std::iter::once("Which server?".to_owned())
        .chain(hosts.iter().map(|host| {
            let shown = if *host == state.options.host { "  (shown now)" } else { "" };
            format!("  {}{shown}", text::clean(host))
        }))
        .collect();
    let free = lines_box(paint, area, "Servers", &lines, 2);
    let first = free.y.saturating_sub(1 + u16::try_from(hosts.len()).unwrap_or(0));
    let row = Rect { y: first + u16::try_from(list.row).unwrap_or(0), ..free };
    let sign = paint.signs().cursor;
    paint.text(Rect { width: 1, ..row }, sign, Role::Strong);
    paint.wash(row, Role::Cursor);
    chrome::hints(paint, Rect { x: free.x.saturating_sub(1), ..free }, Place::Choice, false);
}
