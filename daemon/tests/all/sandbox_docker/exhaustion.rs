//! Commands that use up whatever there is: each is told apart, and its lane goes on.

use super::world::{SOON, World, commit, probe};
use crate::support::TestImage;
use bisect_shared::Ending;
use bisectd::sandbox::{ProbeSpec, RunEnd};
use std::fs;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_fork_bomb_hits_its_own_limit() {
    let world = World::new();
    let mut spec = world.attack("bomb() { bomb | bomb & bomb; }\nbomb", "sleep 0");
    spec.timeout = SOON;
    let attacked = world.survives(spec).await;
    let expected = [Ending::TimedOut, Ending::Exited(2)];
    assert!(expected.contains(&attacked.ending), "{attacked:?}");
}

/// The last free process goes to a survivor, and yet the container has its last word.
#[tokio::test]
async fn no_process_left_is_no_reason_to_lose_the_exit_code() {
    let world = World::new();
    let hostile = "import os, signal, time
try:
    while True:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
except BlockingIOError:
    print('used up', flush=True)
    os._exit(5)";
    let spec = world.attack(&format!("exec python3 -c \"{hostile}\""), "sleep 0");
    let attacked = world.survives(spec).await;
    assert_eq!((attacked.ending, attacked.output.as_str()), (Ending::Exited(5), "used up\n"));
}

/// Each attack must end as it says beside it.
async fn end_as(attacks: &[(&str, Ending)], check: &str, change: impl FnOnce(&mut ProbeSpec)) {
    let world = World::new();
    let hostile: Vec<_> = attacks.iter().map(|(hostile, _)| *hostile).collect();
    let mut spec = world.attacks(&hostile, check);
    change(&mut spec);
    let attacked = world.survives_all(spec, attacks.len()).await;
    for ((hostile, ending), attacked) in attacks.iter().zip(attacked) {
        assert_eq!(attacked.ending, *ending, "{hostile}: {}", attacked.output);
    }
}

#[tokio::test]
async fn memory_is_told_from_a_code_of_the_same_number() {
    let attacks = [
        ("exec tail /dev/zero", Ending::OutOfMemory),
        // Only a child died, and the command told of it with its own code.
        ("tail /dev/zero || exit 1", Ending::OutOfMemory),
        // The command passed all the same.
        ("tail /dev/zero || exit 0", Ending::Exited(0)),
        // Many at once: the kernel must not choose the supervising shell.
        ("for i in 1 2 3 4; do tail /dev/zero & done; wait; exit 4", Ending::OutOfMemory),
        ("kill -KILL $$", Ending::Exited(137)),
    ];
    end_as(&attacks, "exit 0", |spec| spec.limits.memory = 32 << 20).await;
}

#[tokio::test]
async fn a_full_workspace_ends_the_probe_and_is_made_anew() {
    let attacks = [
        ("mkdir build; head -c 100m /dev/zero >build/big; sleep 600", Ending::OutOfDisk),
        ("head -c 100m /dev/zero >~/big; sleep 600", Ending::OutOfDisk),
        // Where no other user may look.
        ("mkdir d; exec 9>d/big; chmod 0 d; head -c 100m /dev/zero >&9; sleep 600", Ending::OutOfDisk),
    ];
    let check = "test ! -e build; test -x ~/venv/bin/pytest; test \"$(git config --global safe.directory)\" = '*'";
    end_as(&attacks, check, |spec| spec.limits.disk = 96 << 20).await;
}

/// One byte in none of them, so only their number tells.
#[tokio::test]
async fn empty_files_without_number_end_the_probe_too() {
    let hostile = "mkdir -p build; python3 -c 'for n in range(20000): open(f\"build/{n}\", \"w\")'; sleep 600";
    let attacks = [(hostile, Ending::OutOfDisk)];
    end_as(&attacks, "test ! -e build", |spec| spec.limits.files = 2000).await;
}

/// Each commit leaves as much as fits once: the second one must not answer for the first.
#[tokio::test]
async fn what_an_earlier_commit_left_is_not_charged_to_the_next() {
    let world = World::new();
    let script = "mkdir -p build; touch ~/left$(ls build | wc -l); head -c 60m /dev/zero >build/$(ls build | wc -l)
        ls ~ | grep left
        [ $(ls build | wc -l) -lt 2 ] || sleep 600";
    let mut spec = world.spec(&["sh", "-c", script]);
    spec.limits.disk = 96 << 20;
    let mut lane = world.lane(spec).await;
    let first = probe(&mut *lane, commit("calm")).await;
    assert_eq!((first.ending(), first.text().as_str()), (Ending::Exited(0), "left0\n"));
    let second = probe(&mut *lane, commit("quiet")).await;
    assert_eq!(second.ending(), Ending::Exited(0), "{}", second.text());
    let told = "left0\nleft1\n\nbisectd: out of disk, but with what earlier commits left in this workspace; it was \
        emptied, and the command runs once more\nleft0\n";
    assert_eq!(second.text(), told);
    world.end(lane).await;
}

