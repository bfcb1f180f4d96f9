//! The real sshd with keys and a configuration of its own, on a loopback port. The daemon's tests use it, too.
//!
//! It runs as whoever runs the tests. For root it needs the empty folder `/run/sshd`, which the system's own service makes
//! at boot; it is made here where it is missing and left, since other tests may be using it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

pub struct Sshd {
    process: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

/// Joins a process's standard streams to a socket, as `bisectd dial-stdio` does.
const DIAL: &str = r#"
import os, select, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
sources = [0, s.fileno()]
while s.fileno() in sources:
    for ready in select.select(sources, [], [])[0]:
        data = os.read(ready, 65536)
        if not data:
            sources.remove(ready)
            if ready == 0: s.shutdown(socket.SHUT_WR)
            continue
        to = s.fileno() if ready == 0 else 1
        while data: data = data[os.write(to, data):]
"#;

const RUN: &str = "/run/sshd";

impl Sshd {
    /// Starts it; `None`, said aloud, where the programs are missing.
    pub fn start() -> Option<Self> {
        let sshd = Path::new("/usr/sbin/sshd");
        if !sshd.exists() || Command::new("ssh").arg("-V").stderr(Stdio::null()).status().is_err() {
            assert!(std::env::var_os("CI").is_none(), "CI has no OpenSSH");
            eprintln!("skipped: OpenSSH's server or client is not installed (apt install openssh-server)");
            return None;
        }
        if nix::unistd::geteuid().is_root() {
            fs::create_dir_all(RUN).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for key in ["host", "other", "user", "stranger"] {
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at(key)).status();
            assert!(made.unwrap().success());
        }
        fs::write(at("dial.py"), DIAL).unwrap();
        fs::copy(at("user.pub"), at("authorized_keys")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nLogLevel ERROR\n",
            folder = folder.path().display()
        );
        fs::write(at("sshd_config"), configuration).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let process =
            Command::new(sshd).arg("-D").arg("-e").arg("-f").arg(at("sshd_config")).stderr(log).spawn().unwrap();
        let started = Self { process, port, folder };
        started.known("host");
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(started.at("log")).unwrap();
            assert!(Instant::now() < until, "sshd does not listen: {log}");
        }
        Some(started)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The client knows this key as the server's.
    pub fn known(&self, key: &str) {
        let key = fs::read_to_string(self.at(&format!("{key}.pub"))).unwrap();
        fs::write(self.at("known_hosts"), format!("[127.0.0.1]:{} {key}", self.port)).unwrap();
    }

    /// The user's key may do this and nothing else.
    pub fn restrict(&self, to: &str) {
        let key = fs::read_to_string(self.at("user.pub")).unwrap();
        fs::write(self.at("authorized_keys"), format!("restrict,command=\"{to}\" {key}")).unwrap();
    }

    /// The command that stands for `bisectd dial-stdio`.
    pub fn dial(&self, socket: &Path) -> String {
        format!("python3 {} {}", self.at("dial.py").display(), socket.display())
    }

    /// Options that keep everything of the user's own out.
    pub fn options(&self, key: &str) -> Vec<String> {
        vec![
            format!("UserKnownHostsFile={}", self.at("known_hosts").display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            format!("IdentityFile={}", self.at(key).display()),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "ControlPath=none".to_owned(),
        ]
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
