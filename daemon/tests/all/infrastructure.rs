//! What a bisection runs on may go away: that is never a verdict. And in real containers: crashes,
//! interruptions, exit codes.

use crate::support::{DockerLink, Program, Project, Ran, Running, Service, TestImage, World, eventually};
use bisect_shared::{Epoch, JobId, JobStatus, ResultKind};
use bisectd::{
    db::{job_events::JobEventKind, probes::ProbeState},
    runner::spec::{JobSpec, SandboxKind},
};
use nix::sys::signal::Signal;
use rstest::rstest;
use std::{collections::HashSet, process::Command, time::Duration};

/// Without a Python environment for each lane: what is tested here is not the lanes.
const IMAGE: &str = "debian:bookworm-slim";
const COMMITS: usize = 9;
const CULPRIT: &str = "c5";

/// The first midpoint, c4, says that it is there and waits until it may go on; so does the proof
/// of the culprit's parent, which is c4 again.
const SCRIPT: &str = "n=$(cat n); \
    if test $n = 4; then echo here; until test -e ~/go; do sleep 0.05; done; fi; \
    test $n -lt 5";

async fn world() -> World {
    World::new(Project::linear(COMMITS)).await
}

fn bisect(world: &World) -> Program {
    world.bisect_in_docker("c0", "main", &["--json", "--jobs", "1", "--image", IMAGE])
}

/// The search whose first midpoint waits.
fn waiting(world: &World) -> Program {
    bisect(world).args(["--", "sh", "-c", SCRIPT])
}

/// Returns when a probe of `epoch` or later has said that it is there, for the `nth` time.
async fn here(world: &World, job: JobId, epoch: Epoch, nth: i64) {
    let sql = "SELECT count(*) FROM log_chunks c JOIN probes p ON p.id = c.probe_id \
               WHERE p.job_id = $1 AND p.epoch >= $2 AND position('here' IN convert_from(c.bytes, 'UTF8')) > 0";
    eventually("the midpoint runs in its container", async || {
        let mut raw = world.db.raw().await;
        let (count,): (i64,) = sqlx::query_as(sql).bind(job.0).bind(epoch.0).fetch_one(&mut raw).await.unwrap();
        (count >= nth).then_some(())
    })
    .await;
}

/// Lets what waits in the world's containers go on, until the program has ended.
async fn let_go(world: &World, running: Running) -> Ran {
    let mut gone = HashSet::new();
    let going = eventually("the program ends", async || {
        for container in world.running_containers() {
            // A checkout container has no such wait, and one that just ended needs none.
            if !gone.contains(&container) && touch_go(&container) {
                gone.insert(container);
            }
        }
        None::<()>
    });
    tokio::select! {
        ran = running.end() => ran,
        () = going => unreachable!("there is always another container to look for"),
    }
}

/// Whether a container could be told to go on.
fn touch_go(container: &str) -> bool {
    let told = Command::new("docker").args(["exec", container, "touch", "/bisect/home/go"]).output();
    told.is_ok_and(|told| told.status.success())
}

#[tokio::test]
async fn docker_that_comes_back_in_the_middle_of_a_probe_costs_only_that_run() {
    let world = world().await;
    let mut link = DockerLink::new(&world.path("docker.sock"));
    let running = waiting(&world).env("DOCKER_HOST", link.host()).start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    link.cut();
    let stopped = async || {
        let stopped = world.probes(job).await.iter().any(|probe| probe.state == ProbeState::Stopped);
        stopped.then_some(())
    };
    eventually("the run that was cut off is given up", stopped).await;
    eventually("it is said", async || running.stderr().contains("trying again").then_some(())).await;
    assert_eq!(world.job().await.status, JobStatus::Running, "the job waits");
    link.mend();
    let ran = let_go(&world, running).await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(CULPRIT).to_string());
    assert!(world.recorded_runs(job).await.values().all(|runs| *runs == 1));
    let events = world.kinds(job).await;
    assert_eq!(events, [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::Completed]);
    world.ends_clean().await;
}

