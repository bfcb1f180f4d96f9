//! The database goes away: the API says so, and goes on by itself when it is back.

use crate::support::{Console, DatabaseLink, Project, Service, World, eventually};
use bisect_shared::{JobStatus, admin::Event};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_database_that_is_away_is_told_and_everything_goes_on_when_it_is_back() {
    let world = World::new(Project::linear(9)).await;
    let mut link = DatabaseLink::new(&world.db, &world.path("link"));
    let service = Service::start(world.serve("one").env("DATABASE_URL", link.url())).await;
    let console = Console::of(&world, "one");
    let mut events = console.lines("/v1/events").await;
    let go = world.path("go");
    let script = format!(
        "echo started; while ! test -e {}; do sleep 0.02; done; echo went on; test $(cat n) -lt 5",
        go.display()
    );
    let job = world.enqueue(&script).await;
    let mut log = console.lines(&format!("/v1/jobs/{job}/log?follow=true")).await;
    assert!(log.next().await.unwrap().unwrap().contains("bytes"));

    link.cut();
    events.until("it is told", |event| matches!(event, Event::DatabaseAway { away: true }).then_some(())).await;
    // Whoever comes now hears it, too.
    let mut late = console.lines("/v1/events").await;
    assert!(matches!(late.event().await, Event::Hello(hello) if !hello.database));
    late.until("it is told", |event| matches!(event, Event::DatabaseAway { away: true }).then_some(())).await;
    for path in ["/v1/jobs", "/v1/instances", "/v1/stats", "/v1/audit", "/v1/jobs/1", "/v1/jobs/1/log"] {
        let (status, body) = timeout(Duration::from_secs(15), console.get(path)).await.expect("an answer in time");
        assert_eq!(status, 503, "{path}: {body}");
        assert!(body["error"].as_str().unwrap().contains("once the database is back"), "{path}: {body}");
    }
    let (status, _) = console.post(&format!("/v1/jobs/{job}/cancel"), "").await;
    assert_eq!(status, 503);
    assert_eq!(console.get("/v1/hello").await.1["database"], false);

    link.mend();
    for events in [&mut events, &mut late] {
        events.until("it is back", |event| matches!(event, Event::DatabaseAway { away: false }).then_some(())).await;
        events.until("all may have changed", |event| (*event == Event::Resync).then_some(())).await;
    }
    std::fs::write(&go, "").unwrap();
    let ended = |event: &Event| {
        matches!(event, Event::Job(it) if it.id == job && it.status == JobStatus::Completed).then_some(())
    };
    events.until("the job ends", ended).await;
    // The log that was followed all the while has all of it.
    let mut pieces = 1;
    while let Some(line) = log.next().await {
        line.unwrap();
        pieces += 1;
    }
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM log_chunks").fetch_one(&mut world.db.raw().await).await.unwrap();
    assert_eq!(pieces, stored);
    assert_eq!(console.get("/v1/jobs").await.0, 200);
    service.stop().await;
    eventually("it ends clean", async || world.job().await.status.is_final().then_some(())).await;
}

#[tokio::test]
async fn a_database_that_answers_nothing_is_away_within_seconds() {
    let world = World::new(Project::linear(9)).await;
    let mut link = DatabaseLink::new(&world.db, &world.path("link"));
    let service = Service::start(world.serve("one").env("DATABASE_URL", link.url())).await;
    let console = Console::of(&world, "one");
    let mut events = console.lines("/v1/events").await;
    link.stall();
    events.until("it is told", |event| matches!(event, Event::DatabaseAway { away: true }).then_some(())).await;
    let (status, _) = timeout(Duration::from_secs(15), console.get("/v1/jobs")).await.expect("an answer in time");
    assert_eq!(status, 503);
    link.mend();
    events.until("all may have changed", |event| (*event == Event::Resync).then_some(())).await;
    service.stop().await;
}
