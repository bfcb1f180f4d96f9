//! The files that other programs read, judged by those programs: compose, Caddy, Ansible; and that they agree with one another.

use super::{output, read, repository};
use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command};

/// What `docker/docker-compose.prod.yml` wants to know.
const ENV: &str = "SITE_ADDRESS=bisect.example.com\nADMIN_EMAIL=a@example.com\nBOT_UID=990\nBOT_GID=990\nDOCKER_GID=991\n\
                   GRAFANA_PASSWORD=x\nALERTS_SMTP=mail.example.com:587\n";

/// A compose file as docker-compose reads it.
fn compose(file: &str, env: &str) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), env).unwrap();
    output(Command::new("cp").arg("-r").arg(repository("docker")).arg(folder.path()));
    Command::new("docker-compose")
        .args(["--project-directory", ".", "--file", file, "config"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap()
}

#[test]
fn compose_reads_both_files_and_says_what_is_missing() {
    for file in ["docker/docker-compose.yml", "docker/docker-compose.prod.yml"] {
        let read = compose(file, ENV);
        assert!(read.status.success(), "{file}: {}", String::from_utf8_lossy(&read.stderr));
    }
    let refused = compose("docker/docker-compose.prod.yml", "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("the name of this service"), "{said}");
}

#[test]
fn the_bot_of_compose_has_no_rights_that_it_does_not_need() {
    let text = String::from_utf8(compose("docker/docker-compose.prod.yml", ENV).stdout).unwrap();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    let bot = &read["services"]["bot"];
    assert_eq!((&bot["read_only"], &bot["cap_drop"][0]), (&Value::Bool(true), &Value::String("ALL".into())));
    assert_eq!(bot["security_opt"][0], "no-new-privileges:true");
    assert_eq!(bot["user"], "990:990");
    let volumes = bot["volumes"].as_array().unwrap();
    let same =
        |path: &str| volumes.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with(&format!("{path}:{path}"))));
    assert!(same("/var/lib/bisect-bot") && same("/run/bisectd") && same("/var/run/docker.sock"), "{volumes:?}");
    assert!(bot["ports"].is_null(), "only Caddy is reached from outside");
}

#[test]
fn caddy_finds_nothing_wrong_with_its_file() {
    let file = repository("docker/Caddyfile");
    let folder = tempfile::tempdir().unwrap();
    let mut validate = Command::new("caddy");
    output(validate.args(["validate", "--adapter", "caddyfile", "--config"]).arg(&file).env("HOME", folder.path()));
    assert_eq!(output(Command::new("caddy").arg("fmt").arg(&file)), fs::read_to_string(&file).unwrap(), "caddy fmt");
}

/// The variables that the template of Ansible sets, in a server's `.env`.
fn template() -> BTreeSet<String> {
    let text = read("infrastructure/ansible/templates/env.j2");
    text.lines()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .filter(|name| !name.starts_with(['#', '{']))
        .collect()
}

