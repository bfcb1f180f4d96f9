//! The operator's console of Bisect Bot.
//!
//! `connection` reaches a daemon, `client` speaks HTTP to it, `feed` keeps everything coming; `run` joins that with the
//! terminal and the state. See `message` for the seam between the two halves.

pub mod clock;
pub mod keys;
pub mod layout;
pub mod log;
pub mod message;
#[cfg(test)]
mod samples;
pub mod state;
pub mod text;
pub mod theme;
pub mod view;
