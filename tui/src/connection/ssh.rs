//! The system's ssh as a child: its arguments, its words, its end.
//!
//! The user's own configuration decides whatever it speaks of. Only what it leaves open is filled in: `ssh -G` says so.

use super::Mistake;
use crate::target::{Host, Server};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    io::{ErrorKind, Write},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    process::{ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

/// So much of what it says last is kept, in bytes.
const KEPT: usize = 8 * 1024;

/// A running ssh.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    said: Arc<Mutex<Vec<u8>>>,
    show: Arc<AtomicBool>,
    settled: AtomicBool,
    reader: JoinHandle<()>,
}

/// Starts it; its streams come apart.
pub(super) async fn start(
    server: &Server,
    host: &Host,
    asking: bool,
) -> Result<(ChildStdout, ChildStdin, Child), Mistake> {
    let fill = left_open(server, host).await;
    let mut process = Command::new("ssh")
        .args(arguments(server, host, asking, &fill))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => Mistake::for_good(
                "there is no `ssh` on this machine: install OpenSSH's client (Debian: apt install openssh-client)",
            ),
            _ => Mistake::for_good(format!("ssh cannot be started: {error}")),
        })?;
    let (Some(out), Some(into), Some(err)) = (process.stdout.take(), process.stdin.take(), process.stderr.take())
    else {
        return Err(Mistake::for_good("ssh was started without its streams"));
    };
    let (said, show) = (Arc::default(), Arc::new(AtomicBool::new(asking)));
    let reader = tokio::spawn(listen(err, Arc::clone(&said), Arc::clone(&show)));
    Ok((out, into, Child { process, said, show, settled: AtomicBool::new(false), reader }))
}

fn options(server: &Server, host: &Host) -> Vec<String> {
    let mut arguments = Vec::new();
    for option in &server.ssh_options {
        arguments.extend(["-o".to_owned(), option.clone()]);
    }
    if let Some(port) = host.port {
        arguments.extend(["-p".to_owned(), port.to_string()]);
    }
    arguments
}

/// ssh takes the first value that it meets, and the command line's before any file's.
fn arguments(server: &Server, host: &Host, asking: bool, fill: &[String]) -> Vec<String> {
    let mut arguments = vec!["-T".to_owned()];
    if !asking {
        arguments.extend(["-o".to_owned(), "BatchMode=yes".to_owned()]);
    }
    arguments.extend(options(server, host));
    // A `RemoteCommand` of the user's is refused beside ours; forwards of a login would only be in the way (a port that
    // is taken ends ssh, with ExitOnForwardFailure).
    for option in ["RemoteCommand=none", "ClearAllForwardings=yes"].into_iter().chain(fill.iter().map(String::as_str)) {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments.extend([host.login(), "--".to_owned(), server.remote_command.clone()]);
    arguments
}

/// Options for what the user's configuration says nothing about.
async fn left_open(server: &Server, host: &Host) -> Vec<String> {
    let asked = Command::new("ssh")
        .arg("-G")
        .args(options(server, host))
        .arg(host.login())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    // One that cannot say is about to fail in earnest, with a better message.
    match timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(answer)) if answer.status.success() => fill(&String::from_utf8_lossy(&answer.stdout)),
        _ => Vec::new(),
    }
}

fn fill(configuration: &str) -> Vec<String> {
    let says = |line: &str| configuration.lines().any(|found| found.trim() == line);
    let mut options = Vec::new();
    if says("serveraliveinterval 0") {
        options.extend(["ServerAliveInterval=5".to_owned(), "ServerAliveCountMax=3".to_owned()]);
    }
    if says("connecttimeout none") {
        options.push("ConnectTimeout=15".to_owned());
    }
    options
}

async fn listen(mut err: ChildStderr, said: Arc<Mutex<Vec<u8>>>, show: Arc<AtomicBool>) {
    let mut buffer = [0; 1024];
    // An error is the end as well: the pipe is gone.
    while let Ok(length @ 1..) = err.read(&mut buffer).await {
        let bytes = &buffer[..length];
        if show.load(Ordering::Relaxed) {
            let shown = crate::plain::text(&String::from_utf8_lossy(bytes));
            // Nobody is left to tell when standard error is closed.
            let _ = std::io::stderr().write_all(shown.as_bytes());
        }
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(bytes);
        let over = said.len().saturating_sub(KEPT);
        said.drain(..over);
    }
}

impl Child {
    /// The connection works: what is said is no longer shown, and nobody waits at a prompt.
    pub(super) fn settled(&self) {
        self.show.store(false, Ordering::Relaxed);
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Its exit status, if it ended by itself, and what it said.
    pub(super) async fn end(mut self) -> (Option<i32>, String) {
        let code = if let Ok(Ok(status)) = timeout(Duration::from_secs(1), self.process.wait()).await {
            status.code()
        } else {
            self.terminate();
            if timeout(Duration::from_secs(1), self.process.wait()).await.is_err() {
                // Nothing more can be done to it.
                let _ = self.process.start_kill();
            }
            None
        };
        // A ControlPersist master that stays behind keeps the pipe open for as long as it lives.
        if timeout(Duration::from_millis(200), &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        (code, String::from_utf8_lossy(&said).into_owned())
    }

    /// Its streams are closed: the far end hears of that, and it ends when its last session does. Killing it would cut
    /// off whoever shares its transport (ControlMaster).
    pub(super) fn let_go(mut self) {
        tokio::spawn(async move {
            if timeout(Duration::from_secs(30), self.process.wait()).await.is_err() {
                self.terminate();
            }
            self.reader.abort();
        });
    }

    fn terminate(&self) {
        if let Some(id) = self.process.id().and_then(|id| i32::try_from(id).ok()) {
            // It has ended meanwhile, if this fails.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }
}

impl Drop for Child {
    /// One that is given up while it still connects may be asking at the terminal. One that works ends by itself.
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Relaxed) {
            self.terminate();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(options: &[&str]) -> (Server, Host) {
        let host = Host::parse("ada@bot:2222").unwrap();
        let server = Server {
            name: "bot".to_owned(),
            address: crate::target::Address::Ssh(host.clone()),
            remote_command: "docker exec -i bot bisectd dial-stdio".to_owned(),
            ssh_options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        (server, host)
    }

    #[test]
    fn the_users_options_come_before_ours() {
        let (server, host) = server(&["ServerAliveInterval=60"]);
        let line = arguments(&server, &host, false, &["ConnectTimeout=15".to_owned()]).join(" ");
        assert_eq!(
            line,
            "-T -o BatchMode=yes -o ServerAliveInterval=60 -p 2222 -o RemoteCommand=none -o ClearAllForwardings=yes \
             -o ConnectTimeout=15 ada@bot -- docker exec -i bot bisectd dial-stdio"
        );
        assert!(!arguments(&server, &host, true, &[]).join(" ").contains("BatchMode"));
    }

    #[test]
    fn only_what_is_left_open_is_filled_in() {
        assert_eq!(fill("connecttimeout none\nserveraliveinterval 0\n").len(), 3);
        assert_eq!(fill("connecttimeout 3\nserveraliveinterval 30\n"), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_real_ssh_says_what_is_left_open() {
        let (open, host) = server(&["ServerAliveInterval=0", "ConnectTimeout=none"]);
        let (said, _) = server(&["ServerAliveInterval=7", "ConnectTimeout=7"]);
        assert_eq!(left_open(&open, &host).await.len(), 3);
        assert_eq!(left_open(&said, &host).await, Vec::<String>::new());
    }
}
