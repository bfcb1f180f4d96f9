//! All tests that need more than one module's own code: one binary, so that it is linked once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chaos;
mod cli_bad_input;
mod cli_results;
mod cli_signals;
mod cli_sources;
mod cli_together;
mod commands;
mod console;
mod crash;
mod database;
mod database_away;
mod deliveries;
mod github;
mod infrastructure;
mod operator;
mod outbox;
mod playground;
mod private_postgres;
mod queue;
mod replies;
mod sandbox_docker;
mod search_agrees_with_git;
mod search_on_any_answers;
mod search_simulated;
mod search_world;
mod serve_comment;
mod serve_database;
mod serve_health;
mod serve_hostile_comments;
mod serve_idle;
mod serve_jobs;
mod serve_replies;
mod serve_tls;
mod serve_webhook;
mod support;
