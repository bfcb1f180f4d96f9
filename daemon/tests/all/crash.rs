//! `kill -9` at every point of a bisection: another process finishes it, nothing is run twice but
//! what was under way, nothing is left. The points are exact: see [`Gate`] and [`Tested`].

use crate::support::{Gate, Program, Project, Running, World, eventually};
use bisect_shared::{Epoch, Purpose};
use bisectd::db::{
    job_events::JobEventKind,
    jobs::JobRow,
    probes::{ProbeRow, ProbeState},
};
use nix::sys::signal::Signal;
use rstest::rstest;
use std::{collections::BTreeMap, fs, path::PathBuf};

const COMMITS: usize = 17;
const CULPRIT: usize = 11;

/// The tested command, which leaves a line for every run, and stands still where the test says so.
struct Tested {
    folder: PathBuf,
    options: [String; 2],
}

/// `$AT/wait`: every run waits while it is there. `$AT/stay.N`: a run of commit N never ends.
const SCRIPT: &str = "n=$(cat n); echo $n >> $AT/tally; \
    while test -e $AT/wait; do echo waiting; sleep 0.05; done; \
    if test -e $AT/stay.$n; then exec sleep 1000; fi; \
    test $n -lt 11";

impl Tested {
    fn new(world: &World, name: &str) -> Self {
        let folder = world.path(name);
        fs::create_dir(&folder).unwrap();
        let options = ["--env".to_owned(), format!("AT={}", folder.display())];
        Self { folder, options }
    }

    fn bisect(&self, world: &World, lanes: &str) -> Program {
        let bisect = world.bisect("c0", "main", &["--json", "--jobs", lanes]);
        bisect.args(&self.options).args(["--", "sh", "-c", SCRIPT])
    }

    fn set(&self, sign: &str) {
        fs::write(self.folder.join(sign), "").unwrap();
    }

    fn clear(&self, sign: &str) {
        fs::remove_file(self.folder.join(sign)).unwrap();
    }

    /// How often each commit was really run, by the command's own word.
    fn tally(&self) -> BTreeMap<usize, usize> {
        let mut runs = BTreeMap::new();
        for line in fs::read_to_string(self.folder.join("tally")).unwrap_or_default().lines() {
            *runs.entry(line.parse().unwrap()).or_default() += 1;
        }
        runs
    }
}

async fn world() -> World {
    World::new(Project::linear(COMMITS)).await
}

/// Where the worker is killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Point {
    AfterClaim,
    DuringAProbe,
    BeforeItsVerdictIsWritten,
    AfterAVerdict,
    DuringTheProof,
}

impl Point {
    /// Prepares the world so that the first worker cannot get past this point.
    async fn prepare(self, world: &World, tested: &Tested) -> Option<Gate> {
        let ended = "(SELECT count(*) FROM probes WHERE job_id = NEW.job_id AND ending = 'exited')";
        match self {
            Self::AfterClaim => Some(Gate::close(world, "INSERT", "NEW.epoch = 1").await),
            Self::DuringAProbe => {
                // The first midpoint.
                tested.set("stay.8");
                None
            }
            Self::BeforeItsVerdictIsWritten => {
                let when = format!("NEW.epoch = 1 AND NEW.ending = 'exited' AND {ended} >= 2");
                Some(Gate::close(world, "UPDATE", &when).await)
            }
            Self::AfterAVerdict => Some(Gate::close(world, "INSERT", &format!("NEW.epoch = 1 AND {ended} >= 3")).await),
            Self::DuringTheProof => Some(Gate::close(world, "INSERT", "NEW.epoch = 1 AND NEW.purpose = 'proof'").await),
        }
    }

