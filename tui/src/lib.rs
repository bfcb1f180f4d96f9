//! The operator's console of Bisect Bot.
//!
//! `connection` reaches a daemon, `client` speaks HTTP to it, `feed` keeps everything coming; `run` joins that with the
//! terminal and the state. See `message` for the seam between the two halves.

pub mod message;
