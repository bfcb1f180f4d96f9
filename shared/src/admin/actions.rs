//! What an operator does, and what comes of it.

use crate::JobId;
use serde::{Deserialize, Serialize};

/// The body of a retry; `{}` repeats the job as it was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequest {
    /// At most so many runs of one commit; needs an engine with the noisy mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<u32>,
}

/// An action that was taken, or that there was nothing left to do for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What happened, as a sentence: `job 17 is being stopped`.
    pub message: String,
    /// Whether anything changed.
    pub changed: bool,
    /// The job that a retry queued, or joined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What happened, to what, and what to do next.
    pub error: String,
}
