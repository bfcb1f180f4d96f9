//! What a bisection can end with, in terms of commits and runs: the words are `report`'s.

use super::{Run, noisy::Tally};
use bisect_shared::{ResultKind, Sha};

/// The end of a search.
#[derive(Debug, Clone, PartialEq)]
pub enum Conclusion {
    /// The commit was found, and one more run of it and of its parents confirmed it; where the test fails by chance, too, it is
    /// as probable as was asked for, such runs included.
    Culprit {
        /// The first commit with the newer behaviour.
        culprit: Sha,
        /// Its parents, as far as the search goes by them.
        parents: Vec<Parent>,
        /// Merge bases that could not be tested: the good side may have been fixed, not the bad
        /// side broken. git warns of them.
        skipped_merge_bases: Vec<Sha>,
        /// What is believed, if it was searched by many runs of a commit.
        belief: Option<Box<Belief>>,
    },
    /// Only commits that cannot be told apart are left.
    Suspects {
        /// Newest first; where the test fails by chance, the likeliest first.
        suspects: Vec<Sha>,
        /// Why they cannot be told apart.
        why: SuspectsWhy,
        /// As in [`Conclusion::Culprit`].
        skipped_merge_bases: Vec<Sha>,
        /// As in [`Conclusion::Culprit`].
        belief: Option<Box<Belief>>,
    },
    /// The bad end behaves like a good one.
    NotReproducible {
        /// A run of the bad end.
        run: Run,
        /// How many of its runs did so: all.
        runs: u32,
    },
    /// A good end behaves like the bad one.
    GoodFails {
        /// The good end's run.
        run: Run,
    },
    /// A merge base is bad: something was fixed on the way to a good end that is no ancestor of
    /// the bad end, and never on the way to the bad end.
    FixedBefore {
        /// The bad merge base.
        merge_base: Sha,
        /// The good ends, one of which holds the fix.
        good: Vec<Sha>,
    },
    /// The test fails by chance, and no commit of the range changed how often.
    NoCulprit {
        /// How often the good ends showed the newer behaviour.
        good: Tally,
        /// How often the commits under suspicion did.
        range: Tally,
        /// What is believed.
        belief: Box<Belief>,
    },
    /// The command said so, or cannot run at all.
    Aborted {
        /// The run that ended the bisection.
        run: Run,
        /// What that run means.
        why: AbortReason,
    },
}

/// What is believed after many runs of a test that fails by chance.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// The commits that may be the culprit, the likeliest first, each with its probability.
    pub likely: Vec<(Sha, f64)>,
    /// How probable it is that none of the range is.
    pub none: f64,
    /// How often the newer behaviour showed itself before the likeliest commit.
    pub before: Tally,
    /// How often it did on that commit and its descendants.
    pub after: Tally,
    /// The probability along the range, oldest first, in at most [`Belief::PIECES`] pieces of nearly the same length.
    pub range: Vec<f64>,
    /// What one more run would tell.
    pub one_more: Option<OneMore>,
}

impl Belief {
    /// How many pieces the range is shown in at most.
    pub const PIECES: usize = 60;
}

/// The run that would tell most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneMore {
    /// Of which commit.
    pub commit: Sha,
    /// How probable the likeliest commit would be if the newer behaviour shows itself.
    pub if_newer: f64,
    /// And if the older one does.
    pub if_older: f64,
}

/// A parent of the culprit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// Which commit.
    pub commit: Sha,
    /// What the proof says of it.
    pub state: ParentState,
}

/// What the proof says of a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentState {
    /// It showed the older behaviour when it was run once more.
    Proven,
    /// It cannot be tested, so the culprit's change may already be in it.
    Skipped,
    /// It is below a good end, so the search never asked for it, and it does not show the older
    /// behaviour: what a good end's side has repaired since, the culprit may have brought back.
    RepairedSince,
}

/// Why suspects cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuspectsWhy {
    /// All but the bad one of them are skipped.
    OnlySkippedLeft,
    /// With `--path`: the change came in with a commit that touches none of the paths, after the
    /// good commits and not after the bad one.
    BetweenPaths {
        /// The last commits that touch a path and show the older behaviour (good ends included).
        good: Vec<Sha>,
        /// The commit that shows the newer behaviour, though nothing above `good` touches a path.
        bad: Sha,
    },
    /// The test fails by chance, and as many runs were made as were allowed.
    NotSure {
        /// So many.
        runs: u32,
    },
}

/// Why a run ended the bisection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortReason {
    /// The command exited with 128 or more, or was killed by its own signal.
    CommandSaidSo,
    /// The command cannot be found or executed: both ends exit with the same 126 or 127.
    CommandCannotRun,
    /// `--setup` fails on an end, so there is nothing to compare with.
    EndSetupFails,
    /// The command interferes with its own supervision on an end, so that it has no result there.
    EndTampers,
    /// An end fails, but not as what is looked for does: otherwise than the failing end, or without the line.
    EndFailsOtherwise,
    /// The command skips an end, or was ended from outside there: choose another end.
    EndSkipped,
}

impl Conclusion {
    /// The kind of result this is.
    #[must_use]
    pub const fn kind(&self) -> ResultKind {
        match self {
            Self::Culprit { .. } => ResultKind::Culprit,
            Self::Suspects { .. } => ResultKind::Suspects,
            Self::NotReproducible { .. } => ResultKind::NotReproducible,
            Self::GoodFails { .. } => ResultKind::GoodFails,
            Self::FixedBefore { .. } => ResultKind::FixedBefore,
            Self::NoCulprit { .. } => ResultKind::Flaky,
            Self::Aborted { .. } => ResultKind::Aborted,
        }
    }
}
