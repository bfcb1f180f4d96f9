//! All tests that need more than a module's own code: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail like tests")]

mod database;
mod private_postgres;
mod queue;
mod support;
