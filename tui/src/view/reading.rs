//! The help, and what was said: lines to be read.

use super::{instead, paint::Paint, table};
use crate::{
    keys::Place,
    layout::Screen,
    state::{KEYS_WIDTH, Kind, Reading, State},
    theme::Role,
};
use ratatui::layout::Rect;

pub(super) fn draw(paint: &mut Paint<'_>, screen: &Screen, state: &State) {
    let lines = state.reading();
    if lines.is_empty() && state.view() == Place::Messages {
        let then = "What comes of your actions is kept here until the console ends.";
        return instead(paint, screen.body, &[("Nothing was said yet.", Role::Strong), (then, Role::Dim)]);
    }
    for (number, row) in table::rows(screen.body, state.text.top, lines.len()) {
        let row = Rect { x: row.x + 1, width: row.width - 2, ..row };
        let after = |columns: u16| Rect { x: row.x + columns, width: row.width.saturating_sub(columns), ..row };
        match &lines[number] {
            Reading::Blank => {}
            Reading::Title(title) => {
                paint.text(row, title, Role::Title);
            }
            Reading::Keys(keys, help) => {
                paint.text(Rect { width: KEYS_WIDTH, ..row }, keys, Role::Key);
                paint.text(after(KEYS_WIDTH + 1), help, Role::Plain);
            }
            Reading::Said(kind, time, said) => {
                let (sign, role) = match kind {
                    Kind::Good => (paint.signs().good, Role::Good),
                    Kind::Plain => (paint.signs().dot, Role::Plain),
                    Kind::Bad => (paint.signs().bad, Role::Bad),
                };
                paint.text(row, time, Role::Dim);
                paint.text(after(9), if time.is_empty() { " " } else { sign }, role);
                paint.text(after(11), said, Role::Plain);
            }
        }
    }
    let below = lines.len().saturating_sub(state.text.top + usize::from(screen.body.height));
    if below > 0 {
        let said = format!(" {below} more lines {} ", paint.signs().down);
        paint.right(Rect { width: screen.title.width - 1, ..screen.title }, &said, Role::Plain);
    }
}
