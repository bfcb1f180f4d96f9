//! The real program, as a process: how it is started, signalled, and what it answered.

use super::poll::PATIENCE;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

/// `bisectd`, about to be started, with nothing of the tests' own environment but `PATH`.
pub struct Program {
    command: Command,
}

/// A started one. Dropped, it is killed.
pub struct Running {
    child: Child,
    out: Heard,
    err: Heard,
}

/// What an ended one said.
#[derive(Debug)]
pub struct Ran {
    /// The exit status; −n for a process that signal n killed.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// In a folder of its own, so that no `.env` and no `Rocket.toml` of ours is read.
    pub fn new(folder: &Path) -> Self {
        Self::of(env!("CARGO_BIN_EXE_bisectd"), folder)
    }

    /// Another program, which starts ours.
    pub fn of(program: &str, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.env_clear().current_dir(folder).env("HOME", folder);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command }
    }

    pub fn arg(self, arg: &str) -> Self {
        self.args([arg])
    }

    /// The command line, for a shell.
    pub fn words(&self) -> String {
        let command = self.command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<&str> = words.map(|word| word.to_str().unwrap()).collect();
        bisectd::report::shell::join(&words)
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub fn start(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Running { child, out: Heard::from(out), err: Heard::from(err) }
    }

    pub async fn run(self) -> Ran {
        self.start().end().await
    }
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("it has not been waited for")).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        self.err.so_far()
    }

    /// What it said on standard output so far.
    pub fn stdout(&self) -> String {
        self.out.so_far()
    }

    /// `kill -9`, and the process is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ran {
        let Ok(status) = timeout(PATIENCE, self.child.wait()).await else {
            panic!("it does not end; so far it said:\n{}\n{}", self.out.so_far(), self.err.so_far());
        };
        use std::os::unix::process::ExitStatusExt;
        let status = status.unwrap();
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Ran { code, stdout: self.out.all().await, stderr: self.err.all().await }
    }
}

impl Ran {
    /// The end that was expected, else everything it said.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output, which is one JSON object and nothing else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in standard output:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// One field of that object.
    #[track_caller]
    pub fn field(&self, name: &str) -> Value {
        self.json().get(name).unwrap_or_else(|| panic!("no field {name}")).clone()
    }
}

/// What came through one pipe so far.
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Heard {
    fn from(mut pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    async fn all(self) -> String {
        // A process that the ended one left behind may hold the pipe: what it says is not ours.
        let mut reader = self.reader;
        if timeout(std::time::Duration::from_secs(5), &mut reader).await.is_err() {
            reader.abort();
        }
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap());
        String::from_utf8(bytes).expect("UTF-8")
    }
}
