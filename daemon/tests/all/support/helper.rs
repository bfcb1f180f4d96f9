//! A second process for a test: this very binary, running one of its ignored tests.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

/// A process that does its part, says a line, and ends when its standard input does.
pub struct Helper {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts the ignored test of this name, which reads its folder with [`Helper::folder`].
    pub fn start(test: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--ignored", "--nocapture"]).env("BISECT_TEST_HELPER", folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    /// Waits for the line that [`Helper::say`] wrote.
    pub fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        while !line.ends_with(&format!("{word}\n")) {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the helper ended before `{word}`");
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Lets it end in order.
    pub fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends it without a chance to clean up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// In the helper: the folder it was given; `None` when it was started by somebody's `--ignored`.
    pub fn folder() -> Option<std::path::PathBuf> {
        std::env::var_os("BISECT_TEST_HELPER").map(Into::into)
    }

    /// In the helper: tells the test how far it is, and waits until it may end.
    pub fn say(word: &str) {
        println!("\n{word}");
        let mut rest = String::new();
        std::io::stdin().read_line(&mut rest).unwrap();
    }
}
