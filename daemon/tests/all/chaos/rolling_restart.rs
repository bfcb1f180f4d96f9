//! A new version comes: every instance is told to stop and replaced, one after another, while jobs keep coming.

use super::{
    fleet::{Fleet, INSTANCES, Settings},
    plan::Asked,
};
use crate::support::{OwnPostgres, PATIENCE};
use bisect_shared::{JobId, JobStatus};
use bisectd::db::{job_events::JobEventKind, jobs::JobRow, probes::ProbeState};
use std::time::{Duration, Instant};

/// Nobody is taken for dead by mistake. One job for each instance and one instance more than jobs: whoever
/// gives a job back finds somebody who has room for it.
const SETTINGS: Settings = Settings { stale_after: "100", jobs: ["1", "2"] };
/// Each run of a commit takes a moment.
const SLOW: &str = "sleep 0.3;";

#[tokio::test]
async fn a_rolling_restart_hands_every_job_over_once_soon_and_uncounted() {
    let postgres = OwnPostgres::start().await;
    let mut fleet = Fleet::start(&postgres, "rolling-restart".into(), SETTINGS).await;
    ask_two(&mut fleet, 0).await;
    for place in 0..INSTANCES {
        let beside = Fleet::beside(place);
        ask_two(&mut fleet, beside).await;
        works(&mut fleet, place).await;
        fleet.terminate(place).await;
        fleet.replace(place).await;
    }
    fleet.comes_to_rest().await;
    fleet.holds().await;
    let mut took = Vec::new();
    for job in fleet.world.jobs().await {
        let events = fleet.world.history(job.id).await;
        let kinds: Vec<JobEventKind> = events.iter().map(|event| event.kind).collect();
        assert_eq!(job.attempts, 1, "a hand-over is no attempt: {kinds:?}");
        assert!(!kinds.contains(&JobEventKind::Reclaimed), "{kinds:?}");
        let pairs = events.windows(2).filter(|pair| pair[0].kind == JobEventKind::Released);
        // By the database's clock.
        took.extend(pairs.map(|pair| (pair[1].at - pair[0].at).to_std().unwrap()));
    }
    took.sort_unstable();
    assert!(took.len() >= INSTANCES, "each of them gave a job back: {took:?}");
    println!(
        "rolling restart: {} hand-overs, median {:?}, longest {:?}",
        took.len(),
        took[took.len() / 2],
        took.last()
    );
    // One may come late on a machine under load.
    assert!(took[took.len() / 2] <= Duration::from_secs(2), "{took:?}");
}

async fn ask_two(fleet: &mut Fleet, via: usize) {
    for culprit in [3, 6] {
        fleet.ask(Asked { repository: 0, culprit, lanes: 1 }, via, SLOW).await;
    }
}

/// Returns when a command runs in a container of this instance, for a job that has much before it: one that ends by itself just
/// then is not given back. Where there is none, and none that waits, another is asked for.
async fn works(fleet: &mut Fleet, place: usize) {
    let pid = fleet.members[place].service.as_ref().unwrap().pid();
    let marker = format!("-{pid}-");
    let mine = |worker: &Option<String>| worker.as_ref().is_some_and(|worker| worker.contains(&marker));
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for job in fleet.eyes.mid_probes(0).await.into_iter().filter(|job| mine(&job.worker_id)) {
            let rows = fleet.world.probes(JobId(job.id)).await;
            if rows.iter().filter(|row| matches!(row.state, ProbeState::Ended(_))).count() < 3 {
                return;
            }
        }
        let comes = |job: &JobRow| match job.status {
            JobStatus::Pending => true,
            JobStatus::Running => mine(&job.worker.as_ref().map(|worker| worker.0.clone())),
            _ => false,
        };
        let jobs = fleet.world.jobs().await;
        // What was asked for may not be a job yet, and more than ten at once are refused.
        if jobs.len() == fleet.asked.len() && !jobs.iter().any(comes) {
            fleet.ask(Asked { repository: 0, culprit: 3, lanes: 1 }, Fleet::beside(place), SLOW).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it works on no job");
}
