//! Every argument, with the help that teaches it.

use crate::{command::value, runner::spec::SandboxKind};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};

/// What a package is built as (`make deb`), else the plain version.
pub(super) const VERSION: &str = match option_env!("BISECT_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Finds the commit that broke a test, proves it, and survives any crash on the way.
#[derive(Debug, Parser)]
#[command(name = "bisectd", version = VERSION, max_term_width = 100)]
pub struct Cli {
    /// Read variables from this file instead of `.env`; the environment goes before it.
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find and prove the commit between GOOD and BAD that made a command fail.
    Bisect(Box<BisectArgs>),
    /// Run the daemon: take webhooks, run jobs, answer over HTTP.
    Serve(ServeArgs),
    /// Look at the database schema, or change its version.
    Migrate(MigrateArgs),
    /// Seal users' stored tokens with the first key of ENCRYPTION_KEY (`new,old`); servers may run meanwhile.
    RotateKeys,
    /// Make the GitHub App in a browser; write `.env` and the key.
    Setup(SetupArgs),
    /// Say whether what is configured works: database, Docker, GitHub, this machine; exit status 1 if anything does not.
    Doctor,
    /// Remove old output, deliveries and events (LOG_RETENTION_DAYS), and mirrors over MIRROR_BUDGET_GB; servers may run
    /// meanwhile.
    Prune,
    /// Join standard input and output to the console's socket: what `bisect-tui` runs over ssh.
    DialStdio(DialArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (troff), for `man -l -`.
    Man,
}

const BISECT_HELP: &str = "\
Examples:
  Which commit between the tag v1.4.0 and main broke a test?
      bisectd bisect . v1.4.0 main -- pytest tests/test_x.py

  The project has to be installed first; commits that cannot be are skipped:
      bisectd bisect . v1.4.0 main --setup 'pip install -q -e .' -- pytest -x

  A one-line test: the command is no shell, so ask for one where you need it:
      bisectd bisect . v1.4.0 main -- sh -c 'make -s && ! ./tool --version | grep -q beta'

  It hangs instead of failing: longer than a minute is bad, as the newer end hangs too:
      bisectd bisect . v1.4.0 main --timeout 60s -- ./tool input.txt

  The test fails now and then even where it should not, or passes where it should fail:
      bisectd bisect . v1.4.0 main --runs 30 -- pytest tests/test_races.py

  Which commit fixed it? The older end fails, the newer one passes:
      bisectd bisect . v1.4.0 main --fixed -- ./repro.sh

  Which merge broke it, in a repository of which you have no clone, four commits at once?
      bisectd bisect https://github.com/psf/black 22.1.0 main --first-parent --jobs 4 -- ./repro.sh

  For scripts; git then knows the whole search, too:
      bisectd bisect . v1.4.0 main --json -- ./repro.sh | jq -r .replay >log; git bisect replay log

How a commit is judged:
  The command is executed as given, without a shell, at the root of the commit's tree, in a
  container that sees nothing of this machine. Its exit status decides, as in `git bisect run`:
  0 is good, 125 cannot be tested, 1 to 127 is bad, 128 and above stops the search.
  A run that is ended from outside (time, silence, memory, disk) is bad if the newer end ended so
  too, else it cannot be tested.

After a crash, give the same command again: it goes on where it was.

Exit status:
  0    the culprit is found and proven
  1    an end without a culprit
  2    wrong usage or configuration; also Docker, a database or an image that is not there to begin with
  3    Docker, the database or git failed while the job ran
  130  cancelled or interrupted";

/// Arguments of `bisectd bisect`.
#[derive(Debug, Args)]
#[command(after_long_help = BISECT_HELP, after_help = "`bisectd bisect --help` shows examples and exit codes.")]
pub struct BisectArgs {
    /// The repository: a folder of this machine, or an address git can fetch from.
    pub repo: String,
    /// The older end: a commit, tag or branch on which the command passes; or `auto`, to look for one: releases are tried, the
    /// newest first, each time twice as far back.
    pub good: String,
    /// The newer end, on which it fails.
    pub bad: String,
    /// The command, after `--`: executed as given, without a shell.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Another commit on which the command passes (repeatable).
    #[arg(long = "good", value_name = "REV")]
    pub more_good: Vec<String>,
    /// The image to run in; it needs `sh`, not git [default: DOCKER_RUNNER_IMAGE, else bisect-runner:latest].
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Run this by `sh -c` after every checkout; where it fails, the commit cannot be tested.
    #[arg(long, value_name = "CMD")]
    pub setup: Option<String>,
    /// The longest one commit may take, for example `90s` or `10m` [default: that of the whole search].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// The longest the whole search may take [default: BISECT_TIMEOUT_SECONDS, else 30m].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub job_timeout: Option<Duration>,
    /// The longest a commit's run may print nothing [default: no such limit].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub silence: Option<Duration>,
    /// How many commits to test at once [default: up to 3, at most MAX_CONCURRENT_PROBES].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    /// Follow only the first parent of merges, to find the merge that broke it.
    #[arg(long)]
    pub first_parent: bool,
    /// Find the commit that fixed it: GOOD, still the older end, must fail and BAD must pass.
    #[arg(long)]
    pub fixed: bool,
    /// Consider only commits that touch this path (repeatable).
    #[arg(long = "path", value_name = "PATH")]
    pub paths: Vec<String>,
    /// Never test the commits of this range, or this one commit (repeatable); the ends cannot be among them.
    #[arg(long, value_name = "A..B")]
    pub skip: Vec<String>,
    /// The test fails by chance, too: make up to N runs for each step of the search, where they tell most, and weigh them
    /// together. Without this a test is searched so once two of its runs contradict one another, with N = 20.
    #[arg(long, value_name = "N", value_parser = value::runs)]
    pub runs: Option<u32>,
    /// How probable the commit must be before it is named, where the test fails by chance [default: 0.95].
    #[arg(long, value_name = "C", value_parser = value::confidence)]
    pub confidence: Option<f64>,
    /// Only the failure of the bad end counts: a commit that fails with another exit code, or says something quite different at
    /// last, is skipped. Without this such commits count as bad, and are named in the result.
    #[arg(long)]
    pub same_failure: bool,
    /// Only failures that print a line which matches this count; a commit that fails without it is skipped.
    #[arg(long, value_name = "REGEX", value_parser = expression)]
    pub failure_line: Option<String>,
    /// Run every commit anew, whatever earlier bisections found out about it.
    #[arg(long, conflicts_with = "trust_cache")]
    pub no_cache: bool,
    /// Take the word of earlier bisections for the ends and for the proof, too, which else are run anew.
    #[arg(long)]
    pub trust_cache: bool,
    /// Set a variable for the command (repeatable). Its value is kept with the job in the database, in clear text; no
    /// page, report or comment shows it.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub env: Vec<(String, String)>,
    /// What the command may reach: `egress` (the public internet) or `none` [default: RUNNER_NETWORK,
    /// else egress].
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub network: Option<crate::sandbox::Network>,
    /// Where the command runs. `process` has no isolation at all: only for code you trust.
    #[arg(long, value_enum, default_value_t = SandboxKind::Docker)]
    pub sandbox: SandboxKind,
    /// Print one JSON object on standard output and nothing else there.
    #[arg(long)]
    pub json: bool,
    /// Show no progress, only the result.
    #[arg(long, short)]
    pub quiet: bool,
    /// When to use colours; `NO_COLOR` is respected.
    #[arg(long, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
}

/// When something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Arguments of `bisectd serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// This is the only server: use the private PostgreSQL although GITHUB_APP_ID is set.
    #[arg(long)]
    pub local: bool,
}

const DIAL_HELP: &str = "\
The console (`bisect-tui HOST`) runs this by `ssh -T HOST bisectd dial-stdio` and speaks HTTP through it,
to the socket that `bisectd serve` makes (ADMIN_SOCKET). Who may use the socket may do everything the
console can: its file belongs to the daemon's user and group, mode 0660.

Examples:
  A key that may do this and nothing else, whose actions stand under a name of its own in the audit,
  also where operators share a login (one line of ~/.ssh/authorized_keys):
      restrict,command=\"bisectd dial-stdio --as ada\" ssh-ed25519 AAAA… ada@laptop

  Which jobs run? Without a console:
      curl --unix-socket /run/bisectd/admin.sock 'http://bisectd/v1/jobs?status=running'

Exit status:
  0    either end is done
  2    wrong usage
  3    the socket cannot be used for another reason
  65   what is there is no socket
  66   there is no socket
  69   nobody answers on it: the daemon is not running
  77   this user may not use it; the message says which group may";

/// Arguments of `bisectd dial-stdio`.
#[derive(Debug, Args)]
#[command(after_long_help = DIAL_HELP, after_help = "`bisectd dial-stdio --help` shows examples and exit codes.")]
pub struct DialArgs {
    /// The operator's name for the audit [default: the user that runs this].
    #[arg(long, value_name = "NAME")]
    pub r#as: Option<String>,
    /// The socket [default: ADMIN_SOCKET, else /run/bisectd/admin.sock or admin.sock in DATA_DIR].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

const SETUP_HELP: &str = "\
Prints the address of a page on this machine (and opens it, where there is a desktop). The page leads to
GitHub, which shows the App's name and what it may do; whoever agrees there comes back, and the App's number,
secrets and key are written. SESSION_SECRET and ENCRYPTION_KEY are made if they are not there.

Examples:
  An App that anybody may install:
      bisectd setup --base-url https://bisect.example.com --folder /opt/bisect-bot

  One of an organization, for that organization alone:
      bisectd setup --base-url https://bisect.example.com --organization octo --private

  On a server without a desktop: there,
      bisectd setup --base-url https://bisect.example.com --port 8765
  and on your own machine, before the page is opened there:
      ssh -L 8765:127.0.0.1:8765 server";

/// Arguments of `bisectd setup`.
#[derive(Debug, Args)]
#[command(after_long_help = SETUP_HELP, after_help = "`bisectd setup --help` shows examples.")]
pub struct SetupArgs {
    /// The public address of the service, without a path.
    #[arg(long, value_name = "URL")]
    pub base_url: String,
    /// The App's name, which no other App on GitHub has; at most 34 characters.
    #[arg(long, default_value = "Bisect Bot", value_parser = app_name)]
    pub name: String,
    /// The organization that owns the App [default: whoever agrees in the browser].
    #[arg(long, value_name = "LOGIN", value_parser = login)]
    pub organization: Option<String>,
    /// Only the owner's account may install it.
    #[arg(long)]
    pub private: bool,
    /// Where `.env` and `secrets/private-key.pem` are written.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub folder: PathBuf,
    /// Make another App although there is one in FOLDER.
    #[arg(long)]
    pub replace: bool,
    /// The port of the page on this machine [default: any free one].
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Open no browser.
    #[arg(long)]
    pub no_browser: bool,
}

/// Arguments of `bisectd migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// What to do with the schema.
    #[command(subcommand)]
    pub action: MigrateAction,
}

/// What `bisectd migrate` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum MigrateAction {
    /// Apply every migration that is not applied yet.
    Up,
    /// Revert the newest migration, or all after `--to`; what their tables hold is lost.
    Down {
        /// Revert down to this version, which stays; 0 reverts all.
        #[arg(long, value_name = "VERSION")]
        to: Option<i64>,
    },
    /// Say whether the schema fits this program; exit status 1 if not.
    Status,
    /// List every migration and when it was applied.
    History,
}