    /// Returns when the worker is there; the gate is to be opened when it is dead.
    async fn reached(self, world: &World, tested: &Tested, gate: Option<Gate>) -> Option<Gate> {
        let mut gate = match gate {
            None => {
                eventually("the midpoint runs", async || tested.tally().get(&8).copied()).await;
                return None;
            }
            Some(gate) => gate,
        };
        gate.reached().await;
        if self != Self::DuringTheProof {
            return Some(gate);
        }
        let before: usize = tested.tally().values().sum();
        tested.set(&format!("stay.{CULPRIT}"));
        tested.set(&format!("stay.{}", CULPRIT - 1));
        gate.open().await;
        eventually("a proof runs", async || (tested.tally().values().sum::<usize>() > before).then_some(())).await;
        let job = world.job().await;
        let proves = |probe: &ProbeRow| probe.purpose == Purpose::Proof && probe.state == ProbeState::Running;
        assert!(world.probes(job.id).await.iter().any(proves));
        None
    }

    /// What runs from here on shall not stand still.
    fn over(tested: &Tested) {
        for n in 0..COMMITS {
            drop(fs::remove_file(tested.folder.join(format!("stay.{n}"))));
        }
    }
}

/// Who goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Successor {
    /// A process that was started at the same time, with the same command.
    Joined,
    /// The same command, given again afterwards.
    Again,
}

#[rstest]
#[tokio::test]
async fn another_process_finishes_what_a_killed_one_began(
    #[values(
        Point::AfterClaim,
        Point::DuringAProbe,
        Point::BeforeItsVerdictIsWritten,
        Point::AfterAVerdict,
        Point::DuringTheProof
    )]
    point: Point,
    #[values((Successor::Joined, "1"), (Successor::Again, "3"))] (successor, lanes): (Successor, &str),
) {
    let world = world().await;
    let tested = Tested::new(&world, "tested");
    let gate = point.prepare(&world, &tested).await;
    let bisect = || tested.bisect(&world, lanes);
    let (worker, other) = match successor {
        Successor::Again => (bisect().start(), None),
        Successor::Joined => {
            tested.set("wait");
            let (worker, other) = worker_of(&world, bisect().start(), bisect().start()).await;
            if point != Point::AfterClaim {
                world.event(world.job().await.id, JobEventKind::Joined).await;
            }
            tested.clear("wait");
            (worker, Some(other))
        }
    };
    let gate = point.reached(&world, &tested, gate).await;
    worker.kill().await;
    Point::over(&tested);
    if let Some(gate) = gate {
        gate.open().await;
    }
    let other = other.unwrap_or_else(|| bisect().start());
    let ran = other.end().await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(&format!("c{CULPRIT}")).to_string());

    let job = world.job().await;
    let kinds = world.kinds(job.id).await;
    let count = |wanted: JobEventKind| kinds.iter().filter(|kind| **kind == wanted).count();
    assert_eq!((count(JobEventKind::Queued), count(JobEventKind::Joined)), (1, 1), "{kinds:?}");
    assert_eq!((count(JobEventKind::Claimed), count(JobEventKind::Reclaimed)), (2, 1), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&JobEventKind::Completed), "{kinds:?}");
    nothing_ran_twice_but_what_was_under_way(&world, &tested, &job, Epoch(1)).await;
    if lanes == "1" {
        // With one lane each run follows from those before it: the crash changed nothing.
        let calm = Tested::new(&world, "calm");
        calm.bisect(&world, lanes).run().await.expect(0);
        let jobs = world.jobs().await;
        assert_eq!(world.recorded_runs(jobs[1].id).await, world.recorded_runs(job.id).await);
    }
    world.ends_clean().await;
}

/// Of two processes that were started at once, the one that works, and the other.
async fn worker_of(world: &World, one: Running, other: Running) -> (Running, Running) {
    let job =
        eventually("the job is claimed", async || world.jobs().await.into_iter().find(|job| job.worker.is_some()))
            .await;
    if works(&job, &one) { (one, other) } else { (other, one) }
}

/// The process's number is part of the worker's name.
fn works(job: &JobRow, process: &Running) -> bool {
    let worker = job.worker.as_ref().expect("a worker");
    worker.0.contains(&format!("-{}-", process.pid()))
}

