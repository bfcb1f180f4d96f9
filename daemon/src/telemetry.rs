//! What the daemon says about itself: fixed messages with fields, on standard error, and no secrets.

use crate::{mask::mask, observers::sentry};
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// What a service says by default. Rocket speaks of every request that it refuses; `_` is what it
/// calls its indented lines.
const SERVICE: &str = "info,rocket=off,_=off,rocket_http=off";

/// Starts the subscriber; `RUST_LOG` sets the level, warnings and errors are the default. A
/// `service` writes JSON, and tells what it does, too.
pub fn start(service: bool) {
    let usual = if service { SERVICE } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !plain;
    let lines = fmt::layer().with_writer(|| Masked).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second call (tests run `main` more than once) keeps the first subscriber.
    let _ = if service {
        registry.with(lines.json()).with(sentry::layer()).try_init()
    } else {
        registry.with(lines.with_ansi(colours)).try_init()
    };
}

/// Standard error, without secrets. A line comes in one piece.
struct Masked;

impl Write for Masked {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        io::stderr().write_all(mask(&text).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
