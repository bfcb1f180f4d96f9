//! A test container serves one commit after another, as long as each finds what a new one has.

use super::world::{World, commit, probe};
use bisect_shared::Ending;

/// When process 1 was started, which no other container's was.
const BORN: &str = "cut -d' ' -f22 /proc/1/stat";

#[tokio::test]
async fn one_container_runs_commit_after_commit_whatever_they_end_with() {
    let world = World::new();
    let script = format!("{BORN}; case $(cat evil 2>&1) in [0-2]) exit 1;; *) exit 0;; esac");
    let mut lane = world.lane(world.spec(&["sh", "-c", &script])).await;
    let mut born = Vec::new();
    for name in ["quiet", "evil-0", "quiet", "evil-1", "evil-2", "quiet"] {
        let probed = probe(&mut *lane, commit(name)).await;
        assert_eq!(probed.ending(), Ending::Exited(u8::from(name != "quiet")), "{}", probed.text());
        born.push(probed.text());
    }
    assert!(born.iter().all(|it| *it == born[0]), "{born:?}");
    world.end(lane).await;
}

#[tokio::test]
async fn the_next_commit_finds_what_a_new_container_has() {
    let world = World::new();
    let leaves = [
        "echo x >/tmp/x; echo x >/tmp/.x; mkdir -p /tmp/a/b; echo x >/tmp/a/b/c; ln -s / /tmp/root; echo x >/dev/shm/x",
        "mkdir /tmp/locked; echo x >/tmp/locked/x; chmod 0 /tmp/locked",
        "cd /tmp; for i in $(seq 2000); do echo >f$i; done",
        "ipcmk --shmem 100 && ipcmk --queue && ipcmk --semaphore 1
(setsid sleep 600 >/dev/null 2>&1 &); (trap '' TERM HUP; while :; do :; done) & exit 0",
        // Who closes first keeps the port for a minute.
        "python3 -c \"
import socket
server = socket.create_server(('127.0.0.1', 8000), reuse_port=False)
client = socket.create_connection(('127.0.0.1', 8000))
accepted, _ = server.accept()
accepted.close(); client.recv(1); client.close(); server.close()\"",
    ];
    let check = "test -z \"$(ls -A /tmp /dev/shm | grep -v :)\"
for list in shm msg sem; do test $(wc -l </proc/sysvipc/$list) = 1; done
test $(ls -d /proc/[0-9]* | wc -l) -lt 10
python3 -c \"
import socket
plain = socket.socket()
plain.bind(('127.0.0.1', 8000)); plain.listen()\"";
    for (leaves, attacked) in leaves.iter().zip(world.survives_all(world.attacks(&leaves, check), leaves.len()).await) {
        assert_eq!(attacked.ending, Ending::Exited(0), "{leaves}: {}", attacked.output);
    }
}

/// A container is given up after an end of its probe that was not the command's own.
#[tokio::test]
async fn what_was_killed_is_not_used_again() {
    let world = World::new();
    let hostile = format!("{BORN}; python3 -c 'x = bytearray(1 << 30)'; exit 1");
    let check = format!("{BORN} >&2");
    let mut lane = world.lane(world.attack(&hostile, &check)).await;
    let mut born = Vec::new();
    for (name, ending) in [("quiet", Ending::Exited(0)), ("evil-0", Ending::OutOfMemory), ("quiet", Ending::Exited(0))]
    {
        let probed = probe(&mut *lane, commit(name)).await;
        assert_eq!(probed.ending(), ending, "{}", probed.text());
        born.push(probed.text().lines().next().unwrap_or_default().to_owned());
    }
    assert_eq!(born[0], born[1]);
    assert_ne!(born[1], born[2]);
    world.end(lane).await;
}

/// The command got over it; the next one must not answer for it.
#[tokio::test]
async fn memory_that_ran_out_before_is_not_what_the_next_commit_failed_for() {
    let world = World::new();
    let hostile = "python3 -c 'x = bytearray(1 << 30)'; exit 0";
    let mut lane = world.lane(world.attack(hostile, "exit 1")).await;
    for (name, ending) in [("evil-0", Ending::Exited(0)), ("quiet", Ending::Exited(1))] {
        let probed = probe(&mut *lane, commit(name)).await;
        assert_eq!(probed.ending(), ending, "{}", probed.text());
    }
    world.end(lane).await;
}
