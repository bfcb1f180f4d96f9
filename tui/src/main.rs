//! The `bisect-tui` program: reads its command line, connects, and runs the console, or asks once.

use bisect_tui::{
    cli::Cli,
    feed::{Clocks, Session},
    layout,
    once::{self, OnceError},
    plan::{self, Plan},
    run,
    state::{Options, State},
    target::Address,
    terminal,
    theme::Colours,
};
use chrono::Utc;
use clap::Parser;
use std::{io::Write, process::ExitCode};

const USAGE: u8 = 2;
const NO_CONNECTION: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let plan = match plan::read(&cli, &variable) {
        Ok(plan) => plan,
        Err(error) => return fail(USAGE, &error),
    };
    if cli.once.is_some() && cli.hosts.len() > 1 {
        return fail(USAGE, &OnceError::Several(cli.hosts.len()));
    }
    if cli.once.is_none() && !terminal::is_there() {
        return fail(USAGE, &"standard output is no terminal; scripts use --once (`--help` has an example)");
    }
    // crossterm heeds NO_COLOR by itself, also where --color says otherwise.
    crossterm::style::force_color_output(plan.look.colours != Colours::None);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let code = runtime.block_on(async {
        match cli.once {
            Some(what) => match once::run(&plan, what, cli.json).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error @ OnceError::Output(_)) => fail(1, &error),
                Err(error) => fail(NO_CONNECTION, &error),
            },
            None => console(plan).await,
        }
    });
    // A key that is never pressed is still waited for by a thread.
    runtime.shutdown_background();
    code
}

/// Connects while ssh can still ask at the terminal, and then takes the terminal.
async fn console(plan: Plan) -> ExitCode {
    let Some(server) = plan.servers.first() else { return fail(USAGE, &"no server") };
    let session = match Session::open(server, true, &Clocks::default()).await {
        Ok(session) => session,
        Err(mistake) => return fail(NO_CONNECTION, &mistake),
    };
    let by_socket = plan.servers.iter().filter(|server| matches!(server.address, Address::Socket(_)));
    let options = Options {
        read_only: plan.read_only,
        utc: plan.look.utc,
        ascii: plan.look.ascii,
        colours: plan.look.colours,
        host: server.name.clone(),
        hosts: plan.servers.iter().map(|server| server.name.clone()).collect(),
        sockets: by_socket.map(|server| server.name.clone()).collect(),
        size: crossterm::terminal::size().unwrap_or(layout::LEAST),
        ..Options::default()
    };
    let state = State::new(options, Utc::now());
    match run::run(plan, session, state).await {
        Ok(end) => {
            if let Some(why) = end.message() {
                return fail(1, &why);
            }
            ExitCode::from(&end)
        }
        Err(error) => fail(1, &error),
    }
}

/// Says why on standard error.
fn fail(code: u8, why: &dyn std::fmt::Display) -> ExitCode {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "error: {}", bisect_tui::plain::line(&why.to_string()));
    ExitCode::from(code)
}
