//! The system's ssh against a real sshd: what a person is told, and what a restricted key cannot do.

use crate::support::{
    daemon::{Daemon, World},
    listener::{Listener, clocks},
    samples::{job, piece},
    sshd::Sshd,
};
use bisect_shared::{JobId, JobStatus};
use bisect_tui::{
    connection::Mistake,
    feed::Session,
    message::{Link, LogOf, Message},
    target::{Address, Host, Server},
};
use std::process::Command;

/// This sshd as a server of the console.
fn server(sshd: &Sshd, command: &str) -> Server {
    Server {
        name: "bot".to_owned(),
        address: Address::Ssh(Host::parse(&format!("127.0.0.1:{}", sshd.port)).unwrap()),
        remote_command: command.to_owned(),
        ssh_options: sshd.options("user"),
    }
}

async fn mistake(server: &Server) -> Mistake {
    Session::open(server, false, &clocks()).await.expect_err("a connection where there should be none")
}

#[tokio::test]
async fn a_connection_through_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let daemon = Daemon::start(World::new());
    let server = server(&sshd, &sshd.dial(&daemon.socket));
    let session = Session::open(&server, false, &clocks()).await.unwrap();
    assert_eq!(session.hello.host, "bot");
    session.close();
}

#[tokio::test]
async fn host_keys() {
    let Some(sshd) = Sshd::start() else { return };
    let server = server(&sshd, "true");
    std::fs::remove_file(sshd.at("known_hosts")).unwrap();
    let unknown = mistake(&server).await;
    assert!(unknown.text.contains("is not known yet") && unknown.hopeless, "{unknown}");
    assert!(unknown.text.contains(&format!("`ssh -p {} 127.0.0.1` once", sshd.port)), "{unknown}");
    sshd.known("other");
    let changed = mistake(&server).await;
    assert!(changed.text.contains("CHANGED (it sent SHA256:") && changed.hopeless, "{changed}");
    assert!(changed.text.contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", sshd.port)), "{changed}");
}

#[tokio::test]
async fn logins_and_commands() {
    let Some(sshd) = Sshd::start() else { return };
    let stranger = Server { ssh_options: sshd.options("stranger"), ..server(&sshd, "true") };
    let denied = mistake(&stranger).await;
    assert!(denied.text.contains("accepted no key (it takes publickey)") && denied.hopeless, "{denied}");
    assert!(denied.text.contains("ssh-add"), "{denied}");
    for (command, text, hopeless) in [
        ("no-such-bisectd dial-stdio", "--remote-command 'docker exec -i bot bisectd dial-stdio'", true),
        ("echo 'Welcome to bot'; cat", "says something that is not bisectd's: `Welcome to bot`", true),
        ("echo Welcome to bot", "says something that is not bisectd's: `Welcome to bot`", true),
        ("true", "`true` on bot ended (exit 0) without an answer", false),
        (
            "echo 'error: there is no socket at /run/x' >&2; exit 66",
            "no admin socket on bot (is bisectd running?)",
            false,
        ),
        ("echo 'error: nobody answers on /run/x' >&2; exit 69", "bisectd is not running on bot", false),
        (
            "printf 'error: /run/x \\033]0;owned\\007may not be used' >&2; exit 77",
            "login there: /run/x may not be used",
            true,
        ),
        (
            "echo 'Error: No such container: bot' >&2; exit 1",
            "(exit 1) without an answer: Error: No such container",
            false,
        ),
    ] {
        let mistake = mistake(&server(&sshd, command)).await;
        assert!(mistake.text.contains(text), "{command}: {mistake}");
        assert_eq!(mistake.hopeless, hopeless, "{command}: {mistake}");
        assert!(!mistake.text.contains(char::is_control), "{mistake:?}");
    }
}

#[tokio::test]
async fn networks() {
    let Some(sshd) = Sshd::start() else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = format!("127.0.0.1:{}", free.local_addr().unwrap().port());
    let at = |host: &str, option: &str| Server {
        address: Address::Ssh(Host::parse(host).unwrap()),
        ssh_options: [sshd.options("user"), vec![option.to_owned()]].concat(),
        ..server(&sshd, "true")
    };
    let silent = mistake(&at(&mute, "ConnectTimeout=1")).await;
    assert!(silent.text.contains("does not answer (timed out)") && !silent.hopeless, "{silent}");
    drop(free);
    let refused = mistake(&at(&mute, "ConnectTimeout=5")).await;
    assert!(refused.text.contains("refuses connections") && !refused.hopeless, "{refused}");
    let nobody = mistake(&at("no-such-host.invalid", "ConnectTimeout=5")).await;
    assert!(nobody.text.contains("no machine is called no-such-host.invalid") && !nobody.hopeless, "{nobody}");
    let wrong = mistake(&at(&mute, "NoSuchOption=1")).await;
    assert!(wrong.text.contains("does not like its configuration") && wrong.hopeless, "{wrong}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_key_runs_its_command_and_nothing_else() {
    let Some(sshd) = Sshd::start() else { return };
    let daemon = Daemon::start(World::new());
    sshd.restrict(&sshd.dial(&daemon.socket));
    let session = Session::open(&server(&sshd, "bisectd dial-stdio"), false, &clocks()).await.unwrap();
    session.close();
    let ssh = |arguments: &[&str]| {
        let mut ssh = Command::new("ssh");
        for option in sshd.options("user") {
            ssh.args(["-o", &option]);
        }
        ssh.args(["-o", "BatchMode=yes", "-p", &sshd.port.to_string()]).args(arguments);
        ssh.stdin(std::process::Stdio::null()).output().unwrap()
    };
    let shell = ssh(&["127.0.0.1", "id"]);
    assert!(!String::from_utf8_lossy(&shell.stdout).contains("uid="), "{shell:?}");
    let terminal = ssh(&["-tt", "127.0.0.1"]);
    let said = String::from_utf8_lossy(&terminal.stderr);
    assert!(said.contains("PTY allocation request failed"), "{terminal:?}");
    let forward = ssh(&["-W", &format!("127.0.0.1:{}", sshd.port), "127.0.0.1"]);
    let said = String::from_utf8_lossy(&forward.stderr);
    assert!(!forward.status.success() && said.contains("administratively prohibited"), "{forward:?}");
    let back = ssh(&["-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:9", "127.0.0.1"]);
    assert!(!back.status.success(), "{back:?}");
}

/// The whole way: output through ssh, whose processes are killed while it pours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_ssh_loses_nothing() {
    let Some(sshd) = Sshd::start() else { return };
    let daemon = Daemon::start(World::new());
    let world = daemon.world.clone();
    world.put(job(1, JobStatus::Running));
    let of = LogOf { job: JobId(1), probe: None };
    let mut listener = Listener::start(server(&sshd, &sshd.dial(&daemon.socket)), None, clocks());
    listener.follow(of);
    let (mut told, mut printed, mut ups) = (Vec::new(), 0, 0);
    loop {
        match listener.next().await {
            Message::Link(Link::Up(_)) => {
                ups += 1;
                printed += 200;
                world.set(|facts| facts.log = (0..printed).map(|at| piece(1, at)).collect());
            }
            Message::Log(_, pieces) => {
                told.extend(pieces);
                if ups < 4 {
                    kill_clients(sshd.port);
                } else if told.len() == 800 {
                    world.put(job(1, JobStatus::Completed));
                }
            }
            Message::LogEnded(_) => break,
            _ => {}
        }
    }
    assert_eq!(told, (0..800).map(|at| piece(1, at)).collect::<Vec<_>>());
}

/// Ends the ssh clients of this process that go to this port, as a lost network would.
fn kill_clients(port: u16) {
    let own = std::process::id().to_string();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let parent =
            read("stat").rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1).map(str::to_owned));
        let command = read("cmdline");
        let ours = parent.as_deref() == Some(&own) && command.starts_with("ssh\0");
        if ours && command.contains(&format!("\0-p\0{port}\0")) {
            let id: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    }
}
