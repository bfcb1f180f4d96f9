//! Errors of Docker, dead servers and other people's containers: never a verdict, never a leftover.

use super::world::{World, commit, docker, probe, probe_until};
use crate::support::{TestImage, eventually};
use bisect_shared::{Ending, Epoch, InstanceId, JobId, Purpose};
use bisectd::sandbox::{
    ProbeSpec, Sandbox, SandboxError,
    docker::{DockerConfig, DockerSandbox},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

async fn refusal(world: &World, change: impl FnOnce(&mut ProbeSpec)) -> String {
    let mut spec = world.spec(&["true"]);
    change(&mut spec);
    match world.sandbox.check(&spec).await {
        Err(SandboxError::Unusable(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn check_names_the_image_by_what_it_is() {
    let world = World::new();
    let found = world.sandbox.check(&world.spec(&["true"])).await.unwrap();
    // Every machine builds its own of the same recipe: a job goes on in any of them.
    let recipe = "built-from:{{index .Config.Labels \"bisect.context-sha256\"}}";
    assert_eq!(
        found.into_iter().collect::<Vec<_>>(),
        docker(&["image", "inspect", "-f", recipe, "bisect-runner:latest"])
    );
    world.left_nothing_soon().await;
}

#[tokio::test]
async fn an_image_that_is_missing_or_has_no_shell_is_refused() {
    let world = World::new();
    let message = refusal(&world, |spec| spec.image = "no-such-image:1".to_owned()).await;
    assert!(message.contains("docker pull no-such-image:1"), "{message}");
    let message = refusal(&world, |spec| spec.image = "a image".to_owned()).await;
    assert!(message.contains("`a image` is not the name of an image"), "{message}");

    let name = format!("bisect-test-no-shell:{}", std::process::id());
    let made = Command::new("sh")
        .args(["-c", "printf x >file && tar -c file | docker import - \"$1\"", "sh", &name])
        .current_dir(tempfile::tempdir().unwrap().path())
        .output();
    assert!(made.unwrap().status.success());
    let message = refusal(&world, |spec| spec.image.clone_from(&name)).await;
    docker(&["image", "rm", &name]);
    assert!(message.contains(&name) && message.contains("cannot run `sh`"), "{message}");

    let runner_missing =
        World::with(DockerConfig { runner_image: "no-such-runner".to_owned(), ..DockerConfig::default() });
    let message = refusal(&runner_missing, |_| {}).await;
    assert!(message.contains("make setup"), "{message}");
    world.left_nothing_soon().await;
}

#[tokio::test]
async fn a_volume_where_tests_have_something_else_is_refused() {
    let world = World::new();
    let image = TestImage::new("ours", "debian:bookworm-slim", "VOLUME /x/../bisect/work");
    let message = refusal(&world, |spec| spec.image.clone_from(&image.name)).await;
    assert!(message.contains(&image.name) && message.contains("VOLUME `/x/../bisect/work`"), "{message}");
}

#[tokio::test]
async fn more_processors_than_there_are_is_as_many_as_there_are() {
    let world = World::new();
    let mut spec =
        world.spec(&["sh", "-c", "cat /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || true"]);
    spec.limits.cpus = 1e4;
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("quiet")).await;
    assert_eq!(probed.ending(), Ending::Exited(0), "{}", probed.text());
    world.end(lane).await;
}

/// A tag means what it meant when the job began, as long as that is there; then it is said, never mixed.
#[tokio::test]
async fn a_tag_that_moves_changes_nothing_for_a_job_that_has_begun() {
    let world = World::new();
    let image = TestImage::new("moves", "debian:bookworm-slim", "ENV WHICH=one");
    let mut spec = world.spec(&["sh", "-c", "echo $WHICH"]);
    spec.image.clone_from(&image.name);
    spec.image_id = world.sandbox.check(&spec).await.unwrap();
    let one = image.id();
    assert_eq!(spec.image_id.as_ref(), Some(&one));
    image.becomes("debian:bookworm-slim", "ENV WHICH=two");
    let again = world.sandbox.check(&spec).await.unwrap();
    assert_eq!(again.as_ref(), Some(&one));
    let mut lane = world.lane(spec.clone()).await;
    assert_eq!(probe(&mut *lane, commit("quiet")).await.text(), "one\n");
    world.end(lane).await;

    TestImage::remove(&one);
    let refused = world.sandbox.open_lane(Arc::new(spec.clone()), 1, Purpose::Search).await.map(drop);
    let Err(SandboxError::Unusable(message)) = refused else { panic!("{refused:?}") };
    assert!(message.contains(&one) && message.contains("run the job again"), "{message}");
    assert_eq!(world.sandbox.check(&spec).await.unwrap(), Some(image.id()), "whoever begins anew is told");
    world.left_nothing_soon().await;
}

#[tokio::test]
async fn an_image_without_git_or_python_is_enough() {
    let world = World::new();
    let mut spec =
        world.spec(&["sh", "-c", "test ! -e ~/venv && ! command -v git python3 && cat calm.txt && touch ~/x"]);
    spec.image = "debian:bookworm-slim".to_owned();
    world.sandbox.check(&spec).await.unwrap();
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("quiet")).await;
    assert_eq!((probed.ending(), probed.text().as_str()), (Ending::Exited(0), "quiet\n"));
    world.end(lane).await;
}

/// The runner image under another owner's eyes: one that has Python, but not our archive's.
#[tokio::test]
async fn another_image_gets_a_python_environment_of_its_own() {
    let world = World::new();
    let name = format!("bisect-test-python:{}", std::process::id());
    let made = Command::new("sh")
        .args(["-c", "id=$(docker create bisect-runner:latest) && docker commit -c 'LABEL other=1' \"$id\" \"$1\" && docker rm \"$id\"", "sh", &name])
        .output();
    assert!(made.unwrap().status.success());
    let mut spec = world.spec(&["python3", "-c", "import sys; print(sys.prefix)"]);
    spec.image.clone_from(&name);
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("quiet")).await;
    world.end(lane).await;
    docker(&["image", "rm", &name]);
    assert_eq!((probed.ending(), probed.text().as_str()), (Ending::Exited(0), "/bisect/home/venv\n"));
}

#[tokio::test]
async fn docker_that_is_away_is_an_error_with_a_way_out() {
    let config = DockerConfig { host: Some("unix:///nonexistent/docker.sock".to_owned()), ..DockerConfig::default() };
    let world = World::with(config);
    let spec = world.spec(&["true"]);
    let errors = [
        world.sandbox.check(&spec).await.map(drop).unwrap_err(),
        world.sandbox.open_lane(Arc::new(spec), 0, Purpose::Search).await.map(drop).unwrap_err(),
        world.sandbox.sweep_job(JobId(1), Epoch(2)).await.unwrap_err(),
        world.sandbox.ping().await.map(drop).unwrap_err(),
    ];
    for error in errors {
        let SandboxError::Engine { doing, reason } = &error else { panic!("{error:?}") };
        assert!(doing.contains("unix:///nonexistent/docker.sock"), "{error}");
        assert!(reason.contains("make setup") && reason.contains("DOCKER_HOST"), "{error}");
    }
    let config = DockerConfig { host: Some("gopher://x".to_owned()), ..DockerConfig::default() };
    let error = DockerSandbox::connect(config).unwrap_err();
    assert!(error.to_string().contains("DOCKER_HOST must be like"), "{error}");
}

#[tokio::test]
async fn a_commit_that_the_mirror_lacks_is_an_error() {
    let world = World::new();
    let mut lane = world.lane(world.spec(&["true"])).await;
    let absent = "00ff10aa00ff10aa00ff10aa00ff10aa00ff10aa".parse().unwrap();
    let probed = probe(&mut *lane, absent).await;
    let Err(SandboxError::Engine { reason, .. }) = &probed.end else { panic!("{probed:?}") };
    assert!(reason.contains("00ff10aa"), "{reason}");
    assert_eq!(probe(&mut *lane, commit("calm")).await.ending(), Ending::Exited(0));
    world.end(lane).await;
}

/// As when an operator runs `docker kill`, or Docker stops: whatever code came of it is discarded.
#[tokio::test]
async fn a_container_ended_from_outside_is_no_verdict_and_the_lane_recovers() {
    let world = World::new();
    let label = format!("label=bisectd.owner={}", world.owner);
    for signal in ["KILL", "TERM"] {
        // Heeds SIGTERM as it would a wrapper's: fails at once.
        let hostile = "echo up; while [ ! -e ~/now ]; do sleep 0.1; done; exit 1";
        let mut lane = world.lane(world.attack(hostile, "exit 0")).await;
        let mut signalled = false;
        let probed = probe_until(&mut *lane, commit("evil-0"), CancellationToken::new(), |output| {
            if output == b"up\n" && !signalled {
                signalled = true;
                let all = docker(&["ps", "-q", "--filter", &label, "--filter", "name=-test-"]);
                for container in &all {
                    // The one that only waits may be gone by now.
                    let kill = Command::new("docker").args(["kill", "-s", signal, container]).output();
                    assert!(kill.is_ok());
                    let now = Command::new("docker").args(["exec", container, "touch", "/bisect/home/now"]).output();
                    assert!(now.is_ok());
                }
            }
        })
        .await;
        assert!(matches!(probed.end, Err(SandboxError::Engine { .. })), "{signal}: {probed:?}");
        assert_eq!(probe(&mut *lane, commit("quiet")).await.ending(), Ending::Exited(0));
        world.end(lane).await;
    }
}

/// A Docker that goes away in the middle of a probe, and comes back: here, the road to it.
#[tokio::test]
async fn a_docker_that_goes_away_is_no_verdict_and_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let mut road = Road::open(&socket);
    let config = DockerConfig { host: Some(format!("unix://{}", socket.display())), ..DockerConfig::default() };
    let world = World::with(config);
    let mut lane = world.lane(world.attack("echo up; sleep 600", "exit 0")).await;
    let mut up = false;
    let probed = probe_until(&mut *lane, commit("evil-0"), CancellationToken::new(), |_| {
        if !up {
            up = true;
            road.cut();
        }
    })
    .await;
    assert!(matches!(probed.end, Err(SandboxError::Engine { .. })), "{probed:?}");
    // Its input ended, so the container ends without anybody's help.
    let running = || docker(&["ps", "-q", "--filter", &format!("label=bisectd.owner={}", world.owner)]);
    eventually("its containers end", async || running().is_empty().then_some(())).await;
    let away = probe(&mut *lane, commit("quiet")).await;
    assert!(matches!(away.end, Err(SandboxError::Engine { .. })), "{away:?}");

    road = Road::open(&socket);
    assert_eq!(probe(&mut *lane, commit("quiet")).await.ending(), Ending::Exited(0));
    lane.close().await.unwrap();
    world.left_nothing_soon().await;
    drop(road);
}

/// A way to Docker's socket that can be cut.
struct Road {
    socket: PathBuf,
    traffic: Option<JoinSet<()>>,
}

impl Road {
    fn open(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let mut traffic = JoinSet::new();
        traffic.spawn(async move {
            // Dropped with its task, and every connection with it.
            let mut connections = JoinSet::new();
            while let Ok((mut ours, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut dockers = UnixStream::connect("/var/run/docker.sock").await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut ours, &mut dockers).await);
                });
            }
        });
        Self { socket: socket.to_owned(), traffic: Some(traffic) }
    }

    fn cut(&mut self) {
        drop(self.traffic.take());
        std::fs::remove_file(&self.socket).unwrap();
    }
}

