//! The `bisectd` program.

fn main() {}