async fn nothing_ran_twice_but_what_was_under_way(world: &World, tested: &Tested, job: &JobRow, killed: Epoch) {
    for ((commit, purpose), runs) in world.recorded_runs(job.id).await {
        assert_eq!(runs, 1, "commit {commit} was recorded more than once for {purpose}");
    }
    let probes = world.probes(job.id).await;
    // Every run has its row, so whatever ran and has no verdict was stopped or under way.
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for probe in &probes {
        *rows.entry(world.project.number(&probe.commit.to_string())).or_default() += 1;
    }
    for (commit, runs) in tested.tally() {
        assert!(runs <= rows[&commit], "commit {commit} ran {runs} times: {probes:?}");
    }
    let known = |probe: &ProbeRow| matches!(probe.state, ProbeState::Ended(_)) && probe.epoch <= killed;
    let known: Vec<_> = probes.iter().filter(|p| known(p)).map(|p| (p.commit, p.purpose)).collect();
    let again = probes.iter().filter(|p| p.epoch > killed).find(|p| known.contains(&(p.commit, p.purpose)));
    assert_eq!(again, None, "what the killed worker had recorded was started again");
}

#[tokio::test]
async fn a_worker_of_which_nothing_is_known_is_replaced_when_its_heartbeat_is_old() {
    let world = world().await;
    let tested = Tested::new(&world, "tested");
    tested.set("stay.8");
    let bisect = || tested.bisect(&world, "1").env("STALE_AFTER_SECONDS", "3").env("MAX_ATTEMPTS", "50");
    let worker = bisect().start();
    eventually("the midpoint runs", async || tested.tally().get(&8).copied()).await;
    worker.kill().await;
    Point::over(&tested);
    // As if it had run on another machine: its lock says nothing here.
    fs::remove_dir_all(world.data_dir().join("instances")).unwrap();
    let ran = bisect().run().await.expect(0);
    assert_eq!(ran.field("culprit"), world.project.sha(&format!("c{CULPRIT}")).to_string());
    let job = world.job().await;
    assert!(world.kinds(job.id).await.contains(&JobEventKind::Reclaimed));
    nothing_ran_twice_but_what_was_under_way(&world, &tested, &job, Epoch(1)).await;
    world.ends_clean().await;
}

#[tokio::test]
async fn a_job_whose_workers_die_again_and_again_fails_in_the_end() {
    let world = world().await;
    let tested = Tested::new(&world, "tested");
    tested.set("stay.16");
    for attempt in 1..=2 {
        let worker = tested.bisect(&world, "1").env("MAX_ATTEMPTS", "2").start();
        eventually("it runs", async || (tested.tally().get(&16) == Some(&attempt)).then_some(())).await;
        worker.kill().await;
    }
    let ran = tested.bisect(&world, "1").env("MAX_ATTEMPTS", "2").run().await.expect(3);
    assert!(ran.stderr.contains("attempt 2 of 2") && ran.stderr.contains("stopped answering"), "{}", ran.stderr);
    let job = world.job().await;
    assert_eq!(world.kinds(job.id).await.last(), Some(&JobEventKind::Failed));
}

