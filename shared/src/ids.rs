//! Newtype ids, made by one macro, so that a job's number can never stand where a probe's belongs.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// One bisection: `bisect_jobs.id`.
    JobId
);
number_id!(
    /// One run of one commit: `probes.id`.
    ProbeId
);
number_id!(
    /// The number of a job's claim. Each claim raises it, and every write of a worker names the
    /// one it holds: a write of a lower epoch is refused.
    Epoch
);

/// One running process of the daemon: host name, process id, start time and a random part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
