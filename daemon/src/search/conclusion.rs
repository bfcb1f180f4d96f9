//! What a bisection can end with, in terms of commits and runs: the words are `report`'s.

use super::Run;
use bisect_shared::{ResultKind, Sha};

/// The end of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// The commit was found, and one more run of it and of its parents confirmed it.
    Culprit {
        /// The first commit with the newer behaviour.
        culprit: Sha,
        /// Its parents, as far as the search goes by them.
        parents: Vec<Parent>,
        /// Merge bases that could not be tested: the good side may have been fixed, not the bad
        /// side broken. git warns of them.
        skipped_merge_bases: Vec<Sha>,
    },
    /// Only commits that cannot be told apart are left.
    Suspects {
        /// Newest first.
        suspects: Vec<Sha>,
        /// Why they cannot be told apart.
        why: SuspectsWhy,
        /// As in [`Conclusion::Culprit`].
        skipped_merge_bases: Vec<Sha>,
    },
    /// The bad end behaves like a good one.
    NotReproducible {
        /// The bad end's run.
        run: Run,
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
    /// Two runs contradict one another: of one commit, or of a bad commit and a good descendant.
    Flaky {
        /// The two, the one that showed the older behaviour first.
        runs: [Run; 2],
    },
    /// The command said so, or cannot run at all.
    Aborted {
        /// The run that ended the bisection.
        run: Run,
        /// What that run means.
        why: AbortReason,
    },
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
            Self::Flaky { .. } => ResultKind::Flaky,
            Self::Aborted { .. } => ResultKind::Aborted,
        }
    }
}
