//! What is wrong with the connection, in a few lines over the view.

use super::State;
use crate::{clock::span, message::Link, text};
use chrono::TimeDelta;

/// More lines are not taken from the view.
const MOST: usize = 3;

impl State {
    /// The lines of the banner; none while all is well.
    #[must_use]
    pub fn banner(&self) -> Vec<String> {
        let mut said = match &self.connection.link {
            Link::Up(_) if self.connection.database_away => {
                "The daemon cannot reach its database. It tries again by itself; actions fail until then.".to_owned()
            }
            Link::Up(_) => return Vec::new(),
            Link::Connecting { attempt } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                format!("Connecting to {}{again}{}", text::clean(&self.options.host), self.theme.signs.ellipsis)
            }
            Link::Down { why, again_at } => {
                let why = text::clean(why);
                let stop = if why.ends_with(['.', '!', '?']) { "" } else { "." };
                let next = match again_at {
                    Some(at) => {
                        let left = (*at - self.clock.here() + TimeDelta::milliseconds(999)).max(TimeDelta::seconds(1));
                        format!("Tried again in {}; R tries now", span(left))
                    }
                    None => "R tries again".to_owned(),
                };
                format!("Not connected: {why}{stop} {next}, A lets ssh ask for a password.")
            }
        };
        if let Some(as_of) = self.connection.as_of {
            said += &format!(" What is shown is as of {}.", self.clock.time(as_of));
        }
        let mut lines = text::wrap(&said, usize::from(self.options.size.0.saturating_sub(4)));
        if lines.len() > MOST {
            // Its end says what can be done.
            let room = usize::from(self.options.size.0.saturating_sub(4)) * (MOST - 1);
            let end = lines.split_off(lines.len() - 1);
            let begin = text::cut(&lines.join(" "), room, self.theme.signs.ellipsis).into_owned();
            lines = text::wrap(&begin, usize::from(self.options.size.0.saturating_sub(4)));
            lines.truncate(MOST - 1);
            lines.extend(end);
        }
        lines
    }

    /// How many rows it takes.
    #[must_use]
    pub fn banner_height(&self) -> u16 {
        u16::try_from(self.banner().len()).unwrap_or(0)
    }
}
