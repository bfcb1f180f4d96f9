//! What `bisectd bisect` answers: every result, its exit status, its JSON, its log for git; how it
//! ends when it is interrupted; and what `bisectd migrate` says.

use crate::support::{Commit, Program, Project, Ran, World, empty_database, eventually, git_in};
use bisect_shared::{JobStatus, Purpose, ResultKind, Verdict};
use bisectd::db::{
    job_events::JobEventKind,
    probes::{ProbeRow, ProbeState},
};
use futures::future::join_all;
use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fs};

/// `bisectd bisect` between `c0` and `main` with a shell script that knows its commit's number, `$n`.
fn judged(world: &World, options: &[&str], script: &str) -> Program {
    let bisect = world.bisect("c0", "main", &["--json"]).args(options);
    bisect.args(["--", "sh", "-c", &format!("n=$(cat n); {script}")])
}

fn exit_of(result: ResultKind) -> i32 {
    match result {
        ResultKind::Culprit => 0,
        ResultKind::Infrastructure => 3,
        ResultKind::Cancelled => 130,
        _ => 1,
    }
}

/// The end that was expected, with the exit status that the contract gives it.
#[track_caller]
fn ended(ran: Ran, result: ResultKind) -> Ran {
    let ran = ran.expect(exit_of(result));
    assert_eq!(ran.field("result"), result.name(), "{}", ran.stdout);
    ran
}

fn culprit(world: &World, ran: &Ran, name: &str) {
    assert_eq!(ran.field("culprit"), world.project.sha(name).to_string(), "{}", ran.stdout);
}

fn suspects(world: &World, ran: &Ran) -> BTreeSet<usize> {
    let listed = ran.field("suspects");
    listed.as_array().unwrap().iter().map(|sha| world.project.number(sha.as_str().unwrap())).collect()
}

/// What the answer says of one commit's probe.
#[track_caller]
fn probe(world: &World, ran: &Ran, name: &str) -> (Value, Value) {
    let sha = world.project.sha(name).to_string();
    let probes = ran.field("probes");
    let of = probes.as_array().unwrap().iter().find(|probe| probe["commit"] == sha.as_str());
    let of = of.unwrap_or_else(|| panic!("{name} was not run: {probes}"));
    (of["verdict"].clone(), of["exit_code"].clone())
}

