//! Lanes of one job: they share a volume and a checkout container, and nothing that they could reach.

use super::world::{World, commit, docker, probe, probe_until};
use crate::support::eventually;
use bisect_shared::{Ending, Purpose};
use bisectd::sandbox::{Lane, ProbeSpec, Sandbox};
use std::{path::PathBuf, process::Command, sync::Arc, time::Duration};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Makes everything of its lane everybody's, says who it is, and waits until it is let go.
const HELD: &str = "echo secret >~/secret; echo secret >secret; chmod -R 777 ~ . 2>/dev/null
id -u; until test -e ~/go; do sleep 0.05; done; ls -A ~ | tr '\\n' ' '; exit 7";

async fn lanes(world: &World, spec: ProbeSpec) -> [Box<dyn Lane>; 2] {
    let spec = Arc::new(spec);
    let open = |number| world.sandbox.open_lane(spec.clone(), number, Purpose::Search);
    let (one, two) = tokio::join!(open(0), open(1));
    [one.unwrap(), two.unwrap()]
}

/// Containers of this world with `part` in their names.
fn containers(world: &World, part: &str) -> Vec<String> {
    let owner = format!("label=bisectd.owner={}", world.owner);
    docker(&["ps", "-q", "--filter", &owner, "--filter", &format!("name=-{part}-")])
}

/// The one checkout container of this world.
fn checkout(world: &World) -> String {
    let [container] = &containers(world, "checkout")[..] else { panic!("{:?}", world.left()) };
    container.clone()
}

/// Whether `script` succeeds in the checkout container as that user.
fn can(checkout: &str, user: &str, script: &str) -> bool {
    let arguments = ["exec", "-u", user, checkout, "sh", "-c", script];
    Command::new("docker").args(arguments).output().unwrap().status.success()
}

/// Holds a run of `HELD` in the first lane while `meanwhile` looks around, which is told the lane's user.
async fn held<T>(first: &mut dyn Lane, meanwhile: impl AsyncFnOnce(String) -> T) -> (super::world::Probed, T) {
    let (sender, user) = oneshot::channel();
    let mut sender = Some(sender);
    let run = probe_until(first, commit("evil-0"), CancellationToken::new(), |output| {
        if output.ends_with(b"\n")
            && let Some(sender) = sender.take()
        {
            sender.send(String::from_utf8_lossy(output).trim().to_owned()).unwrap();
        }
    });
    tokio::join!(run, async { meanwhile(user.await.unwrap()).await })
}

#[tokio::test]
async fn a_test_sees_and_writes_nothing_of_another_lane() {
    let world = World::new();
    let look = "id -u; ls -d /bisect/* | tr '\\n' ' '; find / -name secret -not -path '/proc/*' 2>/dev/null | wc -l
cut -d' ' -f4,5 /proc/self/mountinfo | grep ' /bisect/' | grep -v mirror | sed 's,.*/_data/,,' | sort | tr '\\n' ' '; exit 3";
    let [mut first, mut second] = lanes(&world, world.attacks(&[HELD, look], "exit 0")).await;
    let (probed, seen) = held(&mut *first, async |owner| {
        let seen = probe(&mut *second, commit("evil-1")).await;
        assert_eq!(seen.ending(), Ending::Exited(3));
        let lines: Vec<_> = seen.text().lines().map(str::to_owned).collect();
        let other = lines[0].clone();
        assert_ne!(other, owner);
        assert_eq!(lines[1], "/bisect/home /bisect/mirror /bisect/work 0", "{lines:?}");

        // Where both lanes are, as the users that they have there: the owner may, so that what the other may not says
        // something.
        let checkout = checkout(&world);
        let lane = format!("/bisect/lanes/{owner}");
        let tries = [
            format!("test -d {lane}/work/."),
            format!("ls {lane}/work"),
            format!("cat {lane}/home/secret"),
            format!("cat {lane}/work/secret"),
            format!("cat {lane}/git/HEAD"),
            format!("cd {lane}/home && touch mine ../work/mine ../git/mine && rm mine ../work/mine ../git/mine"),
        ];
        for script in &tries {
            assert!(can(&checkout, &format!("{owner}:{owner}"), script), "its owner: {script}");
            assert!(!can(&checkout, &format!("{other}:{other}"), script), "another lane: {script}");
        }
        // Nobody lists all lanes, changes what is between a lane and the others, or puts anything in root's way.
        let never = [
            "ls /bisect/lanes".to_owned(),
            "touch /bisect/lanes/x".to_owned(),
            format!("ls {lane}"),
            format!("touch {lane}/x"),
            format!("chmod 777 {lane}"),
            format!("mv {lane}/work {lane}/x"),
            format!("echo 0 >{lane}/stamp"),
            "touch /tmp/x".to_owned(),
        ];
        for script in &never {
            assert!(!can(&checkout, &format!("{owner}:{owner}"), script), "{script}");
        }
        assert!(can(&checkout, "0:0", &format!("touch {lane}/home/go")));
        lines
    })
    .await;
    assert_eq!(probed.ending(), Ending::Exited(7), "{}", probed.text());
    assert!(probed.text().ends_with(" secret venv "), "{}", probed.text());
    let mounts = format!("{0}/git /bisect/work/.git {0}/home /bisect/home {0}/work /bisect/work ", seen[0]);
    assert_eq!(seen[2..], [mounts]);
    first.close().await.unwrap();
    world.end(second).await;
}

