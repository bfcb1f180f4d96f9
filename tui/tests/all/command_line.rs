//! The program itself: mistakes with their exit codes, `--once`, and prompts of ssh.

use crate::support::{
    daemon::{Daemon, World},
    samples::job,
    sshd::Sshd,
    tmux::Tmux,
};
use bisect_shared::{JobStatus, admin::API_VERSION};
use std::{
    path::Path,
    process::{Command, Output},
};

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, &[])
}

fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bisect-tui"));
    command.args(arguments).env("XDG_CONFIG_HOME", "/nonexistent").env("LANG", "C.UTF-8");
    for (name, value) in variables {
        command.env(name, value);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

fn once(socket: &Path, more: &[&str]) -> Ran {
    run(&[&["--socket", socket.to_str().unwrap(), "--utc", "--once"], more].concat())
}

#[test]
fn usage() {
    for (arguments, text) in [
        (&[][..], "name a server"),
        (&["--once", "jobs", "a", "b"], "--once asks one server; 2 were named"),
        (&["--once", "weather", "a"], "invalid value 'weather'"),
        (&["--json", "a"], "--once <WHAT>"),
        (&["a", "--socket", "/x"], "cannot be used with"),
        (&["--", "-oProxyCommand=touch /tmp/x"], "would be an option of ssh"),
        (&["http://a"], "only ssh:// is reached"),
        (&["a:b"], "`b` is no port"),
        (&["bot"], "standard output is no terminal; scripts use --once"),
        (&["--config", "/nonexistent/c.toml", "a"], "/nonexistent/c.toml cannot be read: No such file"),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(text), "{arguments:?}: {}", ran.err);
        assert!(ran.out.is_empty());
    }
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    for text in ["Examples:", "jq -r", "[hosts.spare]", "Exit codes:"] {
        assert!(help.out.contains(text), "{text}");
    }
}

#[test]
fn configurations() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("bisect-tui");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("config.toml");
    let with = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run_with(&["--once", "jobs"], &[("XDG_CONFIG_HOME", home.path().to_str().unwrap())])
    };
    let wrong = with("utc = true\n\n[hosts.bot]\nadress = \"bot\"\n");
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.err.contains("config.toml:4: `hosts.bot.adress`: no such key; did you mean `hosts.bot.address`?"),
        "{}",
        wrong.err
    );
    let none = with("[hosts.here]\nsocket = \"/nonexistent/admin.sock\"\n");
    assert_eq!(none.code, 3, "{}", none.err);
    assert!(none.err.contains("there is no socket /nonexistent/admin.sock"), "{}", none.err);
}

#[test]
fn sockets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let ran = once(&file, &["jobs"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("is not a socket"), "{}", ran.err);
}

/// What an operator outside the socket's group is told; root may use any socket, so somebody else tries.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_of_another_group() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let daemon = Daemon::start(World::new());
    let folder = daemon.socket.parent().unwrap();
    let mode =
        |path: &Path, mode| std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(folder, 0o755);
    mode(&daemon.socket, 0o660);
    // The program is below root's home: somebody else may not even look there.
    let program = folder.join("bisect-tui");
    // By another process: while this one held it open to write, so would whatever another test starts, and it were busy.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_bisect-tui")).arg(&program).status().unwrap().success());
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    std::os::unix::process::CommandExt::gid(&mut command, 65_534);
    let ran =
        command.current_dir("/").env("HOME", "/").arg("--socket").arg(&daemon.socket).args(["--once", "jobs"]).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("it is for members of group `root`"), "{said}");
    assert_eq!(ran.status.code(), Some(3));
    mode(folder, 0o700);
    let ran = command.output();
    assert!(
        ran.is_err() || String::from_utf8_lossy(&ran.unwrap().stderr).contains("a folder above it is closed to you")
    );
}

#[test]
fn no_ssh() {
    let ran = run_with(&["--once", "jobs", "bot"], &[("PATH", "/nonexistent")]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("there is no `ssh` on this machine"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_for_scripts_and_for_people() {
    let daemon = Daemon::start(World::new());
    daemon.world.set(|facts| facts.jobs.extend((1..=1200).map(|id| (id, job(id, JobStatus::Completed)))));
    let mut hostile = job(1201, JobStatus::Running);
    hostile.repository = "evil\u{1b}]0;owned\u{7}/name\n\u{202e}x".to_owned();
    daemon.world.put(hostile);
    let json = once(&daemon.socket, &["jobs", "--json"]);
    assert_eq!(json.code, 0, "{}", json.err);
    let page: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(page["jobs"].as_array().unwrap().len(), 1201);
    assert_eq!(page["next"], serde_json::Value::Null);
    let table = once(&daemon.socket, &["jobs"]);
    let lines: Vec<&str> = table.out.lines().collect();
    assert_eq!(lines.len(), 1202);
    assert!(lines[0].starts_with("JOB   STATE      REPOSITORY"), "{}", lines[0]);
    assert!(lines[1].starts_with("1201  running    evil/name x"), "{:?}", lines[1]);
    assert!(lines[1].contains("1970-01-01 00:00:00Z"), "{:?}", lines[1]);
    for (what, text) in [("instances", "bot/1   bot   serves  1/4"), ("stats", "pending"), ("audit", "NO  AT")] {
        let ran = once(&daemon.socket, &[what]);
        assert!(ran.out.contains(text) && ran.code == 0, "{what}: {} {}", ran.out, ran.err);
        let json = once(&daemon.socket, &[what, "--json"]);
        assert!(serde_json::from_str::<serde_json::Value>(&json.out).is_ok(), "{}", json.out);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_protocol() {
    let daemon = Daemon::start(World { api: API_VERSION + 1, ..World::new() });
    let ran = once(&daemon.socket, &["jobs"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("upgrade bisect-tui"), "{}", ran.err);
}

/// The first connection is made while ssh can still ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ssh_asks_at_the_first_connection() {
    let (Some(tmux), Some(sshd)) = (Tmux::start(), Sshd::start()) else { return };
    let daemon = Daemon::start(World::new());
    daemon.world.put(job(17, JobStatus::Running));
    std::fs::remove_file(sshd.at("known_hosts")).unwrap();
    let options: String = sshd.options("user").iter().map(|option| format!(" -o {option}")).collect();
    let script = format!(
        "{} 127.0.0.1:{} --once jobs --utc --remote-command '{}'{options}\n",
        env!("CARGO_BIN_EXE_bisect-tui"),
        sshd.port,
        sshd.dial(&daemon.socket)
    );
    std::fs::write(tmux.folder().join("once.sh"), script).unwrap();
    tmux.line(&format!("bash {}/once.sh", tmux.folder().display()));
    tmux.wait_for("Are you sure you want to continue connecting");
    tmux.line("yes");
    tmux.wait_for("17   running  owner/repo17");
}
