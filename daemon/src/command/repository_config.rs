//! `.github/bisect.yml`: a repository's own defaults. Read strictly, within a tight budget: the file is
//! written by strangers.

use super::value;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, time::Duration};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most variables.
const MAX_ENV: usize = 100;
/// The longest value of a variable, in bytes.
const MAX_ENV_BYTES: usize = 4096;

/// A repository's defaults; `None` and empty leave it to the server's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepositoryConfig {
    /// The image to run in.
    pub image: Option<String>,
    /// Run after every checkout.
    pub setup: Option<String>,
    /// The longest one probe may take.
    pub timeout: Option<Duration>,
    /// Variables that are set for the command.
    pub env: BTreeMap<String, String>,
    /// What the command may reach.
    pub network: Option<NetworkAccess>,
    /// Who may ask for a bisection.
    pub allow: Allow,
}

/// What the command may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkAccess {
    /// The public internet.
    Egress,
    /// Nothing.
    None,
}

impl NetworkAccess {
    /// Its name in the file and in the configuration of the server.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::None => "none",
        }
    }
}

/// Who may ask for a bisection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allow {
    /// Who may push.
    #[default]
    Write,
    /// Who may manage issues.
    Triage,
    /// Who may comment.
    Anyone,
}

/// What is wrong with the file; what stood there is not yet made safe for Markdown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct ConfigMistake {
    /// The line, from 1, where one can be named.
    pub line: Option<u64>,
    /// What is wrong there, and what was expected.
    pub what: String,
}

/// The file as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct File {
    image: Option<Spanned<String>>,
    setup: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    env: Option<BTreeMap<String, Spanned<String>>>,
    network: Option<Spanned<String>>,
    allow: Option<Spanned<String>>,
}

/// Reads the file.
///
/// # Errors
/// What is wrong, where, and what was expected.
pub fn parse(bytes: &[u8]) -> Result<RepositoryConfig, ConfigMistake> {
    let whole = |what: String| ConfigMistake { line: None, what };
    if bytes.len() > MAX_BYTES {
        return Err(whole(format!("it has {} bytes; at most {MAX_BYTES} are read", bytes.len())));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| whole("it is not UTF-8 text".into()))?;
    // Nothing but comments is a file that sets nothing.
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
    if text.trim_start_matches('\u{feff}').lines().all(blank) {
        return Ok(RepositoryConfig::default());
    }
    let file: File = serde_saphyr::from_str_with_options(text, limits()).map_err(|error| told(&error))?;
    checked(file)
}

/// Far more than a sound file needs, and far less than what takes long.
fn limits() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2000,
            max_aliases: 20,
            max_anchors: 20,
            max_recorded_anchor_events: 200,
            max_recorded_anchor_bytes: 64 * 1024,
            max_depth: 8,
            flow_nesting_limit: 8,
            max_documents: 1,
            max_nodes: 1000,
            max_total_scalar_bytes: 128 * 1024,
            max_merge_keys: 0,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200,
            max_replay_stack_depth: 4,
            max_alias_expansions_per_anchor: 20,
        },
        with_snippet: false,
    }
}

fn told(error: &serde_saphyr::Error) -> ConfigMistake {
    let line = error.location().map(|location| location.line()).filter(|line| *line > 0);
    let what = error.without_snippet().to_string();
    // The library ends its first line with the place, which is told in front.
    let what = what.lines().next().unwrap_or_default();
    let what = what.split(" at line ").next().unwrap_or_default();
    ConfigMistake { line, what: what.chars().take(300).collect() }
}

fn checked(file: File) -> Result<RepositoryConfig, ConfigMistake> {
    let image = read("image", file.image, |text| value::image(text).map_err(|why| why.replace('`', "")))?;
    let setup = read("setup", file.setup, value::script)?;
    let timeout = read("timeout", file.timeout, |text| {
        value::duration(text).map_err(|_| "must be a time above 0 and at most a week, for example 90s or 10m".into())
    })?;
    let network = read("network", file.network, |text| match text {
        "egress" => Ok(NetworkAccess::Egress),
        "none" => Ok(NetworkAccess::None),
        _ => Err("must be egress or none".into()),
    })?;
    let allow = read("allow", file.allow, |text| match text {
        "write" => Ok(Allow::Write),
        "triage" => Ok(Allow::Triage),
        "anyone" => Ok(Allow::Anyone),
        _ => Err("must be write, triage or anyone".into()),
    })?;
    let env = environment(file.env.unwrap_or_default())?;
    Ok(RepositoryConfig { image, setup, timeout, env, network, allow: allow.unwrap_or_default() })
}

fn read<T>(
    key: &str,
    given: Option<Spanned<String>>,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, ConfigMistake> {
    let Some(given) = given else { return Ok(None) };
    check(&given.value).map(Some).map_err(|why| ConfigMistake {
        line: Some(given.referenced.line()),
        what: format!("{key} “{}” {why}", super::mistake::shown(&given.value)),
    })
}

fn environment(given: BTreeMap<String, Spanned<String>>) -> Result<BTreeMap<String, String>, ConfigMistake> {
    if given.len() > MAX_ENV {
        let what = format!("env has {} variables; at most {MAX_ENV} are taken", given.len());
        return Err(ConfigMistake { line: None, what });
    }
    given.into_iter().map(|(name, value)| variable(name, value)).collect()
}

fn variable(name: String, value: Spanned<String>) -> Result<(String, String), ConfigMistake> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let sound = !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(plain);
    // The value may be a secret that does not belong there: it is not shown.
    let why = if name.is_empty() || !sound || name.len() > 255 {
        "must have a name of letters, digits and _"
    } else if value.value.contains('\0') {
        "holds a NUL character"
    } else if value.value.len() > MAX_ENV_BYTES {
        "is longer than 4096 bytes"
    } else {
        return Ok((name, value.value));
    };
    let what = format!("the variable “{}” of env {why}", super::mistake::shown(&name));
    Err(ConfigMistake { line: Some(value.referenced.line()), what })
}
