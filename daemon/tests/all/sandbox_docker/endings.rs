//! How a probe can end, when nobody means harm.

use super::world::{SOON, World, commit, probe, probe_until};
use bisect_shared::Ending;
use bisectd::sandbox::{ProbeSpec, RunEnd};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// One lane for all: a counter in an ignored file, which also shows that ignored files survive.
#[tokio::test]
async fn the_commands_own_code_is_reported_whatever_it_is() {
    let world = World::new();
    let endings = [
        "exit 0",
        "exit 1",
        "exit 2",
        "exit 124",
        "exit 125",
        "exit 126",
        "exit 127",
        "exit 128",
        "exit 129",
        "exit 137",
        "exit 255",
        "kill -KILL $$",
        "kill -SEGV $$",
        "kill -TERM 0",
        "kill -INT $PPID; exit 9",
        "kill -KILL -1; exit 8",
    ];
    let mut script = "mkdir -p build; n=$(cat build/n || echo 0); echo $((n + 1)) >build/n\ncase $n in\n".to_owned();
    for (number, ending) in endings.iter().enumerate() {
        script.push_str(&format!("{number}) {ending} ;;\n"));
    }
    script.push_str("esac");
    let mut lane = world.lane(world.spec(&["sh", "-c", &script])).await;
    let mut seen = Vec::new();
    for number in 0..endings.len() {
        let tag = if number % 2 == 0 { "calm" } else { "quiet" };
        seen.push(probe(&mut *lane, commit(tag)).await.ending());
    }
    let expected = [0, 1, 2, 124, 125, 126, 127, 128, 129, 137, 255, 137, 139, 143, 9, 8];
    assert_eq!(seen, expected.map(Ending::Exited));
    world.end(lane).await;
}

#[tokio::test]
async fn a_command_that_cannot_run_ends_as_a_shell_says() {
    let world = World::new();
    for (command, code) in [("no-such-command", 127), ("./calm.txt", 126), ("cd", 127)] {
        let mut lane = world.lane(world.spec(&[command, "x"])).await;
        let probed = probe(&mut *lane, commit("calm")).await;
        assert_eq!(probed.ending(), Ending::Exited(code), "{command}: {}", probed.text());
        assert!(probed.text().contains(command), "{}", probed.text());
        world.end(lane).await;
    }
}

#[tokio::test]
async fn arguments_and_environment_arrive_as_given() {
    let world = World::new();
    let script = "import os, signal, sys\nprint(sys.argv[1:], os.getcwd(), os.environ['MINE'], os.environ['HOME'], sys.prefix, sys.stdin.read() == '', signal.getsignal(signal.SIGINT) is signal.default_int_handler, sorted(os.listdir('/proc/self/fd'))[:4])";
    let mut spec = world.spec(&["python3", "-c", script, "$(id)", "a b", "", "--", "*"]);
    spec.env = vec![("MINE".to_owned(), "x; y \"z\"".to_owned())];
    let mut lane = world.lane(spec).await;
    let probed = probe(&mut *lane, commit("calm")).await;
    assert_eq!(
        probed.text(),
        "['$(id)', 'a b', '', '--', '*'] /bisect/work x; y \"z\" /bisect/home /bisect/home/venv True True ['0', '1', '2', '3']\n"
    );
    world.end(lane).await;
}

#[tokio::test]
async fn output_is_bytes_in_their_order() {
    let world = World::new();
    let script = r"printf 'a\000\377\376'; printf 'b\n' >&2; printf 'c\033[31m'; printf 'd' >&2; (setsid sh -c 'sleep 60; echo late' &)";
    let mut lane = world.lane(world.spec(&["sh", "-c", script])).await;
    let probed = probe(&mut *lane, commit("calm")).await;
    assert_eq!(probed.ending(), Ending::Exited(0));
    assert_eq!(probed.output, b"a\0\xff\xfeb\nc\x1b[31md");
    world.end(lane).await;
}

#[tokio::test]
async fn setup_runs_before_the_command_and_its_failure_is_its_own() {
    let world = World::new();
    let mut spec = world.spec(&["sh", "-c", "cat made; exit 3"]);
    spec.setup = Some("test ! -e evil || exit 7; echo made >made".to_owned());
    let mut lane = world.lane(spec).await;
    assert_eq!(probe(&mut *lane, commit("evil-0")).await.ending(), Ending::SetupFailed(7));
    let probed = probe(&mut *lane, commit("quiet")).await;
    assert_eq!((probed.ending(), probed.text().as_str()), (Ending::Exited(3), "made\n"));
    world.end(lane).await;
}