/// What is left of a server that was killed: connections end, so containers do; volumes are swept.
#[tokio::test]
async fn a_dropped_run_and_a_dropped_lane_leave_nothing() {
    let world = World::new();
    let mut lane = world.lane(world.attack("echo up; trap '' TERM; sleep 600", "exit 0")).await;
    let up = std::sync::Arc::new(tokio::sync::Notify::new());
    tokio::select! {
        probed = probe_until(&mut *lane, commit("evil-0"), CancellationToken::new(), |_| up.notify_one()) => panic!("{probed:?}"),
        () = up.notified() => {}
    }
    assert_eq!(probe(&mut *lane, commit("quiet")).await.ending(), Ending::Exited(0));
    drop(lane);
    world.left_nothing_soon().await;

    let opening = world.sandbox.open_lane(Arc::new(world.spec(&["true"])), 1, Purpose::Search);
    assert!(tokio::time::timeout(Duration::from_millis(30), opening).await.is_err());
    // Until what was under way is there, and then is not.
    eventually("what was under way is there", async || (!world.left().is_empty()).then_some(())).await;
    world.left_nothing_soon().await;
}

/// A process that dies takes its runtime with it: nothing runs any more that could clean up.
#[test]
fn a_killed_servers_containers_end_and_its_volumes_are_swept() {
    let world = World::new();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dying = runtime();
    dying.block_on(async {
        let mut lane = world.lane(world.attack("echo up; sleep 600", "exit 0")).await;
        let up = tokio::sync::Notify::new();
        tokio::select! {
            probed = probe_until(&mut *lane, commit("evil-0"), CancellationToken::new(), |_| up.notify_one()) => panic!("{probed:?}"),
            () = up.notified() => {}
        }
        // Neither run nor lane is dropped in order.
        std::mem::forget(lane);
    });
    dying.shutdown_background();

    runtime().block_on(async {
        let fresh =
            DockerSandbox::connect(DockerConfig { owner: world.owner.clone(), ..DockerConfig::default() }).unwrap();
        let (mine, another) = (InstanceId("tester".to_owned()), InstanceId("another".to_owned()));
        assert_eq!(fresh.instances().await.unwrap(), std::slice::from_ref(&mine));
        fresh.sweep_instances(&[another]).await.unwrap();
        assert!(!world.left().is_empty());
        fresh.sweep_instances(&[mine]).await.unwrap();
        assert_eq!(world.left(), Vec::<String>::new());
    });
}

