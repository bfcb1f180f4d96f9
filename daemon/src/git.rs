//! Git on this host, run so that neither the machine's configuration nor a repository's can change
//! what it does: no system or user configuration, no hooks, no prompts, only the protocol needed.
//!
//! It reads repositories and fetches into mirrors; it never touches a tree that a command wrote.

mod repository;
mod token;

pub use repository::{CommitInfo, Repository};
pub use token::Token;

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
    "advice.graftFileDeprecated=false",
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

/// What of the caller's environment git sees: how to reach other machines, nothing else.
const PASSED: &[&str] = &[
    "PATH",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// A server that stands still ends a fetch after a minute, and nobody is asked for a password.
const PATIENT: &[&str] = &["http.lowSpeedLimit=1000", "http.lowSpeedTime=60"];
const SSH: &str =
    "ssh -o BatchMode=yes -o ControlMaster=no -o ConnectTimeout=30 -o ServerAliveInterval=15 -o ServerAliveCountMax=4";

/// What an address may begin with; everything else would hand it to a program.
const SCHEMES: &[&str] = &["https", "http", "ssh", "git", "file"];

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

    /// A call in `git_dir`, which is absolute; not yet run.
    #[must_use]
    pub fn command<I: IntoIterator<Item: AsRef<OsStr>>>(&self, git_dir: &Path, args: I) -> Command {
        let mut command = self.bare_command();
        command.arg("--git-dir").arg(git_dir).args(args);
        // Else the folder where this process happens to stand would count as the work tree, and
        // decide what a path means.
        command.current_dir("/");
        command
    }

    /// A call that finds its repository itself.
    fn bare_command(&self) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.config.as_deref().unwrap_or(Path::new("/dev/null")))
            .env("HOME", "/nonexistent")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_SSH_COMMAND", SSH)
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C");
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        command.stdin(Stdio::null());
        command
    }

    /// A fetch into the mirror at `git_dir` from `source`. With `prune`, what the refspecs cover and
    /// the source no longer has is removed first. `token` must live until the call has ended.
    #[must_use]
    pub fn fetch_command(
        &self,
        git_dir: &Path,
        source: &str,
        refspecs: &[String],
        prune: bool,
        token: Option<&Token>,
    ) -> Command {
        let fsck = HARMLESS.iter().map(|finding| format!("fetch.fsck.{finding}=ignore"));
        let settings = ["fetch.fsckObjects=true".to_owned()].into_iter().chain(fsck);
        let mut args: Vec<String> = settings.flat_map(|setting| ["-c".to_owned(), setting]).collect();
        args.extend(
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"].map(String::from),
        );
        args.push(if prune { "--prune" } else { "--no-prune" }.into());
        args.extend(["--end-of-options".into(), source.into()]);
        args.extend_from_slice(refspecs);
        self.remote_command(git_dir, source, args, token)
    }

    /// A question to `source`: what its HEAD is.
    #[must_use]
    pub fn head_command(&self, git_dir: &Path, source: &str) -> Command {
        let args = ["ls-remote", "--quiet", "--end-of-options", source, "HEAD"].map(String::from);
        self.remote_command(git_dir, source, args.into(), None)
    }

    /// A call that may reach `source`, by the one protocol that it needs.
    fn remote_command(&self, git_dir: &Path, source: &str, args: Vec<String>, token: Option<&Token>) -> Command {
        let allow = format!("protocol.{}.allow=always", protocol(source));
        let credentials = token.map(|token| token.settings(source)).unwrap_or_default();
        let settings = PATIENT.iter().map(|setting| (*setting).to_owned()).chain([allow]).chain(credentials);
        let settings = settings.flat_map(|setting| ["-c".to_owned(), setting]);
        // Settings may stand before the sub-command only, so they follow `--git-dir`.
        self.command(git_dir, settings.chain(args).collect::<Vec<_>>())
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
        let output = output_of(&mut command).await?;
        text_of(&command, &output)
    }
}

/// Runs a call to its end. Given up before that, it ends with the helpers that it started
/// (`git-remote-https`, `ssh`, `index-pack`), and with time to remove its temporary files. A Ctrl-C
/// is ours to handle, so it does not reach them.
///
/// # Errors
/// [`GitError::Missing`] when the program cannot be run.
pub(crate) async fn output_of(command: &mut Command) -> Result<Output, GitError> {
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().map_err(GitError::Missing)?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let output = child.wait_with_output().await;
    group.0 = None;
    output.map_err(GitError::Missing)
}

/// The process group of a call that may be given up.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already is what we want.
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(leader), nix::sys::signal::SIGTERM);
        }
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
        "ls-remote",
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
    let tail: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).rev().take(4).collect();
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

/// Refuses an address that names a program to run, or holds a secret: it would stand in the
/// database, in git's arguments and in errors.
///
/// # Errors
/// Says why, without the secret, and what to do instead.
pub fn check_address(source: &str) -> Result<(), GitError> {
    let helper = source.split_once("::").is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    });
    let (scheme, rest) = source.split_once("://").unwrap_or(("ssh", ""));
    if helper || !SCHEMES.contains(&scheme) {
        let known = SCHEMES.join(", ");
        return Err(GitError::Input(format!(
            "this kind of address cannot be fetched from; known are {known}, and host:path"
        )));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    // Over HTTP a name alone may be a token.
    if user.is_some_and(|user| scheme.starts_with("http") || user.contains(':')) {
        return Err(GitError::Input(format!(
            "the address of {} holds a user name or password, which must not be stored: leave it out; for a private \
             repository use its ssh address (the key comes from your ssh agent), or clone it and name the folder",
            without_password(source)
        )));
    }
    Ok(())
}

/// An address as it may be shown: without what stands before the `@` of its host.
#[must_use]
pub fn without_password(source: &str) -> String {
    match source.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => source.to_owned(),
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

    #[test]
    fn an_address_with_a_secret_or_a_program_is_refused_without_showing_it() {
        for source in ["https://host/a", "ssh://git@host/a", "git@host:a", "[::1]:a", "git@[::1]:a", "file:///a@b"] {
            assert!(check_address(source).is_ok(), "{source}");
        }
        for source in [
            "https://user:s3cret@host/a",
            "https://s3cret@host/a",
            "ssh://user:s3cret@host/a",
            "ext::sh -c s3cret",
            "ext::sh -c s3cret://",
            "fd::17/s3cret",
            "s3cret+https://host/a",
        ] {
            let error = check_address(source).expect_err(source).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert_eq!(without_password("https://u:s3cret@host/a/b"), "https://host/a/b");
        assert_eq!(without_password("/srv/repo"), "/srv/repo");
    }
}