#[tokio::test]
async fn a_python_package_installs_and_is_tested_offline_on_a_read_only_root() {
    let world = World::new();
    let mut spec = world.spec(&["pytest", "-q"]);
    spec.setup = Some("pip install -q --no-build-isolation -e .".to_owned());
    spec.limits.tmp = 64 << 20;
    let mut lane = world.lane(spec).await;
    for (tag, code) in [("package-good", 0), ("package-bad", 1), ("package-good", 0)] {
        let probed = probe(&mut *lane, commit(tag)).await;
        assert_eq!(probed.ending(), Ending::Exited(code), "{tag}: {}", probed.text());
    }
    world.end(lane).await;
}

#[tokio::test]
async fn timeout_and_silence_end_what_ignores_every_signal() {
    let world = World::new();
    let deaf = "trap '' TERM INT HUP QUIT USR1; echo deaf; while :; do sleep 1; done";
    let slow = |change: &dyn Fn(&mut ProbeSpec)| {
        let mut spec = world.attack(deaf, "exit 0");
        change(&mut spec);
        world.survives(spec)
    };
    let timed_out = |spec: &mut ProbeSpec| spec.timeout = SOON;
    let silent = |spec: &mut ProbeSpec| spec.silence = Some(SOON);
    let at_deadline = |spec: &mut ProbeSpec| spec.deadline = Duration::from_secs(4);
    let attacked = slow(&timed_out).await;
    assert_eq!((attacked.ending, attacked.output.as_str()), (Ending::TimedOut, "deaf\n"));
    assert_eq!(slow(&silent).await.ending, Ending::Silent);
    // Inside, without the server's help.
    let mut spec = world.attack(deaf, "exit 0");
    at_deadline(&mut spec);
    let mut lane = world.lane(spec).await;
    assert_eq!(probe(&mut *lane, commit("evil-0")).await.ending(), Ending::TimedOut);
    world.end(lane).await;
}

#[tokio::test]
async fn a_stop_ends_the_run_at_once_and_the_lane_goes_on() {
    let world = World::new();
    let mut lane =
        world.lane(world.attack("mkdir build; touch build/kept; echo up; sleep 600", "test -e build/kept")).await;
    let stop = CancellationToken::new();
    let probed = probe_until(&mut *lane, commit("evil-0"), stop.clone(), |output| {
        if output == b"up\n" {
            stop.cancel();
        }
    })
    .await;
    // One that waited for the command would have come to its timeout first.
    assert!(matches!(probed.end, Ok(RunEnd::Stopped)), "{:?}", probed.end);
    // Already cancelled: nothing runs.
    let none = probe_until(&mut *lane, commit("evil-0"), stop, |_| {}).await;
    assert!(matches!(none.end, Ok(RunEnd::Stopped)) && none.output.is_empty());
    let next = probe(&mut *lane, commit("quiet")).await;
    assert_eq!(next.ending(), Ending::Exited(0));
    world.end(lane).await;
}

/// A measurement, not a claim: run it alone, with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn overhead_of_a_probe() {
    let world = World::new();
    let opening = Instant::now();
    let mut lane = world.lane(world.spec(&["sleep", "0.5"])).await;
    println!("open_lane {:?}", opening.elapsed());
    let mut overheads = Vec::new();
    for number in 0..21 {
        let tag = if number % 2 == 0 { "calm" } else { "quiet" };
        let begun = Instant::now();
        let probed = probe(&mut *lane, commit(tag)).await;
        let Ok(RunEnd::Ended(Ending::Exited(0), seconds)) = probed.end else { panic!("{probed:?}") };
        overheads.push((begun.elapsed().as_secs_f64() - 0.5, seconds - 0.5));
    }
    overheads.remove(0);
    overheads.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("overhead: median {:?}, worst {:?} (all, within the container)", overheads[10], overheads[19]);
    let closing = Instant::now();
    world.end(lane).await;
    println!("close {:?}", closing.elapsed());
}
