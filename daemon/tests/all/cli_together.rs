//! The same request in several terminals is one job: who waits for it, who leaves, who cancels.

use crate::support::{Program, Project, Running, World, eventually};
use bisect_shared::JobStatus;
use bisectd::db::job_events::JobEventKind::{CancelRequested, Cancelled, Claimed, Completed, Joined, Queued, Released};
use nix::sys::signal::Signal;
use std::fs;

/// A search whose first midpoint, c4, stands still while `hold` is there.
fn bisect(world: &World) -> Program {
    let hold = world.path("hold");
    let script = format!(
        "n=$(cat n); echo $n >>{}; if test $n = 4; then while test -e {}; do sleep 0.05; done; fi; test $n -lt 5",
        world.path("runs").display(),
        hold.display()
    );
    world.bisect("c0", "main", &["--json", "--jobs", "1"]).args(["--", "sh", "-c", &script])
}

async fn world() -> World {
    let world = World::new(Project::linear(9)).await;
    fs::write(world.path("hold"), "").unwrap();
    world
}

fn runs(world: &World) -> Vec<usize> {
    let text = fs::read_to_string(world.path("runs")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Two terminals: the first brought the job and runs it, the second has joined it.
async fn two(world: &World, second: impl FnOnce(Program) -> Program) -> [Running; 2] {
    let first = bisect(world).start();
    eventually("the midpoint runs", async || runs(world).contains(&4).then_some(())).await;
    let second = second(bisect(world)).start();
    eventually("it has joined", async || second.stderr().contains("going on with it").then_some(())).await;
    assert_eq!(world.jobs().await.len(), 1, "one job");
    [first, second]
}

#[tokio::test]
async fn cli_ctrl_c_of_the_one_who_brought_a_job_leaves_it_to_the_one_who_waits() {
    let world = world().await;
    let [first, second] = two(&world, |program| program).await;
    let job = world.job().await.id;
    first.signal(Signal::SIGINT);
    let first = first.end().await.expect(130);
    assert_eq!(first.field("result"), "cancelled");
    assert!(first.stderr.contains("1 other waits for job"), "{}", first.stderr);
    assert!(first.stderr.contains("goes on for those who still wait"), "{}", first.stderr);
    eventually("the midpoint runs there", async || {
        (runs(&world).iter().filter(|n| **n == 4).count() == 2).then_some(())
    })
    .await;
    fs::remove_file(world.path("hold")).unwrap();
    let second = second.end().await.expect(0);
    assert_eq!(second.field("culprit"), world.project.sha("c5").to_string());
    assert_eq!(world.kinds(job).await, [Queued, Claimed, Joined, Released, Claimed, Completed]);
    assert!(world.recorded_runs(job).await.values().all(|runs| *runs == 1), "only the run under way was repeated");
    world.ends_clean().await;
}

#[tokio::test]
async fn cli_ctrl_c_of_the_last_one_who_waits_cancels_whoever_brought_the_job() {
    let world = world().await;
    let [first, second] = two(&world, |program| program).await;
    let job = world.job().await.id;
    first.signal(Signal::SIGINT);
    first.end().await.expect(130);
    second.signal(Signal::SIGINT);
    let second = second.end().await.expect(130);
    assert!(second.stderr.contains("cancelling"), "{}", second.stderr);
    assert_eq!(world.job().await.status, JobStatus::Cancelled);
    let kinds = world.kinds(job).await;
    assert_eq!(kinds[kinds.len() - 2..], [CancelRequested, Cancelled], "{kinds:?}");
    world.ends_clean().await;
}

#[tokio::test]
async fn cli_who_was_killed_or_told_to_stop_does_not_wait() {
    for (signal, code) in [(Signal::SIGKILL, -9), (Signal::SIGTERM, 130)] {
        let world = world().await;
        let [first, second] = two(&world, |program| program).await;
        second.signal(signal);
        second.end().await.expect(code);
        first.signal(Signal::SIGINT);
        let first = first.end().await.expect(130);
        assert!(first.stderr.contains("cancelling"), "{}", first.stderr);
        assert_eq!(world.job().await.status, JobStatus::Cancelled);
        world.ends_clean().await;
    }
}

#[tokio::test]
async fn cli_a_request_is_the_same_where_another_default_time_holds() {
    let world = world().await;
    let another = |program: Program| program.env("BISECT_TIMEOUT_SECONDS", "900").env("DOCKER_RUNNER_IMAGE", "other:1");
    let both = two(&world, another).await;
    fs::remove_file(world.path("hold")).unwrap();
    for one in both {
        one.end().await.expect(0);
    }
    world.ends_clean().await;
}
