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

#[cfg(test)]
mod tests {
    use super::*;

    const EQUAL: [u64; 4] = [1060, 1040, 1090, 1060];

    fn held(ended: &[u64], going: &[u64]) -> Option<u64> {
        let times = |of: &[u64]| -> Vec<Duration> { of.iter().copied().map(Duration::from_millis).collect() };
        let hold = hold(&times(ended), &times(going))?;
        Some(u64::try_from(hold.as_millis()).unwrap_or(u64::MAX))
    }

    #[test]
    fn an_answer_that_is_due_is_waited_for_and_no_longer_than_a_moment() {
        // A moment is an eighth of 1,060 ms: 132 ms.
        assert_eq!(held(&EQUAL, &[1050]), Some(132));
        assert_eq!(held(&EQUAL, &[1160]), Some(32), "it is late already");
        assert_eq!(held(&EQUAL, &[100, 1160, 1050]), Some(32), "the first of them");
        let long = EQUAL.map(|took| took * 100);
        assert_eq!(held(&long, &[105_990]), None, "runs of minutes differ by seconds");
        assert_eq!(held(&[106_000; 4], &[105_900]), Some(150), "never longer than a container costs");
    }

    #[test]
    fn nothing_is_waited_for_that_is_not_due() {
        assert_eq!(held(&EQUAL, &[]), None);
        assert_eq!(held(&EQUAL, &[500]), None, "in the middle of it");
        assert_eq!(held(&EQUAL, &[1200]), None, "much later than the others: it may take any time");
    }

    #[test]
    fn of_few_or_differing_runs_nothing_is_foretold() {
        assert_eq!(held(&[], &[1050]), None);
        assert_eq!(held(&EQUAL[..2], &[1050]), None);
        assert_eq!(held(&[300, 700, 1060, 1500, 4000], &[1050]), None);
        assert_eq!(held(&[1060, 1040, 1090, 1060, 9000], &[1050]), Some(132), "one outlier says little");
    }
}
