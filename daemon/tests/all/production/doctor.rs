//! `bisectd doctor`: a line for each thing, and an exit status that a script may trust.

use crate::support::{DockerLink, Hub, Pooler, Program, Project, Ran, World};
use secrecy::ExposeSecret;
use std::fs;

/// What belongs to a line, and how it is.
fn state<'a>(ran: &'a Ran, what: &str) -> (&'a str, &'a str) {
    let find = |line: &'a str| {
        let (state, rest) = line.split_once("  ")?;
        let rest = rest.trim_start();
        rest.strip_prefix(what).filter(|rest| rest.starts_with(' ')).map(|text| (state, text.trim()))
    };
    ran.stdout.lines().find_map(find).unwrap_or_else(|| panic!("no line about {what} in\n{}", ran.stdout))
}

/// All of a service's variables, as they should be.
fn doctor(hub: &Hub) -> Program {
    hub.world
        .configured(Program::new(hub.world.path("").as_path()))
        .args(["doctor"])
        .env("DATA_DIR", hub.world.path("one"))
        .env("GITHUB_APP_ID", hub.app.id.to_string())
        .env("GITHUB_APP_SLUG", &hub.app.slug)
        .env("GITHUB_PRIVATE_KEY_PATH", hub.world.path("app.pem"))
        .env("GITHUB_WEBHOOK_SECRET", &hub.app.webhook_secret)
        .env("GITHUB_CLIENT_ID", &hub.app.client_id)
        .env("GITHUB_CLIENT_SECRET", &hub.app.client_secret)
        .env("GITHUB_API_URL", hub.running.url())
        .env("GITHUB_URL", hub.running.url())
        .env("SESSION_SECRET", "0123456789abcdef0123456789abcdef")
        .env("ENCRYPTION_KEY", "0f".repeat(32))
        .env("BASE_URL", "https://bisect.example.com")
}

#[tokio::test]
async fn a_sound_service_is_found_well_line_by_line() {
    let hub = Hub::new(Project::linear(2), &[]).await;
    let ran = doctor(&hub).run().await.expect(0);
    for what in [
        "App",
        "webhooks",
        "sign-in",
        "tokens",
        "address",
        "DATA_DIR",
        "database",
        "LISTEN",
        "clock",
        "Docker",
        "cgroups",
        "runner image",
        "GitHub",
        "permissions",
    ] {
        assert_eq!(state(&ran, what).0, "ok", "{what}\n{}", ran.stdout);
    }
    for what in ["git", "runc", "kernel", "disk"] {
        assert_ne!(state(&ran, what).0, "FAIL", "{what}\n{}", ran.stdout);
    }
    assert_eq!(state(&ran, "servers"), ("ok", "none runs now"), "{}", ran.stdout);
    hub.keeps_secrets(&ran.stdout);
    // The guarded network is tried for real.
    let ran = doctor(&hub).env("RUNNER_NETWORK", "egress").run().await;
    assert!(["ok", "FAIL"].contains(&state(&ran, "network").0), "{}", ran.stdout);
    assert_eq!(ran.code == 0, state(&ran, "network").0 == "ok", "{}", ran.stdout);
}

#[tokio::test]
async fn what_does_not_work_fails_and_says_what_to_do() {
    let hub = Hub::new(Project::linear(2), &[]).await;
    let other = hub.github.add_app("another", "octo").unwrap();
    fs::write(hub.world.path("other.pem"), &other.private_key).unwrap();
    let mut docker = DockerLink::new(&hub.world.path("docker.sock"));
    docker.cut();
    let cases: [(&str, &str, &str, &str); 9] = [
        ("GITHUB_WEBHOOK_SECRET", "short", "webhooks", "openssl rand -hex 32"),
        ("GITHUB_CLIENT_SECRET", "", "sign-in", "GITHUB_CLIENT_SECRET"),
        ("GITHUB_APP_SLUG", "no-such", "GitHub", "bisect-bot"),
        ("GITHUB_PRIVATE_KEY_PATH", "other.pem", "GitHub", "does not get in"),
        ("GITHUB_PRIVATE_KEY_PATH", "/nowhere.pem", "key", "/nowhere.pem"),
        ("DATABASE_URL", "postgresql://u:secret-word@127.0.0.1:1/db", "database", "DATABASE_URL"),
        ("DOCKER_RUNNER_IMAGE", "no-such-image:1", "runner image", "no-such-image"),
        ("RUNNER_RUNTIME", "no-such-runtime", "runtime", "daemon.json"),
        ("DOCKER_HOST", "docker.sock", "Docker", "start"),
    ];
    for (name, value, what, says) in cases {
        let value = match value {
            "other.pem" => hub.world.path("other.pem").to_str().unwrap().to_owned(),
            "docker.sock" => docker.host(),
            value => value.to_owned(),
        };
        let ran = doctor(&hub).env(name, value).run().await.expect(1);
        let (found, text) = state(&ran, what);
        assert!(found == "FAIL" && text.contains(says), "{name}: {}", ran.stdout);
        assert!(!ran.stdout.contains("secret-word"), "{}", ran.stdout);
    }
    let ran = doctor(&hub).env("HEARTBEAT_SECONDS", "soon").run().await.expect(1);
    assert!(state(&ran, "configuration").1.contains("HEARTBEAT_SECONDS"), "{}", ran.stdout);
}

#[tokio::test]
async fn an_old_schema_and_a_lone_transaction_pooler_are_told() {
    let empty = crate::support::empty_database().await;
    let folder = tempfile::tempdir().unwrap();
    let doctor =
        || Program::new(folder.path()).args(["doctor"]).env("DATA_DIR", folder.path()).env("RUNNER_NETWORK", "none");
    let ran = doctor().env("DATABASE_URL", empty.url()).run().await.expect(1);
    assert!(state(&ran, "database").1.contains("bisectd migrate up"), "{}", ran.stdout);
    let world = World::new(Project::linear(2)).await;
    let pooler = Pooler::start(&world.db);
    let ran = doctor().env("DATABASE_URL", pooler.settings("transaction").url.expose_secret()).run().await.expect(0);
    let (found, text) = state(&ran, "LISTEN");
    assert!(found == "warn" && text.contains("DATABASE_DIRECT_URL"), "{}", ran.stdout);
}
