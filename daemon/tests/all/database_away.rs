//! The database goes away in the middle of a job: what was recorded is not run again, there is one end,
//! and a process that is told to stop meanwhile does not wait for it.

use crate::support::{DatabaseLink, Program, Project, World, eventually};
use bisect_shared::{JobStatus, ResultKind};
use bisectd::db::{job_events::JobEventKind, probes::ProbeState};
use nix::sys::signal::Signal;
use rstest::rstest;
use std::{fs, time::Duration};

/// Every run leaves a line in `tally`; the first midpoint, c4, waits while `wait` is there.
struct Away {
    world: World,
    link: DatabaseLink,
}

impl Away {
    async fn new(words: &'static str) -> Self {
        let world = World::new(Project::linear(9)).await;
        let link = DatabaseLink::losing(&world.db, &world.path("link"), words);
        fs::write(world.path("wait"), "").unwrap();
        Self { world, link }
    }

    /// The search, over the link.
    fn bisect(&self, lanes: &str) -> Program {
        let at = self.world.path("");
        let script = format!(
            "n=$(cat n); echo $n >> {0}/tally; while test $n = 4 -a -e {0}/wait; do sleep 0.05; done; test $n -lt 5",
            at.display()
        );
        let program = self.world.bisect("c0", "main", &["--json", "--jobs", lanes]);
        program.env("DATABASE_URL", self.link.url()).args(["--", "sh", "-c", &script])
    }

    fn go_on(&self) {
        fs::remove_file(self.world.path("wait")).unwrap();
    }

    /// How often a commit was really run.
    fn tally(&self, n: usize) -> usize {
        let tally = fs::read_to_string(self.world.path("tally")).unwrap_or_default();
        tally.lines().filter(|line| *line == n.to_string()).count()
    }

    /// Returns when only the midpoint runs and everything before it is recorded.
    async fn midpoint_runs(&self) {
        let job = self.world.job_appears().await.id;
        eventually("the midpoint runs", async || {
            let probes = self.world.probes(job).await;
            let running = probes.iter().filter(|probe| probe.state == ProbeState::Running);
            let alone = running.map(|probe| self.world.project.number(&probe.commit.to_string())).eq([4]);
            (alone && self.tally(4) == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn one_that_comes_back_in_the_middle_of_a_job_costs_nothing() {
    let mut away = Away::new("").await;
    let running = away.bisect("1").start();
    away.midpoint_runs().await;
    away.link.cut();
    away.go_on();
    // Its answer is there, and cannot be written.
    eventually("it is said", async || running.stderr().contains("a write failed").then_some(())).await;
    assert_eq!(away.tally(4), 1);
    away.link.mend();
    let ran = running.end().await.expect(0);
    assert_eq!(ran.field("culprit"), away.world.project.sha("c5").to_string());
    let job = away.world.job().await;
    let runs = away.world.recorded_runs(job.id).await;
    assert!(runs.values().all(|runs| *runs == 1), "{runs:?}");
    // Once for the search, once for the proof: what was recorded is all that ran.
    for n in 0..9 {
        assert_eq!(away.tally(n), runs.keys().filter(|(of, _)| *of == n).count(), "c{n}");
    }
    let wanted = [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::Completed];
    assert_eq!(away.world.kinds(job.id).await, wanted);
    away.world.ends_clean().await;
}

#[rstest]
#[case::while_a_probe_runs(false)]
#[case::while_an_answer_waits_to_be_written(true)]
#[tokio::test]
async fn a_process_that_is_told_to_stop_does_not_wait_for_it(#[case] answered: bool) {
    let mut away = Away::new("").await;
    let running = away.bisect("1").start();
    away.midpoint_runs().await;
    away.link.cut();
    if answered {
        away.go_on();
        eventually("it is said", async || running.stderr().contains("a write failed").then_some(())).await;
    }
    running.signal(Signal::SIGTERM);
    // A lease lasts 80 seconds here: 0.8 of STALE_AFTER_SECONDS.
    let ran = tokio::time::timeout(Duration::from_secs(30), running.end()).await.expect("it stops").expect(130);
    assert_eq!(ran.field("result"), ResultKind::Cancelled.name());
    assert!(ran.stderr.contains("give the same command again"), "{}", ran.stderr);
    let job = away.world.job().await;
    assert_eq!(job.status, JobStatus::Running, "nobody could be told");
    away.world.nothing_is_left().await;
    if !answered {
        away.go_on();
    }
    away.link.mend();
    let before = away.world.recorded_runs(job.id).await;
    let ran = tokio::time::timeout(Duration::from_secs(60), away.bisect("1").run()).await.expect("at once").expect(0);
    assert_eq!(ran.field("culprit"), away.world.project.sha("c5").to_string());
    assert_eq!(away.world.job().await.id, job.id, "the same job went on");
    let runs = away.world.recorded_runs(job.id).await;
    assert!(runs.values().all(|runs| *runs == 1) && before.keys().all(|run| runs.contains_key(run)), "{runs:?}");
    for n in 0..9 {
        // The midpoint was in flight.
        let asked = runs.keys().filter(|(of, _)| *of == n).count();
        assert_eq!(away.tally(n), asked + usize::from(n == 4), "c{n}");
    }
    away.world.ends_clean().await;
}

#[tokio::test]
async fn an_end_whose_commit_was_not_answered_is_told_once() {
    let away = Away::new("completed_at = now()").await;
    away.go_on();
    let ran = away.bisect("1").run().await.expect(0);
    assert_eq!(away.link.lost(), 1, "the fault fired");
    assert_eq!(ran.field("culprit"), away.world.project.sha("c5").to_string());
    assert!(!ran.stderr.contains("refused") && !ran.stderr.contains("was not recorded"), "{}", ran.stderr);
    let events = away.world.history(away.world.job().await.id).await;
    let kinds: Vec<JobEventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::Completed], "and nothing refused");
    away.world.ends_clean().await;
}
