//! What is to be done: the command line, the configuration and the environment put together. Pure but for `read`.

use crate::{
    cli::{Cli, When},
    settings::{self, Settings},
    target::{Address, Host, REMOTE_COMMAND, Server},
    theme::Colours,
};

/// All that the console goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The servers that may be shown, the first one first.
    pub servers: Vec<Server>,
    /// For hosts that are named later.
    pub remote_command: Option<String>,
    /// For every ssh.
    pub ssh_options: Vec<String>,
    /// No action may be taken.
    pub read_only: bool,
    /// How things look.
    pub look: Look,
}

/// How things look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How many colours there are.
    pub colours: Colours,
    /// ASCII only.
    pub ascii: bool,
    /// Times in UTC.
    pub utc: bool,
}

/// Why there is nothing that could be done.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The configuration.
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
    /// A host.
    #[error("{0}")]
    Host(String),
}

/// A variable of the environment.
pub type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the configuration and makes the plan.
///
/// # Errors
/// A configuration that is wrong, a host that is none, no server at all.
pub fn read(cli: &Cli, variable: Variable<'_>) -> Result<Plan, PlanError> {
    let settings = match (&cli.config, settings::default_path()) {
        (Some(path), _) => settings::read(path, true)?,
        (None, Some(path)) => settings::read(&path, false)?,
        (None, None) => Settings::default(),
    };
    make(cli, settings, variable)
}

fn make(cli: &Cli, settings: Settings, variable: Variable<'_>) -> Result<Plan, PlanError> {
    let mut plan = Plan {
        servers: settings.servers,
        remote_command: cli.remote_command.clone(),
        ssh_options: cli.ssh_option.clone(),
        read_only: cli.read_only || settings.read_only,
        look: look(cli, settings.utc, variable),
    };
    if let Some(path) = &cli.socket {
        plan.put_first(Server {
            name: path.display().to_string(),
            address: Address::Socket(path.clone()),
            remote_command: REMOTE_COMMAND.to_owned(),
            ssh_options: Vec::new(),
        });
    }
    for server in &mut plan.servers {
        server.ssh_options.clone_from(&cli.ssh_option);
    }
    for name in cli.hosts.iter().rev() {
        let mut server = plan.server(name).map_err(PlanError::Host)?;
        if let (Some(command), Address::Ssh(_)) = (&cli.remote_command, &server.address) {
            server.remote_command.clone_from(command);
        }
        plan.put_first(server);
    }
    if plan.servers.is_empty() {
        return Err(PlanError::Host(
            "name a server: `bisect-tui user@host`, or `bisect-tui --socket PATH` on its own machine; `--help` shows how to \
             keep servers in the configuration"
                .to_owned(),
        ));
    }
    Ok(plan)
}

impl Plan {
    /// A server by its name, or by its host.
    ///
    /// # Errors
    /// A sentence about what is no host.
    pub fn server(&self, name: &str) -> Result<Server, String> {
        if let Some(known) = self.servers.iter().find(|server| server.name == name) {
            return Ok(known.clone());
        }
        let host = Host::parse(name).map_err(|error| error.to_string())?;
        Ok(Server {
            name: name.to_owned(),
            address: Address::Ssh(host),
            remote_command: self.remote_command.clone().unwrap_or_else(|| REMOTE_COMMAND.to_owned()),
            ssh_options: self.ssh_options.clone(),
        })
    }

    fn put_first(&mut self, server: Server) {
        self.servers.retain(|known| known.name != server.name);
        self.servers.insert(0, server);
    }
}

