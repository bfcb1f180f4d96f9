//! Values of the configuration, read one by one so that each error names its variable.

use super::{VARIABLES, Variable, names};
use crate::sandbox::Network;
use base64::{Engine, prelude::BASE64_STANDARD};
use figment::Figment;
use ipnet::IpNet;
use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

/// Fewer characters could be guessed.
const SHORTEST_SECRET: usize = 32;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that no variable has.
    #[error("unknown configuration key `{key}` in Rocket.toml, [default.bisect]{hint}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The nearest known one, as the end of a sentence.
        hint: String,
    },
    /// A value that is not what its variable takes.
    #[error("{name} is `{found}`, but must be {expected}; for example {name}={example}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// Its value; `…` for a secret.
        found: String,
        /// What it takes.
        expected: &'static str,
        /// A value that works.
        example: &'static str,
    },
    /// A value that is needed and not there.
    #[error("{name} is not set, but must be, since {why}; for example {name}={example}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What makes it needed.
        why: &'static str,
        /// A value that works.
        example: &'static str,
    },
    /// `Rocket.toml` cannot be read.
    #[error("Rocket.toml: {0}")]
    File(Box<figment::Error>),
    /// A name in the file of variables that looks like one of ours, and is none.
    #[error(
        "{}: unknown variable {name}{hint}; if it is another program's, keep ours in a file of their own (--env-file)",
        path.display()
    )]
    UnknownVariable {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
        /// The nearest known one, as the end of a sentence.
        hint: String,
    },
    /// The file of variables cannot be read.
    #[error("{}: {reason}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// All values as texts, keys in lower case; every key is known.
pub(super) struct Values(BTreeMap<String, Text>);

/// A value of a TOML file or of the environment, as the text a person wrote.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    String(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<String>),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::String(text) => text.clone(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::List(items) => items.join(","),
        }
    }
}

impl Values {
    pub(super) fn extract(figment: &Figment) -> Result<Self, ConfigError> {
        let values: BTreeMap<String, Text> = figment.extract().map_err(|error| ConfigError::File(Box::new(error)))?;
        match values.keys().find(|key| find(key).is_none()) {
            Some(key) => Err(ConfigError::UnknownKey {
                key: key.clone(),
                hint: hint(names::nearest(key).map(str::to_lowercase)),
            }),
            None => Ok(Self(values)),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.0.get(&name.to_lowercase()).map(Text::text).filter(|text| !text.is_empty())
    }

    pub(super) fn text_or_default(&self, name: &'static str) -> String {
        self.text(name).unwrap_or_else(|| variable(name).default.to_owned())
    }

    pub(super) fn count(&self, name: &'static str, default: u32) -> Result<u32, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(wrong(name, &text, "a whole number of at least 1")),
        }
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Duration, ConfigError> {
        let text = self.text_or_default(name);
        let seconds = text.parse().ok().filter(|seconds| (0.001..1e9).contains(seconds));
        seconds
            .map(Duration::from_secs_f64)
            .ok_or_else(|| wrong(name, &text, "a number of seconds above 0 (fractions allowed)"))
    }

    pub(super) fn network(&self, name: &'static str) -> Result<Network, ConfigError> {
        let text = self.text_or_default(name);
        text.parse().map_err(|()| wrong(name, &text, "`egress` or `none`"))
    }

    pub(super) fn networks(&self, name: &'static str) -> Result<Vec<IpNet>, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        let read = |part: &str| part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
        let networks: Result<_, _> = parts(&text).map(read).collect();
        networks.map_err(|_| wrong(name, &text, "addresses or ranges, separated by commas"))
    }

    /// Hosts of registries; `none` is none of them.
    pub(super) fn registries(&self, name: &'static str) -> Result<Vec<String>, ConfigError> {
        let text = self.text_or_default(name);
        if text == "none" {
            return Ok(Vec::new());
        }
        let is_host = |part: &&str| part.chars().all(|c| c.is_ascii_alphanumeric() || ".-:".contains(c));
        match parts(&text).find(|part| !is_host(part)) {
            Some(_) => Err(wrong(
                name,
                &text,
                "hosts, separated by commas (`ghcr.io`, `registry.example.com:5000`), or `none`",
            )),
            None => Ok(parts(&text).map(str::to_owned).collect()),
        }
    }

    /// `new,old`, each long enough not to be guessed.
    pub(super) fn secrets(&self, name: &'static str) -> Result<Vec<SecretString>, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        let parts: Vec<&str> = parts(&text).collect();
        match parts.iter().all(|part| part.len() >= SHORTEST_SECRET) {
            true => Ok(parts.into_iter().map(SecretString::from).collect()),
            false => {
                Err(wrong(name, "…", "random text of at least 32 characters (`openssl rand -hex 32`), or `new,old`"))
            }
        }
    }

    /// `new,old`, each 32 bytes in hex or base64.
    pub(super) fn keys(&self, name: &'static str) -> Result<Vec<SecretSlice<u8>>, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        let read = |part: &str| {
            let bytes = hex::decode(part).ok().or_else(|| BASE64_STANDARD.decode(part).ok());
            bytes.filter(|bytes| bytes.len() == 32).map(SecretSlice::from)
        };
        let keys: Option<_> = parts(&text).map(read).collect();
        keys.ok_or_else(|| wrong(name, "…", "32 bytes in hex or base64 (`openssl rand -hex 32`), or `new,old`"))
    }

    pub(super) fn postgres_url(&self, name: &'static str) -> Result<Option<SecretString>, ConfigError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(wrong(name, "…", "an address that starts with postgres://"));
        }
        Ok(Some(SecretString::from(text)))
    }
}

/// What stands between commas.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn find(key: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name.eq_ignore_ascii_case(key))
}

fn variable(name: &'static str) -> &'static Variable {
    // Only called with names of the table, as every test of `Config::check` shows.
    find(name).unwrap_or(&VARIABLES[0])
}

pub(super) fn missing(name: &'static str, why: &'static str) -> ConfigError {
    ConfigError::Missing { name, why, example: variable(name).example }
}

pub(super) fn wrong(name: &'static str, found: &str, expected: &'static str) -> ConfigError {
    ConfigError::Wrong { name, found: found.to_owned(), expected, example: variable(name).example }
}

/// The end of a sentence about an unknown name.
pub(super) fn hint(near: Option<String>) -> String {
    near.map_or_else(
        || "; the names are listed in .env.example".to_owned(),
        |known| format!(" (did you mean `{known}`?)"),
    )
}
