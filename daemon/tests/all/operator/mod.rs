//! The console as operators have it: `bisect-tui` in a real terminal, through a real sshd and a key that may do nothing else, at
//! one of two servers of a fleet. What it shows here is what docs/console.md shows.

mod a_day;
mod hostile_output;
mod recovers;
mod terminal;
mod views;

#[path = "../../../../tui/tests/all/support/sshd.rs"]
#[allow(dead_code, reason = "the console's own tests need more of it")]
mod sshd;
#[path = "../../../../tui/tests/all/support/tmux.rs"]
#[allow(dead_code, reason = "the console's own tests need more of it")]
mod tmux;
