//! What a bisection is about to do, before anything has run.

use super::terminal::plural;

/// A range of more commits than this is told of as huge.
pub const HUGE: u64 = 20_000;

/// What is known of it beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Commits under suspicion.
    pub candidates: u64,
    /// Runs in all, about, both ends and the proof included.
    pub runs: f64,
    /// Runs at once, at most.
    pub lanes: u64,
    /// With `auto`: releases before the bad end, of which one is to be found that passes.
    pub stations: Option<u64>,
}

impl Plan {
    /// In a line.
    #[must_use]
    pub fn line(&self) -> String {
        let (candidates, runs) = (self.candidates, self.runs.round() as u64);
        let at_once = if self.lanes > 1 { format!(", up to {} at once", self.lanes) } else { String::new() };
        match self.stations {
            None => format!(
                "{candidates} commit{}, about {runs} run{} with both ends and the proof{at_once}",
                plural(candidates),
                plural(runs)
            ),
            Some(stations) => format!(
                "no good end is named: {stations} release{} or commits before the bad end are stepped through, each time twice as far back, \
                 until one passes; then up to {candidates} commit{}; about {runs} run{} in all{at_once}",
                plural(stations),
                plural(candidates),
                plural(runs)
            ),
        }
    }
}

/// What to think of before so many commits are searched.
#[must_use]
pub fn huge(candidates: u64) -> Option<String> {
    (candidates > HUGE).then(|| {
        format!(
            "{candidates} commits are a huge range: that takes only a few more runs, but commits far apart may need different tools to \
             build; a nearer good end (`auto` looks for one), --first-parent or --path makes it smaller"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_to_come() {
        let plan = Plan { candidates: 812, runs: 13.6, lanes: 3, stations: None };
        assert_eq!(plan.line(), "812 commits, about 14 runs with both ends and the proof, up to 3 at once");
        let auto = Plan { stations: Some(14), lanes: 1, ..plan }.line();
        assert!(auto.contains("14 releases") && auto.contains("about 14 runs in all"), "{auto}");
        assert_eq!(huge(HUGE), None);
        assert!(huge(48_210).is_some_and(|text| text.starts_with("48210 commits are a huge range")));
    }
}
