//! All integration tests of the daemon, in one program.

#![allow(
    clippy::unwrap_used,
    reason = "a test says what it expects; clippy's own exception ends at its helpers"
)]

mod sandbox_docker;