/// Docker would give each container a folder of its own on the disk there, which nobody measures.
#[tokio::test]
async fn a_volume_of_the_image_is_as_limited_and_as_empty_as_tmp() {
    let image = TestImage::new("volume", "debian:bookworm-slim", "VOLUME /data /srv/x/../deep");
    let attacks = [
        ("head -c 100m /dev/zero >/data/big", Ending::OutOfDisk),
        ("head -c 100m /dev/zero >/srv/deep/big; exit 0", Ending::Exited(0)),
    ];
    let check =
        "test -z \"$(ls -A /data /srv/deep | grep -v :)\"; test $(df -k --output=size /data | tail -n 1) -le 8192
        grep -q ' /srv/deep tmpfs ' /proc/mounts";
    end_as(&attacks, check, |spec| spec.image.clone_from(&image.name)).await;
}

#[tokio::test]
async fn a_full_tmp_is_told_apart_when_the_command_fails_for_it() {
    let attacks = [
        ("head -c 100m /dev/zero >/tmp/big", Ending::OutOfDisk),
        ("head -c 100m /dev/zero >/tmp/big; exit 0", Ending::Exited(0)),
        ("head -c 100m /dev/zero >/tmp/big || { rm /tmp/big; exit 3; }", Ending::Exited(3)),
    ];
    let check = "test -z \"$(ls -A /tmp)\"; printf '#!/bin/sh\\n' >/tmp/x; chmod 755 /tmp/x; /tmp/x";
    end_as(&attacks, check, |_| {}).await;
}

#[tokio::test]
async fn endless_output_is_passed_on_until_the_timeout() {
    let world = World::new();
    let mut spec = world.attacks(&["exec yes", "exec cat /dev/zero"], "exit 0");
    spec.timeout = SOON;
    for attacked in world.survives_all(spec, 2).await {
        assert_eq!(attacked.ending, Ending::TimedOut);
        assert!(attacked.output.len() >= 1 << 20, "{}", attacked.output.len());
    }
}

/// Nobody reads: the command waits, the daemon keeps nothing, and the timeout holds all the same.
#[tokio::test]
async fn a_reader_that_never_reads_costs_no_memory() {
    let world = World::new();
    let mut spec = world.attack("exec yes", "exit 0");
    spec.timeout = SOON;
    let mut lane = world.lane(spec).await;
    let before = resident();
    let (sender, receiver) = mpsc::channel(1);
    let end = lane.run(commit("evil-0"), sender, CancellationToken::new()).await;
    assert!(matches!(end, Ok(RunEnd::Ended(Ending::TimedOut, _))), "{end:?}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "grown by {grown} bytes");
    drop(receiver);
    assert_eq!(probe(&mut *lane, commit("quiet")).await.ending(), Ending::Exited(0));
    world.end(lane).await;
}

#[tokio::test]
async fn nobody_listening_is_no_reason_to_stop() {
    let world = World::new();
    let mut lane = world.lane(world.spec(&["seq", "100000"])).await;
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let end = lane.run(commit("calm"), sender, CancellationToken::new()).await;
    assert!(matches!(end, Ok(RunEnd::Ended(Ending::Exited(0), _))), "{end:?}");
    world.end(lane).await;
}

/// What the kernel counts by user is used up by a lane's user alone, and given back.
#[tokio::test]
async fn quotas_of_a_user_are_a_lanes_own() {
    let world = World::new();
    let watch = "import ctypes, os, time
libc = ctypes.CDLL(None)
count = 0
while libc.inotify_init() >= 0:
    count += 1
print(count, flush=True)";
    let hostile = format!("exec python3 -c \"{watch}\nwhile True: time.sleep(60)\"");
    let check = "python3 -c 'import ctypes; exit(ctypes.CDLL(None).inotify_init() < 0)'";
    let mut spec = world.attack(&hostile, check);
    spec.timeout = SOON;
    let attacked = world.survives(spec).await;
    assert_eq!(attacked.ending, Ending::TimedOut);
    assert!(attacked.output.trim().parse::<u32>().unwrap() > 8, "{attacked:?}");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
