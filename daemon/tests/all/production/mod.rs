//! What a service is run with: units, scripts, and what they rely on in the program.

mod backup;
mod doctor;
mod files;
mod mailbox;
mod notify;
mod observers;
mod prometheus;
mod proxy;
mod prune;
mod setup;
mod units;
mod variables;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a program said on both its outputs; it must have ended well.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}
