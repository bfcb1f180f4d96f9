//! `github-lookalike playground`: the small GitHub as a program, until Ctrl-C.

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use github_lookalike::playground;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A small GitHub on this machine: issues in the browser, webhooks, the API that the bot calls, git over HTTP.
#[derive(Parser)]
#[command(name = "github-lookalike", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one user, one App and one repository with an issue to comment on, until Ctrl-C; nothing is left behind.
    #[command(after_help = "Example:\n  github-lookalike playground --webhook http://127.0.0.1:8000/webhook \
                            --app-key-out app.pem --env-out playground.env\n  bisectd serve --local --env-file \
                            playground.env\n\nThen open the printed page and write the printed comment.")]
    Playground(Options),
}

#[derive(Args)]
struct Options {
    /// Where the daemon takes webhooks.
    #[arg(long, value_name = "URL")]
    webhook: String,
    /// Writes the App's private key here (removed at the end).
    #[arg(long, value_name = "FILE")]
    app_key_out: PathBuf,
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
async fn main() -> anyhow::Result<()> {
    let Command::Playground(options) = Cli::parse().command;
    let playground = playground::start(options.listen, &options.webhook, options.repository.as_deref()).await?;
    let _key = Secret::write(&options.app_key_out, &playground.app.private_key)?;
    let settings = settings(&playground, &options.app_key_out)?;
    let _settings = options.env_out.as_deref().map(|path| Secret::write(path, &settings)).transpose()?;
    println!("The daemon's settings:\n\n{settings}");
    println!("Open   {}\nWrite  {}\n\nCtrl-C ends it.", playground.issue, playground.comment);
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended.context("Ctrl-C cannot be waited for")?,
        _ = terminated.recv() => {}
    }
    playground.running.stop().await;
    Ok(())
}

fn settings(playground: &playground::Playground, key: &Path) -> anyhow::Result<String> {
    let (app, url) = (&playground.app, playground.running.url());
    let key = std::path::absolute(key)?;
    Ok(format!(
        "GITHUB_APP_ID={}\nGITHUB_APP_SLUG={}\nGITHUB_PRIVATE_KEY_PATH={}\nGITHUB_WEBHOOK_SECRET={}\n\
         GITHUB_API_URL={url}\nGITHUB_URL={url}\n",
        app.id,
        app.slug,
        key.display(),
        app.webhook_secret
    ))
}

/// A file that only its owner can read, and that is gone at the end.
struct Secret(PathBuf);

impl Secret {
    fn write(path: &Path, text: &str) -> anyhow::Result<Self> {
        let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let why = || format!("{} cannot be written; it must not exist yet", path.display());
        let mut file = open.with_context(why)?;
        let secret = Self(path.to_owned());
        file.write_all(text.as_bytes()).with_context(why)?;
        Ok(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // It may be gone already, which is what is wanted.
        let _gone = std::fs::remove_file(&self.0);
    }
}
