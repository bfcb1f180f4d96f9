//! The look-alike judged from outside: each route's answer against GitHub's schema, tokens, git, faults, webhooks.

mod faults;
mod git;
mod routes;
mod support;
mod webhooks;
