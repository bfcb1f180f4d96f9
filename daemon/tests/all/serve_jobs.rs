//! Jobs on several servers: how soon they start, and what becomes of them when one ends.

use crate::support::{Project, Service, World, eventually};
use bisect_shared::{JobId, JobStatus};
use bisectd::db::job_events::JobEventKind;
use nix::sys::signal::Signal;
use sqlx::Executor;
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
    let one = Service::start(serve("one")).await;
    let left = world.path("one");
    eventually("what the killed one left is gone", async || world.processes_of(&left).is_empty().then_some(())).await;
    one.stop().await;
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

#[tokio::test]
async fn a_server_lets_go_of_commits_that_an_ended_job_left_pinned() {
    let world = World::new(Project::linear(3)).await;
    let one = Service::start(world.serve("one")).await;
    let ended = world.enqueue("test $(cat n) -lt 1").await;
    eventually("it ends", async || world.job().await.status.is_final().then_some(())).await;
    one.stop().await;
    // What a worker leaves that lost its job, or was killed. The other one waits for a machine that is not here.
    let mirrors = world.path("one").join("mirrors");
    let mut entries = std::fs::read_dir(mirrors).unwrap().map(|entry| entry.unwrap().path());
    let mirror = entries.find(|path| path.extension().is_some_and(|end| end == "git")).unwrap();
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(&mirror).args(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commit = world.project.sha("c0").to_string();
    let pin = |job: JobId| git(&["update-ref", &format!("refs/bisect/{job}/x"), &commit]);
    let waiting = world.enqueue("true").await;
    let elsewhere = "UPDATE bisect_jobs SET affinity = 'elsewhere' WHERE status = 'pending'";
    world.db.raw().await.execute(elsewhere).await.unwrap();
    pin(ended);
    pin(waiting);
    let one = Service::start(world.serve("one")).await;
    let pinned = || git(&["for-each-ref", "--format=%(refname)", "refs/bisect"]);
    let kept = format!("refs/bisect/{waiting}/x\n");
    eventually("it is let go of", async || (pinned() == kept).then_some(())).await;
    one.stop().await;
}
