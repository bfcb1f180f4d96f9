//! What every program of Bisect Bot shares: ids, states, endings of probes, results.
//!
//! No I/O and no dependency on the daemon: the console and the tests build on this crate alone.

pub mod admin;
mod ids;
mod job;
mod probe;
mod sha;

pub use ids::{Epoch, InstanceId, JobId, ProbeId};
pub use job::{JobStatus, ResultKind, UnknownName};
pub use probe::{Ending, Purpose, Verdict};
pub use sha::{Sha, ShaError};
