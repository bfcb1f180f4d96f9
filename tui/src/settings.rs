//! `~/.config/bisect-tui/config.toml`: servers by name, and habits. Every mistake is told with its line and key.

use crate::target::{Address, Host, REMOTE_COMMAND, Server};
use std::{
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The servers, in the order of the file.
    pub servers: Vec<Server>,
    /// No action may be taken.
    pub read_only: bool,
    /// Times in UTC.
    pub utc: bool,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("the configuration {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It says something wrong.
    #[error("{}:{line}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, and what is wrong with it.
        what: String,
    },
}

/// Where the file is by default: under `XDG_CONFIG_HOME`, else under `~/.config`.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    use etcetera::BaseStrategy;
    let base = etcetera::base_strategy::Xdg::new().ok()?;
    Some(base.config_dir().join("bisect-tui/config.toml"))
}

/// Reads the file. One that is not there says nothing, unless it was `named` by the user.
///
/// # Errors
/// A file that cannot be read, or says something wrong.
pub fn read(path: &Path, named: bool) -> Result<Settings, SettingsError> {
    let unreadable = |why: String| SettingsError::Unreadable { path: path.to_owned(), why };
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|Wrong { at, what }| SettingsError::Wrong {
            path: path.to_owned(),
            line: 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count(),
            what: crate::plain::line(&what),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound && !named => Ok(Settings::default()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(unreadable("permission denied; make it yours to read (`ls -l` shows whose it is)".to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(unreadable("it is not UTF-8 text".to_owned())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

struct Wrong {
    at: usize,
    what: String,
}

impl Wrong {
    fn new(span: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: span.start, what: what.into() }
    }
}

const TOP: &[&str] = &["hosts", "read_only", "utc"];
const HOST: &[&str] = &["address", "remote_command", "socket"];

fn parse(text: &str) -> Result<Settings, Wrong> {
    let file = DeTable::parse(text)
        .map_err(|error| Wrong::new(error.span().unwrap_or_default(), format!("not TOML: {}", error.message())))?;
    let mut settings = Settings::default();
    for (key, value) in file.get_ref() {
        match key.get_ref().as_ref() {
            "read_only" => settings.read_only = truth("read_only", value)?,
            "utc" => settings.utc = truth("utc", value)?,
            "hosts" => settings.servers = hosts(value)?,
            other => return Err(unknown(key.span(), "", other, TOP)),
        }
    }
    Ok(settings)
}

fn hosts(value: &Spanned<DeValue<'_>>) -> Result<Vec<Server>, Wrong> {
    let mut found = Vec::new();
    for (name, host) in table("hosts", value)? {
        let key = format!("hosts.{}", name.get_ref());
        if name.get_ref().is_empty() || name.get_ref().starts_with('-') || name.get_ref().contains(char::is_control) {
            return Err(Wrong::new(name.span(), format!("`{key}`: a name is not empty and does not begin with `-`")));
        }
        found.push((name.span().start, server(name, &key, host)?));
    }
    // The table is sorted by name; people expect their own order.
    found.sort_by_key(|(at, _)| *at);
    Ok(found.into_iter().map(|(_, server)| server).collect())
}

fn server(name: &Spanned<std::borrow::Cow<'_, str>>, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Server, Wrong> {
    let (mut address, mut socket, mut command) = (None, None, None);
    for (field, value) in table(key, value)? {
        let full = format!("{key}.{}", field.get_ref());
        match field.get_ref().as_ref() {
            "address" => address = Some((string(&full, value)?, value.span())),
            "socket" => socket = Some((string(&full, value)?, value.span())),
            "remote_command" => command = Some((string(&full, value)?, value.span())),
            other => return Err(unknown(field.span(), &format!("{key}."), other, HOST)),
        }
    }
    let address = match (address, socket, &command) {
        (Some((text, span)), None, _) => {
            Address::Ssh(Host::parse(&text).map_err(|error| Wrong::new(span, format!("`{key}.address`: {error}")))?)
        }
        (None, Some((path, _)), None) => Address::Socket(path.into()),
        (None, Some(_), Some((_, span))) => {
            return Err(Wrong::new(
                span.clone(),
                format!("`{key}.remote_command`: a socket of this machine runs no command; it needs an `address`"),
            ));
        }
        (Some(_), Some((_, span)), _) => {
            return Err(Wrong::new(span, format!("`{key}.socket`: either `address` or `socket`, not both")));
        }
        (None, None, _) => {
            return Err(Wrong::new(
                name.span(),
                format!("`{key}`: say `address = \"user@host\"`, or `socket = \"/path\"` of this machine"),
            ));
        }
    };
    let remote_command = command.map_or_else(|| REMOTE_COMMAND.to_owned(), |(text, _)| text);
    Ok(Server { name: name.get_ref().to_string(), address, remote_command, ssh_options: Vec::new() })
}

fn table<'a, 'i>(key: &str, value: &'a Spanned<DeValue<'i>>) -> Result<&'a DeTable<'i>, Wrong> {
    value.get_ref().as_table().ok_or_else(|| expected(key, "a table", value))
}

fn string(key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, Wrong> {
    match value.get_ref().as_str() {
        Some("") => Err(Wrong::new(value.span(), format!("`{key}`: is empty"))),
        Some(text) => Ok(text.to_owned()),
        None => Err(expected(key, "a text in quotes", value)),
    }
}

fn truth(key: &str, value: &Spanned<DeValue<'_>>) -> Result<bool, Wrong> {
    value.get_ref().as_bool().ok_or_else(|| expected(key, "true or false", value))
}

fn expected(key: &str, what: &str, value: &Spanned<DeValue<'_>>) -> Wrong {
    Wrong::new(value.span(), format!("`{key}`: {what} is expected, not {}", value.get_ref().type_str()))
}

fn unknown(span: Range<usize>, before: &str, key: &str, known: &[&str]) -> Wrong {
    let near = known.iter().map(|word| (distance(key, word), word)).min().filter(|(far, _)| *far <= 3);
    let hint = match near {
        Some((_, word)) => format!("; did you mean `{before}{word}`?"),
        None => format!("; known are {}", known.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    };
    Wrong::new(span, format!("`{before}{key}`: no such key{hint}"))
}

/// How many letters must change (Levenshtein).
pub(crate) fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (column, wanted) in other.iter().enumerate() {
            let change = corner + usize::from(letter != *wanted);
            corner = row[column + 1];
            row[column + 1] = change.min(corner + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn from(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, true).map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), ""))
    }

    #[test]
    fn servers_come_in_the_order_of_the_file() {
        let text = "utc = true\n[hosts.zeta]\naddress = \"ada@zeta:2222\"\n\n[hosts.alpha]\naddress = \"alpha\"\n\
                    remote_command = \"docker exec -i bot bisectd dial-stdio\"\n[hosts.here]\nsocket = \"/run/a.sock\"\n";
        let settings = from(text).unwrap();
        let names: Vec<_> = settings.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["zeta", "alpha", "here"]);
        assert_eq!(settings.servers[0].remote_command, "bisectd dial-stdio");
        assert_eq!(settings.servers[1].remote_command, "docker exec -i bot bisectd dial-stdio");
        assert_eq!(settings.servers[2].address, Address::Socket("/run/a.sock".into()));
        assert!(settings.utc && !settings.read_only);
    }

    #[rstest]
    #[case("utc = 1", "/config.toml:1: `utc`: true or false is expected, not integer")]
    #[case("\nread-only = true", "/config.toml:2: `read-only`: no such key; did you mean `read_only`?")]
    #[case("colour = true", "/config.toml:1: `colour`: no such key; known are `hosts`, `read_only`, `utc`")]
    #[case(
        "[hosts.a]\nadress = \"b\"",
        "/config.toml:2: `hosts.a.adress`: no such key; did you mean `hosts.a.address`?"
    )]
    #[case("[hosts.a]\naddress = 5", "/config.toml:2: `hosts.a.address`: a text in quotes is expected, not integer")]
    #[case(
        "[hosts.a]\n",
        "/config.toml:1: `hosts.a`: say `address = \"user@host\"`, or `socket = \"/path\"` of this machine"
    )]
    #[case(
        "[hosts.a]\naddress = \"b\"\nsocket = \"/c\"",
        "/config.toml:3: `hosts.a.socket`: either `address` or `socket`, not both"
    )]
    #[case("[hosts.a]\nsocket = \"/c\"\nremote_command = \"x\"", "/config.toml:3: `hosts.a.remote_command`: a socket")]
    #[case("[hosts.a]\naddress = \"-b\"", "/config.toml:2: `hosts.a.address`: `-b` is no host")]
    #[case("hosts = 3", "/config.toml:1: `hosts`: a table is expected, not integer")]
    #[case("utc = true\nutc = true", "/config.toml:2: not TOML: duplicate key")]
    #[case("utc = \n", "/config.toml:1: not TOML:")]
    fn mistakes_have_line_and_key(#[case] text: &str, #[case] error: &str) {
        let found = from(text).unwrap_err();
        assert!(found.starts_with(error), "{found}");
    }

    #[test]
    fn the_example_of_the_document_is_read() {
        let document = include_str!("../../docs/console.md");
        let example = document.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let names: Vec<_> = from(example).unwrap().servers.into_iter().map(|server| server.name).collect();
        assert_eq!(names, ["bot", "spare", "here"]);
    }

    #[test]
    fn a_file_that_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        assert_eq!(read(&path, false).unwrap(), Settings::default());
        assert!(read(&path, true).unwrap_err().to_string().contains("No such file"));
        assert!(read(folder.path(), true).unwrap_err().to_string().contains("cannot be read"));
    }
}
