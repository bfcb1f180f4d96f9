//! A screen that shows what it is told, and the program that shows it.

use crate::support::{daemon::Daemon, listener::at, tmux::Tmux};
use bisect_shared::{JobId, ProbeId};
use bisect_tui::{
    feed::{Clocks, Session},
    message::{Action, Effect, Link, LogOf, Message, Wanted},
    plan::{Look, Plan},
    run::{self, Screen},
    target::{Address, Host, Server},
    theme::Colours,
};
use crossterm::event::{Event, KeyCode, KeyModifiers};
use ratatui::{Frame, widgets::Paragraph};
use std::{
    io::{self, Write},
    path::Path,
};

pub const ARGUMENTS: [&str; 4] = ["--exact", "terminal::fake::console", "--ignored", "--nocapture"];
pub const SOCKET: &str = "BISECT_TEST_SOCKET";
pub const FILE: &str = "BISECT_TEST_FILE";
pub const PORT: &str = "BISECT_TEST_PORT";
pub const OPTIONS: &str = "BISECT_TEST_OPTIONS";
pub const DIAL: &str = "BISECT_TEST_DIAL";

/// Starts the console in the terminal's shell.
pub fn console_in(tmux: &Tmux, socket: &Path, set: &[(&str, &str)]) {
    let mut script = format!("export {SOCKET}='{}' RUST_BACKTRACE=0\n", socket.display());
    for (name, value) in set {
        script.push_str(&format!("export {name}='{value}'\n"));
    }
    let program = std::env::current_exe().unwrap();
    script.push_str(&format!("clear\nexec {} {}\n", program.display(), ARGUMENTS.join(" ")));
    let file = tmux.folder().join("start.sh");
    std::fs::write(&file, script).unwrap();
    tmux.line(&format!("bash {}", file.display()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the program of the tests beside it"]
async fn console() {
    let set = |name: &str| std::env::var(name).ok();
    let server = match set(PORT) {
        None => at(Path::new(&set(SOCKET).expect("it is started by another test"))),
        Some(port) => Server {
            name: "bot".to_owned(),
            address: Address::Ssh(Host::parse(&format!("127.0.0.1:{port}")).unwrap()),
            remote_command: set(DIAL).unwrap(),
            ssh_options: set(OPTIONS).unwrap().split(' ').map(str::to_owned).collect(),
        },
    };
    let session = Session::open(&server, true, &Clocks::default()).await.unwrap();
    let plan = Plan {
        servers: vec![server],
        remote_command: None,
        ssh_options: Vec::new(),
        read_only: false,
        look: Look { colours: Colours::Sixteen, ascii: false, utc: true },
    };
    let end = run::run(plan, session, Fake::default()).await.unwrap();
    println!("ENDED {end:?}");
}

#[derive(Default)]
struct Fake {
    keys: String,
    link: String,
    ups: u32,
    said: String,
}

impl Screen for Fake {
    fn update(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Terminal(Event::Key(key)) => return self.key(key.code, key.modifiers),
            Message::Terminal(Event::Paste(text)) => self.said = format!("pasted {text:?}"),
            Message::Link(Link::Up(hello)) => {
                self.ups += 1;
                self.link = format!("up {} as {}", self.ups, hello.operator);
            }
            Message::Link(Link::Down { why, .. }) => self.link = format!("down {why}"),
            Message::Said(said) => self.said = format!("said {said:?}"),
            Message::Done(action, result) => self.said = format!("done {action:?}: {result:?}"),
            _ => {}
        }
        Vec::new()
    }

    fn wanted(&self) -> Wanted {
        Wanted::default()
    }

    fn log_cursors(&self, _: LogOf) -> Vec<(ProbeId, i64)> {
        Vec::new()
    }

    fn log_text_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"the log\n")
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let text = format!(
            "pid {} size {}x{}\n{}\nkeys {}\n{}",
            std::process::id(),
            area.width,
            area.height,
            self.link,
            self.keys,
            self.said
        );
        frame.render_widget(Paragraph::new(text).wrap(ratatui::widgets::Wrap { trim: false }), area);
    }
}

impl Fake {
    fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Vec<Effect> {
        let KeyCode::Char(letter) = code else { return Vec::new() };
        self.keys.push(letter);
        match letter {
            'q' => vec![Effect::Quit],
            'c' if modifiers.is_empty() => vec![Effect::Copy("copied".to_owned())],
            'z' => vec![Effect::Suspend],
            's' => vec![Effect::SaveLog(std::env::var(FILE).unwrap().into())],
            'r' => vec![Effect::Reconnect(true)],
            'a' => vec![Effect::Act(Action::Cancel(JobId(5)))],
            'p' => panic!("the screen broke, as it was told to"),
            _ => Vec::new(),
        }
    }
}

/// The daemon's answer to the action.
pub fn refuse(daemon: &Daemon) {
    daemon.world.set(|facts| facts.outcome = Some(Err((404, "job 5 is not there".to_owned()))));
}
