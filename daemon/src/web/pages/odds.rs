//! How probable each commit is, where the test fails by chance, too: a row of bars over the range, and the likeliest by name.

use super::line;
use crate::{
    report::{Report, odds::Likelihood},
    web::read::JobRead,
};
use bisect_shared::ResultKind;

/// The picture's height; its width is one for each bar.
const HEIGHT: f64 = 40.0;

/// The part of a result that tells it.
pub(super) struct OddsCard {
    pub(super) width: usize,
    pub(super) bars: Vec<Bar>,
    pub(super) rows: Vec<OddsRow>,
    pub(super) one_more: Option<String>,
}

/// A piece of the range.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: String,
    pub(super) height: String,
}

/// A commit that may be it, or that none is.
pub(super) struct OddsRow {
    pub(super) probability: String,
    /// Its address and its short name.
    pub(super) commit: Option<(String, String)>,
    pub(super) failed: String,
    pub(super) subject: String,
}

impl OddsCard {
    /// Nothing where it is of no interest: one run told, or there is no culprit.
    pub(super) fn of(report: &Report, read: &JobRead) -> Option<Self> {
        let odds = report.odds.as_ref().filter(|_| report.result != ResultKind::Flaky)?;
        let row = |it: Likelihood| OddsRow {
            probability: it.probability,
            commit: it.commit.map(|commit| (read.commit_url(commit), commit.short())),
            failed: it.failed,
            subject: line(&it.subject),
        };
        let unsure = report.result == ResultKind::Suspects;
        Some(Self {
            width: odds.range.len(),
            bars: bars(&odds.range),
            rows: report.likelihoods(usize::MAX).map(row).collect(),
            one_more: odds.one_more.as_ref().filter(|_| unsure).map(crate::report::OneMore::sentence),
        })
    }
}

/// One for each piece of the range.
pub(super) fn bars(range: &[f64]) -> Vec<Bar> {
    let most = range.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    // What is improbable is a line, so that the whole range is seen.
    let height = |share: &f64| (share / most * HEIGHT).max(1.0);
    let bar =
        |(x, height): (usize, f64)| Bar { x, y: format!("{:.1}", HEIGHT - height), height: format!("{height:.1}") };
    range.iter().map(height).enumerate().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_on_the_ground_and_the_likeliest_is_the_highest() {
        let told: Vec<(usize, String, String)> =
            bars(&[0.0, 0.8, 0.2]).into_iter().map(|bar| (bar.x, bar.y, bar.height)).collect();
        let wanted = [(0, "39.0", "1.0"), (1, "0.0", "40.0"), (2, "30.0", "10.0")];
        assert_eq!(told, wanted.map(|(x, y, height)| (x, y.to_owned(), height.to_owned())));
    }
}
