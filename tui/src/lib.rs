//! The operator's console of Bisect Bot.
//!
//! `connection` reaches a daemon, `client` speaks HTTP to it, `feed` keeps everything coming; `run` joins that with the
//! terminal and the state. See `message` for the seam between the two halves.

pub mod cli;
pub mod client;
pub mod clipboard;
pub mod clock;
pub mod connection;
pub mod feed;
pub mod input;
pub mod keys;
pub mod layout;
pub mod log;
pub mod message;
pub mod once;
pub mod plain;
pub mod plan;
pub mod run;
#[cfg(test)]
mod samples;
pub mod settings;
pub mod state;
pub mod target;
pub mod terminal;
#[cfg(test)]
mod testing;
pub mod text;
pub mod theme;
pub mod view;
