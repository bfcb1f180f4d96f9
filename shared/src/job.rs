//! States and results of jobs, with the one place that maps them to text.

use serde::{Deserialize, Serialize};

/// A text that names no state of the enum it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct UnknownName {
    /// What was expected.
    pub what: &'static str,
    /// What was found.
    pub text: String,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used in the database, in JSON and on the terminal.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownName> {
                Self::ALL.iter().copied().find(|value| value.name() == text).ok_or_else(|| {
                    $crate::UnknownName { what: $what, text: text.to_owned() }
                })
            }
        }
    };
}
pub(crate) use named;

named!(
    /// Where a job stands (`bisect_jobs.status`). The last three are final: a job never leaves them.
    JobStatus, "job status" {
        /// Waits for a worker.
        Pending = "pending",
        /// A worker holds its lease.
        Running = "running",
        /// It has a result, with or without a culprit.
        Completed = "completed",
        /// Infrastructure kept it from a result.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
);

impl JobStatus {
    /// Whether a job in this state never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

named!(
    /// What a bisection ended with (`result` in `--json` and in the database).
    ResultKind, "result" {
        /// The commit was found and proven.
        Culprit = "culprit",
        /// Only commits that cannot be told apart are left.
        Suspects = "suspects",
        /// The bad end passes.
        NotReproducible = "not_reproducible",
        /// The good end fails.
        GoodFails = "good_fails",
        /// A merge base is bad: the good side was fixed, nothing was broken.
        FixedBefore = "fixed_before",
        /// Runs of one commit contradict one another.
        Flaky = "flaky",
        /// The command said so, or cannot run at all.
        Aborted = "aborted",
        /// The job's total time was used up.
        TimedOut = "timed_out",
        /// Somebody stopped it.
        Cancelled = "cancelled",
        /// Docker, the database or git failed.
        Infrastructure = "infrastructure",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for value in JobStatus::ALL {
            assert_eq!(value.name().parse::<JobStatus>().unwrap(), *value);
        }
        for value in ResultKind::ALL {
            assert_eq!(value.name().parse::<ResultKind>().unwrap(), *value);
        }
        assert_eq!("done".parse::<JobStatus>().unwrap_err().to_string(), "`done` is not a job status");
    }
}
