//! The brush: text into cells, cut to its place, in the style of a role.

use crate::{
    text,
    theme::{Role, Signs, Theme},
};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

/// Draws on a buffer in a theme. Whatever it is given is cut to the place that it is given with it.
pub(super) struct Paint<'a> {
    pub(super) buffer: &'a mut Buffer,
    pub(super) theme: Theme,
}

impl Paint<'_> {
    pub(super) const fn signs(&self) -> &'static Signs {
        self.theme.signs
    }

    /// Draws a clean text into a row; one that is too long ends with an ellipsis. Gives the column after it.
    pub(super) fn text(&mut self, area: Rect, text: &str, role: Role) -> u16 {
        self.styled(area, text, self.theme.style(role))
    }

    pub(super) fn styled(&mut self, area: Rect, text: &str, style: Style) -> u16 {
        let area = area.intersection(self.buffer.area);
        if area.is_empty() {
            return area.x;
        }
        // Of what was there before only the ground is left.
        let style = Style {
            fg: style.fg.or(Some(Color::Reset)),
            sub_modifier: Modifier::all().difference(style.add_modifier),
            ..style
        };
        let text = text::cut(text, usize::from(area.width), self.signs().ellipsis);
        self.buffer.set_stringn(area.x, area.y, &text, usize::from(area.width), style).0
    }

    /// The same, at the right end of the row.
    pub(super) fn right(&mut self, area: Rect, text: &str, role: Role) {
        let width = u16::try_from(text::width(text)).unwrap_or(u16::MAX).min(area.width);
        self.text(Rect { x: area.right() - width, width, ..area }, text, role);
    }

    /// Several pieces one after the other.
    pub(super) fn pieces<'t>(&mut self, area: Rect, pieces: impl IntoIterator<Item = (&'t str, Role)>) -> u16 {
        let mut x = area.x;
        for (text, role) in pieces {
            x = self.text(Rect { x, width: area.right().saturating_sub(x), ..area }, text, role);
        }
        x
    }

    /// Gives a whole area the style of a role.
    pub(super) fn wash(&mut self, area: Rect, role: Role) {
        self.buffer.set_style(area, self.theme.style(role).remove_modifier(Modifier::DIM));
    }

    /// Blanks.
    pub(super) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for position in area.positions() {
            self.buffer[position].reset();
        }
    }

    /// A rule from one end of the row to the other.
    pub(super) fn rule(&mut self, area: Rect, role: Role) {
        let rule = self.signs().rule.repeat(usize::from(area.width));
        self.text(area, &rule, role);
    }

    /// A heading on a rule: its name on the left, facts on the right.
    pub(super) fn heading(&mut self, area: Rect, title: &[(&str, Role)], facts: &str) {
        self.rule(area, Role::Dim);
        let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
        let x = self.pieces(inner, [(" ", Role::Plain)].into_iter().chain(title.iter().copied()));
        self.text(Rect { x, width: inner.right().saturating_sub(x).min(1), ..inner }, " ", Role::Plain);
        let room = usize::from(inner.right().saturating_sub(x + 3));
        if !facts.is_empty() && room > 4 {
            let facts = text::cut(facts, room - 2, self.signs().ellipsis);
            self.right(inner, &format!(" {facts} "), Role::Plain);
        }
    }

    /// A box with a heading; gives what is inside.
    pub(super) fn boxed(&mut self, area: Rect, title: &str) -> Rect {
        self.clear(area);
        let signs = self.signs();
        let [top_left, top_right, bottom_left, bottom_right] = signs.corners;
        let rule = signs.rule.repeat(usize::from(area.width.saturating_sub(2)));
        let row = |y: u16| Rect { y, height: 1, ..area };
        self.text(row(area.y), &format!("{top_left}{rule}{top_right}"), Role::Title);
        for y in area.y + 1..area.bottom().saturating_sub(1) {
            self.text(row(y), signs.upright, Role::Title);
            self.right(row(y), signs.upright, Role::Title);
        }
        self.text(row(area.bottom() - 1), &format!("{bottom_left}{rule}{bottom_right}"), Role::Title);
        let heading = Rect { x: area.x + 2, width: area.width.saturating_sub(4), ..row(area.y) };
        self.text(heading, &format!(" {title} "), Role::Title);
        Rect {
            x: area.x + 2,
            y: area.y + 1,
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }

    /// A bar that is full to `share` of its columns.
    pub(super) fn bar(&mut self, area: Rect, share: f64, role: Role) {
        let (signs, columns) = (self.signs(), f64::from(area.width));
        let filled = (share.clamp(0.0, 1.0) * columns).min(columns);
        let steps = signs.eighths.len() + 1;
        let eighths = (filled.fract() * steps as f64) as usize;
        let mut bar = signs.full.repeat(filled as usize);
        if let Some(part) = eighths.checked_sub(1).and_then(|part| signs.eighths.get(part)) {
            bar.push_str(part);
        }
        let width = text::width(&bar);
        self.text(area, &bar, role);
        let rest = signs.empty.repeat(usize::from(area.width).saturating_sub(width));
        self.text(
            Rect { x: area.x + width as u16, width: area.width.saturating_sub(width as u16), ..area },
            &rest,
            Role::Dim,
        );
    }

    /// Values as columns of different heights, the newest at the right end, over as many rows as there are.
    pub(super) fn spark(&mut self, area: Rect, values: &[i64], role: Role) {
        let columns = squeezed(values, usize::from(area.width));
        let top = columns.iter().copied().max().unwrap_or(0).max(1) as f64;
        let heights = self.signs().heights;
        let whole = heights.len() * usize::from(area.height);
        let start = area.right() - u16::try_from(columns.len()).unwrap_or(area.width);
        for (x, value) in (start..).zip(columns) {
            let filled = (value as f64 / top * whole as f64).ceil() as usize;
            for row in 0..area.height {
                let below = usize::from(row) * heights.len();
                let Some(sign) = filled.checked_sub(below + 1).map(|at| heights[at.min(heights.len() - 1)]) else {
                    if row == 0 {
                        self.text(Rect { x, y: area.bottom() - 1, width: 1, height: 1 }, heights[0], Role::Dim);
                    }
                    continue;
                };
                self.text(Rect { x, y: area.bottom() - 1 - row, width: 1, height: 1 }, sign, role);
            }
        }
    }
}

