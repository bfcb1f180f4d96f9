//! A daemon that is scripted, an sshd of our own, terminals, and a listener at the feed.

pub mod daemon;
pub mod listener;
pub mod samples;
pub mod sshd;
pub mod tmux;
pub mod wire;