#[test]
fn a_server_of_ansible_gets_every_variable_that_a_service_needs() {
    let set = template();
    // What is not there has a default that is right on such a server, or is somebody's own choice, which `variables:` takes.
    let chosen: BTreeSet<&str> = [
        "GITHUB_API_URL",
        "GITHUB_URL",
        "DOCKER_RUNNER_IMAGE",
        "MAX_CONCURRENT_JOBS",
        "MAX_CONCURRENT_PROBES",
        "BISECT_TIMEOUT_SECONDS",
        "RUNNER_NETWORK",
        "RUNNER_EGRESS_BLOCK",
        "RUNNER_EGRESS_ALLOW",
        "RUNNER_EGRESS_DNS",
        "RUNNER_REGISTRIES",
        "RUNNER_RUNTIME",
        "DATA_DIR",
        "ADMIN_SOCKET",
        "HEARTBEAT_SECONDS",
        "RECOVERY_INTERVAL_SECONDS",
        "STALE_AFTER_SECONDS",
        "PENDING_GRACE_SECONDS",
        "MAX_ATTEMPTS",
        "SANDBOX_PATIENCE_SECONDS",
        "SHUTDOWN_GRACE_SECONDS",
        "LOG_RETENTION_DAYS",
        "MIRROR_BUDGET_GB",
        "SENTRY_DSN",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "SMTP_URL",
        "MAIL_TO",
        "MAIL_FROM",
        "MAIL_ON",
    ]
    .into();
    let known: BTreeSet<&str> = bisectd::config::VARIABLES.iter().map(|it| it.name).collect();
    assert_eq!(chosen.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
    for name in known.difference(&chosen) {
        assert!(set.contains(*name), "{name} is neither in env.j2 nor among the chosen ones");
    }
    for name in &set {
        assert!(known.contains(name.as_str()) || name == "GRAFANA_PASSWORD", "env.j2 sets {name}, which nobody reads");
    }
}

#[test]
fn every_secret_of_the_example_is_used_and_every_one_that_is_used_is_in_it() {
    let example: Value = serde_saphyr::from_str(&read("infrastructure/secrets.example.yml")).unwrap();
    let keys: BTreeSet<&str> = example.as_object().unwrap().keys().map(String::as_str).collect();
    let mut used = String::new();
    for file in [
        "ansible/templates/env.j2",
        "ansible/templates/caddy.env.j2",
        "ansible/tasks/bot.yml",
        "terraform/versions.tf",
        "terraform/main.tf",
    ] {
        used.push_str(&read(&format!("infrastructure/{file}")));
    }
    for key in &keys {
        assert!(used.contains(key), "{key} of secrets.example.yml is used nowhere");
    }
    let env = read("infrastructure/ansible/templates/env.j2");
    for word in env.split("{{ ").skip(1).filter_map(|rest| rest.split([' ', '(']).next()) {
        assert!(
            keys.contains(word) || ["name", "value", "network_range"].contains(&word),
            "env.j2 uses {word}, which secrets.example.yml lacks"
        );
    }
}

#[test]
fn ansible_finds_nothing_wrong_with_the_playbook() {
    let folder = tempfile::tempdir().unwrap();
    output(Command::new("cp").arg("-r").arg(repository("infrastructure")).arg(folder.path()));
    let here = folder.path().join("infrastructure");
    fs::copy(here.join("secrets.example.yml"), here.join("secrets.yml")).unwrap();
    output(
        Command::new("ansible-playbook")
            .args(["--syntax-check", "--inventory", "inventory.example.yml", "site.yml"])
            .current_dir(here.join("ansible"))
            .env("HOME", folder.path()),
    );
}

/// Alone, and behind a load balancer that has the certificate.
#[rstest::rstest]
#[case::alone(false, "b.example.com, www.b.example.com", "127.0.0.1/32")]
#[case::balanced(true, ":80", "127.0.0.1/32,10.29.0.0/16")]
fn caddy_and_the_service_read_what_ansible_writes_for_them(
    #[case] balanced: bool,
    #[case] sites: &str,
    #[case] trusted: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let set = format!(
        "{{balanced: {balanced}, network_range: 10.29.0.0/16, domain: b.example.com, admin_email: ada@example.com, database_url: x, \
         github_app_id: 7, github_app_slug: b, github_webhook_secret: x, github_client_id: x, github_client_secret: x, \
         session_secret: x, encryption_key: x}}"
    );
    let template = |name: &str| {
        format!(
            "    - ansible.builtin.template: {{src: {}, dest: {}, mode: '0600'}}\n",
            repository(&format!("infrastructure/ansible/templates/{name}.j2")).display(),
            folder.path().join(name).display()
        )
    };
    let play = format!(
        "- hosts: localhost\n  gather_facts: false\n  connection: local\n  vars: {set}\n  tasks:\n{}{}",
        template("caddy.env"),
        template("env")
    );
    fs::write(folder.path().join("play.yml"), play).unwrap();
    let mut ansible = Command::new("ansible-playbook");
    output(
        ansible
            .arg(folder.path().join("play.yml"))
            .env("HOME", folder.path())
            .env("ANSIBLE_LOCALHOST_WARNING", "false"),
    );
    let read = |name: &str| -> std::collections::BTreeMap<String, String> {
        // As systemd reads it: to the end of the line.
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        let pairs = text.lines().filter_map(|line| line.split_once('=').filter(|(name, _)| !name.starts_with('#')));
        pairs.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
    };
    let caddy = read("caddy.env");
    assert_eq!(caddy["SITE_ADDRESS"], sites);
    assert_eq!(read("env")["TRUSTED_PROXIES"], trusted);
    let mut adapt = Command::new("caddy");
    adapt.args(["adapt", "--adapter", "caddyfile", "--config"]).arg(repository("docker/Caddyfile"));
    let adapted = output(adapt.envs(&caddy).env("HOME", folder.path()));
    assert_eq!(adapted.contains("\"www.b.example.com\""), !balanced, "{adapted}");
}

/// What Ansible writes is what the service reads: rendered with values that would break a careless file.
#[test]
fn values_with_every_odd_character_arrive_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let odd = "p$HOME `x` \\ \"q\" # %41 ;";
    let play = format!(
        "- hosts: localhost\n  gather_facts: false\n  connection: local\n  vars:\n    domain: b.example.com\n    database_url: {url}\n    \
         github_app_id: '7'\n    github_app_slug: bot\n    github_webhook_secret: {secret}\n    github_client_id: x\n    \
         github_client_secret: {secret}\n    session_secret: {secret}\n    encryption_key: {key}\n  tasks:\n    - ansible.builtin.template:\n        \
         src: {source}\n        dest: {to}\n        mode: '0600'\n",
        url = serde_json::to_string("postgresql://u:p%40@h:5432/b").unwrap(),
        secret = serde_json::to_string(&format!("{odd}{odd}")).unwrap(),
        key = "0f".repeat(32),
        source = repository("infrastructure/ansible/templates/env.j2").display(),
        to = folder.path().join("env").display(),
    );
    fs::write(folder.path().join("play.yml"), play).unwrap();
    output(
        Command::new("ansible-playbook")
            .arg(folder.path().join("play.yml"))
            .env("HOME", folder.path())
            .env("ANSIBLE_LOCALHOST_WARNING", "false"),
    );
    let read: std::collections::BTreeMap<String, String> =
        dotenvy::from_path_iter(folder.path().join("env")).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(read["GITHUB_CLIENT_SECRET"], format!("{odd}{odd}"));
    let config = bisectd::config::Config::from_sources(
        std::path::Path::new("/nowhere"),
        &read,
        &std::collections::BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(config.base_url.as_deref(), Some("https://b.example.com"));
}
