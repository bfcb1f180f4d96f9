//! How things look: colours for what the terminal has, and signs for what its character set has.
//!
//! Meaning is carried by words and signs; colour only repeats it. The user's own 16 colours are used for it, so that
//! light and dark terminals are both readable; where 256 are there, bars of one colour get a fixed pair of both.

use bisect_shared::{JobStatus, Verdict};
use ratatui::style::{Color, Modifier, Style};

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colours {
    /// None, or they are not wanted.
    None,
    /// The 16 of the user's own palette.
    Sixteen,
    /// 256.
    Many,
    /// 24 bits.
    True,
}

/// What a piece of the screen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Text.
    Plain,
    /// What may be overlooked.
    Dim,
    /// What should not be.
    Strong,
    /// The name of a pane.
    Title,
    /// The heads of columns.
    Heading,
    /// The bar on top.
    Bar,
    /// The tab of the view that is shown.
    Tab,
    /// A key that can be pressed.
    Key,
    /// The row that keys act upon.
    Cursor,
    /// Passed, done, fine.
    Good,
    /// Failed, wrong.
    Bad,
    /// Neither, or to be watched.
    Warn,
    /// Under way.
    Live,
    /// What is found by a search.
    Match,
    /// The one of these where the cursor is.
    MatchHere,
    /// A banner about the connection.
    Banner,
}

/// Colours and signs.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    /// How many colours there are.
    pub colours: Colours,
    /// The signs.
    pub signs: &'static Signs,
}

impl Theme {
    /// A theme for a terminal.
    #[must_use]
    pub const fn new(colours: Colours, ascii: bool) -> Self {
        Self { colours, signs: if ascii { &ASCII } else { &UNICODE } }
    }

    /// How a role looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        match role {
            Role::Plain => plain,
            Role::Dim => plain.add_modifier(Modifier::DIM),
            Role::Strong => bold,
            Role::Title => self.coloured(bold, Color::Cyan),
            Role::Heading => plain.add_modifier(Modifier::UNDERLINED | Modifier::DIM),
            Role::Bar => self.pair(reversed, 253, 236),
            Role::Tab => self.pair(plain.add_modifier(Modifier::BOLD), 231, 25),
            Role::Key => self.coloured(bold, Color::Cyan),
            Role::Cursor => self.pair(reversed, 231, 24),
            Role::Good => self.coloured(plain, Color::Green),
            Role::Bad => self.coloured(bold, Color::Red),
            Role::Warn => self.coloured(plain, Color::Yellow),
            Role::Live => self.coloured(plain, Color::Cyan),
            Role::Match => self.pair(plain.add_modifier(Modifier::UNDERLINED | Modifier::BOLD), 16, 222),
            Role::MatchHere => self.pair(reversed.add_modifier(Modifier::BOLD), 16, 214),
            Role::Banner => match self.colours {
                Colours::None => reversed.add_modifier(Modifier::BOLD),
                Colours::Sixteen => bold.fg(Color::Black).bg(Color::Yellow),
                Colours::Many | Colours::True => bold.fg(Color::Indexed(16)).bg(Color::Indexed(214)),
            },
        }
    }

    fn coloured(&self, style: Style, colour: Color) -> Style {
        if self.colours == Colours::None { style } else { style.fg(colour) }
    }

    /// A fixed pair of colours, readable on any background, or else `plain`.
    fn pair(&self, plain: Style, front: u8, back: u8) -> Style {
        match self.colours {
            Colours::None | Colours::Sixteen => plain,
            Colours::Many | Colours::True => Style::new().fg(Color::Indexed(front)).bg(Color::Indexed(back)),
        }
    }

    /// The sign and the role of a job's state.
    #[must_use]
    pub const fn status(&self, status: JobStatus) -> (&'static str, Role) {
        match status {
            JobStatus::Pending => (self.signs.pending, Role::Warn),
            JobStatus::Running => (self.signs.running, Role::Live),
            JobStatus::Completed => (self.signs.good, Role::Good),
            JobStatus::Failed => (self.signs.bad, Role::Bad),
            JobStatus::Cancelled => (self.signs.stopped, Role::Dim),
        }
    }

    /// The sign and the role of a verdict.
    #[must_use]
    pub const fn verdict(&self, verdict: Verdict) -> (&'static str, Role) {
        match verdict {
            Verdict::Good => (self.signs.good, Role::Good),
            Verdict::Bad => (self.signs.bad, Role::Bad),
            Verdict::Skip => (self.signs.skip, Role::Warn),
        }
    }
}

