//! Commands that turn against process 1 of their own container: it has their user, so they can.

use super::world::{World, commit, probe};
use bisect_shared::Ending;
use std::time::Duration;

/// Reads the memory of process 1, with `act` for each of its areas: `start`, `end` and `memory`.
/// Exits with 42 where the kernel does not let it (Yama).
fn on_its_memory(act: &str) -> String {
    format!(
        "import os, re, sys, time
try:
    memory = open('/proc/1/mem', 'r+b', 0)
except OSError:
    sys.exit(42)
for line in open('/proc/1/maps'):
    start, end = (int(number, 16) for number in line.split()[0].split('-'))
    if not ' rw' in line: continue
{act}
time.sleep(600)"
    )
}

/// The last word, forged with the nonce that process 1 holds.
const FORGE: &str = "    memory.seek(start)
    for nonce in set(re.findall(rb'[0-9a-f]{32}', memory.read(end - start))):
        open('/proc/1/fd/2', 'wb', 0).write(b'\\n' + nonce + b' end command 0 0 0 0 0\\n')";

/// The same with the claim that nothing is alive any more, so that the container waits for the next commit.
const FORGE_AND_STAY: &str = "    memory.seek(start)
    for nonce in set(re.findall(rb'[0-9a-f]{32}', memory.read(end - start))):
        open('/proc/1/fd/1', 'wb', 0).write(b'\\x1e' + nonce + b' done\\n')
        open('/proc/1/fd/2', 'wb', 0).write(b'\\n' + nonce + b' end command 0 0 0 0 1\\n')";

/// Whatever process 1 returns to is not there.
const BREAK: &str = "    if '[stack]' in line:
        memory.seek(end - 65536)
        memory.write(b'\\xff' * 65536)";

async fn is_told(act: &str) {
    let world = World::new();
    let mut spec = world.spec(&["python3", "-c", &on_its_memory(act)]);
    // More than it needs on a busy machine, and less than the command would take.
    spec.timeout = Duration::from_secs(60);
    let mut lane = world.lane(spec).await;
    let probed = tokio::time::timeout(Duration::from_secs(300), probe(&mut *lane, commit("quiet"))).await;
    let probed = probed.expect("its limits hold, whatever it says");
    if probed.ending() == Ending::Exited(42) {
        eprintln!("this kernel lets nobody read the memory of process 1");
    } else {
        assert_eq!(probed.ending(), Ending::Tampered, "{}", probed.text());
        assert!(probed.text().contains("interfered with the process that supervises it"), "{}", probed.text());
    }
    world.end(lane).await;
}

#[tokio::test]
async fn a_forged_last_word_lifts_no_limit_and_is_no_result() {
    is_told(FORGE).await;
}

#[tokio::test]
async fn a_command_that_claims_to_be_gone_is_seen() {
    is_told(FORGE_AND_STAY).await;
}

#[tokio::test]
async fn a_supervisor_that_was_broken_is_no_error_of_the_engine() {
    is_told(&format!("{BREAK}\nos.kill(1, 1)")).await;
}

#[tokio::test]
async fn a_result_that_follows_a_forged_one_is_none() {
    is_told(&format!("{FORGE}\nsys.exit(3)")).await;
}

#[tokio::test]
async fn noise_between_its_words_hides_no_result() {
    let world = World::new();
    let attacked = world.survives(world.attack("printf junk >/proc/1/fd/2; exit 3", "true")).await;
    assert_eq!(attacked.ending, Ending::Exited(3), "{}", attacked.output);
}
