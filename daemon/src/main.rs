//! The `bisectd` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    bisectd::cli::main()
}
