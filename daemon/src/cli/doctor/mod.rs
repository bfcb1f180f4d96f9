//! `bisectd doctor`: whether what is configured works, a line for each thing looked at. Changes nothing but, where tests may
//! use the internet, makes their network, as a job would.

mod backups;
mod database;
mod docker;
mod github;
mod machine;
mod observers;
mod servers;
mod settings;
mod versions;

use super::{Exit, Refusal, print};
use crate::config::Config;
use std::path::Path;

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// It works, and may not be what was meant.
    Warn,
    Fail,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    state: State,
    /// What was looked at.
    what: &'static str,
    /// How it is, and what to do.
    text: String,
}

impl Finding {
    fn ok(what: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Ok, what, text: text.into() }
    }

    fn warn(what: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Warn, what, text: text.into() }
    }

    fn fail(what: &'static str, text: impl Into<String>) -> Self {
        Self { state: State::Fail, what, text: text.into() }
    }

    fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Fail => "FAIL",
        };
        // What Docker, git or a server said: one line, without control sequences.
        let text = crate::report::text::filter(self.text.as_bytes(), false).replace('\n', " ");
        format!("{state}  {:<13} {}\n", self.what, text.trim())
    }
}

/// Looks at everything. Exit status 1: something does not work.
pub(super) async fn run(env_file: Option<&Path>) -> Result<Exit, Refusal> {
    let mut seen = Seen::default();
    let config = match Config::load(env_file) {
        Ok(config) => config,
        Err(error) => {
            seen.tell(vec![Finding::fail("configuration", error.to_string())])?;
            return seen.end();
        }
    };
    seen.tell(settings::look(&config))?;
    seen.tell(machine::look(&config).await)?;
    seen.tell(database::look(&config).await)?;
    seen.tell(docker::look(&config).await)?;
    seen.tell(github::look(&config).await)?;
    seen.tell(observers::look(&config).await)?;
    seen.end()
}

/// What was told so far.
#[derive(Default)]
struct Seen {
    failed: usize,
    warned: usize,
}

impl Seen {
    fn tell(&mut self, findings: Vec<Finding>) -> Result<(), Refusal> {
        for finding in findings {
            self.failed += usize::from(finding.state == State::Fail);
            self.warned += usize::from(finding.state == State::Warn);
            print(&finding.line())?;
        }
        Ok(())
    }

    fn end(&self) -> Result<Exit, Refusal> {
        let text = match (self.failed, self.warned) {
            (0, 0) => "all is well".to_owned(),
            (0, warned) => format!("it works; {warned} to look at"),
            (failed, _) => format!("{failed} to mend"),
        };
        print(&format!("{text}\n"))?;
        Ok(if self.failed == 0 { Exit::Done } else { Exit::Without })
    }
}
