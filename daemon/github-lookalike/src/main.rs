//! `github-lookalike playground`: the small GitHub as a program, with a daemon that answers there, until Ctrl-C.

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};
use github_lookalike::playground::{self, Daemon, Playground};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A small GitHub on this machine: issues in the browser, webhooks, the API that the bot calls, git over HTTP.
#[derive(Parser)]
#[command(name = "github-lookalike", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one App and one repository with an issue to comment on, until Ctrl-C; nothing is left behind.
    #[command(
        after_help = "`make playground` builds everything and runs this with a daemon.\n\nA daemon of your own:\n  \
                            github-lookalike playground --webhook http://127.0.0.1:8000/webhook \
                            --app-key-out app.pem --env-out playground.env\n  bisectd serve --local --env-file \
                            playground.env"
    )]
    Playground(Options),
}

#[derive(Args)]
struct Options {
    /// Starts this daemon, with a database and a DATA_DIR of its own, which are gone at the end.
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["webhook", "app_key_out", "env_out"])]
    bisectd: Option<PathBuf>,
    /// Where a daemon of your own takes webhooks.
    #[arg(long, value_name = "URL", required_unless_present = "bisectd")]
    webhook: Option<String>,
    /// Writes the App's private key here (removed at the end).
    #[arg(long, value_name = "FILE", required_unless_present = "bisectd")]
    app_key_out: Option<PathBuf>,
    /// Writes the daemon's settings here: App, secret, addresses (removed at the end).
    #[arg(long, value_name = "FILE")]
    env_out: Option<PathBuf>,
    /// A local git repository to copy; without it a sample of 40 commits with a planted regression is made.
    #[arg(long, value_name = "PATH")]
    repository: Option<PathBuf>,
    /// Where to listen. Anybody who reaches it can make the bot run commands: keep it on this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Playground(options) = Cli::parse().command;
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).without_time();
    lines.with_max_level(tracing::Level::WARN).with_ansi(std::io::stderr().is_terminal()).init();
    match run(&options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("playground: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let mut stop = Stop::listen()?;
    let playground = playground::start(options.listen, options.repository.as_deref()).await?;
    let ended = match &options.bisectd {
        Some(program) => with_daemon(program, &playground, &mut stop).await,
        None => with_a_daemon_of_their_own(options, &playground, &mut stop).await,
    };
    playground.running.stop().await;
    ended
}

async fn with_daemon(program: &Path, playground: &Playground, stop: &mut Stop) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("bisect-playground-").tempdir().context("no temporary folder")?;
    println!("Starting bisectd with a new database, in {}", folder.path().display());
    let mut daemon = Daemon::start(program, playground, folder.path(), |line| eprintln!("bisectd: {line}"))?;
    let ended = tokio::select! {
        ended = answered_by(&mut daemon, playground) => ended,
        () = stop.asked() => {
            println!("\nEnding; once more ends it at once.");
            Ok(())
        }
    };
    let stopped = daemon.stop(stop.asked()).await;
    folder.close().context("the temporary folder is left")?;
    ended.and(stopped)?;
    println!("Ended; nothing is left.");
    Ok(())
}

/// Until the daemon ends, which is an error.
async fn answered_by(daemon: &mut Daemon, playground: &Playground) -> anyhow::Result<()> {
    let address = daemon.serves().await?;
    playground.send_webhooks_to(&format!("{address}/webhook"));
    println!(
        "\nOpen   {}\nWrite  {}\n\nThe bot answers on the same page. What owners see: {address}/dashboard (sign in as ada)\nIts numbers: {address}/stats\nCtrl-C ends it.",
        playground.issue, playground.comment
    );
    bail!("bisectd ended: {}", daemon.ended().await?)
}

async fn with_a_daemon_of_their_own(options: &Options, playground: &Playground, stop: &mut Stop) -> anyhow::Result<()> {
    playground.send_webhooks_to(options.webhook.as_deref().context("--webhook is missing")?);
    let key = std::path::absolute(options.app_key_out.as_deref().context("--app-key-out is missing")?)?;
    let _key = Secret::write(&key, &playground.app.private_key)?;
    let settings = playground.settings(&key).into_iter().map(|(name, value)| format!("{name}={value}\n"));
    let settings: String = settings.collect();
    let _settings = options.env_out.as_deref().map(|path| Secret::write(path, &settings)).transpose()?;
    println!("The daemon's settings:\n\n{settings}");
    println!("Open   {}\nWrite  {}\n\nCtrl-C ends it.", playground.issue, playground.comment);
    stop.asked().await;
    Ok(())
}

/// The signals that end it.
struct Stop([Signal; 3]);

impl Stop {
    fn listen() -> anyhow::Result<Self> {
        let hear = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self([hear(SignalKind::interrupt())?, hear(SignalKind::terminate())?, hear(SignalKind::hangup())?]))
    }

    async fn asked(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// A file that is gone at the end.
struct Secret(PathBuf);

impl Secret {
    fn write(path: &Path, text: &str) -> anyhow::Result<Self> {
        playground::write_secret(path, text)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _gone = std::fs::remove_file(&self.0);
    }
}
