//! Servers behind a transaction pooler, and what `serve` refuses to start with.

use crate::support::{Pooler, Project, Service, World, database, empty_database, eventually};
use secrecy::ExposeSecret;

#[tokio::test]
async fn three_servers_work_through_a_transaction_pooler() {
    let world = World::new(Project::linear(9)).await;
    let pooler = Pooler::start(&world.db);
    let url = |mode: &str| pooler.settings(mode).url.expose_secret().to_owned();
    // A session-mode pooler will do as the direct URL.
    let direct = [world.db.url(), url("session"), world.db.url()];
    let mut services = Vec::new();
    for (name, direct) in ["one", "two", "three"].into_iter().zip(direct) {
        let serve = world.serve(name).env("DATABASE_URL", url("transaction")).env("DATABASE_DIRECT_URL", direct);
        // So that only a NOTIFY can wake them.
        services.push(
            Service::start(serve.env("RECOVERY_INTERVAL_SECONDS", "300").env("PENDING_GRACE_SECONDS", "300")).await,
        );
    }
    for _ in 0..6 {
        world.enqueue("test $(cat n) -lt 5").await;
    }
    let culprit = Some(world.project.sha("c5"));
    eventually("all jobs end", async || world.jobs().await.iter().all(|row| row.culprit == culprit).then_some(()))
        .await;
    for (n, service) in services.iter().enumerate() {
        let body = format!(r#"{{"action": "deleted", "installation": {{"id": {n}}}}}"#);
        assert_eq!(service.deliver(&format!("d-{n}"), "installation", body.as_bytes()).await.0, 202);
        assert_eq!(service.get("/health").await.0, 200);
    }
    for service in services {
        service.stop().await;
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn with_only_a_transaction_pooler_it_says_so_and_polls() {
    let world = World::new(Project::linear(9)).await;
    let pooler = Pooler::start(&world.db);
    let url = pooler.settings("transaction").url.expose_secret().to_owned();
    let service = Service::start(world.serve("one").env("DATABASE_URL", &url)).await;
    assert!(service.log().contains("set DATABASE_DIRECT_URL"), "{}", service.log());
    world.enqueue("test $(cat n) -lt 5").await;
    eventually("it ends", async || world.job().await.status.is_final().then_some(())).await;
    assert!(service.text("/metrics").await.contains("bisectd_listening 0"));
    service.stop().await;
}

#[tokio::test]
async fn a_wrong_pair_of_urls_is_explained() {
    let world = World::new(Project::linear(2)).await;
    let pooler = Pooler::start(&world.db);
    let pooled = pooler.settings("transaction").url.expose_secret().to_owned();
    let ran = world.serve("one").env("DATABASE_DIRECT_URL", &pooled).run().await.expect(2);
    assert!(ran.stderr.contains("DATABASE_DIRECT_URL leads to a transaction-mode pooler"), "{}", ran.stderr);
    let other = database().await;
    let ran = world.serve("one").env("DATABASE_DIRECT_URL", other.url()).run().await.expect(2);
    assert!(ran.stderr.contains("they lead to different databases"), "{}", ran.stderr);
}

#[tokio::test]
async fn serve_refuses_what_it_cannot_run_with_and_says_what_to_do() {
    let world = World::new(Project::linear(2)).await;
    let empty = empty_database().await;
    let ran = world.serve("one").env("DATABASE_URL", empty.url()).run().await.expect(2);
    assert!(ran.stderr.contains("bisectd migrate up"), "{}", ran.stderr);
    let ran = world.serve("one").without("DATABASE_URL").env("GITHUB_APP_ID", "1").run().await.expect(2);
    assert!(ran.stderr.contains("--local") && ran.stderr.contains("DATABASE_URL"), "{}", ran.stderr);
    let ran = world.serve("one").env("GITHUB_APP_ID", "1").run().await.expect(2);
    assert!(ran.stderr.contains("GITHUB_APP_SLUG is not set") && ran.stderr.contains("for example"), "{}", ran.stderr);
}