/// As many values as there are columns; where several share one, their largest.
fn squeezed(values: &[i64], columns: usize) -> Vec<i64> {
    if values.len() <= columns || columns == 0 {
        return values.iter().take(columns).copied().collect();
    }
    let edge = |column: usize| column * values.len() / columns;
    (0..columns).map(|column| values[edge(column)..edge(column + 1)].iter().copied().max().unwrap_or(0)).collect()
}

/// The last look over the screen: nothing that a terminal would obey, whatever was drawn; nothing but ASCII, where the
/// terminal has nothing else; no colours where none are wanted.
pub(super) fn seal(buffer: &mut Buffer, theme: Theme) {
    let mut wide = false;
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if std::mem::take(&mut wide) {
            cell.set_symbol("?");
        } else if !symbol.is_ascii() && theme.signs.ascii || symbol.chars().any(text::is_hidden) {
            wide = text::width(symbol) > 1;
            cell.set_symbol("?");
        }
        if theme.colours == crate::theme::Colours::None {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Colours;

    fn drawn(width: u16, height: u16, draw: impl Fn(&mut Paint<'_>, Rect)) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        draw(&mut Paint { buffer: &mut buffer, theme: Theme::new(Colours::None, false) }, area);
        buffer.content.chunks(width.into()).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect()).collect()
    }

    #[test]
    fn bars_and_sparks() {
        assert_eq!(drawn(4, 1, |paint, area| paint.bar(area, 0.5, Role::Plain)), ["██░░"]);
        assert_eq!(drawn(4, 1, |paint, area| paint.bar(area, 0.6, Role::Plain)), ["██▍░"]);
        assert_eq!(drawn(4, 1, |paint, area| paint.bar(area, 7.0, Role::Plain)), ["████"]);
        assert_eq!(drawn(4, 1, |paint, area| paint.spark(area, &[0, 1, 4, 8], Role::Plain)), ["▁▁▄█"]);
        assert_eq!(drawn(2, 2, |paint, area| paint.spark(area, &[1, 2, 16, 8], Role::Plain)), [" █", "▂█"]);
        assert_eq!(drawn(3, 1, |paint, area| paint.spark(area, &[], Role::Plain)), ["   "]);
    }

    #[test]
    fn nothing_leaves_its_place() {
        let rows = drawn(6, 1, |paint, area| {
            paint.text(Rect { width: 3, ..area }, "too long", Role::Plain);
            paint.right(Rect { x: 4, width: 2, ..area }, "日本", Role::Plain);
        });
        assert_eq!(rows, ["to… … "]);
        drawn(6, 1, |paint, area| {
            paint.text(Rect { x: 90, ..area }, "elsewhere", Role::Plain);
        });
    }

    #[test]
    fn what_is_sealed_is_harmless() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 3, 1));
        buffer[(0, 0)].set_symbol("\x1b[2J");
        buffer[(1, 0)].set_symbol("é").set_fg(Color::Red);
        seal(&mut buffer, Theme::new(Colours::None, true));
        assert_eq!((buffer[(0, 0)].symbol(), buffer[(1, 0)].symbol(), buffer[(1, 0)].fg), ("?", "?", Color::Reset));
    }
}
