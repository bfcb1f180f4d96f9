//! What a person calls a server, read into what ssh is told. Nothing here connects.

use std::{fmt, path::PathBuf};

/// How a daemon is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// By the system's ssh.
    Ssh(Host),
    /// By the admin socket on this machine.
    Socket(PathBuf),
}

/// A machine, as ssh takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The login there; ssh's own choice without it.
    pub user: Option<String>,
    /// Its name, its address, or a `Host` of the user's ssh configuration.
    pub name: String,
    /// The port; ssh's own choice without it.
    pub port: Option<u16>,
}

/// One daemon that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// What it is called on the screen: its name in the configuration, or what was typed.
    pub name: String,
    /// Where it is.
    pub address: Address,
    /// What ssh runs there, as the login shell there reads it.
    pub remote_command: String,
    /// Options for ssh (`-o`), before those of this program.
    pub ssh_options: Vec<String>,
}

/// What is run on a host that nothing else is said about.
pub const REMOTE_COMMAND: &str = "bisectd dial-stdio";

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no host: {why}; a host is written [ssh://][user@]host[:port]")]
pub struct NotAHost {
    text: String,
    why: String,
}

impl Host {
    /// Reads `[ssh://][user@]host[:port]`; the address of IPv6 in brackets, or bare where no port follows.
    ///
    /// # Errors
    /// What ssh would take for an option, other schemes, paths, ports that are none.
    pub fn parse(text: &str) -> Result<Self, NotAHost> {
        read(text).map_err(|why| NotAHost { text: crate::plain::line(text), why })
    }

    /// `[user@]host`, as an argument of ssh.
    #[must_use]
    pub fn login(&self) -> String {
        match &self.user {
            Some(user) => format!("{user}@{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (self.name.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.name),
            (false, Some(port)) => write!(f, "{}:{port}", self.name),
            (_, None) => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(host) => host.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
        }
    }
}

fn read(text: &str) -> Result<Host, String> {
    let rest = match text.split_once("://") {
        Some(("ssh", rest)) => rest.strip_suffix('/').unwrap_or(rest),
        Some((scheme, _)) => return Err(format!("only ssh:// is reached, not {}://", crate::plain::line(scheme))),
        None => text,
    };
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let (name, port) = place_and_port(place)?;
    for (what, part) in [("user", user), ("host", Some(name))] {
        let Some(part) = part else { continue };
        if part.is_empty() {
            return Err(format!("the {what} is empty"));
        }
        if part.starts_with('-') {
            return Err(format!("a {what} that begins with `-` would be an option of ssh"));
        }
        if part.contains(|character: char| {
            character.is_whitespace() || character.is_control() || "/'\"`$\\;&<>|(){}".contains(character)
        }) {
            return Err(format!("the {what} holds a character that no {what} has"));
        }
    }
    Ok(Host { user: user.map(str::to_owned), name: name.to_owned(), port })
}

fn place_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    let (name, port) = if let Some(inner) = place.strip_prefix('[') {
        let (name, after) = inner.split_once(']').ok_or("the bracket `[` is not closed")?;
        match after {
            "" => (name, None),
            _ => (name, Some(after.strip_prefix(':').ok_or("after `]` comes :port or nothing")?)),
        }
    } else if place.matches(':').count() > 1 {
        (place, None)
    } else {
        place.split_once(':').map_or((place, None), |(name, port)| (name, Some(port)))
    };
    let Some(port) = port else { return Ok((name, None)) };
    match port.parse::<u16>() {
        Ok(number) if number > 0 && port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((name, Some(number))),
        _ => Err(format!("`{}` is no port (1 to 65535)", crate::plain::line(port))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("bot.example.com", None, "bot.example.com", None)]
    #[case("deploy@bot", Some("deploy"), "bot", None)]
    #[case("ssh://deploy@bot:2222", Some("deploy"), "bot", Some(2222))]
    #[case("ssh://bot/", None, "bot", None)]
    #[case("[fe80::1%eth0]:22", None, "fe80::1%eth0", Some(22))]
    #[case("::1", None, "::1", None)]
    #[case("a@b@bot", Some("a@b"), "bot", None)]
    fn hosts(#[case] text: &str, #[case] user: Option<&str>, #[case] name: &str, #[case] port: Option<u16>) {
        let host = Host::parse(text).unwrap();
        assert_eq!((host.user.as_deref(), host.name.as_str(), host.port), (user, name, port));
        assert_eq!(Host::parse(&host.to_string()).unwrap(), host);
    }

    #[rstest]
    #[case("", "the host is empty")]
    #[case("@bot", "the user is empty")]
    #[case("-oProxyCommand=touch", "would be an option")]
    #[case("-l@bot", "would be an option")]
    #[case("root@-bot", "would be an option")]
    #[case("ssh://-oProxyCommand=x", "would be an option")]
    #[case("http://bot", "only ssh://")]
    #[case("bot:0", "`0` is no port")]
    #[case("bot:+22", "`+22` is no port")]
    #[case("bot:99999", "`99999` is no port")]
    #[case("bot:", "`` is no port")]
    #[case("bot:/run/x", "`/run/x` is no port")]
    #[case("/run/bisectd/admin.sock", "character that no host has")]
    #[case("bot name", "character that no host has")]
    #[case("$(id)@bot", "character that no user has")]
    #[case("[::1", "not closed")]
    fn texts_that_name_none(#[case] text: &str, #[case] why: &str) {
        let error = Host::parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
