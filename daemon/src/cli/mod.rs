//! The command line: one file per sub-command. It combines the other rooms and owns the exit codes.

mod args;
mod bisect;
mod console;
mod dial;
mod doctor;
mod exit;
mod instance;
mod leave;
mod migrate;
mod notify;
mod prune;
mod pulse;
mod request;
mod rotate_keys;
mod serve;
mod services;
mod setup;
mod signals;
mod steps;
mod watch;

pub use args::{Cli, Command};
pub use exit::{Exit, Refusal};

use crate::{config::Config, observers, telemetry};
use clap::{CommandFactory, Parser};
use std::{io::Write, process::ExitCode};

/// Runs the program: reads the arguments, does what they say, answers with the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // A service's log is read by programs.
    telemetry::start(matches!(cli.command, Command::Serve(_)));
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(refusal) => {
            // Nobody is left to tell when standard error is closed.
            // What git or Docker said may come from a server or a repository: no control sequences.
            let message = crate::report::text::filter(refusal.message.as_bytes(), false);
            let _ = writeln!(std::io::stderr(), "error: {message}");
            refusal.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Refusal> {
    match cli.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bisectd", &mut script);
            print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
        Command::Man => {
            let mut page = Vec::new();
            for command in manual() {
                clap_mangen::Man::new(command).render(&mut page).map_err(Refusal::infrastructure)?;
            }
            print(&String::from_utf8_lossy(&page))?;
            Ok(Exit::Done)
        }
        Command::Bisect(args) => asynchronous(bisect::run(*args, &configuration(cli.env_file.as_deref())?)),
        Command::Serve(args) => {
            let config = configuration(cli.env_file.as_deref())?;
            let reports = observers::sentry::start(&config, args::VERSION);
            asynchronous(serve::run(&args, config, reports))
        }
        Command::DialStdio(args) => dial::run(&args, cli.env_file.as_deref()),
        Command::Setup(args) => asynchronous(setup::run(&args, cli.env_file.as_deref())),
        Command::Doctor => asynchronous(doctor::run(cli.env_file.as_deref())),
        Command::Prune => asynchronous(prune::run(&configuration(cli.env_file.as_deref())?)),
        Command::RotateKeys => asynchronous(rotate_keys::run(&configuration(cli.env_file.as_deref())?)),
        Command::Migrate(args) => asynchronous(migrate::run(&args, &configuration(cli.env_file.as_deref())?)),
    }
}

/// The program and its sub-commands, each a page of the manual.
fn manual() -> Vec<clap::Command> {
    let mut program = Cli::command();
    program.build();
    let pages = program.get_subcommands().filter(|command| command.get_name() != "help");
    // clap takes names that live as long as the program.
    let name = |command: &clap::Command| -> &'static str { format!("bisectd-{}", command.get_name()).leak() };
    let pages: Vec<clap::Command> = pages.map(|command| command.clone().name(name(command))).collect();
    std::iter::once(program).chain(pages).collect()
}

/// Writes to standard output. A reader that has read enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Refusal> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Refusal::infrastructure(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn configuration(env_file: Option<&std::path::Path>) -> Result<Config, Refusal> {
    Config::load(env_file).map_err(Refusal::usage)
}

fn asynchronous<F: Future<Output = Result<Exit, Refusal>>>(work: F) -> Result<Exit, Refusal> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(Refusal::infrastructure)?;
    let answer = runtime.block_on(work);
    // A blocking call that hangs (a lock, a dead mount) must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    answer
}
