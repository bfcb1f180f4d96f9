//! Jobs on several servers: how soon they start, and what becomes of them when one ends.

use crate::support::{Project, Service, World, eventually};
use bisect_shared::JobStatus;
use bisectd::db::job_events::JobEventKind;
use nix::sys::signal::Signal;
use std::time::Duration;
use tokio::time::Instant;

/// Waits in its second commit until the test says go on.
fn waits_for(world: &World) -> String {
    format!("test -e {} || exec sleep 1000; test $(cat n) -lt 5", world.path("go").display())
}

fn go(world: &World) {
    std::fs::write(world.path("go"), "").unwrap();
}

#[tokio::test]
async fn a_queued_job_wakes_a_server_that_would_not_look_for_minutes() {
    let world = World::new(Project::linear(9)).await;
    let serve = world.serve("one").env("RECOVERY_INTERVAL_SECONDS", "300").env("PENDING_GRACE_SECONDS", "300");
    let service = Service::start(serve).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        let job = world.enqueue("test $(cat n) -lt 5").await;
        let row = eventually("it ends", async || {
            world.jobs().await.into_iter().find(|row| row.id == job && row.status.is_final())
        })
        .await;
        assert_eq!(row.culprit, Some(world.project.sha("c5")));
        waits.push((row.started_at.unwrap() - row.created_at).to_std().unwrap());
    }
    // By the database's clock. On a machine under load one may come late; not all of them.
    let best = waits.iter().min().unwrap();
    assert!(*best <= Duration::from_millis(100), "{waits:?}");
    service.stop().await;
    world.ends_clean().await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_hands_its_job_over_at_once_and_uncounted() {
    let world = World::new(Project::linear(9)).await;
    let one = Service::start(world.serve("one")).await;
    let job = world.enqueue(&waits_for(&world)).await;
    world.event(job, JobEventKind::Claimed).await;
    eventually("a probe runs", async || (!world.probes(job).await.is_empty()).then_some(())).await;
    let other = Service::start(world.serve("other")).await;
    let told = Instant::now();
    go(&world);
    one.stop().await;
    let row = eventually("it ends", async || Some(world.job().await).filter(|row| row.status.is_final())).await;
    assert_eq!(row.culprit, Some(world.project.sha("c5")));
    assert_eq!((row.attempts, row.handovers), (1, 1), "after {:?}", told.elapsed());
    let events = world.history(job).await;
    let at = |kind| events.iter().rfind(|event| event.kind == kind).unwrap().at;
    let handed_over = at(JobEventKind::Claimed) - at(JobEventKind::Released);
    assert!(handed_over.num_milliseconds() < 2000, "{handed_over}");
    assert_eq!(at_count(&events, JobEventKind::Claimed), 2);
    other.stop().await;
    world.ends_clean().await;
}

fn at_count(events: &[bisectd::db::job_events::JobEventRow], kind: JobEventKind) -> usize {
    events.iter().filter(|event| event.kind == kind).count()
}

#[tokio::test]
async fn a_killed_servers_job_goes_on_elsewhere_from_what_is_recorded() {
    let world = World::new(Project::linear(9)).await;
    let serve = |name: &str| world.serve(name).env("STALE_AFTER_SECONDS", "3").env("RECOVERY_INTERVAL_SECONDS", "0.5");
    let one = Service::start(serve("one")).await;
    // Both ends are recorded; it waits in between.
    let script = format!(
        "n=$(cat n); case $n in 0|8) ;; *) test -e {} || exec sleep 1000;; esac; test $n -lt 5",
        world.path("go").display()
    );
    let job = world.enqueue(&script).await;
    eventually("both ends are recorded", async || (world.recorded_runs(job).await.len() == 2).then_some(())).await;
    let other = Service::start(serve("other")).await;
    go(&world);
    one.kill().await;
    let killed = Instant::now();
    world.event(job, JobEventKind::Reclaimed).await;
    let took = killed.elapsed();
    let row = eventually("it ends", async || Some(world.job().await).filter(|row| row.status.is_final())).await;
    assert_eq!((row.status, row.attempts, row.culprit), (JobStatus::Completed, 2, Some(world.project.sha("c5"))));
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(world.recorded_runs(job).await.iter().all(|(_, runs)| *runs == 1), "nothing is run twice");
    println!("taken over {took:?} after kill -9 (stale after 3 s, looked for every 0.5 s)");
    other.stop().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_and_a_second_server_on_its_data_dir_is_refused() {
    let world = World::new(Project::linear(9)).await;
    let one = Service::start(world.serve("one")).await;
    let refused = world.serve("one").run().await.expect(2);
    assert!(refused.stderr.contains("already runs on DATA_DIR"), "{}", refused.stderr);
    let job = world.enqueue("sleep 1000").await;
    eventually("a probe runs", async || (!world.probes(job).await.is_empty()).then_some(())).await;
    // The database does not let the job go, so that a stop in order cannot come to its end.
    let mut raw = world.db.raw().await;
    sqlx::Executor::execute(&mut raw, "BEGIN; SELECT 1 FROM bisect_jobs FOR UPDATE").await.unwrap();
    one.signal(Signal::SIGTERM);
    eventually("it stops", async || one.log().contains("stopping").then_some(())).await;
    assert_eq!(one.get("/health").await.1["status"], "draining");
    let ended = tokio::time::timeout(Duration::from_secs(9), one.stop()).await;
    assert!(ended.is_ok(), "the grace is 10 s, and was not waited for");
}
