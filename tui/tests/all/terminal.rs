//! The main loop in real terminals: what is drawn, what is done, and that the terminal is as it was afterwards.
//!
//! The console under test is this very program, started once more: the ignored test `console` with a screen that shows
//! what it is told.

mod fake;

use crate::support::{
    daemon::{Daemon, World},
    sshd::Sshd,
    tmux::Tmux,
};
use fake::console_in;
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quitting_restores_the_terminal() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    console_in(&tmux, &daemon.socket, &[]);
    tmux.wait_for("up 1 as ada");
    assert_eq!(tmux.flags(), "110");
    tmux.key("x");
    tmux.wait_for("keys x");
    tmux.run(&["set-buffer", "two\nlines"]);
    tmux.run(&["paste-buffer", "-p"]);
    tmux.wait_for("pasted \"two\\rlines\"");
    tmux.run(&["resize-window", "-x", "90", "-y", "25"]);
    tmux.wait_for("size 90x25");
    tmux.key("q");
    tmux.wait_for("ENDED Quit");
    tmux.is_restored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_restores_the_terminal_and_is_told() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    console_in(&tmux, &daemon.socket, &[]);
    tmux.wait_for("up 1");
    tmux.key("p");
    tmux.wait_for("the screen broke, as it was told to");
    tmux.is_restored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_restore_the_terminal() {
    for (signal, ended) in [("TERM", "ENDED Signal(15)"), ("HUP", "ENDED Signal(1)"), ("INT", "ENDED Signal(2)")] {
        let Some(tmux) = Tmux::start() else { return };
        let daemon = Daemon::start(World::new());
        console_in(&tmux, &daemon.socket, &[]);
        let id = process(&tmux.wait_for("up 1"));
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        tmux.wait_for(ended);
        tmux.is_restored();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_suspended_and_brought_back() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    console_in(&tmux, &daemon.socket, &[]);
    tmux.wait_for("up 1");
    tmux.key("z");
    tmux.wait_for("Stopped");
    tmux.is_restored();
    tmux.line("fg");
    tmux.wait_for("keys z");
    assert_eq!(tmux.flags(), "110");
    tmux.key("y");
    tmux.wait_for("keys zy");
    tmux.key("q");
    tmux.wait_for("ENDED Quit");
    tmux.is_restored();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_away_ends_it() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    console_in(&tmux, &daemon.socket, &[]);
    let id = process(&tmux.wait_for("up 1"));
    tmux.kill();
    let until = Instant::now() + Duration::from_secs(10);
    while std::path::Path::new(&format!("/proc/{id}")).exists() {
        assert!(Instant::now() < until, "process {id} lives on without a terminal");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// As after `nohup`, or where the terminal is not the controlling one: no signal comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_goes_away_without_a_signal_ends_it_too() {
    let daemon = Daemon::start(World::new());
    let size = nix::pty::Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = nix::pty::openpty(Some(&size), None).unwrap();
    // The console itself must not hold the other end.
    nix::fcntl::fcntl(&pty.master, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
    let mut console = Command::new(std::env::current_exe().unwrap())
        .args(fake::ARGUMENTS)
        .env(fake::SOCKET, &daemon.socket)
        .stdin(pty.slave.try_clone().unwrap())
        .stdout(pty.slave)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut shown = Vec::new();
    // Blanks that were blank before are not written.
    while !String::from_utf8_lossy(&shown).contains("ada") {
        let mut buffer = [0; 4096];
        let count = nix::unistd::read(&pty.master, &mut buffer).unwrap();
        shown.extend_from_slice(&buffer[..count]);
    }
    drop(pty.master);
    let until = Instant::now() + Duration::from_secs(10);
    while console.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            console.kill().unwrap();
            panic!("it lives on without a terminal");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_saved_and_text_is_copied() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    let file = tmux.folder().join("saved.log");
    console_in(&tmux, &daemon.socket, &[(fake::FILE, file.to_str().unwrap())]);
    tmux.wait_for("up 1");
    tmux.key("s");
    tmux.wait_for(&format!("said Ok(\"saved 8 bytes to {}\")", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the log\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    tmux.key("s");
    tmux.wait_for("is there already; nothing was changed");
    tmux.run(&["set-option", "-s", "set-clipboard", "on"]);
    tmux.key("c");
    tmux.wait_for("said Ok(\"6 bytes given to the terminal to copy\")");
    assert_eq!(tmux.run(&["show-buffer"]), "copied");
    fake::refuse(&daemon);
    tmux.key("a");
    tmux.wait_for("done Cancel(JobId(5)): Err(\"job 5 is not there\")");
    tmux.key("q");
    tmux.wait_for("ENDED Quit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_console_costs_nothing() {
    let Some(tmux) = Tmux::start() else { return };
    let daemon = Daemon::start(World::new());
    console_in(&tmux, &daemon.socket, &[]);
    let id = process(&tmux.wait_for("up 1"));
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = ticks();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let used = ticks() - before;
    // Ticks of 10 ms: 1 % of 4 s are 4. This build is not optimised, and the daemon here ticks 100 times as often as a real one.
    assert!(used <= 16, "{used} ticks of a processor in 4 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_asks_at_the_terminal() {
    let (Some(tmux), Some(sshd)) = (Tmux::start(), Sshd::start()) else { return };
    let daemon = Daemon::start(World::new());
    let dial = sshd.dial(&daemon.socket);
    let (port, options) = (sshd.port.to_string(), sshd.options("user").join(" "));
    let set = [(fake::PORT, port.as_str()), (fake::OPTIONS, &options), (fake::DIAL, &dial)];
    console_in(&tmux, &daemon.socket, &set);
    tmux.wait_for("up 1");
    std::fs::remove_file(sshd.at("known_hosts")).unwrap();
    daemon.world.cut();
    tmux.wait_for("is not known yet");
    tmux.key("r");
    tmux.wait_for("Are you sure you want to continue connecting");
    tmux.key("C-c");
    tmux.wait_for("down given up by you");
    assert_eq!(tmux.flags(), "110");
    tmux.key("r");
    tmux.wait_for_times("Are you sure you want to continue connecting", 2);
    tmux.line("yes");
    tmux.wait_for("up 2");
    assert_eq!(tmux.flags(), "110");
    tmux.key("q");
    tmux.wait_for("ENDED Quit");
    tmux.is_restored();
}

/// The number after `pid`.
fn process(screen: &str) -> String {
    let after = screen.split_once("pid ").unwrap().1;
    after.chars().take_while(char::is_ascii_digit).collect()
}