#[tokio::test]
async fn docker_that_stays_away_is_infrastructure_and_no_verdict() {
    let world = world().await;
    let mut link = DockerLink::new(&world.path("docker.sock"));
    let program = waiting(&world).env("DOCKER_HOST", link.host());
    let running = program.env("SANDBOX_PATIENCE_SECONDS", "2").start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    link.cut();
    let ran = running.end().await.expect(3);
    assert_eq!(ran.field("result"), ResultKind::Infrastructure.name());
    let midpoint = world.project.sha("c4").to_string();
    let probes = ran.field("probes");
    assert!(probes.as_array().unwrap().iter().all(|probe| probe["commit"] != midpoint.as_str()), "{probes}");
    assert_eq!(world.job().await.status, JobStatus::Failed);
    // Nobody could remove them through the cut link: they end by themselves, their volumes are
    // swept by the next one.
    link.mend();
    let again = waiting(&world).env("DOCKER_HOST", link.host()).start();
    let ran = let_go(&world, again).await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(CULPRIT).to_string());
    world.ends_clean().await;
}

/// Neither fails its job, nor takes those that another one could run.
#[tokio::test]
async fn a_server_whose_docker_stays_away_leaves_jobs_to_others() {
    let world = world().await;
    let in_docker = |script: &str| JobSpec {
        sandbox: SandboxKind::Docker,
        image: IMAGE.to_owned(),
        lanes: 1,
        ..world.project.request(&["sh", "-c", script])
    };
    let mut link = DockerLink::new(&world.path("docker.sock"));
    let serve = world.serve("one").env("DOCKER_HOST", link.host()).env("SANDBOX_PATIENCE_SECONDS", "1");
    let one = Service::start(serve).await;
    let script = "n=$(cat n); if test $n = 4; then echo here; sleep 2; fi; test $n -lt 5";
    let first = world.enqueue_as(in_docker(script)).await;
    here(&world, first, Epoch(1), 1).await;
    link.cut();
    world.event(first, JobEventKind::Released).await;
    let released = world.history(first).await.pop().unwrap();
    assert_eq!(released.detail["reason"], "unavailable");
    let known = async || {
        let sql = "SELECT count(*) FROM instances WHERE docker = false";
        let (away,): (i64,) = sqlx::query_as(sql).fetch_one(&mut world.db.raw().await).await.unwrap();
        (away == 1 && one.get("/health").await.1["status"] == "degraded").then_some(())
    };
    eventually("it is known", known).await;
    let second = world.enqueue_as(in_docker("test $(cat n) -lt 5")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for row in world.jobs().await {
        assert_eq!(row.status, JobStatus::Pending, "job {}", row.id);
        assert!(row.epoch <= Epoch(1), "job {} was claimed again", row.id);
    }

    let ended = async |job: JobId| {
        eventually("it ends", async || {
            world.jobs().await.into_iter().find(|row| row.id == job && row.status.is_final())
        })
        .await
    };
    let other = Service::start(world.serve("other")).await;
    for job in [first, second] {
        let row = ended(job).await;
        assert_eq!(row.culprit, Some(world.project.sha(CULPRIT)), "job {job}");
        assert_eq!(row.attempts, 1, "nothing crashed");
    }
    other.stop().await;
    link.mend();
    let third = world.enqueue_as(in_docker("true; test $(cat n) -lt 5")).await;
    assert_eq!(ended(third).await.culprit, Some(world.project.sha(CULPRIT)), "its Docker is back, and so is it");
    one.stop().await;
    world.ends_clean().await;
}

/// All lanes need it, and the proof's are opened after it died.
#[tokio::test]
async fn a_killed_checkout_container_is_no_verdict_and_the_job_goes_on() {
    let world = world().await;
    let running = waiting(&world).start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    let checkout: Vec<_> =
        world.running_containers().into_iter().filter(|container| container.contains("-checkout-")).collect();
    assert_eq!(checkout.len(), 1, "{checkout:?}");
    assert!(Command::new("docker").args(["kill", &checkout[0]]).output().unwrap().status.success());
    let ran = let_go(&world, running).await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(CULPRIT).to_string());
    assert!(world.recorded_runs(job).await.values().all(|runs| *runs == 1));
    world.ends_clean().await;
}

