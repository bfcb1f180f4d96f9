//! Whole behaviours of the console, with real bytes: HTTP/2 on Unix sockets, the system's ssh and sshd, real terminals.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod command_line;
mod feed_actions;
mod feed_log;
mod feed_polls;
mod feed_recovers;
mod ssh;
mod support;
mod terminal;
