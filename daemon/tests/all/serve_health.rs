//! What a service says about itself: health, counts, jobs, metrics.

use crate::support::{DockerLink, Project, Service, TestDb, World, eventually};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::{Executor, postgres::PgConnectOptions};
use std::{path::Path, time::Duration};
use tokio::time::Instant;

/// A way to the test's database that can be cut, and its URL.
fn link_to(db: &TestDb, folder: &Path) -> (DockerLink, String) {
    let url: PgConnectOptions = db.settings.url.expose_secret().parse().unwrap();
    let socket = ".s.PGSQL.5432";
    let link = DockerLink::to(&folder.join(socket), &url.get_socket().unwrap().join(socket));
    let url = format!("postgresql:///{}?host={}&port=5432&user=bisect", url.get_database().unwrap(), folder.display());
    (link, url)
}

#[tokio::test]
async fn health_tells_what_is_away_within_two_seconds() {
    let world = World::new(Project::linear(2)).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut database, url) = link_to(&world.db, folder.path());
    let mut docker = DockerLink::new(&folder.path().join("docker.sock"));
    let serve = world.serve("one").env("DATABASE_URL", url).env("DOCKER_HOST", docker.host());
    let service = Service::start(serve).await;
    let asked = async || {
        let began = Instant::now();
        let answer = service.get("/health").await;
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        answer
    };
    let health = |status: &str, docker: bool, database: bool| json!({"status": status, "docker_available": docker, "database_available": database, "running_jobs": 0});
    assert_eq!(asked().await, (200, health("healthy", true, true)));
    docker.cut();
    eventually("Docker is missed", async || (asked().await == (200, health("degraded", false, true))).then_some(()))
        .await;
    database.cut();
    eventually("the database is missed", async || {
        (asked().await == (503, health("degraded", false, false))).then_some(())
    })
    .await;
    let (status, answer) = service
        .deliver(
            "d-1",
            "issue_comment",
            br#"{"action": "created", "installation": {"id": 5},
        "repository": {"id": 7, "full_name": "a/b", "private": false}, "issue": {"number": 3},
        "comment": {"id": 1, "body": "", "user": {"id": 1, "login": "ada", "type": "User"}}}"#,
        )
        .await;
    assert_eq!(status, 503, "{answer}");
    assert!(service.text("/metrics").await.contains("bisectd_database_up 0"));
    database.mend();
    docker.mend();
    eventually("all is well", async || (asked().await == (200, health("healthy", true, true))).then_some(())).await;
    eventually("it listens again", async || {
        service.text("/metrics").await.contains("bisectd_listening 1").then_some(())
    })
    .await;
    service.stop().await;
}

#[tokio::test]
async fn a_drained_instance_says_so_and_claims_nothing() {
    let world = World::new(Project::linear(5)).await;
    let service = Service::start(world.serve("one")).await;
    let mut raw = world.db.raw().await;
    raw.execute("UPDATE instances SET drain_requested_at = now(), drain_requested_by = 'ada'").await.unwrap();
    eventually("it drains", async || (service.get("/health").await.0 == 503).then_some(())).await;
    assert_eq!(service.get("/health").await.1["status"], "draining");
    let job = world.enqueue("exit 0").await;
    let other = Service::start(world.serve("other")).await;
    let done =
        eventually("another one takes the job", async || Some(world.job().await).filter(|row| row.status.is_final()));
    assert_eq!(done.await.attempts, 1);
    assert!(!service.log().contains("a job is claimed"), "{}", service.log());
    assert!(other.log().contains("a job is claimed"), "{job}");
    raw.execute("UPDATE instances SET drain_requested_at = NULL, drain_requested_by = NULL").await.unwrap();
    eventually("it serves again", async || (service.get("/health").await.0 == 200).then_some(())).await;
    service.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn jobs_and_counts_are_told_and_private_ones_are_not() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let mut raw = world.db.raw().await;
    // Suspended, so that nobody claims them.
    raw.execute(
        "INSERT INTO installations (installation_id, account_id, account_login, account_type, suspended_at)
             VALUES (5, 1, 'ada', 'User', now());
         INSERT INTO repositories (github_id, installation_id, full_name, owner, name, private)
             VALUES (1, 5, 'ada/open', 'ada', 'open', false), (2, 5, 'ada/closed', 'ada', 'closed', true);
         INSERT INTO bisect_jobs (id, installation_id, repository_id, good_sha, bad_sha, command, event_seq)
             SELECT 1000 + github_id, 5, id, repeat('a', 40), repeat('b', 40), '{true}', 1 FROM repositories",
    )
    .await
    .unwrap();
    let (status, job) = service.get("/job/1001").await;
    assert_eq!((status, &job["status"], &job["attempt_count"]), (200, &json!("pending"), &json!(0)));
    assert!(job.get("worker_id").is_some() && job.get("heartbeat_at").is_some() && job.get("result").is_some());
    for path in ["/job/1002", "/job/9999", "/job/x", "/nothing"] {
        assert_eq!(service.get(path).await, (404, json!({"error": "not found"})), "{path}");
    }
    let counts = json!({"pending": 2, "running": 0, "completed": 0, "failed": 0, "cancelled": 0, "stale": 0,
                        "running_on_this_instance": 0});
    assert_eq!(service.get("/stats").await, (200, counts));
    service.stop().await;
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_exported() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    world.enqueue("test $(cat n) -lt 1").await;
    eventually("the job is counted", async || {
        let metrics = service.text("/metrics").await;
        metrics.contains("bisectd_jobs_ended_total{status=\"completed\",result=\"culprit\"} 1").then_some(())
    })
    .await;
    let metrics = service.text("/metrics").await;
    let docker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker");
    for file in ["grafana/bisect-bot.json", "prometheus/alerts.yml"] {
        let text = std::fs::read_to_string(docker.join(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: std::collections::BTreeSet<_> = words.filter(|word| word.starts_with("bisectd_")).collect();
        assert!(names.len() > 5, "{file}");
        for name in names {
            let there =
                metrics.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
            assert!(there, "{file} names {name}, which is not in\n{metrics}");
        }
    }
    service.stop().await;
}

#[tokio::test]
async fn a_release_build_starts_without_a_secret_key() {
    // Rocket refuses its own missing key under this profile, which is what a release build runs under.
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one").env("ROCKET_PROFILE", "release")).await;
    assert_eq!(service.get("/health").await.0, 200);
    service.stop().await;
}
