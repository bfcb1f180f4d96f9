//! The Bisect Bot daemon, as a library, so that the program and the tests use the same wiring.
//!
//! Who may call whom: `search` and `report` are pure and know `bisect_shared` only; `db` and
//! `sandbox` do I/O and never know each other; `queue`, `runner`, `changes` and `worker` combine
//! those; `webhook`, `web` and `cli` call them.

pub mod actions;
pub mod admin;
pub mod changes;
pub mod cli;
pub mod command;
pub mod config;
pub mod db;
pub mod feed;
#[cfg(test)]
mod fuzz;
pub mod git;
pub mod github;
pub mod intake;
pub mod mask;
pub mod observers;
pub mod outbox;
pub mod queue;
pub mod redelivery;
pub mod report;
pub mod runner;
pub mod sandbox;
pub mod search;
pub mod signin;
pub mod tail;
pub mod telemetry;
pub mod vitals;
pub mod web;
pub mod webhook;
pub mod worker;
