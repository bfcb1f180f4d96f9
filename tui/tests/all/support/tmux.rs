//! A real terminal: tmux, with a server of its own and a shell in it.

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

pub struct Tmux {
    folder: tempfile::TempDir,
}

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(20);

impl Tmux {
    /// Starts it; `None`, said aloud, where it is missing.
    pub fn start() -> Option<Self> {
        if Command::new("tmux").arg("-V").stdout(Stdio::null()).status().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI has no tmux");
            eprintln!("skipped: tmux is not installed (apt install tmux)");
            return None;
        }
        let tmux = Self { folder: tempfile::tempdir().unwrap() };
        let shell = "PS1='READY$ ' TERM=screen-256color bash --norc --noprofile";
        tmux.run(&["new-session", "-d", "-x", "100", "-y", "30", shell]);
        tmux.wait_for("READY$");
        Some(tmux)
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(self.folder.path().join("tmux")).args(arguments);
        command.env_remove("TMUX").stdin(Stdio::null()).output().unwrap()
    }

    /// A command of tmux, which has to work.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a line.
    pub fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.run(&["send-keys", "Enter"]);
    }

    pub fn key(&self, key: &str) {
        self.run(&["send-keys", key]);
    }

    pub fn screen(&self) -> String {
        self.run(&["capture-pane", "-p", "-J"])
    }

    /// Waits until it is shown.
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_for_times(text, 1)
    }

    /// Waits until it is shown so often.
    pub fn wait_for_times(&self, text: &str, times: usize) -> String {
        let until = Instant::now() + LIMIT;
        loop {
            let screen = self.screen();
            if screen.matches(text).count() >= times {
                return screen;
            }
            assert!(Instant::now() < until, "`{text}` is not shown:\n{screen}");
        }
    }

    /// Whether the other screen is shown, the mouse is taken, and the cursor is seen.
    pub fn flags(&self) -> String {
        self.run(&["display-message", "-p", "#{alternate_on}#{mouse_any_flag}#{cursor_flag}"]).trim().to_owned()
    }

    /// The terminal is as a shell has it.
    pub fn is_restored(&self) {
        assert_eq!(self.flags(), "001", "{}", self.screen());
        self.line("stty -a | tr ' ' '\\n' | grep -xE -- '-?(icanon|echo|isig|opost)' | tr '\\n' ' '; echo CHECK''ED");
        let screen = self.wait_for(" CHECKED");
        assert!(screen.contains("opost isig icanon echo CHECKED"), "{screen}");
    }

    /// The terminal goes away.
    pub fn kill(&self) {
        // It may be gone already.
        let _ = self.command(&["kill-server"]);
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.kill();
    }
}
