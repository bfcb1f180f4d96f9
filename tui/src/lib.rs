//! The operator's console of Bisect Bot.
//!
//! `connection` reaches a daemon, `client` speaks HTTP to it, `feed` keeps everything coming; `run` joins that with the
//! terminal and the state. See `message` for the seam between the two halves.

pub mod cli;
pub mod client;
pub mod clipboard;
pub mod connection;
pub mod feed;
pub mod input;
pub mod message;
pub mod once;
pub mod plain;
pub mod plan;
pub mod run;
pub mod settings;
pub mod target;
pub mod terminal;
