//! Prometheus, with the alerts of docker/prometheus, asks a real service, and Alertmanager mails what it finds.

use super::{mailbox::Mailbox, output, read, repository};
use crate::support::{Project, Service, World, eventually};
use serde_json::Value;
use sqlx::Executor;
use std::process::{Command, Stdio};

#[test]
fn configuration_and_rules_are_sound_and_fire_when_they_should() {
    let folder = repository("docker/prometheus");
    let promtool = |arguments: &[&str]| output(Command::new("promtool").args(arguments).current_dir(&folder));
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts_test.yml"]);
}

#[tokio::test]
async fn the_alert_for_a_stuck_queue_fires_for_a_real_service_and_somebody_is_told() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    // Nobody takes jobs.
    let mut raw = world.db.raw().await;
    raw.execute("UPDATE instances SET drain_requested_at = now(), drain_requested_by = 'ada'").await.unwrap();
    eventually("it drains", async || (service.get("/health").await.0 == 503).then_some(())).await;
    world.enqueue("true").await;

    let folder = tempfile::tempdir().unwrap();
    // The same rules, with less patience.
    let rules = read("docker/prometheus/alerts.yml");
    let hasty: Vec<_> = rules
        .lines()
        .map(|line| if line.trim_start().starts_with("for: ") { "        for: 1s" } else { line })
        .collect();
    assert!(rules.contains("for: 10m"));
    std::fs::write(folder.path().join("alerts.yml"), hasty.join("\n")).unwrap();
    let target = service.address.strip_prefix("http://").unwrap();
    let mails = Mailbox::default();
    let (smtp, alertmanager) = (mails.start().await, free_port());
    let _alertmanager = tokio::process::Command::new(repository("docker/prometheus/alertmanager.sh"))
        .arg(format!("--web.listen-address=127.0.0.1:{alertmanager}"))
        .env("ALERTMANAGER", "prometheus-alertmanager")
        .env("STORAGE", folder.path().join("silences"))
        .env("TMPDIR", folder.path())
        .env("ALERTS_SMTP", smtp)
        .env("ADMIN_EMAIL", "ada@example.com")
        .env("ALERTS_FROM", "bot@example.com")
        .env("ALERTS_WAIT", "0s")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let configuration = format!(
        "global: {{scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 300ms}}\nrule_files: [alerts.yml]\n\
         scrape_configs: [{{job_name: bisectd, static_configs: [{{targets: ['{target}']}}]}}]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
    );
    std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
    let port = free_port();
    let _prometheus = tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |path: &str| -> Option<Value> {
        client.get(format!("http://127.0.0.1:{port}/api/v1/{path}")).send().await.ok()?.json().await.ok()
    };
    eventually("the service is scraped", async || {
        let answer = ask("query?query=up").await?;
        (answer["data"]["result"][0]["value"][1] == "1").then_some(())
    })
    .await;
    eventually("the alert fires", async || {
        let alerts = ask("alerts").await?;
        let alerts = alerts["data"]["alerts"].as_array()?.clone();
        alerts.iter().any(|it| it["labels"]["alertname"] == "BisectJobsWait" && it["state"] == "firing").then_some(())
    })
    .await;
    let told = |mail: &String| mail.contains("RCPT TO:<ada@example.com>") && mail.contains("BisectJobsWait");
    eventually("somebody is told", async || mails.all().iter().any(told).then_some(())).await;
    service.stop().await;
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
