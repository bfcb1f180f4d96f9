//! The `bisect-tui` program: its command line. The console itself comes with its own issue.

use clap::Parser;
use std::{path::PathBuf, process::ExitCode};

/// The operator's console of Bisect Bot: watch jobs live, retry and cancel them, drain servers.
#[derive(Debug, Parser)]
#[command(name = "bisect-tui", version, about, max_term_width = 100)]
struct Cli {
    /// The server: `[ssh://][user@]host[:port]`, reached by the system's own ssh.
    #[arg(value_name = "HOST", conflicts_with = "socket")]
    host: Option<String>,
    /// The admin socket of a daemon on this machine, instead of a host.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let target = match (&cli.host, &cli.socket) {
        (Some(host), _) => host.clone(),
        (None, Some(socket)) => socket.display().to_string(),
        (None, None) => {
            eprintln!("error: name a host or --socket PATH; `bisect-tui --help` shows how");
            return ExitCode::from(2);
        }
    };
    eprintln!("error: cannot watch {target}: this version of the console has its command line only");
    ExitCode::from(2)
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
        assert_eq!(Cli::parse_from(["bisect-tui", "deploy@host:22"]).host.as_deref(), Some("deploy@host:22"));
    }
}