#[tokio::test]
async fn all_lanes_of_a_job_share_one_volume_and_one_checkout_container() {
    let world = World::new();
    let [mut first, second] = lanes(&world, world.spec(&["sh", "-c", "exit 4"])).await;
    let owner = format!("label=bisectd.owner={}", world.owner);
    assert_eq!(docker(&["volume", "ls", "-q", "--filter", &owner]).len(), 1);
    let checkout = checkout(&world);
    let count = || docker(&["exec", &checkout, "ls", "/bisect/lanes"]).len();
    assert_eq!(count(), 2);
    // In the background, while the other lane goes on.
    second.close().await.unwrap();
    assert_eq!(probe(&mut *first, commit("calm")).await.ending(), Ending::Exited(4));
    eventually("the closed lane's directory is gone", async || (count() == 1).then_some(())).await;
    world.end(first).await;
}

#[tokio::test]
async fn a_killed_checkout_container_costs_no_verdict_neither_of_a_run_nor_of_the_next() {
    let world = World::new();
    let [mut first, mut second] = lanes(&world, world.attack(HELD, "exit 0")).await;
    let (probed, ()) = held(&mut *first, async |owner| {
        let killed = checkout(&world);
        docker(&["kill", &killed]);
        assert_eq!(probe(&mut *second, commit("quiet")).await.ending(), Ending::Exited(0));
        let fresh = checkout(&world);
        assert_ne!(fresh, killed);
        assert!(can(&fresh, "0:0", &format!("touch /bisect/lanes/{owner}/home/go")));
    })
    .await;
    assert_eq!(probed.ending(), Ending::Exited(7), "{:?}", probed.end);
    first.close().await.unwrap();
    world.end(second).await;
}

#[tokio::test]
async fn a_workspace_is_lost_when_its_checkout_was_cut_off() {
    let world = World::new();
    let keep = "mkdir build; touch build/kept; exit 0";
    let [mut first, mut second] = lanes(&world, world.attack(keep, "test -e build/kept && exit 5; exit 6")).await;
    for lane in [&mut first, &mut second] {
        assert_eq!(probe(&mut **lane, commit("evil-0")).await.ending(), Ending::Exited(0));
    }
    let container = checkout(&world);
    docker(&["pause", &container]);
    let hangs = tokio::time::timeout(Duration::from_millis(300), probe(&mut *first, commit("quiet"))).await;
    assert!(hangs.is_err(), "{hangs:?}");
    docker(&["kill", &container]);
    assert_eq!(probe(&mut *first, commit("quiet")).await.ending(), Ending::Exited(6), "made anew");
    assert_eq!(probe(&mut *second, commit("quiet")).await.ending(), Ending::Exited(5), "kept");
    first.close().await.unwrap();
    world.end(second).await;
}

#[tokio::test]
async fn a_lane_that_cannot_be_opened_leaves_nothing_and_its_neighbour_works() {
    let world = World::new();
    let mut lane = world.lane(world.spec(&["true"])).await;
    let mut spec = world.spec(&["true"]);
    // Less than any container needs: Docker refuses the test container.
    spec.limits.memory = 1 << 20;
    let failing = world.sandbox.open_lane(Arc::new(spec), 1, Purpose::Search).await;
    if let Ok(mut failing) = failing {
        assert!(probe(&mut *failing, commit("calm")).await.end.is_err());
        failing.close().await.unwrap();
    }
    assert_eq!(probe(&mut *lane, commit("calm")).await.ending(), Ending::Exited(0));
    world.end(lane).await;

    let mut spec = world.spec(&["true"]);
    spec.mirror = PathBuf::from("/nonexistent/mirror");
    assert!(world.sandbox.open_lane(Arc::new(spec), 0, Purpose::Search).await.is_err());
    world.left_nothing_soon().await;
}
