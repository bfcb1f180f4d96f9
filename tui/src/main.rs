//! The `bisect-tui` program.

fn main() {}
