//! One probe: one run of the command on one commit.

use crate::job::named;
use serde::{Deserialize, Serialize};
use std::fmt;

named!(
    /// What a probe says about its commit (`probes.verdict`): about the *test*, whichever way the
    /// search asks. With `--fixed` the search itself turns it round.
    Verdict, "verdict" {
        /// The command passed.
        Good = "good",
        /// The command failed.
        Bad = "bad",
        /// The commit cannot be judged.
        Skip = "skip",
    }
);

named!(
    /// What a probe is run for (`probes.purpose`).
    Purpose, "purpose" {
        /// To narrow the range, or to verify an end or a merge base.
        Search = "search",
        /// To prove the culprit: one more run, in a fresh workspace.
        Proof = "proof",
        /// To see how often a test that fails by chance fails: one of many runs.
        Sample = "sample",
    }
);

/// How a probe ended. Only the first variant is the command's own word; the others ended it from
/// outside, and none of them is ever made from an error of Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "code", rename_all = "snake_case")]
pub enum Ending {
    /// The command's own exit status, 0–255; 128 + n when it was killed by its own signal n.
    Exited(u8),
    /// `--setup` failed with this status, so the command never ran.
    SetupFailed(u8),
    /// It ran longer than `--timeout`.
    TimedOut,
    /// It printed nothing for longer than the silence limit.
    Silent,
    /// The kernel killed a process of it for memory.
    OutOfMemory,
    /// Its workspace or `/tmp` grew beyond the budget.
    OutOfDisk,
    /// It interfered with what supervises it, so that its result counts for nothing.
    Tampered,
}

impl Ending {
    /// The name in `probes.ending`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::SetupFailed(_) => "setup_failed",
            Self::TimedOut => "timed_out",
            Self::Silent => "silent",
            Self::OutOfMemory => "out_of_memory",
            Self::OutOfDisk => "out_of_disk",
            Self::Tampered => "tampered",
        }
    }

    /// The exit status, where there is one.
    #[must_use]
    pub const fn exit_code(self) -> Option<u8> {
        match self {
            Self::Exited(code) | Self::SetupFailed(code) => Some(code),
            _ => None,
        }
    }

    /// The ending that [`Ending::name`] and [`Ending::exit_code`] describe, if they describe one.
    #[must_use]
    pub fn from_parts(name: &str, exit_code: Option<u8>) -> Option<Self> {
        Some(match (name, exit_code) {
            ("exited", Some(code)) => Self::Exited(code),
            ("setup_failed", Some(code)) => Self::SetupFailed(code),
            ("timed_out", _) => Self::TimedOut,
            ("silent", _) => Self::Silent,
            ("out_of_memory", _) => Self::OutOfMemory,
            ("out_of_disk", _) => Self::OutOfDisk,
            ("tampered", _) => Self::Tampered,
            _ => return None,
        })
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code @ 129..=192) => write!(f, "exit {code} (signal {})", code - 128),
            Self::Exited(code) => write!(f, "exit {code}"),
            Self::SetupFailed(code) => write!(f, "setup failed with exit {code}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Silent => f.write_str("silent for too long"),
            Self::OutOfMemory => f.write_str("out of memory"),
            Self::OutOfDisk => f.write_str("out of disk"),
            Self::Tampered => f.write_str("interfered with its own supervision"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_survives_the_way_through_its_columns() {
        let endings = [
            Ending::Exited(0),
            Ending::Exited(255),
            Ending::SetupFailed(7),
            Ending::TimedOut,
            Ending::Silent,
            Ending::OutOfMemory,
            Ending::OutOfDisk,
            Ending::Tampered,
        ];
        for ending in endings {
            assert_eq!(Ending::from_parts(ending.name(), ending.exit_code()), Some(ending));
        }
        assert_eq!(Ending::from_parts("exited", None), None);
    }

    #[test]
    fn only_a_code_that_a_signal_gives_is_told_as_one() {
        let told = [1, 128, 137, 193, 255].map(|code| Ending::Exited(code).to_string());
        assert_eq!(told, ["exit 1", "exit 128", "exit 137 (signal 9)", "exit 193", "exit 255"]);
    }
}