/// Signs of one column each, but for `ellipsis` and `join`.
#[derive(Debug)]
#[allow(missing_docs, reason = "each is named after what it says")]
pub struct Signs {
    pub ascii: bool,
    pub pending: &'static str,
    pub running: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
    pub skip: &'static str,
    pub stopped: &'static str,
    pub marked: &'static str,
    pub cursor: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub ellipsis: &'static str,
    pub rule: &'static str,
    pub upright: &'static str,
    pub dot: &'static str,
    pub continued: &'static str,
    pub more: &'static str,
    pub join: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    /// Eighths of a column from the left, for bars.
    pub eighths: &'static [&'static str],
    /// Heights of a sparkline, the lowest first.
    pub heights: &'static [&'static str],
    /// The range: good, candidate, skipped, bad.
    pub range_good: &'static str,
    pub range_open: &'static str,
    pub range_skip: &'static str,
    pub range_bad: &'static str,
    pub pointer: &'static str,
    pub spinner: &'static [&'static str],
    /// Corners of a box: top left, top right, bottom left, bottom right.
    pub corners: [&'static str; 4],
}

static UNICODE: Signs = Signs {
    ascii: false,
    pending: "○",
    running: "▸",
    good: "✓",
    bad: "✗",
    skip: "?",
    stopped: "∅",
    marked: "●",
    cursor: "▌",
    up: "↑",
    down: "↓",
    ellipsis: "…",
    rule: "─",
    upright: "│",
    dot: "·",
    continued: "↪",
    more: "›",
    join: " › ",
    full: "█",
    empty: "░",
    eighths: &["▏", "▎", "▍", "▌", "▋", "▊", "▉"],
    heights: &["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    range_good: "─",
    range_open: "█",
    range_skip: "?",
    range_bad: "×",
    pointer: "▼",
    spinner: &["⠋", "⠙", "⠸", "⠴", "⠦", "⠇"],
    corners: ["╭", "╮", "╰", "╯"],
};

static ASCII: Signs = Signs {
    ascii: true,
    pending: ".",
    running: ">",
    good: "+",
    bad: "x",
    skip: "?",
    stopped: "-",
    marked: "*",
    cursor: ">",
    up: "^",
    down: "v",
    ellipsis: "..",
    rule: "-",
    upright: "|",
    dot: ".",
    continued: "\\",
    more: ">",
    join: " > ",
    full: "#",
    empty: ".",
    eighths: &[],
    heights: &["_", ".", "-", "=", "+", "*", "%", "#"],
    range_good: "-",
    range_open: "#",
    range_skip: "?",
    range_bad: "x",
    pointer: "v",
    spinner: &["|", "/", "-", "\\"],
    corners: ["+", "+", "+", "+"],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_is_coloured() {
        let theme = Theme::new(Colours::None, false);
        for role in [Role::Bar, Role::Cursor, Role::Bad, Role::Match, Role::MatchHere, Role::Banner, Role::Tab] {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
            assert!(!style.add_modifier.is_empty(), "{role:?} must be seen without colours");
        }
    }

    #[test]
    fn signs_are_one_column_wide() {
        for signs in [&UNICODE, &ASCII] {
            let ones = [signs.pending, signs.running, signs.good, signs.bad, signs.skip, signs.stopped, signs.marked];
            let more = [signs.cursor, signs.rule, signs.full, signs.range_open, signs.range_bad, signs.pointer];
            for sign in ones.iter().chain(&more).chain(signs.heights).chain(signs.eighths).chain(signs.spinner) {
                assert_eq!(crate::text::width(sign), 1, "{sign}");
            }
            assert_eq!(signs.ascii, signs.heights.iter().all(|sign| sign.is_ascii()));
        }
    }
}
