//! The command line: what may be said, and what is said about it.

use clap::{ArgAction, Parser, ValueEnum};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  bisect-tui bot.example.com             the server, as your own ssh reaches it
  bisect-tui deploy@bot:2222 spare       two servers; the first is shown, a key switches
  bisect-tui                             the servers of the configuration
  bisect-tui --socket /run/bisectd/admin.sock
                                         the daemon on this machine, without ssh
  bisect-tui bot --remote-command 'docker exec -i bot bisectd dial-stdio'
                                         a server that runs in a container
  bisect-tui bot -o IdentityFile=~/.ssh/ops -o ProxyJump=gate
                                         options for ssh; ~/.ssh/config is better
  bisect-tui bot --once jobs --json | jq -r '.jobs[] | select(.status == \"failed\") | .id'
                                         for scripts: asks once, needs no terminal

Configuration (~/.config/bisect-tui/config.toml, or under $XDG_CONFIG_HOME):
  read_only = false
  utc = false

  [hosts.bot]
  address = \"deploy@bot.example.com\"

  [hosts.spare]
  address = \"spare:2222\"
  remote_command = \"docker exec -i bot bisectd dial-stdio\"

  [hosts.here]
  socket = \"/run/bisectd/admin.sock\"

Within the console `?` shows every key.

Exit codes:
  0    ended by its user, or --once has its answer
  1    the console itself failed
  2    usage or configuration
  3    no connection, at the start or for --once
  129  the terminal was closed (SIGHUP)
  130, 143  interrupted (SIGINT), terminated (SIGTERM)";

/// The operator's console of Bisect Bot: watch jobs live, retry and cancel them, drain servers.
///
/// It reaches a server by the ssh of this machine, with your own configuration, keys and known hosts.
#[derive(Debug, Parser)]
#[command(name = "bisect-tui", version, about, max_term_width = 100, after_long_help = EXAMPLES, after_help = "`--help` has examples.")]
pub struct Cli {
    /// Servers: `[ssh://][user@]host[:port]`, or names of the configuration; the first is shown, others can be switched to.
    #[arg(value_name = "HOST", conflicts_with = "socket")]
    pub hosts: Vec<String>,
    /// The admin socket of a daemon on this machine, instead of a host.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// What ssh runs on the host; the shell there reads it [default: bisectd dial-stdio].
    #[arg(long, value_name = "CMD", conflicts_with = "socket")]
    pub remote_command: Option<String>,
    /// An option for ssh, as in ssh_config(5); may be repeated.
    #[arg(short = 'o', long, value_name = "OPTION=VALUE", conflicts_with = "socket", action = ArgAction::Append)]
    pub ssh_option: Vec<String>,
    /// The configuration, instead of ~/.config/bisect-tui/config.toml.
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Show everything, change nothing.
    #[arg(long)]
    pub read_only: bool,
    /// Ask once, print the answer, and end; needs no terminal.
    #[arg(long, value_name = "WHAT")]
    pub once: Option<Once>,
    /// Print the answer as JSON: the daemon's own, for jobs all pages as one.
    #[arg(long, requires = "once")]
    pub json: bool,
    /// Times in UTC instead of this machine's zone.
    #[arg(long)]
    pub utc: bool,
    /// Colours; `auto` asks the terminal, and NO_COLOR turns them off.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: When,
    /// Draw with ASCII only; otherwise LC_ALL, LC_CTYPE and LANG say whether the terminal has UTF-8.
    #[arg(long)]
    pub ascii: bool,
}

/// What may be asked once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Once {
    /// The jobs, newest first.
    Jobs,
    /// The servers.
    Instances,
    /// The numbers of the overview.
    Stats,
    /// The newest entries of the audit.
    Audit,
}

/// When there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// As the environment says.
    Auto,
    /// Also against NO_COLOR.
    Always,
    /// No colours.
    Never,
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
    fn a_host_and_a_socket_exclude_one_another() {
        assert!(Cli::try_parse_from(["bisect-tui", "host", "--socket", "/run/x"]).is_err());
        assert!(Cli::try_parse_from(["bisect-tui", "--json", "host"]).is_err(), "--json is for --once");
        let cli = Cli::parse_from(["bisect-tui", "deploy@host:22", "other", "-o", "A=b", "--ssh-option", "C=d"]);
        assert_eq!(cli.hosts, ["deploy@host:22", "other"]);
        assert_eq!(cli.ssh_option, ["A=b", "C=d"]);
    }

    #[test]
    fn the_configuration_of_the_help_is_one() {
        let begin = EXAMPLES.find("  read_only").unwrap();
        let end = EXAMPLES.find("Within the console").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, &EXAMPLES[begin..end]).unwrap();
        assert_eq!(crate::settings::read(&path, true).unwrap().servers.len(), 3);
    }
}
