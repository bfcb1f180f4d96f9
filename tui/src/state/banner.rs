//! What is wrong with the connection, in a few lines over the view.

use super::State;
use crate::{clock::span, message::Link, text};
use chrono::{DateTime, TimeDelta, Utc};

/// More lines of what happened are not shown; the messages have all of it.
const MOST: usize = 2;

impl State {
    /// The lines of the banner; none while all is well.
    #[must_use]
    pub fn banner(&self) -> Vec<String> {
        let (happened, next) = match &self.connection.link {
            Link::Up(_) if self.connection.database_away => (
                "The daemon cannot reach its database.".to_owned(),
                "It tries again by itself; actions fail until then".to_owned(),
            ),
            Link::Up(_) => return Vec::new(),
            Link::Connecting { attempt } => {
                let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                let host = text::clean(&self.options.host);
                (format!("Connecting to {host}{again}{}", self.theme.signs.ellipsis), String::new())
            }
            Link::Down { why, again_at } => (format!("Not connected: {}", text::clean(why)), self.next_try(*again_at)),
        };
        let columns = usize::from(self.options.size.0.saturating_sub(4));
        let mut lines = text::wrap(&happened, columns);
        if lines.len() > MOST {
            let rest = lines.split_off(MOST - 1).join(" ");
            lines.push(text::cut(&rest, columns, self.theme.signs.ellipsis).into_owned());
        }
        let as_of = self.connection.as_of.map(|at| format!("shown as of {}", self.clock.time(at)));
        let last: Vec<String> = [next].into_iter().filter(|next| !next.is_empty()).chain(as_of).collect();
        if !last.is_empty() {
            lines.extend(text::wrap(&last.join("; "), columns));
        }
        lines
    }

    fn next_try(&self, again_at: Option<DateTime<Utc>>) -> String {
        let by_ssh = !self.options.sockets.contains(&self.options.host);
        let asks = if by_ssh { ", A lets ssh ask for a password" } else { "" };
        match again_at {
            Some(at) => {
                // Rounded up: there is no waiting for zero seconds.
                let left = (at - self.clock.here() + TimeDelta::milliseconds(999)).max(TimeDelta::seconds(1));
                format!("Next try in {}, R now{asks}", span(left))
            }
            None => format!("R tries again{asks}"),
        }
    }

    /// How many rows it takes.
    #[must_use]
    pub fn banner_height(&self) -> u16 {
        u16::try_from(self.banner().len()).unwrap_or(0)
    }
}
