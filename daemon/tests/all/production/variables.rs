//! Every variable that a unit, a compose file, a template or a document names is one that is read, and none is missing where
//! all of them belong.

use super::{read, repository};
use bisectd::config::VARIABLES;
use std::{collections::BTreeSet, process::Command};

/// What may stand there besides ours: of the tools that these files are for.
const OTHERS: &[&str] = &[
    // Rocket and the logs.
    "ROCKET_ADDRESS",
    "ROCKET_PORT",
    "RUST_LOG",
    "NO_COLOR",
    // The firewall of the tests' network.
    "RUNNER_EGRESS_BRIDGE",
    "RUNNER_EGRESS_NETWORK",
    // Docker.
    "DOCKER_HOST",
    // What docs/architecture.md gives as examples of names that are none.
    "GITHUB_PRIVATE_KEY",
    "RUNNER_OS",
];

/// Words that look as if they belonged to us.
fn ours(text: &str) -> BTreeSet<&str> {
    const BEGINNINGS: &[&str] = &[
        "DATABASE_",
        "GITHUB_",
        "RUNNER_",
        "MAX_CONCURRENT",
        "BISECT_TIMEOUT",
        "SMTP_",
        "MAIL_",
        "SENTRY_",
        "OTEL_",
        "ADMIN_SOCKET",
        "DATA_DIR",
        "SESSION_",
        "ENCRYPTION_",
        "LOG_RETENTION",
        "MIRROR_",
        "TRUSTED_PROXIES",
        "HEARTBEAT_",
        "RECOVERY_",
        "STALE_",
        "PENDING_",
        "SHUTDOWN_",
        "SANDBOX_",
        "BASE_URL",
        "ROCKET_",
    ];
    let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
    words.filter(|word| BEGINNINGS.iter().any(|begin| word.starts_with(begin)) && !word.ends_with('_')).collect()
}

fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository("."))
        .output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let folders = ["systemd/", "docker/", "infrastructure/", "docs/", "README.md", "Rocket.toml", ".env.example"];
    let kinds = [
        ".md",
        ".service",
        ".timer",
        ".sh",
        ".yml",
        ".yaml",
        ".j2",
        ".toml",
        ".tf",
        "Caddyfile",
        "Dockerfile",
        ".example",
    ];
    let files = listed.lines().filter(|path| folders.iter().any(|folder| path.starts_with(folder)));
    files.filter(|path| kinds.iter().any(|kind| path.ends_with(kind))).map(str::to_owned).collect()
}

#[test]
fn no_file_names_a_variable_that_nobody_reads() {
    let known: BTreeSet<&str> = VARIABLES
        .iter()
        .flat_map(|it| std::iter::once(it.name).chain(it.alias))
        .chain(OTHERS.iter().copied())
        .collect();
    let files = files();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let text = read(&file);
        let unknown: Vec<_> = ours(&text).into_iter().filter(|word| !known.contains(word)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{file}");
    }
}

#[test]
fn the_page_of_the_configuration_is_the_one_that_the_table_makes() {
    let made = bisectd::config::render_page();
    if std::env::var_os("BISECT_UPDATE").is_some() {
        std::fs::write(repository("docs/configuration.md"), &made).unwrap();
    }
    assert_eq!(
        read("docs/configuration.md"),
        made,
        "write it anew: BISECT_UPDATE=1 cargo test -p bisectd --test all configuration"
    );
}

#[test]
fn every_command_that_a_file_names_is_one_of_the_program() {
    let program = <bisectd::cli::Cli as clap::CommandFactory>::command();
    let known: BTreeSet<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    let mut named = BTreeSet::new();
    for file in files() {
        let text = read(&file);
        for before in ["`bisectd ", "$ bisectd ", "/bin/bisectd ", "/opt/bisect-bot/.env "] {
            for rest in text.split(before).skip(1) {
                let word: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
                // An option, a file, or the end of a word in a sentence.
                if word.is_empty()
                    || word.starts_with('-')
                    || before.ends_with(".env ") && !known.contains(word.as_str())
                {
                    continue;
                }
                assert!(known.contains(word.as_str()), "{file}: there is no `bisectd {word}`");
                named.insert(word);
            }
        }
    }
    for command in ["serve", "migrate", "prune", "doctor", "setup", "rotate-keys", "dial-stdio"] {
        assert!(named.contains(command), "no document tells of `bisectd {command}`");
    }
}
