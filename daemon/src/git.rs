//! Git on this host, run so that neither the machine's configuration nor a repository's can change
//! what it does: no system or user configuration, no hooks, no prompts, only the protocol needed.
//!
//! It reads repositories and fetches into mirrors; it never touches a tree that a command wrote.

mod repository;

pub use repository::{CommitInfo, Repository};

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};
use tokio::process::Command;

/// Why git did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// What was asked for is not there, or not usable: the message names it and the way out.
    #[error("{0}")]
    Input(String),
    /// Git itself failed.
    #[error("git {command} failed: {reason}")]
    Failed {
        /// The sub-command.
        command: String,
        /// The end of what it printed.
        reason: String,
    },
    /// The program could not be run at all.
    #[error("cannot run git: {0} (install it: apt-get install git)")]
    Missing(#[source] std::io::Error),
}

/// Settings of every call, before the sub-command. `protocol.allow=never` leaves only what
/// [`Git::fetch_command`] opens; `core.hooksPath` and `core.fsmonitor` keep a repository from
/// running programs of its own.
const SETTINGS: &[&str] = &[
    "safe.directory=*",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.commitGraph=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "protocol.allow=never",
    "submodule.recurse=false",
];

/// Findings of `fsck` that old real repositories have and that harm nobody.
const HARMLESS: &[&str] = &[
    "badTimezone",
    "missingSpaceBeforeDate",
    "zeroPaddedFilemode",
    "badFilemode",
    "missingSpaceBeforeEmail",
    "missingNameBeforeEmail",
    "badDate",
    "badDateOverflow",
    "duplicateEntries",
    "gitmodulesName",
    "gitmodulesParse",
    "hasDotgit",
    "nullSha1",
    "treeNotSorted",
];

/// The program, with the folder that holds the configuration of the processes it starts itself.
#[derive(Debug, Clone)]
pub struct Git {
    config: Option<PathBuf>,
}

impl Git {
    /// For reading only: creates nothing.
    #[must_use]
    pub fn reader() -> Self {
        Self { config: None }
    }

    /// For fetching: `folder` gets the configuration that the other end of a local fetch reads
    /// (git clears `-c` settings before it starts `upload-pack`).
    ///
    /// # Errors
    /// When `folder` cannot be written.
    pub fn fetcher(folder: &Path) -> std::io::Result<Self> {
        let config = folder.join("gitconfig");
        std::fs::create_dir_all(folder)?;
        let text = "[safe]\n\tdirectory = *\n[uploadpack]\n\tallowAnySHA1InWant = true\n";
        if std::fs::read_to_string(&config).is_ok_and(|kept| kept == text) {
            return Ok(Self { config: Some(config) });
        }
        // Renamed into place: another process may be reading it.
        let fresh = folder.join(format!("gitconfig.{}", std::process::id()));
        std::fs::write(&fresh, text)?;
        std::fs::rename(fresh, &config)?;
        Ok(Self { config: Some(config) })
    }

    /// A call in `git_dir`, not yet run.
    #[must_use]
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, git_dir: &Path, args: I) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        for name in [
            "PATH",
            "TMPDIR",
            "SSH_AUTH_SOCK",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
        ] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.config.as_deref().unwrap_or(Path::new("/dev/null")))
            .env("HOME", "/nonexistent")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C");
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.arg("--git-dir").arg(git_dir).args(args);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// A fetch into the mirror at `git_dir` from `source`, by the one protocol that `source` needs.
    #[must_use]
    pub fn fetch_command(&self, git_dir: &Path, source: &str, refspecs: &[String]) -> Command {
        let fsck = HARMLESS.iter().map(|finding| format!("fetch.fsck.{finding}=ignore"));
        let mut args: Vec<String> = vec!["-c".into(), format!("protocol.{}.allow=always", protocol(source))];
        args.extend(["-c".into(), "fetch.fsckObjects=true".into()]);
        args.extend(fsck.flat_map(|setting| ["-c".into(), setting]));
        args.extend(
            [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
                "--end-of-options",
                source,
            ]
            .map(String::from),
        );
        args.extend_from_slice(refspecs);
        // The settings must stand before the sub-command, so they follow `--git-dir`.
        self.command(git_dir, args)
    }

    /// Runs a call and gives its standard output.
    ///
    /// # Errors
    /// When git is missing or answers with an error.
    pub async fn run<I, S>(&self, git_dir: &Path, args: I) -> Result<String, GitError>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = self.command(git_dir, args);
        let output = command.output().await.map_err(GitError::Missing)?;
        text_of(&command, &output)
    }
}

/// The standard output of a call that succeeded, else its error.
pub(crate) fn text_of(command: &Command, output: &Output) -> Result<String, GitError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let named = command.as_std().get_args().map(OsStr::to_string_lossy);
    let words = [
        "fetch",
        "rev-parse",
        "rev-list",
        "merge-base",
        "log",
        "show",
        "init",
        "update-ref",
        "checkout",
        "clean",
        "diff-tree",
    ];
    let sub_command = named.into_iter().find(|arg| words.contains(&arg.as_ref()));
    let printed = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> = printed.trim().lines().rev().take(4).collect();
    Err(GitError::Failed {
        command: sub_command.map_or_else(String::new, std::borrow::Cow::into_owned),
        reason: tail.into_iter().rev().collect::<Vec<_>>().join("; "),
    })
}

/// The protocol of an address, by git's own rules: `scheme://`, `host:path`, else a local path.
fn protocol(source: &str) -> &str {
    match source.split_once("://") {
        Some((scheme, _)) => scheme,
        None if is_url(source) => "ssh",
        None => "file",
    }
}

/// Whether git would take `source` for an address rather than for a path of this machine.
#[must_use]
pub fn is_url(source: &str) -> bool {
    if source.contains("://") {
        return true;
    }
    let colon = source.find(':');
    colon.is_some_and(|colon| !source[..colon].contains('/')) && !Path::new(source).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart_as_git_does() {
        for (source, expected) in [
            ("https://github.com/rust-lang/bors", "https"),
            ("git@github.com:rust-lang/bors", "ssh"),
            ("/srv/repo", "file"),
            ("./a:b", "file"),
            ("file:///srv/repo", "file"),
        ] {
            assert_eq!(protocol(source), expected, "{source}");
        }
    }
}