#[rstest]
#[case::during_a_probe(1)]
#[case::during_the_proof(2)]
#[tokio::test]
async fn a_killed_worker_s_containers_go_and_its_job_goes_on(#[case] nth: i64) {
    let world = world().await;
    let running = waiting(&world).start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    if nth == 2 {
        for container in world.running_containers() {
            touch_go(&container);
        }
        // A fresh lane: there it waits again.
        here(&world, job, Epoch(1), 2).await;
    }
    let known = world.recorded_runs(job).await;
    running.kill().await;
    let ran = let_go(&world, waiting(&world).start()).await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(CULPRIT).to_string());
    let runs = world.recorded_runs(job).await;
    assert!(runs.values().all(|runs| *runs == 1) && known.keys().all(|known| runs.contains_key(known)), "{runs:?}");
    let again = world.probes(job).await;
    let again = again.iter().filter(|probe| probe.epoch > Epoch(1));
    for probe in again {
        let n = world.project.number(&probe.commit.to_string());
        assert!(!known.contains_key(&(n, probe.purpose)), "{probe:?} was recorded before");
    }
    assert_eq!(world.history(job).await.iter().filter(|event| event.kind == JobEventKind::Reclaimed).count(), 1);
    world.ends_clean().await;
}

/// The first claim saw the bad end fail in one image; then the tag means another one, in which nothing fails. With the
/// old one still there nothing changes; on a machine that lacks it, everything runs anew, and that is said.
#[rstest]
#[case::still_there(true)]
#[case::gone(false)]
#[tokio::test]
async fn a_tag_that_moves_never_mixes_two_images_in_one_answer(#[case] kept: bool) {
    let world = world().await;
    let image = TestImage::new(if kept { "kept" } else { "gone" }, IMAGE, "ENV WHICH=one");
    let one = image.id();
    let script = SCRIPT.replace("test $n -lt 5", "test $WHICH = two || test $n -lt 5");
    let bisect = || {
        let bisect = world.bisect_in_docker("c0", "main", &["--json", "--jobs", "1", "--image", &image.name]);
        bisect.args(["--", "sh", "-c", &script])
    };
    let running = bisect().start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    running.signal(Signal::SIGTERM);
    running.end().await.expect(130);
    image.becomes(IMAGE, "ENV WHICH=two");
    if !kept {
        TestImage::remove(&one);
    }
    let ran = let_go(&world, bisect().start()).await;
    let row = world.job().await;
    let note = format!("the image {} was {}", image.name, &one["sha256:".len()..][..12]);
    let report = row.report.unwrap().to_string();
    let second = world.probes(job).await.into_iter().filter(|probe| probe.epoch > Epoch(1));
    let images: HashSet<_> = second.map(|probe| probe.image.unwrap()).collect();
    if kept {
        assert_eq!(ran.expect(0).field("culprit"), world.project.sha(CULPRIT).to_string());
        assert!(!report.contains(&note), "{report}");
        assert_eq!(images, HashSet::from([one]));
        assert!(world.recorded_runs(job).await.values().all(|runs| *runs == 1));
    } else {
        assert_eq!(ran.expect(1).field("result"), ResultKind::NotReproducible.name());
        assert!(report.contains(&note), "{report}");
        assert_eq!(images, HashSet::from([image.id()]));
    }
    world.ends_clean().await;
}

#[rstest]
#[case::cancelled(Signal::SIGINT, JobStatus::Cancelled)]
#[case::given_back(Signal::SIGTERM, JobStatus::Pending)]
#[tokio::test]
async fn an_interrupted_one_leaves_no_container(#[case] signal: Signal, #[case] status: JobStatus) {
    let world = world().await;
    let running = waiting(&world).start();
    let job = world.job_appears().await.id;
    here(&world, job, Epoch(1), 1).await;
    running.signal(signal);
    running.end().await.expect(130);
    assert_eq!(world.job().await.status, status);
    world.nothing_is_left().await;
}

#[tokio::test]
async fn in_containers_too_a_signal_and_a_missing_command_stop_the_search() {
    let world = World::new(Project::linear(3)).await;
    let [killed, missing] = [&["sh", "-c", "test $(cat n) -lt 2 || kill -KILL $$"][..], &["no-such-program-anywhere"]]
        .map(|command| bisect(&world).arg("--").args(command).run());
    let (killed, missing) = tokio::join!(killed, missing);
    for (ran, code) in [(killed.expect(1), 137), (missing.expect(1), 127)] {
        assert_eq!(ran.field("result"), ResultKind::Aborted.name(), "{}", ran.stdout);
        let bad = world.project.sha("main").to_string();
        let probes = ran.field("probes");
        let bad = probes.as_array().unwrap().iter().find(|probe| probe["commit"] == bad.as_str()).unwrap();
        assert_eq!(bad["exit_code"], code);
    }
    world.ends_clean().await;
}
