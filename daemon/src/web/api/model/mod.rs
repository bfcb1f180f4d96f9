//! The API's own types: what viewers are told, without what only operators are.

mod account;
mod job;
mod outcome;

pub use account::{RepositoryList, UsageList};
pub use job::{JobAnswer, JobList, JobSummary};
