//! The daemon's tests that need more than one module, in one binary so that it is linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod search_agrees_with_git;
mod search_on_any_answers;
mod search_simulated;
mod search_world;
