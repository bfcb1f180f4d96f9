//! When the next answer is due, so that nothing is started that it is about to make useless.
//!
//! Lanes that run tests of equal duration answer at nearly the same time. If the first answer filled
//! its lanes at once, the next one, some hundredths of a second later, would stop part of what was just
//! begun, and each of those runs has used up a container (0.2 s of a processor). So runs for the search
//! are held while another answer is due within a moment. The job's own runs tell what is due: only while
//! their durations hardly differ. With durations of any kind this stays silent. Pure: no clock.

use std::time::Duration;

/// The longest that a start is held: less than a container costs.
const LONGEST: Duration = Duration::from_millis(150);
/// A moment is this part of a run at most.
const PART: u32 = 8;
/// With fewer runs nothing can be said.
const RUNS: usize = 3;

/// How long to hold the next runs of the search. `ended`: how long the search's runs in this job took;
/// `going`: how long those under way have taken whose answers would tell.
#[must_use]
pub fn hold(ended: &[Duration], going: &[Duration]) -> Option<Duration> {
    let usual = median(ended.iter().copied())?;
    let moment = (usual / PART).min(LONGEST);
    let spread = median(ended.iter().map(|took| took.abs_diff(usual)))?;
    if ended.len() < RUNS || spread * 2 > moment {
        return None;
    }
    let latest = usual + moment;
    let due = |took: &&Duration| **took + moment >= usual && **took < latest;
    let left = going.iter().filter(due).map(|took| latest.saturating_sub(*took)).min()?;
    Some(left.min(moment))
}

fn median(of: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut sorted: Vec<Duration> = of.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}