/// `90`, `90s`, `10m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let read = seconds.map_or_else(|| humantime::parse_duration(text), Ok);
    let read = read.map_err(|_| "not a time; write for example `90s`, `10m` or `1h30m`")?;
    if read.is_zero() || read > Duration::from_hours(24 * 7) {
        return Err("must be above 0 and at most a week, for example `90s` or `10m`".into());
    }
    Ok(read)
}

fn expression(text: &str) -> Result<String, String> {
    value::failure_line(text).map(|_| text.to_owned())
}

fn network(text: &str) -> Result<crate::sandbox::Network, String> {
    text.parse().map_err(|()| "must be `egress` or `none`".to_owned())
}

fn app_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 34 {
        return Err("must have 1 to 34 characters".to_owned());
    }
    Ok(name.to_owned())
}

fn login(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || !text.chars().all(plain) {
        return Err("must be a login of GitHub: letters, digits and dashes".to_owned());
    }
    Ok(text.to_owned())
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => Ok((name.into(), value.into())),
        _ => Err("must be NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_stands_after_the_dashes_is_the_command_whatever_it_looks_like() {
        let cli = Cli::parse_from([
            "bisectd", "bisect", ".", "v1", "main", "--jobs", "2", "--", "pytest", "--jobs", "9", "--",
        ]);
        let Command::Bisect(args) = cli.command else { panic!("another sub-command") };
        assert_eq!(args.jobs, Some(2));
        assert_eq!(args.command, ["pytest", "--jobs", "9", "--"]);
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(duration("0.5"), Ok(Duration::from_millis(500)));
        assert!(duration("0").is_err() && duration("soon").is_err() && duration("-1").is_err());
    }
}
