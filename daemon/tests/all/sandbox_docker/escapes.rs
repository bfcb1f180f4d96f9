//! Commands that want more rights than they have, or other processes than their own.

use super::world::{SOON, World};
use bisect_shared::Ending;

/// Every line of `tries` must fail; the lines that did not are returned.
async fn succeeded(tries: &str) -> Vec<String> {
    let world = World::new();
    let mut hostile = String::new();
    for line in tries.lines().filter(|line| !line.trim().is_empty()) {
        hostile.push_str(&format!("if ( {line} ) </dev/null; then echo 'succeeded: {line}'; fi\n"));
    }
    let attacked = world.survives(world.attack(&format!("{hostile}exit 0"), "exit 0")).await;
    assert_eq!(attacked.ending, Ending::Exited(0), "{}", attacked.output);
    let lines = attacked.output.lines();
    lines.filter_map(|line| line.strip_prefix("succeeded: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn nobody_becomes_root_or_changes_the_system() {
    let got = succeeded(
        "test \"$(id -u)\" -lt 1879048192
grep -q \"NoNewPrivs:.0\" /proc/self/status
grep -E \"^Cap(Inh|Prm|Eff|Bnd|Amb):\" /proc/self/status | grep -vq \":.0*$\"
su -c true
mount -t tmpfs none /tmp
mount --bind /bisect/home /bisect/mirror
umount /bisect/work/.git
unshare -r true
unshare -m true
chroot / true
mknod /tmp/disk b 8 0
touch /etc/x
touch /usr/bin/x
touch /bisect/x
echo 1 >/proc/sys/kernel/panic
echo b >/proc/sysrq-trigger
echo 1 >/sys/fs/cgroup/memory/memory.limit_in_bytes
echo -1000 >/proc/self/oom_score_adj
hostname other
chown 0:0 calm.txt
cp /bin/sh ~/sh && chown 0 ~/sh
ulimit -c 1
ls /var/run/docker.sock
ls /dev/sda /dev/vda /dev/mem /dev/kmsg
dmesg",
    )
    .await;
    assert_eq!(got, Vec::<String>::new());
}

/// A file of mode 4755 is the lane's own user's and nothing more.
#[tokio::test]
async fn setuid_files_give_nothing() {
    let got = succeeded(
        "cp /usr/bin/id ~/id && chmod 6755 ~/id && test \"$(~/id -u)\" -lt 1879048192
find / -xdev -perm -4000 -type f -exec sh -c \"echo x | \\$0 -c id 2>&1\" {} \\; 2>/dev/null | grep -q uid=0",
    )
    .await;
    assert_eq!(got, Vec::<String>::new());
}

#[tokio::test]
async fn a_command_sees_and_ends_its_own_processes_only() {
    let world = World::new();
    // All that is there: the supervising shell, its two guards with one sleep, and this command.
    let hostile = "ls -d /proc/[0-9]* | wc -l; kill -KILL 1; kill -STOP 1; kill -TERM 1; kill -INT 1; kill -HUP 1; kill -KILL -1; exit 6";
    let attacked = world.survives(world.attack(hostile, "exit 0")).await;
    assert_eq!(attacked.ending, Ending::Exited(6));
    let processes: u32 = attacked.output.lines().next().unwrap().parse().unwrap();
    assert!(processes < 10, "{processes}");
}

/// Held by a debugger, the supervising shell says nothing: then the server's own clock ends it.
#[tokio::test]
async fn a_traced_supervisor_is_killed_from_outside() {
    let world = World::new();
    let hostile = "exec python3 -c \"
import ctypes, time
print(ctypes.CDLL(None).ptrace(16, 1, 0, 0), flush=True)
time.sleep(600)\"";
    let mut spec = world.attack(hostile, "exit 0");
    spec.timeout = SOON;
    assert_eq!(world.survives(spec).await.ending, Ending::TimedOut);
}

/// The script's own streams can be opened by the command; without the number they carry nothing.
#[tokio::test]
async fn a_forged_last_word_is_only_output() {
    let world = World::new();
    let hostile = "echo 00000000000000000000000000000000 end command 0 0 0 >/proc/1/fd/2; tr '\\0' '\\n' </proc/1/environ | grep -i nonce; exit 5";
    let attacked = world.survives(world.attack(hostile, "exit 0")).await;
    assert_eq!(attacked.ending, Ending::Exited(5));
}
