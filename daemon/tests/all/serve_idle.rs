//! A server without work: how little it asks of its database, and that it starts without Docker.

use crate::support::{CountedLink, DockerLink, Project, Service, World, database, eventually};
use bisectd::{db::overview, web::address::Addresses};
use github_lookalike::{Lookalike, World as GitHub};
use sqlx::{Executor, Row};
use std::time::Duration;

/// Everything that is done now and then goes by these clocks, so ten times as fast is ten times as much.
const FASTER: f64 = 10.0;
const WINDOW: Duration = Duration::from_secs(9);

#[tokio::test]
async fn an_idle_server_asks_its_database_less_than_once_a_second() {
    let world = World::new(Project::linear(2)).await;
    let folder = tempfile::tempdir().unwrap();
    let link = CountedLink::to(&world.db, folder.path());
    let hub = GitHub::new().unwrap();
    hub.add_organization("octo");
    let app = hub.add_app("bisect-bot", "octo").unwrap();
    let running = Lookalike::start(&hub).await.unwrap();
    std::fs::write(world.path("app.pem"), &app.private_key).unwrap();
    let clock = |seconds: f64| (seconds / FASTER).to_string();
    let program = world
        .serve("one")
        .env("DATABASE_URL", link.url())
        .env("HEARTBEAT_SECONDS", clock(60.0))
        .env("RECOVERY_INTERVAL_SECONDS", clock(30.0))
        .env("PENDING_GRACE_SECONDS", clock(30.0))
        .env("STALE_AFTER_SECONDS", clock(300.0))
        .env("GITHUB_APP_ID", app.id.to_string())
        .env("GITHUB_APP_SLUG", &app.slug)
        .env("GITHUB_PRIVATE_KEY_PATH", world.path("app.pem"))
        .env("GITHUB_WEBHOOK_SECRET", &app.webhook_secret)
        .env("GITHUB_API_URL", running.url())
        .env("GITHUB_URL", running.url());
    let service = Service::start(program).await;
    // What is done once, at start, is over when the first heartbeat comes.
    let beat = "SELECT heartbeat_at > started_at FROM instances WHERE retired_at IS NULL";
    eventually("it beats", async || {
        let beats: Option<bool> = sqlx::query_scalar(beat).fetch_optional(&mut world.db.raw().await).await.unwrap();
        beats.filter(|beats| *beats).map(drop)
    })
    .await;
    link.take();
    // The one thing that is measured here is how often, so time must pass.
    tokio::time::sleep(WINDOW).await;
    let mut statements = link.take();
    // What opens and closes a transaction asks nothing.
    statements.retain(|statement| !["BEGIN", "COMMIT", "ROLLBACK", "SET "].iter().any(|it| statement.starts_with(it)));
    let a_second = statements.len() as f64 / WINDOW.as_secs_f64() / FASTER;
    println!("{a_second:.2} statements a second of an idle server, heartbeats included");
    assert!(a_second > 0.0 && a_second < 1.0, "{a_second} a second: {statements:#?}");
    service.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn without_docker_it_starts_degraded_and_recovers() {
    let world = World::new(Project::linear(9)).await;
    let folder = tempfile::tempdir().unwrap();
    let mut docker = DockerLink::new(&folder.path().join("docker.sock"));
    docker.cut();
    let service = Service::start(world.serve("one").env("DOCKER_HOST", docker.host())).await;
    let (status, health) = service.get("/health").await;
    assert_eq!((status, &health["status"], &health["docker_available"]), (200, &"degraded".into(), &false.into()));
    docker.mend();
    eventually("Docker is found", async || (service.get("/health").await.1["status"] == "healthy").then_some(())).await;
    service.stop().await;
}

/// How many blocks of the database a count of all jobs reads.
async fn blocks(raw: &mut sqlx::PgConnection) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}",
        overview::STATS.replace("$1", "300")
    ));
    let row = raw.fetch_one(sql).await.unwrap();
    let plan: serde_json::Value = row.get(0);
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

#[tokio::test]
async fn counting_jobs_costs_the_same_however_many_have_ended() {
    let world = database().await;
    let mut raw = world.raw().await;
    let add = |jobs: u32| {
        sqlx::AssertSqlSafe(format!(
            "INSERT INTO bisect_jobs (status, source, good_sha, bad_sha, command, completed_at) \
             SELECT CASE n % 3 WHEN 0 THEN 'completed' WHEN 1 THEN 'failed' ELSE 'cancelled' END, '/src', \
               repeat('a', 40), repeat('b', 40), '{{true}}', now() FROM generate_series(1, {jobs}) n"
        ))
    };
    raw.execute(add(30)).await.unwrap();
    raw.execute("VACUUM ANALYZE bisect_jobs").await.unwrap();
    let few = blocks(&mut raw).await;
    raw.execute(add(30_000)).await.unwrap();
    raw.execute("VACUUM ANALYZE bisect_jobs").await.unwrap();
    let many = blocks(&mut raw).await;
    println!("{few} blocks for 30 ended jobs, {many} for 30,030");
    assert!(many <= few + 10, "{few} blocks for 30 ended jobs, {many} for 30,030");

    // The counts follow every way in which a job comes, ends and goes.
    raw.execute(
        "INSERT INTO bisect_jobs (id, source, good_sha, bad_sha, command) \
           SELECT 1000000 + n, '/src', repeat('a', 40), repeat('b', 40), '{true}' FROM generate_series(1, 3) n; \
         UPDATE bisect_jobs SET status = 'cancelled', completed_at = now() WHERE id = 1000001; \
         DELETE FROM bisect_jobs WHERE id <= 5 OR id = 1000002",
    )
    .await
    .unwrap();
    for _ in 0..2 {
        let mut tx = world.db.begin().await.unwrap();
        let told = overview::stats(&mut tx, Duration::from_secs(300)).await.unwrap();
        overview::fold_totals(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let sql = "SELECT count(*) FILTER (WHERE status = 'pending'), count(*) FILTER (WHERE status = 'completed'), \
                   count(*) FILTER (WHERE status = 'failed'), count(*) FILTER (WHERE status = 'cancelled') FROM bisect_jobs";
        let counted: (i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut raw).await.unwrap();
        assert_eq!((told.pending, told.completed, told.failed, told.cancelled), counted);
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM job_totals").fetch_one(&mut raw).await.unwrap();
    assert_eq!(rows, 3, "added up");
}

#[tokio::test]
async fn addresses_that_ask_no_more_are_forgotten() {
    let addresses = Addresses::new(Vec::new());
    for last in 1..=200_u8 {
        assert!(addresses.allows(std::net::IpAddr::from([10, 0, 0, last])));
    }
    assert_eq!(addresses.remembered(), 200);
    // Each may ask again as if it never had, a moment later.
    eventually("they are forgotten", async || {
        addresses.forget_old();
        (addresses.remembered() == 0).then_some(())
    })
    .await;
}