#[tokio::test]
async fn a_sweep_removes_lower_epochs_of_its_own_job_only() {
    let world = World::new();
    let of = |job: i64, epoch: i64| {
        let mut spec = world.spec(&["true"]);
        (spec.job, spec.epoch) = (JobId(job), Epoch(epoch));
        spec
    };
    let old = world.lane(of(1, 1)).await;
    let mut current = world.lane(of(1, 2)).await;
    let mut other = world.lane(of(2, 1)).await;
    let elsewhere = World::new();
    elsewhere.sandbox.sweep_job(JobId(1), Epoch(9)).await.unwrap();

    let sweep = || world.sandbox.sweep_job(JobId(1), Epoch(2));
    let (first, second) = tokio::join!(sweep(), sweep());
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    let left = docker(&[
        "ps",
        "-a",
        "--format",
        "{{.Label \"bisectd.job\"}}-{{.Label \"bisectd.epoch\"}}",
        "--filter",
        &format!("label=bisectd.owner={}", world.owner),
    ]);
    assert!(!left.is_empty() && !left.contains(&"1-1".to_owned()), "{left:?}");
    for lane in [&mut current, &mut other] {
        assert_eq!(probe(&mut **lane, commit("calm")).await.ending(), Ending::Exited(0));
    }
    current.close().await.unwrap();
    other.close().await.unwrap();
    old.close().await.unwrap();
    assert_eq!(world.left(), Vec::<String>::new());
}