fn look(cli: &Cli, utc: bool, variable: Variable<'_>) -> Look {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let terminal = || match (set("COLORTERM"), set("TERM")) {
        (_, Some(term)) if term == "dumb" => Colours::None,
        (Some(colours), _) if colours == "truecolor" || colours == "24bit" => Colours::True,
        (_, Some(term)) if term.ends_with("-direct") => Colours::True,
        (_, Some(term)) if term.contains("256color") => Colours::Many,
        _ => Colours::Sixteen,
    };
    let colours = match cli.color {
        When::Never => Colours::None,
        When::Auto if set("NO_COLOR").is_some() => Colours::None,
        When::Auto => terminal(),
        When::Always => terminal().max(Colours::Sixteen),
    };
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
    let utf8 = locale.contains("utf-8") || locale.contains("utf8");
    Look { colours, ascii: cli.ascii || !utf8, utc: cli.utc || utc }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use rstest::rstest;

    fn plan(arguments: &[&str], settings: Settings) -> Result<Plan, String> {
        let cli = Cli::parse_from([&["bisect-tui"], arguments].concat());
        make(&cli, settings, &|_| None).map_err(|error| error.to_string())
    }

    fn known(name: &str) -> Server {
        Server {
            name: name.to_owned(),
            address: Address::Ssh(Host::parse(&format!("{name}.example.com")).unwrap()),
            remote_command: format!("{name} dial-stdio"),
            ssh_options: Vec::new(),
        }
    }

    fn names(plan: &Plan) -> Vec<String> {
        plan.servers.iter().map(|server| format!("{} {}", server.name, server.address)).collect()
    }

    #[test]
    fn what_is_named_comes_before_what_is_configured() {
        let settings = || Settings { servers: vec![known("a"), known("b")], read_only: true, utc: true };
        let all = plan(&[], settings()).unwrap();
        assert_eq!(names(&all), ["a a.example.com", "b b.example.com"]);
        assert!(all.read_only && all.look.utc);
        let some = plan(&["new:22", "b", "-o", "Port=2"], settings()).unwrap();
        assert_eq!(names(&some), ["new:22 new:22", "b b.example.com", "a a.example.com"]);
        assert!(some.servers.iter().all(|server| server.ssh_options == ["Port=2"]));
        assert_eq!(some.servers[1].remote_command, "b dial-stdio");
        let other = plan(&["b", "--remote-command", "x"], settings()).unwrap();
        assert_eq!((&*other.servers[0].remote_command, &*other.servers[1].remote_command), ("x", "a dial-stdio"));
        let here = plan(&["--socket", "/run/x"], settings()).unwrap();
        assert_eq!(here.servers[0].address, Address::Socket("/run/x".into()));
    }

    #[test]
    fn there_must_be_a_server() {
        assert!(plan(&[], Settings::default()).unwrap_err().contains("name a server"));
        assert!(Cli::try_parse_from(["bisect-tui", "--socket", ""]).is_err());
        assert!(plan(&["--", "-oProxyCommand=x"], Settings::default()).unwrap_err().contains("option of ssh"));
    }

    #[rstest]
    #[case(&[], &[("LANG", "en_US.UTF-8"), ("TERM", "xterm-256color")], Colours::Many, false)]
    #[case(&[], &[("LC_ALL", "C"), ("LANG", "en_US.UTF-8"), ("TERM", "xterm"), ("COLORTERM", "truecolor")], Colours::True, true)]
    #[case(&[], &[("LC_CTYPE", "C.utf8"), ("TERM", "linux")], Colours::Sixteen, false)]
    #[case(&["--ascii"], &[("LANG", "C.UTF-8"), ("NO_COLOR", "1"), ("TERM", "xterm")], Colours::None, true)]
    #[case(&["--color", "always"], &[("NO_COLOR", "1"), ("TERM", "screen-256color")], Colours::Many, true)]
    #[case(&["--color", "never"], &[("NO_COLOR", ""), ("TERM", "xterm")], Colours::None, true)]
    #[case(&[], &[("NO_COLOR", ""), ("TERM", "dumb")], Colours::None, true)]
    fn looks(#[case] arguments: &[&str], #[case] set: &[(&str, &str)], #[case] colours: Colours, #[case] ascii: bool) {
        let cli = Cli::parse_from([&["bisect-tui"], arguments].concat());
        let variable = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(look(&cli, false, &variable), Look { colours, ascii, utc: false });
    }
}