#[tokio::test]
async fn a_worker_that_wakes_up_too_late_writes_nothing_and_stops_what_it_runs() {
    let world = world().await;
    let tested = Tested::new(&world, "tested");
    tested.set("wait");
    let bisect = || tested.bisect(&world, "1").env("STALE_AFTER_SECONDS", "3").env("MAX_ATTEMPTS", "50");
    let (sleeper, other) = worker_of(&world, bisect().start(), bisect().start()).await;
    let id = world.job().await.id;
    world.event(id, JobEventKind::Joined).await;
    eventually("a probe runs", async || tested.tally().get(&16).copied()).await;
    let first = world.job().await.epoch;
    sleeper.signal(Signal::SIGSTOP);
    eventually("the other one runs it", async || {
        let job = world.job().await;
        (job.epoch > first && works(&job, &other)).then_some(())
    })
    .await;
    sleeper.signal(Signal::SIGCONT);
    world.event(id, JobEventKind::WriteRefused).await;
    tested.clear("wait");
    let culprit = world.project.sha(&format!("c{CULPRIT}")).to_string();
    assert_eq!(other.end().await.expect(0).field("culprit"), culprit);
    // It tells the result that the other one found.
    assert_eq!(sleeper.end().await.expect(0).field("culprit"), culprit);
    let refused: Vec<_> = world.history(id).await;
    let refused = refused.iter().filter(|event| event.kind == JobEventKind::WriteRefused);
    for event in refused {
        assert!(event.epoch < world.job().await.epoch, "a write of the last claim was refused: {event:?}");
    }
    for ((commit, purpose), runs) in world.recorded_runs(id).await {
        assert_eq!(runs, 1, "commit {commit} for {purpose}");
    }
    world.ends_clean().await;
}

#[tokio::test]
async fn many_processes_on_one_database_never_run_the_same_job() {
    let world = world().await;
    let jobs: Vec<Tested> = (0..6).map(|n| Tested::new(&world, &format!("job{n}"))).collect();
    let running: Vec<Running> =
        jobs.iter().flat_map(|tested| [0, 1].map(|_| tested.bisect(&world, "1").start())).collect();
    let culprit = world.project.sha(&format!("c{CULPRIT}")).to_string();
    for process in running {
        assert_eq!(process.end().await.expect(0).field("culprit"), culprit);
    }
    for tested in &jobs {
        let twice =
            tested.tally().into_iter().find(|(n, runs)| *runs > 1 + usize::from((CULPRIT - 1..=CULPRIT).contains(n)));
        assert_eq!(twice, None, "a commit ran more often than search and proof ask for");
    }
    let rows = world.jobs().await;
    for job in &rows {
        let kinds = world.kinds(job.id).await;
        let claims = kinds.iter().filter(|kind| **kind == JobEventKind::Claimed).count();
        assert_eq!(claims, 1, "{kinds:?}");
    }
    assert!(rows.len() >= jobs.len());
    world.ends_clean().await;
}

#[tokio::test]
async fn a_crash_on_the_private_database_leaves_it_for_the_next_and_the_last_one_stops_it() {
    let world = world().await;
    let tested = Tested::new(&world, "tested");
    let bisect = || tested.bisect(&world, "1").without("DATABASE_URL");
    // Each of the server's processes stands in its data folder.
    let servers = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let stands = entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
        stands.filter(|folder| folder.starts_with(world.data_dir())).count()
    };
    tested.set("stay.8");
    let (worker, other) = (bisect().start(), bisect().start());
    eventually("the midpoint runs", async || tested.tally().get(&8).copied()).await;
    // Which of the two works is in the private database; that one is killed which has a child.
    let is_worker = |process: &Running| {
        let children = format!("/proc/{0}/task", process.pid());
        fs::read_dir(children)
            .unwrap()
            .flatten()
            .any(|task| fs::read_to_string(task.path().join("children")).is_ok_and(|pids| !pids.trim().is_empty()))
    };
    let (worker, other) = if is_worker(&worker) { (worker, other) } else { (other, worker) };
    worker.kill().await;
    Point::over(&tested);
    assert_ne!(servers(), 0);
    let culprit = world.project.sha(&format!("c{CULPRIT}")).to_string();
    assert_eq!(other.end().await.expect(0).field("culprit"), culprit);
    assert_eq!(tested.tally()[&8], 2, "only the run under way was repeated");
    assert_eq!(servers(), 0, "the last one out stopped it");
    // It is still there, with what it holds.
    let jobs = bisect().env("DATABASE_URL", "").run().await.expect(0);
    assert!(!jobs.stderr.contains("job 1:"), "{}", jobs.stderr);
    assert_eq!(servers(), 0);
    world.nothing_is_left().await;
}
