//! What ssh, the far shell and `bisectd dial-stdio` say, turned into what a person needs: what happened, to what, and what
//! to do. Pure. Wordings are OpenSSH's (`sshconnect.c`, `ssh.c`), which are not translated.

use crate::{plain, target::Server};
use bisect_shared::admin::{DIAL_FORBIDDEN, DIAL_NO_SOCKET, DIAL_NOT_A_SOCKET, DIAL_NOT_RUNNING};
use std::fmt;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// For people, without control sequences.
    pub text: String,
    /// Trying the same again cannot help, or must not be done without a person.
    pub hopeless: bool,
}

impl Mistake {
    /// It may pass by itself.
    pub fn passing(text: impl AsRef<str>) -> Self {
        Self { text: plain::line(text.as_ref()), hopeless: false }
    }

    /// A person has to do something.
    pub fn for_good(text: impl AsRef<str>) -> Self {
        Self { text: plain::line(text.as_ref()), hopeless: true }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Mistake {}

/// What is known of an ssh that ended, or is of no use.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Who was to be reached.
    pub server: &'a Server,
    /// Whether it could ask a person.
    pub asking: bool,
    /// Its exit status: 255 for troubles of its own, else that of the remote command; `None` if it did not end by itself.
    pub code: Option<i32>,
    /// What it and the remote command said on standard error; the last of it.
    pub said: &'a str,
    /// The first bytes of the stream.
    pub first: &'a [u8],
    /// What the stream's user saw.
    pub fault: &'a str,
    /// Whether the connection had worked before.
    pub was_up: bool,
}

/// What became of a connection through ssh.
#[must_use]
pub fn of_ssh(evidence: &Evidence<'_>) -> Mistake {
    let said = plain::text(evidence.said);
    let found = match evidence.code {
        Some(255) => of_transport(evidence, &said),
        Some(126 | 127) => Some(not_found(evidence, &said)),
        Some(_) => of_remote(evidence, &said),
        None => None,
    };
    found.or_else(|| foreign(evidence)).unwrap_or_else(|| {
        let server = evidence.server;
        let how = match (last_line(&said), evidence.was_up) {
            (Some(line), _) => line.to_owned(),
            (None, _) => evidence.fault.to_owned(),
        };
        match (evidence.was_up, evidence.code) {
            (true, _) => Mistake::passing(format!("the connection to {} was lost: {how}", server.name)),
            (false, Some(code)) if code != 255 => Mistake::passing(format!(
                "`{}` on {} ended (exit {code}) without an answer: {how}",
                server.remote_command, server.name
            )),
            (false, _) => Mistake::passing(format!("no connection to {}: {how}", server.name)),
        }
    })
}

/// What became of a connection through a socket of this machine.
#[must_use]
pub fn of_socket(server: &Server, first: &[u8], fault: &str, was_up: bool) -> Mistake {
    let address = &server.address;
    match (was_up, is_http2(first)) {
        (true, _) => Mistake::passing(format!("the connection to {} was lost: {fault}", server.name)),
        (false, true) => Mistake::passing(format!("bisectd on {address} does not answer: {fault}")),
        (false, false) if first.is_empty() => {
            Mistake::passing(format!("who listens on {address} closed the connection without a word: {fault}"))
        }
        (false, false) => {
            Mistake::for_good(format!("who listens on {address} is not bisectd: it says `{}`", sample(first)))
        }
    }
}

/// ssh's own troubles.
fn of_transport(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    of_host_key(evidence, said)
        .or_else(|| of_login(evidence, said))
        .or_else(|| of_network(evidence, said))
        .or_else(|| of_configuration(evidence, said))
}

fn of_host_key(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    let address = &evidence.server.address;
    let known_as = known_as(evidence.server);
    if said.contains("IDENTIFICATION HAS CHANGED") || (said.contains("ost key for") && said.contains("has changed")) {
        let fingerprint =
            said.lines().find_map(|line| line.trim().strip_suffix('.').filter(|l| l.starts_with("SHA256:")));
        let sent = fingerprint.map(|print| format!(" (it sent {print})")).unwrap_or_default();
        return Some(Mistake::for_good(format!(
            "the host key of {address} CHANGED{sent}: either the server was set up anew, or someone sits between. It is not \
             tried again. Compare the fingerprint with whoever runs it; only if it is right: ssh-keygen -R '{known_as}'"
        )));
    }
    if said.contains("Host key verification failed") {
        return Some(Mistake::for_good(if evidence.asking {
            format!("the host key of {address} was not accepted")
        } else {
            format!(
                "{address} is not known yet: its host key is in no known_hosts. Reconnect with prompts, or run `{}` \
                 once, and compare the fingerprint",
                by_hand(evidence.server)
            )
        }));
    }
    None
}

fn of_login(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    let address = &evidence.server.address;
    let denied = said.lines().find(|line| line.contains("Permission denied ("));
    let many = said.contains("Too many authentication failures");
    if denied.is_none() && !many {
        return None;
    }
    let methods = denied
        .and_then(|line| line.rsplit_once('(')?.1.split_once(')'))
        .map(|(methods, _)| format!(" (it takes {methods})"))
        .unwrap_or_default();
    let agent = match std::env::var_os("SSH_AUTH_SOCK") {
        Some(socket) if !socket.is_empty() => "`ssh-add -l` shows the keys that your agent holds, `ssh-add` adds one",
        _ => "no agent is at hand (SSH_AUTH_SOCK is not set): eval \"$(ssh-agent)\"; ssh-add",
    };
    let also = match (many, evidence.asking) {
        (true, _) => "; it was offered too many: name one with IdentityFile and IdentitiesOnly=yes",
        (false, false) => "; or reconnect with prompts, where a passphrase or a password can be typed",
        (false, true) => "",
    };
    Some(Mistake::for_good(format!("{address} accepted no key{methods}: {agent}{also}")))
}

fn of_network(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    let address = &evidence.server.address;
    let name = &evidence.server.name;
    if evidence.was_up
        && (said.contains("not responding") || said.contains("Broken pipe") || said.contains("closed by remote"))
    {
        return Some(Mistake::passing(format!("the connection to {name} was lost: {}", last_line(said)?)));
    }
    let text = if said.contains("Could not resolve hostname") {
        format!("no machine is called {address}: check the name, the network, and `Host` in ~/.ssh/config")
    } else if said.contains("Connection refused") {
        format!("{address} refuses connections: no sshd listens there, or on another port")
    } else if said.contains("timed out") || said.contains("not responding") {
        format!("{address} does not answer (timed out): it is down, or a firewall is between")
    } else if said.contains("No route to host") || said.contains("Network is unreachable") {
        format!("{address} cannot be reached: {}", last_line(said)?)
    } else if said.contains("Connection closed by") || said.contains("Connection reset by") {
        format!("{address} closed the connection before the login: {}", last_line(said)?)
    } else {
        return None;
    };
    Some(Mistake::passing(text))
}

fn of_configuration(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    let words = ["Bad configuration option", "Bad owner or permissions", "terminating,", "keyword ", "command-line"];
    if words.iter().any(|word| said.contains(word)) {
        let line = said.lines().find(|line| words.iter().any(|word| line.contains(word)))?;
        return Some(Mistake::for_good(format!("ssh does not like its configuration: {line}")));
    }
    said.contains("Unable to negotiate").then(|| {
        Mistake::for_good(format!(
            "{} and ssh share no algorithm: {}",
            evidence.server.address,
            last_line(said).unwrap_or("")
        ))
    })
}

/// Exit 127 of the far shell, 126 where the file may not be run.
fn not_found(evidence: &Evidence<'_>, said: &str) -> Mistake {
    let Server { name, remote_command, .. } = evidence.server;
    let line = last_line(said).unwrap_or("command not found");
    Mistake::for_good(format!(
        "`{remote_command}` cannot be run on {name} ({line}): is bisectd installed there, and on the PATH of a login without \
         a terminal? In a container: --remote-command 'docker exec -i bot bisectd dial-stdio'"
    ))
}

fn forbidden(name: &str, line: &str) -> Mistake {
    Mistake::for_good(format!("the admin socket on {name} is closed to your login there: {line}"))
}

fn not_running(name: &str, line: &str) -> Mistake {
    Mistake::passing(format!("bisectd is not running on {name}: {line}"))
}

fn no_socket(name: &str, line: &str) -> Mistake {
    Mistake::passing(format!("there is no admin socket on {name} (is bisectd running?): {line}"))
}

/// What the remote command said; most of all `bisectd dial-stdio`.
fn of_remote(evidence: &Evidence<'_>, said: &str) -> Option<Mistake> {
    let name = &evidence.server.name;
    let line = last_line(said)?;
    let small = said.to_lowercase();
    if small.contains("command not found") || small.contains("executable file not found") {
        return Some(not_found(evidence, said));
    }
    match evidence.code.and_then(|code| u8::try_from(code).ok()) {
        Some(DIAL_FORBIDDEN) => return Some(forbidden(name, line)),
        Some(DIAL_NOT_RUNNING) => return Some(not_running(name, line)),
        Some(DIAL_NO_SOCKET) => return Some(no_socket(name, line)),
        Some(DIAL_NOT_A_SOCKET) => return Some(Mistake::for_good(format!("on {name}: {line}"))),
        _ => {}
    }
    let socket = small.contains("socket") || small.contains(".sock");
    if socket && (small.contains("permission denied") || small.contains("may not") || small.contains("forbidden")) {
        return Some(forbidden(name, line));
    }
    if socket && small.contains("refused") {
        return Some(not_running(name, line));
    }
    if socket && ["no such file", "there is no", "not there", "does not exist"].iter().any(|word| small.contains(word))
    {
        return Some(no_socket(name, line));
    }
    if small.contains("unrecognized subcommand") || small.contains("unexpected argument") {
        return Some(Mistake::for_good(format!("bisectd on {name} is too old for this console, upgrade it: {line}")));
    }
    None
}

/// Bytes that bisectd would not send.
fn foreign(evidence: &Evidence<'_>) -> Option<Mistake> {
    if evidence.was_up || evidence.first.is_empty() || is_http2(evidence.first) {
        return None;
    }
    let Server { name, remote_command, .. } = evidence.server;
    Some(Mistake::for_good(format!(
        "`{remote_command}` on {name} says something that is not bisectd's: `{}`. Does a start file of the shell there \
         print something, or a forced command of the key run something else?",
        sample(evidence.first)
    )))
}

/// A server's first frame is SETTINGS on stream 0 (RFC 9113, 3.4 and 6.5).
fn is_http2(first: &[u8]) -> bool {
    first.len() >= 9 && first[0] == 0 && first[3] == 4 && first[5..9] == [0; 4]
}

/// The first line that says something.
fn sample(first: &[u8]) -> String {
    let text = plain::text(&String::from_utf8_lossy(first).replace('\u{fffd}', ""));
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("(nothing that can be shown)");
    match line.char_indices().nth(80) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

/// The last line that says something: not ssh's farewell, and not the second half of a longer message.
fn last_line(said: &str) -> Option<&str> {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling =
        |line: &&str| !line.starts_with("Shared connection to") && !line.starts_with("Warning: Permanently added");
    lines.rfind(telling).map(|line| line.strip_prefix("error: ").unwrap_or(line))
}

/// As `known_hosts` and `ssh-keygen -R` have it.
fn known_as(server: &Server) -> String {
    match &server.address {
        crate::target::Address::Ssh(host) => match host.port {
            Some(port) if port != 22 => format!("[{}]:{port}", host.name),
            _ => host.name.clone(),
        },
        crate::target::Address::Socket(path) => path.display().to_string(),
    }
}

/// How one would log in there.
fn by_hand(server: &Server) -> String {
    match &server.address {
        crate::target::Address::Ssh(host) => match host.port {
            Some(port) => format!("ssh -p {port} {}", host.login()),
            None => format!("ssh {}", host.login()),
        },
        crate::target::Address::Socket(path) => path.display().to_string(),
    }
}

#[cfg(test)]
mod tests;
