//! What the daemon says about itself: fixed messages with fields, on standard error.

use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts the subscriber; `RUST_LOG` sets the level, warnings and errors are the default.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !plain;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).with_ansi(colours);
    // A second call (tests run `main` more than once) keeps the first subscriber.
    let _ = lines.try_init();
}
