//! The range as people see it narrow: runs of commits of which the same is known, oldest first.
//!
//! Pure. Says nothing that [`super::next`] does not know; it is only told in another form.

use super::narrow;
use super::verdict::Record;
use super::{Question, Run, is_sampled, sampling::Samples};
use bisect_shared::{
    Verdict,
    admin::{Strip, StripMark},
};

/// Pieces of a strip at most: more than any screen has columns.
pub const MOST_PIECES: usize = 400;

/// What the runs leave of the range. With `--fixed` the marks mean sides as in git's terms: [`StripMark::Good`] is the
/// older behaviour, so a test that fails.
#[must_use]
pub fn strip(question: &Question, runs: &[Run]) -> Strip {
    if is_sampled(question, runs) {
        let samples = Samples::new(question, runs);
        let marks = samples.marks().into_iter().rev().map(|mark| (mark, 1));
        return Strip { pieces: fewer(joined(marks), MOST_PIECES), odds: samples.thousandths() };
    }
    let record = Record::new(question, runs);
    let candidates = narrow::candidates(&question.graph, &record);
    let mut skipped = vec![false; question.graph.len()];
    let never = question.skip.iter().filter(|commit| question.skips(**commit)).filter_map(|it| question.graph.node(it));
    for node in narrow::with_verdict(&question.graph, &record, Verdict::Skip).into_iter().chain(never) {
        // A range to be skipped may go beyond the one that is searched.
        if let Some(skipped) = skipped.get_mut(node as usize) {
            *skipped = true;
        }
    }
    let mark = |node: usize| match (candidates.inside[node], candidates.cleared[node]) {
        (true, _) if skipped[node] => StripMark::Skipped,
        (true, _) => StripMark::Candidate,
        (false, true) => StripMark::Good,
        (false, false) => StripMark::Bad,
    };
    let marks = (0..question.graph.len()).rev().map(|node| (mark(node), 1));
    Strip { pieces: fewer(joined(marks), MOST_PIECES), odds: Vec::new() }
}

/// Neighbours with the same mark as one piece.
fn joined(pieces: impl IntoIterator<Item = (StripMark, u32)>) -> Vec<(StripMark, u32)> {
    let mut out: Vec<(StripMark, u32)> = Vec::new();
    for (mark, count) in pieces {
        match out.last_mut() {
            Some((last, total)) if *last == mark => *total += count,
            _ => out.push((mark, count)),
        }
    }
    out
}

