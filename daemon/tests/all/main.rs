//! All integration tests of the daemon, in one program.

mod sandbox_docker;
