//! A terminal in which the console runs.

use super::{sshd::Sshd, tmux::Tmux};
use crate::support::{World, eventually};
use std::{path::Path, process::Command, time::Instant};

/// Servers in the console's configuration.
pub const BOT: &str = "bot";
pub const SPARE: &str = "spare";

/// The operator, by the key.
pub const OPERATOR: &str = "grace";

/// A console at `BOT` by ssh, which also knows `SPARE` by its socket.
pub struct Terminal {
    tmux: Tmux,
    sshd: Sshd,
}

impl Terminal {
    /// The console at the first of two services of `world`, by their names there; `None`, said aloud, where there is no
    /// sshd or tmux.
    pub async fn open(world: &World, bot: &str, spare: &str) -> Option<Self> {
        let (tmux, sshd) = (Tmux::start()?, Sshd::start()?);
        let socket = |name: &str| world.path(name).join("admin.sock");
        let bisectd = env!("CARGO_BIN_EXE_bisectd");
        sshd.restrict(&format!("{bisectd} dial-stdio --socket {} --as {OPERATOR}", socket(bot).display()));
        let settings = format!(
            "[hosts.{BOT}]\naddress = \"127.0.0.1:{}\"\n\n[hosts.{SPARE}]\nsocket = \"{}\"\n",
            sshd.port,
            socket(spare).display()
        );
        std::fs::write(world.path("console.toml"), settings).unwrap();
        let console = Path::new(bisectd).with_file_name("bisect-tui");
        assert!(console.exists(), "there is no {}: cargo build --package bisect-tui", console.display());
        let options: Vec<String> = sshd.options("user").iter().map(|option| format!("-o {option}")).collect();
        let (console, settings) = (console.display(), world.path("console.toml"));
        let terminal = Self { tmux, sshd };
        terminal.tmux.run(&["set", "-g", "set-clipboard", "on"]);
        terminal.tmux.line(&format!(
            "cd {}; clear; TZ=UTC LC_ALL=C.UTF-8 {console} {BOT} {SPARE} --config {} {}",
            world.path("").display(),
            settings.display(),
            options.join(" ")
        ));
        terminal.shows("● live").await;
        Some(terminal)
    }

    pub fn screen(&self) -> String {
        self.tmux.screen()
    }

    /// Something that tmux knows of the terminal.
    pub fn told(&self, format: &str) -> String {
        self.tmux.run(&["display-message", "-p", format])
    }

    /// What programs put into the clipboard, by OSC 52.
    pub fn clipboard(&self) -> String {
        self.tmux.run(&["list-buffers", "-F", "#{buffer_sample}"])
    }

    /// Keys that are letters.
    pub fn types(&self, text: &str) {
        self.tmux.run(&["send-keys", "-l", text]);
    }

    /// A key that has a name.
    pub fn key(&self, name: &str) {
        self.tmux.key(name);
    }

    /// A command after `:`.
    pub async fn command(&self, text: &str) {
        self.types(&format!(":{text}"));
        self.shows(text).await;
        self.key("Enter");
    }

    /// Waits until it is shown.
    pub async fn shows(&self, text: &str) -> String {
        self.comes_to(text, |screen| screen.contains(text)).await
    }

    /// Waits until it is shown no more.
    pub async fn hides(&self, text: &str) -> String {
        self.comes_to(&format!("no {text}"), |screen| !screen.contains(text)).await
    }

    /// Waits until what is shown is so.
    pub async fn comes_to(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        eventually(&format!("the console shows {what}"), async || Some(self.screen()).filter(|screen| is_so(screen)))
            .await
    }

    /// Moves the cursor to the line with this text.
    pub async fn goes_to(&self, text: &str) {
        let started = Instant::now();
        loop {
            let screen = self.shows(text).await;
            let line = |is: &dyn Fn(&str) -> bool| screen.lines().skip(3).position(is);
            let (cursor, wanted) = (line(&|line| line.starts_with('▌')), line(&|line| line.contains(text)));
            if cursor.is_some() && cursor == wanted {
                return;
            }
            assert!(started.elapsed().as_secs() < 60, "{text} is not reached:\n{screen}");
            self.types(if cursor < wanted { "j" } else { "k" });
            // The clock moves, if nothing else does.
            self.comes_to("another screen", |now| now != screen).await;
        }
    }

    /// Kills the ssh client, as a lost network would.
    pub fn cut(&self) {
        let client = format!("^ssh .*-p {} ", self.sshd.port);
        let killed = Command::new("pkill").args(["-KILL", "-f", &client]).status().unwrap();
        assert!(killed.success(), "there was no connection");
    }

    /// The console is told to end, and leaves the terminal as it was.
    pub async fn quit(&self) {
        self.command("quit").await;
        eventually("the console has ended", async || (self.tmux.flags() == "001").then_some(())).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the terminal showed:\n{}", self.screen());
        }
    }
}
