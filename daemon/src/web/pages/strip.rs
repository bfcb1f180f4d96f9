//! The commit range as a picture: pieces of which the same is known, and below them the commits that ran.

use super::odds::{Bar, bars};
use crate::db::probes::{ProbeRow, ProbeState};
use bisect_shared::{
    Verdict,
    admin::{Strip, StripMark},
};

/// The width of the picture in its own units.
const WIDTH: f64 = 1000.0;
/// More pieces, or more ticks, than these cannot be told apart.
const MOST: usize = 300;

/// A piece of the range.
#[derive(Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
}

/// A commit that ran.
#[derive(Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) title: String,
}

/// The picture.
#[derive(Debug)]
pub(super) struct Picture {
    /// What it shows, in words.
    pub(super) label: String,
    pub(super) pieces: Vec<Piece>,
    pub(super) ticks: Vec<Tick>,
    /// Where the test fails by chance, too: how probable the culprit is along the range.
    pub(super) odds: Vec<Bar>,
    /// What its colours mean, for those that occur.
    pub(super) legend: Vec<(&'static str, String)>,
}

const fn class(mark: StripMark) -> &'static str {
    match mark {
        StripMark::Good => "good",
        StripMark::Bad => "bad",
        StripMark::Candidate => "candidate",
        StripMark::Skipped => "skipped",
    }
}

const fn words(mark: StripMark) -> &'static str {
    match mark {
        StripMark::Good => "before it",
        StripMark::Bad => "after it",
        StripMark::Candidate => "under suspicion",
        StripMark::Skipped => "cannot be tested",
    }
}

/// `found`: what the last candidate is called, once it is known to be what was sought. `None` for a range without commits.
pub(super) fn picture(strip: &Strip, probes: &[ProbeRow], found: Option<&str>) -> Option<Picture> {
    let commits = strip.commits();
    if commits == 0 {
        return None;
    }
    let scale = WIDTH / commits as f64;
    let marks = [StripMark::Good, StripMark::Candidate, StripMark::Skipped, StripMark::Bad];
    let counted = marks.map(|mark| {
        let of = strip.pieces.iter().filter(|(own, _)| *own == mark).map(|(_, count)| u64::from(*count));
        (mark, of.sum::<u64>())
    });
    let legend: Vec<(&'static str, String)> = counted
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(mark, count)| match found {
            Some(found) if (*mark, *count) == (StripMark::Candidate, 1) => (class(*mark), found.to_owned()),
            _ => (class(*mark), format!("{count} {}", words(*mark))),
        })
        .collect();
    let told: Vec<&str> = legend.iter().map(|(_, words)| words.as_str()).collect();
    let label = format!("{commits} commits, the oldest at the left: {}", told.join(", "));
    let shares: Vec<f64> = strip.odds.iter().map(|share| f64::from(*share)).collect();
    Some(Picture {
        label,
        pieces: pieces(strip, scale),
        ticks: ticks(probes, scale, commits),
        odds: bars(&shares),
        legend,
    })
}

fn pieces(strip: &Strip, scale: f64) -> Vec<Piece> {
    let few = merged(strip);
    let mut x = 0.0;
    let piece = |(mark, count): &(StripMark, u64)| {
        let (start, width) = (x, *count as f64 * scale);
        x += width;
        // What may be the culprit is seen even where it is one commit of many thousands.
        let width = if matches!(mark, StripMark::Good | StripMark::Bad) { width } else { width.max(3.0) };
        let start = start.min(WIDTH - width).max(0.0);
        Piece { class: class(*mark), x: format!("{start:.1}"), width: format!("{width:.1}") }
    };
    few.iter().map(piece).collect()
}

/// The pieces, or so few that they can be told apart: then each is what matters most in it.
fn merged(strip: &Strip) -> Vec<(StripMark, u64)> {
    let mut all: Vec<(StripMark, u64)> = strip.pieces.iter().map(|(mark, count)| (*mark, u64::from(*count))).collect();
    all.retain(|(_, count)| *count > 0);
    if all.len() <= MOST {
        return all;
    }
    let weight = |mark| match mark {
        StripMark::Candidate => 3,
        StripMark::Skipped => 2,
        StripMark::Bad => 1,
        StripMark::Good => 0,
    };
    all.chunks(all.len().div_ceil(MOST))
        .filter_map(|chunk| {
            let mark = chunk.iter().map(|(mark, _)| *mark).max_by_key(|mark| weight(*mark))?;
            Some((mark, chunk.iter().map(|(_, count)| count).sum()))
        })
        .collect()
}

fn ticks(probes: &[ProbeRow], scale: f64, commits: u64) -> Vec<Tick> {
    let width = scale.clamp(2.0, 14.0);
    let newest = probes.iter().rev().filter_map(|probe| {
        let place = probe.position.filter(|place| u64::from(*place) < commits)?;
        let (class, said) = match (probe.state, probe.verdict) {
            (ProbeState::Running, _) => ("running", "running"),
            (ProbeState::Stopped, _) => return None,
            (_, Some(Verdict::Good)) => ("good", "good"),
            (_, Some(Verdict::Bad)) => ("bad", "bad"),
            (_, Some(Verdict::Skip)) => ("skip", "skipped"),
            (_, None) => ("", "not judged"),
        };
        let x = (f64::from(place) + 0.5) * scale - width / 2.0;
        let title = format!("{} {said}", probe.commit.short());
        Some(Tick { class, x: format!("{x:.1}"), width: format!("{width:.1}"), title })
    });
    newest.take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_suspect_among_many_is_seen_and_said() {
        let strip = Strip {
            pieces: vec![(StripMark::Good, 99_999), (StripMark::Candidate, 1), (StripMark::Bad, 50_000)],
            odds: Vec::new(),
        };
        let picture = picture(&strip, &[], None).unwrap();
        assert_eq!(
            picture.label,
            "150000 commits, the oldest at the left: 99999 before it, 1 under suspicion, 50000 after it"
        );
        assert!(super::picture(&strip, &[], Some("the culprit")).unwrap().label.contains(", the culprit, "));
        assert_eq!(picture.pieces[1], Piece { class: "candidate", x: "666.7".into(), width: "3.0".into() });
    }

    #[test]
    fn many_pieces_become_few() {
        let pieces =
            (0..100_000).map(|n| (if n % 2 == 0 { StripMark::Good } else { StripMark::Candidate }, 1)).collect();
        let picture = picture(&Strip { pieces, odds: Vec::new() }, &[], None).unwrap();
        assert!(picture.pieces.len() <= MOST);
        assert!(super::picture(&Strip::default(), &[], None).is_none());
    }
}
