//! The playground's daemon: `bisectd serve` as a child with a `DATA_DIR` and settings of its own, whatever the caller's
//! are. What it warns of is told; it is always asked to end, so that its database and its containers end with it.

use super::Playground;
use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

/// How long it may take until it serves: a new database is made.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end after it was asked: its own grace, and its database.
const END: Duration = Duration::from_secs(60);

/// The variables of the caller that it gets; everything else (another App, another database) would make it another's.
const INHERITED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "RUST_LOG",
    "RUST_BACKTRACE",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
    "DOCKER_RUNNER_IMAGE",
    "RUNNER_NETWORK",
    "RUNNER_RUNTIME",
];

/// A started daemon.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// Where it serves, once it does.
    address: watch::Receiver<Option<String>>,
}

impl Daemon {
    /// Starts `program` with everything of its own in `folder`, which must be empty and outlive it. `tell` hears each
    /// line that it warns with.
    ///
    /// # Errors
    /// When the folder cannot be written or the program not be started.
    pub fn start(
        program: &Path,
        playground: &Playground,
        folder: &Path,
        tell: impl Fn(&str) + Send + 'static,
    ) -> anyhow::Result<Self> {
        // Its PostgreSQL does not run as root, and must be able to enter.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).context("the temporary folder")?;
        let key = folder.join("app.pem");
        write_secret(&key, &playground.app.private_key)?;
        // Links in its comments lead to it, so its port is chosen before it starts.
        let port =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr()).context("no port")?.port();
        let mut command = ends_with_us(&std::path::absolute(program)?);
        command.arg("serve").arg("--local").current_dir(folder).env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| INHERITED.iter().any(|known| name == known)));
        command.envs(playground.settings(&key)).env("DATA_DIR", folder.join("data"));
        command.env("ROCKET_ADDRESS", "127.0.0.1").env("ROCKET_PORT", port.to_string());
        command.env("BASE_URL", format!("http://127.0.0.1:{port}"));
        // A group of its own: Ctrl-C is for the playground, which then asks it to end.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let said = child.stderr.take().context("its standard error is not there")?;
        let (sender, address) = watch::channel(None);
        tokio::spawn(relay(said, sender, tell));
        Ok(Self { child, address })
    }

    /// Waits until it serves, and answers where.
    ///
    /// # Errors
    /// When it ends instead, or takes too long.
    pub async fn serves(&mut self) -> anyhow::Result<String> {
        tokio::select! {
            address = self.address.wait_for(Option::is_some) => {
                if let Some(address) = address.ok().and_then(|address| address.clone()) {
                    return Ok(address);
                }
            }
            () = tokio::time::sleep(START) => bail!("bisectd does not serve after {} s", START.as_secs()),
        }
        // Its standard error is closed: it is ending.
        bail!("bisectd ended before it served: {}", self.ended().await?)
    }

    /// Waits until it ends by itself, which it should not.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.wait().await.context("bisectd cannot be waited for")
    }

    /// Asks it to end; `hurry` to do so at once.
    ///
    /// # Errors
    /// When it does not end, and had to be killed.
    pub async fn stop(mut self, hurry: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.signal();
        tokio::select! {
            ended = self.child.wait() => return ended.map(drop).context("bisectd cannot be waited for"),
            () = hurry => self.signal(),
            () = tokio::time::sleep(END) => {}
        }
        if tokio::time::timeout(END, self.child.wait()).await.is_err() {
            self.child.kill().await.context("bisectd cannot be killed")?;
            bail!("bisectd did not end and was killed; its database or containers may be left");
        }
        Ok(())
    }

    fn signal(&self) {
        if let Some(pid) = self.child.id().and_then(|id| i32::try_from(id).ok())
            && let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM)
        {
            tracing::warn!(%error, "bisectd cannot be asked to end");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whoever forgets it, or panics, still leaves nothing: it ends by itself a moment later.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal();
        }
    }
}

/// Writes a file that only its owner can read, and that must not exist yet.
///
/// # Errors
/// When it exists or cannot be written.
pub fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    open.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .with_context(|| format!("{} cannot be written; it must not exist yet", path.display()))
}

/// Reads what it says until it ends: where it serves is kept, what it warns of is told.
async fn relay(said: ChildStderr, address: watch::Sender<Option<String>>, tell: impl Fn(&str)) {
    let mut lines = BufReader::new(said).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str::<Value>(&line) {
            Ok(event) => {
                if let Some(serving) = event["fields"]["address"].as_str()
                    && event["fields"]["message"] == "serving"
                {
                    address.send_replace(Some(serving.to_owned()));
                }
                if event["level"] == "WARN" || event["level"] == "ERROR" {
                    tell(&plainly(&event));
                }
            }
            // Not from its log: a refusal to start, or a panic.
            Err(_) => tell(&line),
        }
    }
}

/// One event of its log as a person reads it.
fn plainly(event: &Value) -> String {
    let mut text = event["fields"]["message"].as_str().unwrap_or_default().to_owned();
    for (name, value) in event["fields"].as_object().into_iter().flatten().filter(|(name, _)| *name != "message") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(text, " {name}={value}");
    }
    text
}

/// `program`, which is asked to end when this process does, however it does. Without `setpriv` (of util-linux) a killed
/// playground leaves it running.
fn ends_with_us(program: &Path) -> Command {
    const SETPRIV: &str = "/usr/bin/setpriv";
    if !Path::new(SETPRIV).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    command
}