/// At most `most` pieces: of those that are no candidates the smallest become a part of the piece before them, so that
/// nothing that may be the culprit is hidden. In a range with many merges the two sides alternate.
fn fewer(mut pieces: Vec<(StripMark, u32)>, most: usize) -> Vec<(StripMark, u32)> {
    let mut small = 1;
    while pieces.len() > most {
        let mut before = None;
        let absorbed: Vec<(StripMark, u32)> = pieces
            .iter()
            .map(|&(mark, count)| {
                let keeps = mark == StripMark::Candidate || count > small;
                let mark = if keeps { mark } else { before.unwrap_or(mark) };
                before = Some(mark);
                (mark, count)
            })
            .collect();
        pieces = joined(absorbed);
        if small > u32::MAX / 2 {
            break;
        }
        small *= 2;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::Sampling;
    use super::super::graph::tests::{graph, linear, sha};
    use super::super::tests::{question, searched};
    use super::*;
    use StripMark::{Bad, Candidate, Good, Skipped};
    use bisect_shared::Ending;

    const PASSES: Ending = Ending::Exited(0);
    const FAILS: Ending = Ending::Exited(1);

    fn pieces(question: &Question, runs: &[(u32, Ending)]) -> Vec<(StripMark, u32)> {
        let runs: Vec<Run> = runs.iter().map(|&(commit, ending)| searched(commit, ending)).collect();
        let strip = strip(question, &runs);
        assert_eq!(strip.commits(), question.graph.len() as u64, "the counts add up");
        strip.pieces
    }

    #[test]
    fn a_row_of_commits_narrows_from_both_sides() {
        let question = question(linear(9));
        assert_eq!(pieces(&question, &[]), [(Candidate, 9)]);
        assert_eq!(pieces(&question, &[(9, FAILS), (0, PASSES)]), [(Candidate, 9)], "the ends are no news");
        assert_eq!(pieces(&question, &[(4, PASSES)]), [(Good, 4), (Candidate, 5)]);
        assert_eq!(pieces(&question, &[(4, PASSES), (7, FAILS)]), [(Good, 4), (Candidate, 3), (Bad, 2)]);
        assert_eq!(pieces(&question, &[(4, PASSES), (5, FAILS)]), [(Good, 4), (Candidate, 1), (Bad, 4)]);
    }

    #[test]
    fn what_cannot_be_tested_is_a_mark_of_its_own_while_it_may_be_the_culprit() {
        let mut question = question(linear(9));
        question.skip.insert(sha(8));
        let skipped = (5, Ending::Exited(125));
        let wanted = [(Candidate, 4), (Skipped, 1), (Candidate, 2), (Skipped, 1), (Candidate, 1)];
        assert_eq!(pieces(&question, &[skipped]), wanted);
        let wanted = [(Good, 6), (Candidate, 1), (Bad, 2)];
        assert_eq!(pieces(&question, &[skipped, (6, PASSES), (7, FAILS)]), wanted);
    }

    #[test]
    fn of_two_branches_each_is_told_for_itself() {
        // 6 merges 4 and 5; 4 stands on 2, 5 on 3, both of those on 1. Oldest first: 1 2 4 3 5 6.
        let rows: &[(u32, &[u32])] = &[(6, &[4, 5]), (5, &[3]), (3, &[1]), (4, &[2]), (2, &[1]), (1, &[0])];
        let question = question(graph(rows));
        assert_eq!(pieces(&question, &[(4, PASSES)]), [(Good, 3), (Candidate, 3)]);
        assert_eq!(pieces(&question, &[(5, FAILS)]), [(Candidate, 1), (Bad, 2), (Candidate, 2), (Bad, 1)]);
        assert_eq!(pieces(&question, &[(5, FAILS), (2, PASSES)]), [(Good, 2), (Bad, 1), (Candidate, 2), (Bad, 1)]);
    }

    #[test]
    fn a_fix_is_sought_from_the_failing_side() {
        let question = Question { fixed: true, ..question(linear(9)) };
        assert_eq!(pieces(&question, &[(4, FAILS), (7, PASSES)]), [(Good, 4), (Candidate, 3), (Bad, 2)]);
    }

    #[test]
    fn a_range_that_alternates_is_told_in_few_pieces_and_hides_no_candidate() {
        let alternating = |n: u32| (if n.is_multiple_of(2) { Good } else { Bad }, 1 + n % 3);
        let mut many: Vec<_> = (0..50_000).map(alternating).collect();
        many.extend([(Candidate, 1), (Good, 1), (Candidate, 2)]);
        let total: u32 = many.iter().map(|(_, count)| count).sum();
        let few = fewer(many, MOST_PIECES);
        assert!(few.len() <= MOST_PIECES, "{}", few.len());
        assert_eq!(few.iter().map(|(_, count)| count).sum::<u32>(), total);
        let candidates: u32 = few.iter().filter(|(mark, _)| *mark == Candidate).map(|(_, count)| count).sum();
        assert!(candidates >= 3, "{few:?}");
        let only: Vec<_> = (0..2000_u32).map(|n| (if n.is_multiple_of(2) { Candidate } else { Skipped }, 1)).collect();
        assert_eq!(fewer(only, MOST_PIECES), [(Candidate, 2000)]);
    }

    #[test]
    fn of_a_test_that_fails_by_chance_it_also_tells_where_the_culprit_probably_is() {
        let question = Question { sampling: Sampling { asked: true, ..Sampling::default() }, ..question(linear(9)) };
        let runs: Vec<Run> =
            [(0, PASSES), (9, FAILS), (4, PASSES), (4, PASSES), (6, FAILS)].map(|(n, it)| searched(n, it)).into();
        let odds = strip(&question, &runs).odds;
        assert_eq!(odds.len(), 9, "a part for each commit");
        assert!((900..=1000).contains(&odds.iter().map(|share| u32::from(*share)).sum::<u32>()), "{odds:?}");
        let likeliest = (0..9).max_by_key(|at| odds[*at]).unwrap();
        assert!((4..=5).contains(&likeliest), "commit 5 or 6: {odds:?}");
    }

    #[test]
    fn places_are_counted_from_the_oldest() {
        let question = question(linear(9));
        let place = |commit| question.position(&sha(commit));
        assert_eq!([place(1), place(9), place(0)], [Some(0), Some(8), None]);
    }
}
