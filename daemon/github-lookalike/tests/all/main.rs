//! The look-alike judged from outside: each route's answer against GitHub's schema, tokens, git, faults, webhooks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod faults;
mod git;
mod oauth;
mod pages;
mod playground;
mod routes;
mod support;
mod webhooks;
