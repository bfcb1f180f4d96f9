//! The range of a job as a strip of commits, at any width: what is known of it, what is tested, what runs.

use bisect_shared::{
    Verdict,
    admin::{ProbeView, Strip, StripMark},
};
use std::ops::Range;

/// A column of the strip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// What is known of its commits.
    pub(super) mark: Option<StripMark>,
    /// What was found by testing one of them: the last one.
    pub(super) tested: Option<Verdict>,
    /// Whether one of them is being tested.
    pub(super) running: bool,
}

/// The commits between which the culprit must be, with a little of what is around.
pub(super) fn open_part(strip: &Strip) -> Option<Range<u64>> {
    let (mut at, mut first, mut last) = (0, None, 0);
    for (mark, count) in &strip.pieces {
        let end = at + u64::from(*count);
        if matches!(mark, StripMark::Candidate | StripMark::Skipped) && *count > 0 {
            first = first.or(Some(at));
            last = end;
        }
        at = end;
    }
    let first = first?;
    let around = ((last - first) / 10).max(1);
    Some(first.saturating_sub(around)..(last + around).min(at))
}

/// The commits of `part` in `width` columns, or fewer when they are fewer.
///
/// In a column of several commits the one that matters most is seen: a candidate before a skipped one before the others.
pub(super) fn columns(strip: &Strip, probes: &[ProbeView], part: &Range<u64>, width: usize) -> Vec<Column> {
    let commits = part.end.saturating_sub(part.start);
    let width = (width as u64).min(commits);
    let mut columns = vec![Column::default(); width as usize];
    if width == 0 {
        return columns;
    }
    // In 128 bits: a range is as long as a daemon says it is.
    let column_of =
        |commit: u64| ((u128::from(commit - part.start) * u128::from(width)) / u128::from(commits)) as usize;
    let mut at = 0;
    for (mark, count) in &strip.pieces {
        let (start, end) = (at.max(part.start), (at + u64::from(*count)).min(part.end));
        at += u64::from(*count);
        if start < end {
            for column in &mut columns[column_of(start)..=column_of(end - 1)] {
                column.mark = Some(column.mark.map_or(*mark, |known| weightier(known, *mark)));
            }
        }
    }
    for probe in probes {
        let Some(position) = probe.position.map(u64::from).filter(|position| part.contains(position)) else { continue };
        let column = &mut columns[column_of(position)];
        column.running |= probe.running();
        column.tested = probe.verdict.or(column.tested);
    }
    columns
}

/// The one of two that matters more.
fn weightier(known: StripMark, other: StripMark) -> StripMark {
    let weight = |mark| match mark {
        StripMark::Good | StripMark::Bad => 0,
        StripMark::Skipped => 1,
        StripMark::Candidate => 2,
    };
    if weight(other) > weight(known) { other } else { known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use proptest::prelude::*;

    fn drawn(columns: &[Column]) -> String {
        let sign = |column: &Column| match column.mark {
            Some(StripMark::Good) => '-',
            Some(StripMark::Candidate) => '#',
            Some(StripMark::Skipped) => '?',
            Some(StripMark::Bad) => 'x',
            None => ' ',
        };
        columns.iter().map(sign).collect()
    }

    #[test]
    fn a_single_candidate_is_seen_at_any_width() {
        let strip = Strip {
            pieces: vec![(StripMark::Good, 70_000), (StripMark::Candidate, 1), (StripMark::Bad, 30_000)],
            odds: Vec::new(),
        };
        for width in [1, 10, 77, 200] {
            let whole = columns(&strip, &[], &(0..strip.commits()), width);
            assert_eq!(drawn(&whole).matches('#').count(), 1, "{width}");
        }
        assert_eq!(open_part(&strip), Some(69_999..70_002));
        assert_eq!(drawn(&columns(&strip, &[], &(69_999..70_002), 80)), "-#x");
    }

    #[test]
    fn tests_are_where_their_commits_are() {
        let strip = Strip {
            pieces: vec![(StripMark::Good, 2), (StripMark::Candidate, 2), (StripMark::Skipped, 1), (StripMark::Bad, 3)],
            odds: Vec::new(),
        };
        let probes = [
            samples::probe(1, Some(1), Some(Verdict::Good)),
            samples::probe(2, Some(3), None),
            samples::probe(3, None, Some(Verdict::Bad)),
            samples::probe(4, Some(5), Some(Verdict::Bad)),
        ];
        let columns = columns(&strip, &probes, &(0..8), 8);
        assert_eq!(drawn(&columns), "--##?xxx");
        assert_eq!(
            (columns[1].tested, columns[3].running, columns[5].tested),
            (Some(Verdict::Good), true, Some(Verdict::Bad))
        );
        assert!(columns.iter().filter(|column| column.tested.is_some()).count() == 2);
    }

    proptest! {
        #[test]
        fn every_column_says_something(
            pieces in proptest::collection::vec((0_usize..4, 0_u32..u32::MAX), 0..12), width in 0_usize..300
        ) {
            let marks = [StripMark::Good, StripMark::Bad, StripMark::Candidate, StripMark::Skipped];
            let strip = Strip { pieces: pieces.into_iter().map(|(mark, count)| (marks[mark], count)).collect(), odds: Vec::new() };
            for part in [Some(0..strip.commits()), open_part(&strip)].into_iter().flatten() {
                let columns = columns(&strip, &[], &part, width);
                prop_assert!(columns.len() <= width);
                prop_assert!(columns.iter().all(|column| column.mark.is_some()));
            }
        }
    }
}
