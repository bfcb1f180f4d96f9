//! Draws the state. Pure: what is drawn depends on the state alone, and nothing is changed by it.
//!
//! One file for each view, and `chrome` for what is around all of them. Only the rows that are seen are looked at.

mod audit;
mod chrome;
mod format;
mod job;
mod jobs;
mod log;
mod over;
mod overview;
mod paint;
mod range;
mod reading;
mod servers;
mod strip;
mod table;

use crate::{keys::Place, layout, state::State, theme::Role};
use paint::Paint;
use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Position, Rect},
};

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if let Some(cursor) = render(frame.buffer_mut(), area, state) {
        frame.set_cursor_position(cursor);
    }
}

/// Draws everything into `area` of a buffer; says where one types.
pub fn render(buffer: &mut Buffer, area: Rect, state: &State) -> Option<Position> {
    let mut paint = Paint { buffer, theme: state.theme };
    let cursor = match layout::screen(area, state.banner_height()) {
        Some(screen) => {
            chrome::around(&mut paint, &screen, state);
            match state.view() {
                Place::Job => job::draw(&mut paint, &screen, state),
                Place::Log => log::draw(&mut paint, &screen, state),
                Place::Servers => servers::draw(&mut paint, &screen, state),
                Place::Overview => overview::draw(&mut paint, &screen, state),
                Place::Audit => audit::draw(&mut paint, &screen, state),
                Place::Help | Place::Messages => reading::draw(&mut paint, &screen, state),
                _ => jobs::draw(&mut paint, &screen, state),
            }
            over::draw(&mut paint, &screen, area, state)
        }
        None => {
            too_small(&mut paint, area);
            None
        }
    };
    let theme = paint.theme;
    paint::seal(buffer, theme);
    cursor
}

fn too_small(paint: &mut Paint<'_>, area: Rect) {
    let (columns, rows) = layout::LEAST;
    let lines = [
        format!("The console needs {columns} columns and {rows} rows;"),
        format!("this terminal has {} and {}.", area.width, area.height),
        "Make it larger, or press Ctrl-C to quit.".to_owned(),
    ];
    let box_ = layout::centred(area, area.width, 3);
    for (row, line) in (box_.y..box_.bottom()).zip(&lines) {
        let width = u16::try_from(line.len()).unwrap_or(u16::MAX).min(area.width);
        let at = layout::centred(Rect { y: row, height: 1, ..box_ }, width, 1);
        paint.text(at, line, Role::Plain);
    }
}

/// Says in the middle of an area why nothing is there, and how something would come.
fn instead(paint: &mut Paint<'_>, area: Rect, lines: &[(&str, Role)]) {
    let height = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let middle = layout::centred(area, area.width, height);
    for (y, (line, role)) in (middle.y..middle.bottom()).zip(lines) {
        let width = u16::try_from(crate::text::width(line)).unwrap_or(u16::MAX);
        let at = layout::centred(Rect { y, height: 1, ..area }, width, 1);
        paint.text(at, line, *role);
    }
}

/// Says that something is being fetched, or that it cannot be.
fn loading(paint: &mut Paint<'_>, area: Rect, state: &State, what: &str) {
    if state.connection.is_up() {
        let spinner = paint.signs().spinner;
        let line = format!("{} Loading {what}{}", spinner[state.beat % spinner.len()], paint.signs().ellipsis);
        instead(paint, area, &[(&line, Role::Plain)]);
    } else {
        let line = format!("Nothing is known of {what} yet: there is no connection.");
        instead(paint, area, &[(&line, Role::Plain), ("It is loaded as soon as there is one.", Role::Dim)]);
    }
}

#[cfg(test)]
mod tests;