#[tokio::test]
async fn every_exit_status_means_what_it_means_to_git() {
    use ResultKind::{Aborted, Culprit};
    let world = World::new(Project::linear(9)).await;
    // The bad end and all from c5 on end so.
    let cases = [
        ("exit 1", Culprit, json!("bad"), 1),
        ("exit 2", Culprit, json!("bad"), 2),
        ("exit 124", Culprit, json!("bad"), 124),
        ("exit 125", Aborted, json!("skip"), 125),
        ("exit 126", Culprit, json!("bad"), 126),
        ("exit 127", Culprit, json!("bad"), 127),
        ("exit 128", Aborted, Value::Null, 128),
        ("exit 129", Aborted, Value::Null, 129),
        ("exit 137", Aborted, Value::Null, 137),
        ("exit 255", Aborted, Value::Null, 255),
        ("kill -KILL $$", Aborted, Value::Null, 137),
        ("kill -SEGV $$", Aborted, Value::Null, 139),
    ];
    let runs = cases
        .each_ref()
        .map(|(end, ..)| judged(&world, &["--jobs", "1"], &format!("test $n -lt 5 && exit 0; {end}")).run());
    for (ran, (end, result, verdict, code)) in join_all(runs).await.into_iter().zip(cases) {
        let ran = ended(ran, result);
        if result == Culprit {
            culprit(&world, &ran, "c5");
        }
        assert_eq!(probe(&world, &ran, "main"), (verdict, json!(code)), "{end}");
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn a_command_that_cannot_run_at_all_is_told_from_one_that_fails() {
    let world = World::new(Project::linear(9)).await;
    let bisect = |command: &str| world.bisect("c0", "main", &["--json"]).args(["--", command]).run();
    // `n` is a file of the tree, and no program.
    for (command, code) in [("no-such-program-anywhere", 127), ("./no-such-script", 127), ("./n", 126)] {
        let ran = ended(bisect(command).await, ResultKind::Aborted);
        assert_eq!(probe(&world, &ran, "main").1, code, "{command}");
        assert_eq!(probe(&world, &ran, "c0").1, code, "{command}");
    }
    let told = world.bisect("c0", "main", &[]).args(["--", "no-such-program-anywhere"]).run().await.expect(1);
    assert!(told.stdout.contains("not found (exit 127) on both ends"), "{}", told.stdout);
    world.ends_clean().await;
}

#[tokio::test]
async fn what_ends_a_run_from_outside_is_bad_only_if_the_bad_end_ended_likewise() {
    let world = World::new(Project::linear(9)).await;
    let slow = "exec sleep 1000";
    let [timeout, silence, once, setup, setup_ends] = [
        judged(&world, &["--timeout", "1.5"], &format!("test $n -lt 5 || {slow}")),
        judged(&world, &["--silence", "1.5"], &format!("test $n -lt 5 || {slow}")),
        // c4, the first midpoint, is slow, but the failure that is hunted is another.
        judged(&world, &["--timeout", "1.5", "--jobs", "1"], &format!("test $n = 4 && {slow}; test $n -lt 6")),
        judged(&world, &["--setup", "test $(cat n) != 4", "--jobs", "1"], "test $n -lt 6"),
        judged(&world, &["--setup", "exit 3"], "test $n -lt 6"),
    ]
    .map(Program::run);
    let (timeout, silence, once, setup, setup_ends) = tokio::join!(timeout, silence, once, setup, setup_ends);
    for ran in [timeout, silence] {
        let ran = ended(ran, ResultKind::Culprit);
        culprit(&world, &ran, "c5");
        assert_eq!(probe(&world, &ran, "main"), (json!("bad"), Value::Null));
    }
    let once = ended(once, ResultKind::Culprit);
    culprit(&world, &once, "c6");
    assert_eq!(probe(&world, &once, "c4"), (json!("skip"), Value::Null));
    let setup = ended(setup, ResultKind::Culprit);
    culprit(&world, &setup, "c6");
    assert_eq!(probe(&world, &setup, "c4"), (json!("skip"), json!(1)));
    ended(setup_ends, ResultKind::Aborted);
    world.ends_clean().await;
}

/// c0 is the base; c1 fixes it on one side, c2 and c3 are the other.
fn fixed_on_one_side() -> Project {
    Project::of(&[
        Commit::default(),
        Commit { parents: &[0], ..Commit::default() },
        Commit { parents: &[0], ..Commit::default() },
        Commit { parents: &[2], ..Commit::default() },
    ])
}

#[tokio::test]
async fn ends_without_a_culprit_have_their_own_results() {
    let world = World::new(Project::linear(9)).await;
    // Every second run of each commit fails.
    let turn = world.path("turn");
    let flaky = format!("mkdir {0}.$n && exit 1; rmdir {0}.$n; exit 0", turn.display());
    let cases = [
        ("exit 0", ResultKind::NotReproducible),
        ("exit 1", ResultKind::GoodFails),
        (flaky.as_str(), ResultKind::Flaky),
        ("exit 200", ResultKind::Aborted),
    ];
    let options = |result| if result == ResultKind::Flaky { &["--runs", "50", "--jobs", "1"][..] } else { &[] };
    let runs = cases.map(|(script, result)| judged(&world, options(result), script).run());
    for (ran, (_, result)) in join_all(runs).await.into_iter().zip(cases) {
        let ran = ended(ran, result);
        assert_eq!((ran.field("culprit"), ran.field("suspects")), (Value::Null, json!([])));
        assert_eq!(ran.field("confidence"), 0.0);
    }
    let ran =
        ended(judged(&world, &[], "case $n in 3|4) exit 125;; esac; test $n -lt 5").run().await, ResultKind::Suspects);
    assert_eq!(suspects(&world, &ran), BTreeSet::from([3, 4, 5]));
    let limit = ["--job-timeout", "1.5"];
    let ran = ended(judged(&world, &limit, "test $n = 0 || sleep 1000").run().await, ResultKind::TimedOut);
    assert_eq!(ran.field("culprit"), Value::Null);
    world.ends_clean().await;

    let world = World::new(fixed_on_one_side()).await;
    let bisect = world.bisect("c1", "c3", &["--json"]).args(["--", "sh", "-c", "test $(cat n) = 1"]);
    ended(bisect.run().await, ResultKind::FixedBefore);
    world.ends_clean().await;
}

#[tokio::test]
async fn a_machine_that_fails_is_infrastructure_and_no_verdict() {
    let world = World::new(Project::linear(3)).await;
    // A file stands where the mirror of the project must be.
    let source = world.project.path().canonicalize().unwrap().join(".git");
    let key = hex::encode(&Sha256::digest(source.to_str().unwrap())[..16]);
    let mirrors = world.data_dir().join("mirrors");
    fs::create_dir_all(&mirrors).unwrap();
    fs::write(mirrors.join(format!("{key}.git")), "").unwrap();
    let ran = ended(judged(&world, &[], "test $n -lt 1").run().await, ResultKind::Infrastructure);
    assert_eq!((ran.field("probes"), ran.field("replay")), (json!([]), json!("")));
    assert_eq!(world.job().await.status, JobStatus::Failed);
    world.ends_clean().await;
}

/// The only job's rows say that culprit and parents were run once for the search and once more, in a
/// lane of its own each, for the proof.
async fn proven(world: &World, culprit: usize, parents: &[usize]) {
    let probes = world.probes(world.job().await.id).await;
    let of = |n: usize, purpose: Purpose| {
        let sha = world.project.sha(&format!("c{n}"));
        let ended = |probe: &&ProbeRow| matches!(probe.state, ProbeState::Ended(_));
        let mut rows = probes.iter().filter(ended).filter(|row| row.commit == sha && row.purpose == purpose);
        let row = rows.next().unwrap_or_else(|| panic!("c{n} has no run for {purpose}"));
        assert!(rows.next().is_none(), "c{n} was run twice for {purpose}");
        row
    };
    let verdicts = parents.iter().map(|parent| (*parent, Verdict::Good)).chain([(culprit, Verdict::Bad)]);
    for (n, verdict) in verdicts {
        assert_eq!(of(n, Purpose::Search).verdict, Some(verdict), "c{n}");
        let proof = of(n, Purpose::Proof);
        assert_eq!(proof.verdict, Some(verdict), "c{n} for the proof");
        let before = probes.iter().filter(|probe| probe.lane == proof.lane && probe.epoch == proof.epoch);
        assert_eq!(before.map(|probe| probe.id).min(), Some(proof.id), "the lane was fresh");
    }
}

#[rstest]
#[tokio::test]
async fn with_any_number_of_lanes_culprit_and_parents_are_run_once_more(#[values("1", "2", "3", "7")] lanes: &str) {
    // c7 is the merge of c3 and c6; the culprit has two parents, of which one may be cleared by the other's run.
    for (project, script, n, parents) in [
        (Project::linear(9), "test $n -lt 5", 5, &[4][..]),
        (Project::linear(4), "test $n -lt 2", 2, &[1][..]),
        (merged(), "test $n -lt 7", 7, &[3, 6][..]),
    ] {
        let world = World::new(project).await;
        let ran = ended(judged(&world, &["--jobs", lanes], script).run().await, ResultKind::Culprit);
        culprit(&world, &ran, &format!("c{n}"));
        proven(&world, n, parents).await;
        world.ends_clean().await;
    }
}

#[tokio::test]
async fn the_object_on_standard_output_is_the_contract_s() {
    let world = World::new(Project::linear(9)).await;
    let ran = ended(
        judged(&world, &["--jobs", "2"], "echo noise; echo noise >&2; test $n -lt 5").run().await,
        ResultKind::Culprit,
    );
    let object = ran.json();
    let names: Vec<&String> = object.as_object().unwrap().keys().collect();
    let mut wanted = ["result", "culprit", "suspects", "confidence", "probes", "candidates", "seconds", "replay"];
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert_eq!(object["culprit"], world.project.sha("c5").to_string());
    assert_eq!(
        (&object["suspects"], &object["confidence"], &object["candidates"]),
        (&json!([]), &json!(1.0), &json!(8))
    );
    assert!(object["seconds"].as_f64().unwrap() > 0.0);
    assert!(object["replay"].as_str().unwrap().starts_with("git bisect start"));
    let probes = object["probes"].as_array().unwrap();
    let mut fields = ["commit", "verdict", "runs", "exit_code", "seconds", "cached"];
    fields.sort_unstable();
    for probe in probes {
        assert_eq!(probe.as_object().unwrap().keys().collect::<Vec<_>>(), fields);
        let n = world.project.number(probe["commit"].as_str().unwrap());
        let (verdict, code) = if n < 5 { ("good", 0) } else { ("bad", 1) };
        assert_eq!((&probe["verdict"], &probe["exit_code"]), (&json!(verdict), &json!(code)), "{probe}");
        // Culprit and parent were run again, for the proof. With idle lanes a proof may begin early, and
        // turn out to be one of a commit that was not the culprit.
        let runs = probe["runs"].as_u64().unwrap();
        assert!(if [4, 5].contains(&n) { runs == 2 } else { (1..=2).contains(&runs) }, "{probe}");
        assert!(probe["seconds"].as_f64().is_some() && probe["cached"] == false, "{probe}");
    }
    proven(&world, 5, &[4]).await;
    // What is told on the way goes elsewhere, and not at all with --quiet.
    assert!(ran.stderr.contains("looking for the culprit"), "{}", ran.stderr);
    let quiet = ended(judged(&world, &["--quiet"], "test $n -lt 6").run().await, ResultKind::Culprit);
    assert_eq!(quiet.stderr, "");
    world.ends_clean().await;
}

#[tokio::test]
async fn the_text_names_what_a_person_needs() {
    let world = World::new(Project::linear(9)).await;
    let script = "test $(cat n) -lt 5 || { echo it broke here; exit 1; }";
    let ran = world.bisect("c0", "main", &[]).args(["--", "sh", "-c", script]).run().await.expect(0);
    let sha = world.project.sha("c5");
    for said in
        [&sha.to_string(), "Ada <ada@example.com>", "commit 5", "2023-11-14", "M n", "it broke here", "git checkout"]
    {
        assert!(ran.stdout.contains(said), "no `{said}` in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "no terminal, no colours");
    // One line for each run.
    assert!(ran.stderr.contains(&format!("bad   {}", sha.short())), "{}", ran.stderr);
}

/// Two lines that are merged: c1 c2 c3 on the main one, c4 c5 c6 beside it, c7 the merge, then c8.
/// `a` is changed by c2, c5 and c8 only.
fn merged() -> Project {
    let on = |parents, files| Commit { parents, files };
    Project::of(&[
        on(&[], &[("a", "0")]),
        on(&[0], &[]),
        on(&[1], &[("a", "2")]),
        on(&[2], &[]),
        on(&[0], &[]),
        on(&[4], &[("b", "5")]),
        on(&[5], &[("b", "6")]),
        on(&[3, 6], &[("b", "6")]),
        on(&[7], &[("a", "8")]),
    ])
}

#[rstest]
#[case::plain(&[], "case $n in 5|6|7|8) exit 1;; esac", "c5")]
#[case::fixed(&["--fixed"], "case $n in 5|6|7|8) exit 0;; esac; exit 1", "c5")]
#[case::first_parent(&["--first-parent"], "case $n in 5|6|7|8) exit 1;; esac", "c7")]
#[case::path(&["--path", "b"], "case $n in 6|7|8) exit 1;; esac", "c6")]
#[case::skip(&["--skip", "c1", "--skip", "c5..c6"], "case $n in 3|7|8) exit 1;; esac", "c3")]
#[case::skipped_by_the_command(&[], "case $n in 4) exit 125;; 6|7|8) exit 1;; esac", "c6")]
#[tokio::test]
async fn git_replays_the_search_to_the_same_culprit(
    #[case] options: &[&str],
    #[case] script: &str,
    #[case] name: &str,
) {
    let world = World::new(merged()).await;
    let ran = ended(judged(&world, options, script).run().await, ResultKind::Culprit);
    culprit(&world, &ran, name);
    let log = world.path("log");
    fs::write(&log, ran.field("replay").as_str().unwrap()).unwrap();
    let clone = world.path("clone");
    world.project.git(&["clone", "--quiet", &world.project.text(), clone.to_str().unwrap()]);
    let replayed = git_in(&clone, &["bisect", "replay", log.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&replayed.stdout).into_owned() + &String::from_utf8_lossy(&replayed.stderr);
    assert!(replayed.status.success(), "{said}\n{}", ran.field("replay"));
    let word = if options.contains(&"--fixed") { "fixed" } else { "bad" };
    let verdict = format!("{} is the first {word} commit", world.project.sha(name));
    assert!(said.contains(&verdict), "{said}\nof:\n{}", ran.field("replay").as_str().unwrap());
    world.ends_clean().await;
}

#[tokio::test]
async fn a_path_s_culprit_may_lie_between_the_commits_that_touch_it() {
    let world = World::new(Project::of(&[
        Commit { files: &[("a", "0")], ..Commit::default() },
        Commit { parents: &[0], files: &[("a", "1")] },
        Commit { parents: &[1], files: &[] },
        Commit { parents: &[2], files: &[] },
        Commit { parents: &[3], files: &[("a", "4")] },
    ]))
    .await;
    // c2 broke it, which does not touch `a`.
    let ran = ended(judged(&world, &["--path", "a"], "test $n -lt 2").run().await, ResultKind::Suspects);
    assert_eq!(suspects(&world, &ran), BTreeSet::from([2, 3]));
    world.ends_clean().await;
}

#[tokio::test]
async fn an_address_is_bisected_as_a_folder_is() {
    let world = World::new(Project::linear(9)).await;
    let address = format!("file://{}", world.project.text());
    let bisect = world.program().args(["bisect", &address, "c0", "c8", "--sandbox", "process", "--json"]);
    let ran = ended(bisect.args(["--", "sh", "-c", "test $(cat n) -lt 5"]).run().await, ResultKind::Culprit);
    culprit(&world, &ran, "c5");
    world.ends_clean().await;
}

/// A search whose runs wait while `wait` is there; the file `runs` tells of each.
fn waiting(world: &World) -> impl Fn() -> Program {
    fs::write(world.path("wait"), "").unwrap();
    move || {
        let (wait, runs) = (world.path("wait"), world.path("runs"));
        let script = format!(
            "echo $n >> {}; while test -e {}; do sleep 0.05; done; test $n -lt 5",
            runs.display(),
            wait.display()
        );
        judged(world, &["--jobs", "1"], &script)
    }
}

fn runs(world: &World) -> Vec<usize> {
    let text = fs::read_to_string(world.path("runs")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn ctrl_c_cancels_and_leaves_nothing() {
    let world = World::new(Project::linear(9)).await;
    let bisect = waiting(&world);
    let running = bisect().start();
    eventually("a run", async || runs(&world).first().copied()).await;
    running.signal(Signal::SIGINT);
    let ran = ended(running.end().await, ResultKind::Cancelled);
    assert!(ran.stderr.contains("cancelling"), "{}", ran.stderr);
    let job = world.job().await;
    assert_eq!((job.status, job.result), (JobStatus::Cancelled, Some(ResultKind::Cancelled)));
    world.ends_clean().await;
    // What was cancelled is over: the same command begins anew.
    fs::remove_file(world.path("wait")).unwrap();
    ended(bisect().run().await, ResultKind::Culprit);
    assert_eq!(world.jobs().await.len(), 2);
    world.ends_clean().await;
}

#[rstest]
#[tokio::test]
async fn sigterm_gives_the_job_back_and_the_same_command_goes_on(
    #[values(Signal::SIGTERM, Signal::SIGHUP)] signal: Signal,
) {
    let world = World::new(Project::linear(9)).await;
    // The ends are through, the first midpoint waits.
    let hold = world.path("hold");
    fs::write(&hold, "").unwrap();
    let held = || {
        let script = format!(
            "echo $n >> {}; test $n = 4 && while test -e {}; do sleep 0.05; done; test $n -lt 5",
            world.path("runs").display(),
            hold.display()
        );
        judged(&world, &["--jobs", "1"], &script)
    };
    let running = held().start();
    eventually("the midpoint runs", async || runs(&world).contains(&4).then_some(())).await;
    running.signal(signal);
    let ran = running.end().await.expect(130);
    assert_eq!(ran.field("result"), "cancelled", "one object, whatever happens");
    assert!(ran.stderr.contains("give the same command again"), "{}", ran.stderr);
    let job = world.job().await;
    assert_eq!((job.status, job.attempts), (JobStatus::Pending, 0), "given back, and not counted");
    world.nothing_is_left().await;
    fs::remove_file(&hold).unwrap();
    let ran = held().run().await;
    assert!(ran.stderr.contains("going on with it"), "{}", ran.stderr);
    culprit(&world, &ended(ran, ResultKind::Culprit), "c5");
    assert_eq!(runs(&world).iter().filter(|n| **n == 8 || **n == 0).count(), 2, "the ends ran once");
    assert!(world.recorded_runs(job.id).await.values().all(|runs| *runs == 1));
    use JobEventKind::{Claimed, Completed, Joined, Queued, Released};
    assert_eq!(world.kinds(job.id).await, [Queued, Claimed, Released, Joined, Claimed, Completed]);
    world.ends_clean().await;
}

#[tokio::test]
async fn two_identical_commands_share_one_job_and_ctrl_c_leaves_what_was_only_joined() {
    let world = World::new(Project::linear(9)).await;
    let bisect = waiting(&world);
    let first = bisect().start();
    let job = world.job_appears().await.id;
    let [second, third] = [(); 2].map(|()| bisect().start());
    eventually("both have joined", async || {
        (world.kinds(job).await.iter().filter(|kind| **kind == JobEventKind::Joined).count() == 2).then_some(())
    })
    .await;
    eventually("it says so", async || third.stderr().contains("going on with it").then_some(())).await;
    third.signal(Signal::SIGINT);
    let left = third.end().await.expect(130);
    assert_eq!(left.field("result"), "cancelled");
    fs::remove_file(world.path("wait")).unwrap();
    let [first, second] = [first.end().await, second.end().await].map(|ran| ended(ran, ResultKind::Culprit));
    assert_eq!(first.stdout, second.stdout, "one result");
    assert_eq!(world.jobs().await.len(), 1);
    world.ends_clean().await;
}

#[tokio::test]
async fn colours_are_for_terminals_that_want_them() {
    let world = World::new(Project::linear(3)).await;
    let script = r"printf 'it is \033[31mred\033[2J\n'; test $(cat n) -lt 1";
    let bisect = |options: &[&str]| world.bisect("c0", "main", options).args(["--", "sh", "-c", script]);
    let always = bisect(&["--color", "always"]).run().await.expect(0).stdout;
    assert!(always.contains("it is \u{1b}[31mred\u{1b}[0m\n"), "the command's own colours: {always}");
    assert!(!always.contains("\u{1b}[2J"), "and nothing else of it: {always}");
    // `script` is a terminal for what it runs.
    let command = format!("{} 2> /dev/null", bisect(&[]).words());
    let on_a_terminal = |variable: &str| {
        let (name, value) = variable.split_once('=').unwrap();
        let program = Program::of("script", world.path("").as_path()).args(["-qec", &command, "/dev/null"]);
        world.configured(program).env("TERM", "xterm").env(name, value).run()
    };
    let (coloured, plain, empty) =
        tokio::join!(on_a_terminal("X=1"), on_a_terminal("NO_COLOR=1"), on_a_terminal("NO_COLOR="));
    assert!(coloured.expect(0).stdout.contains("\u{1b}["));
    let plain = plain.expect(0).stdout;
    assert!(!plain.contains("\u{1b}[") && plain.contains("it is red"), "{plain}");
    assert!(empty.expect(0).stdout.contains("\u{1b}["), "an empty NO_COLOR asks for nothing");
    world.ends_clean().await;
}

#[tokio::test]
async fn nobody_who_reads_is_no_failure() {
    let world = World::new(Project::linear(3)).await;
    let piped_to_nobody = |words: &str| {
        let script = format!("{{ {words}; echo $? >&3; }} 3> status 2> told | true; cat status; cat told >&2");
        world.configured(Program::of("sh", world.path("").as_path())).args(["-c", &script]).run()
    };
    let bisect = world.bisect("c0", "main", &[]).args(["--", "sh", "-c", "sleep 0.5; test $(cat n) -lt 1"]);
    let program = env!("CARGO_BIN_EXE_bisectd");
    let slowly = format!("sleep 0.5; {program}");
    for words in [
        bisect.words(),
        format!("{slowly} migrate history"),
        format!("{slowly} completions bash"),
        format!("{slowly} man"),
        format!("{slowly} --help"),
    ] {
        let ran = piped_to_nobody(&words).await;
        assert_eq!((ran.stdout.trim(), ran.stderr.contains("panicked")), ("0", false), "{words}: {}", ran.stderr);
    }
    // A disk that is full is one.
    let full = format!("{program} migrate history > /dev/full");
    let ran = world.configured(Program::of("sh", world.path("").as_path())).args(["-c", &full]).run().await;
    assert!(ran.code != 0 && ran.code != 101 && ran.stderr.starts_with("error: "), "{ran:?}");
}

#[tokio::test]
async fn migrate_says_what_it_does() {
    let (world, empty) = (World::new(Project::linear(1)).await, empty_database().await);
    let migrate = |args: &[&str]| {
        let program = world.program().env("DATABASE_URL", empty.url()).arg("migrate").args(args);
        program.run()
    };
    let versions = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().filter(|word| word.len() == 14 && word.bytes().all(|b| b.is_ascii_digit()));
        words.map(str::to_owned).collect()
    };
    let none = migrate(&["status"]).await.expect(1);
    assert!(none.stdout.contains("no schema") && none.stdout.contains("bisectd migrate up"), "{}", none.stdout);
    let waiting = migrate(&["history"]).await.expect(0);
    let all = versions(&waiting.stdout);
    assert!(all.len() >= 4 && all.is_sorted(), "{}", waiting.stdout);
    assert_eq!(waiting.stdout.lines().filter(|line| line.starts_with("waiting")).count(), all.len());

    let up = migrate(&["up"]).await.expect(0);
    assert_eq!(versions(&up.stdout), all);
    assert!(up.stdout.lines().all(|line| line.starts_with("applied ")), "{}", up.stdout);
    assert!(migrate(&["up"]).await.expect(0).stdout.contains("nothing to apply"));
    assert!(migrate(&["status"]).await.expect(0).stdout.contains("current"));
    let applied = migrate(&["history"]).await.expect(0).stdout;
    assert!(versions(&applied) == all && !applied.contains("waiting") && applied.contains(" UTC "), "{applied}");

    let down = migrate(&["down"]).await.expect(0);
    assert_eq!(versions(&down.stdout), all[all.len() - 1..], "{}", down.stdout);
    assert!(down.stdout.starts_with("reverted "), "{}", down.stdout);
    assert!(migrate(&["status"]).await.expect(1).stdout.contains("older"));
    let back = migrate(&["up"]).await.expect(0);
    assert_eq!(versions(&back.stdout), all[all.len() - 1..], "{}", back.stdout);
    let to_first = migrate(&["down", "--to", &all[0]]).await.expect(0);
    let newest_first: Vec<_> = all[1..].iter().rev().cloned().collect();
    assert_eq!(versions(&to_first.stdout), newest_first, "{}", to_first.stdout);
    let to_nothing = migrate(&["down", "--to", "0"]).await.expect(0);
    assert_eq!(versions(&to_nothing.stdout), all[..1]);
    assert!(migrate(&["down"]).await.expect(0).stdout.contains("nothing to revert"));
    let unknown = migrate(&["down", "--to", "12345"]).await.expect(2);
    assert!(
        unknown.stdout.is_empty() && unknown.stderr.contains("12345") && unknown.stderr.contains(&all[0]),
        "{unknown:?}"
    );
    assert!(!world.data_dir().exists());
}
