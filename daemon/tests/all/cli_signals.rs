//! What a signal does: a process that is asked to stop stops, whatever it is doing, and the job
//! that it had goes on with the next one at once.

use crate::support::{Project, World, eventually};
use bisect_shared::JobStatus;
use nix::sys::signal::Signal;
use rstest::rstest;
use std::time::Duration;

/// Long enough that no test would pass by waiting for it.
const SLEEP: [&str; 3] = ["--", "sleep", "1000"];

#[rstest]
#[tokio::test]
async fn a_process_that_is_told_to_stop_gives_its_job_back(#[values(Signal::SIGTERM, Signal::SIGHUP)] signal: Signal) {
    let world = World::new(Project::linear(9)).await;
    let running = world.bisect("c0", "main", &["--json"]).args(SLEEP).start();
    eventually("a probe runs", async || (!world.processes().is_empty()).then_some(())).await;
    running.signal(signal);
    let ran = tokio::time::timeout(Duration::from_secs(30), running.end()).await.expect("it stops").expect(130);
    assert_eq!(ran.field("result"), "cancelled");
    assert!(ran.stderr.contains("give the same command again"), "{}", ran.stderr);
    assert_eq!(world.job().await.status, JobStatus::Pending);
    assert_eq!(std::fs::read_dir(world.data_dir().join("instances")).unwrap().count(), 0, "it retired");
    world.nothing_is_left().await;
}

#[tokio::test]
async fn a_process_that_is_hurried_leaves_a_job_that_the_next_one_takes_at_once() {
    let world = World::new(Project::linear(9)).await;
    let bisect = || world.bisect("c0", "main", &["--json", "--env", "AT=1"]);
    let script = format!("test -e {} || sleep 1000", world.path("go").display());
    let running = bisect().args(["--", "sh", "-c", &script]).start();
    eventually("a probe runs", async || (!world.processes().is_empty()).then_some(())).await;
    // The database does not let the job go, so the end in order cannot come.
    let mut raw = world.db.raw().await;
    sqlx::Executor::execute(&mut raw, "BEGIN; SELECT 1 FROM bisect_jobs FOR UPDATE").await.unwrap();
    running.signal(Signal::SIGTERM);
    eventually("it stops", async || running.stderr().contains("given back").then_some(())).await;
    running.signal(Signal::SIGTERM);
    running.end().await.expect(130);
    drop(raw);
    std::fs::write(world.path("go"), "").unwrap();
    // STALE_AFTER_SECONDS is 100 here: this one does not wait for it.
    let next = bisect().args(["--", "sh", "-c", &script]).run();
    let ran = tokio::time::timeout(Duration::from_secs(30), next).await.expect("no wait for a stale heartbeat");
    assert_eq!(ran.expect(1).field("result"), "not_reproducible");
    world.ends_clean().await;
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_by_the_next_one_whatever_that_does() {
    let world = World::new(Project::linear(9)).await;
    let commands =
        [world.bisect("c0", "main", &["--jobs", "1"]), world.bisect_in_docker("c0", "main", &["--jobs", "1"])];
    for (command, what) in commands.into_iter().zip(["process", "docker"]) {
        let running = command.args(SLEEP).start();
        eventually(what, async || {
            let runs = if what == "docker" { world.containers().len() > 2 } else { !world.processes().is_empty() };
            runs.then_some(())
        })
        .await;
        running.kill().await;
    }
    world.bisect_in_docker("c0", "c1", &[]).args(["--", "true"]).run().await.expect(1);
    world.nothing_is_left().await;
}
