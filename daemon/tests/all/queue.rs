//! The queue: nothing lost, nothing twice.

use crate::support::{
    TestDb, database,
    sample::{local_job, sha},
};
use bisect_shared::{
    Ending, InstanceId, JobId, JobStatus, ProbeId, Purpose, ResultKind, Verdict,
    admin::{Strip, StripMark},
};
use bisectd::{
    db::{
        job_events::{self, JobEventKind, JobEventRow},
        jobs,
        log_chunks::{append_log, log},
        probes::{
            Ended, NewProbe, ProbeState, probes, record_probe, record_remembered, set_aside_remembered, set_verdicts,
            start_probes, stop_probes,
        },
    },
    queue::{Claim, Clocks, End, JobRow, Lease, LeaseError, Means, NewJob, Origin, Outcome, Queue, ReleaseReason},
};
use serde_json::json;
use sqlx::{Connection, Executor};
use std::{collections::BTreeMap, time::Duration};

const HERE: &str = "this machine:/data";
const PROGRESS: jobs::Progress = jobs::Progress { candidates_left: 8, expected_probes: 3.0 };

fn standing() -> jobs::Standing {
    jobs::Standing {
        progress: PROGRESS,
        candidates: 9,
        strip: Strip { pieces: vec![(StripMark::Candidate, 9)], odds: Vec::new() },
    }
}

fn job_of(installation: i64) -> NewJob {
    let repository = installation;
    let origin = Origin::GitHub { installation, repository, user: None, issue: Some(7), comment: None };
    NewJob { origin, ..local_job() }
}

fn queue(world: &TestDb, worker: &str) -> Queue {
    let clocks = Clocks { stale_after: Duration::from_millis(500), ..Clocks::default() };
    Queue::new(world.db.clone(), InstanceId(worker.to_owned()), clocks, HERE.to_owned())
}

/// An installation with one repository, both of this number.
async fn installation(world: &TestDb, number: i64, tier: &str) {
    let mut raw = world.raw().await;
    sqlx::query(
        "WITH installation AS (INSERT INTO installations (installation_id, account_type, account_login, account_id, tier) \
         VALUES ($1, 'User', 'ada', 1, $2) RETURNING installation_id) \
         INSERT INTO repositories (id, github_id, installation_id, owner, name, full_name, private) \
         SELECT $1, $1, installation_id, 'ada', 'project', 'ada/project', false FROM installation",
    )
    .bind(number)
    .bind(tier)
    .execute(&mut raw)
    .await
    .unwrap();
}

async fn claim(queue: &Queue) -> (Lease, JobRow) {
    queue.claim(Claim::Any).await.unwrap().expect("a job to claim")
}

async fn job(world: &TestDb, id: JobId) -> JobRow {
    let mut tx = world.db.begin().await.unwrap();
    jobs::find(&mut tx, id).await.unwrap().unwrap()
}

async fn history(world: &TestDb, id: JobId) -> Vec<JobEventRow> {
    let mut tx = world.db.begin().await.unwrap();
    let events = job_events::history(&mut tx, id).await.unwrap();
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(event.seq, seq, "the sequence has no gaps");
    }
    let ends = events.iter().filter(|event| event.kind.is_end()).count();
    assert!(ends <= 1, "one end per job: {events:?}");
    let claims: Vec<_> =
        events.iter().filter(|event| event.kind == JobEventKind::Claimed).map(|event| event.epoch).collect();
    assert!(claims.is_sorted_by(|one, next| one < next), "epochs strictly rise: {claims:?}");
    events
}

async fn kinds(world: &TestDb, id: JobId) -> Vec<JobEventKind> {
    history(world, id).await.into_iter().map(|event| event.kind).collect()
}

/// As if the worker had not been heard of for a minute.
async fn let_time_pass(world: &TestDb, id: JobId) {
    let mut raw = world.raw().await;
    sqlx::query("UPDATE bisect_jobs SET heartbeat_at = heartbeat_at - interval '1 minute' WHERE id = $1")
        .bind(id.0)
        .execute(&mut raw)
        .await
        .unwrap();
}

fn completed() -> Outcome {
    let report = Some(json!({ "probes": 9 }));
    Outcome { end: End::Completed, result: Some(ResultKind::Culprit), culprit: Some(sha(3)), report, error: None }
}

#[tokio::test]
async fn a_job_goes_through_the_queue_unchanged() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, row) = claim(&queue).await;
    assert_eq!((row.id, row.status, lease.attempt(), lease.epoch().0), (id, JobStatus::Running, 1, 1));
    assert_eq!((row.good, row.more_good, row.bad), (sha(1), vec![sha(2)], sha(3)));
    assert_eq!((row.command, row.lanes, row.timeout), (local_job().command, 2, Some(Duration::from_millis(1500))));
    assert_eq!(row.spec, json!({ "first_parent": true }));

    queue.finish(&lease, &completed()).await.unwrap();
    let row = job(&world, id).await;
    assert_eq!((row.status, row.result, row.culprit), (JobStatus::Completed, Some(ResultKind::Culprit), Some(sha(3))));
    assert_eq!(kinds(&world, id).await, [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::Completed]);
    assert!(queue.claim(Claim::Any).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_workers_share_two_hundred_jobs_and_never_one() {
    let world = database().await;
    for number in 1..=4 {
        installation(&world, number, "enterprise").await;
    }
    let enqueuer = queue(&world, "enqueuer");
    for number in 0..200 {
        let new = if number % 5 == 0 { local_job() } else { job_of(number % 5) };
        enqueuer.enqueue(&new).await.unwrap();
    }
    let workers = (0..8).map(|worker| {
        let queue = queue(&world, &format!("worker {worker}"));
        tokio::spawn(async move {
            let mut mine = Vec::new();
            while let Some((lease, row)) = queue.claim(Claim::Any).await.unwrap() {
                mine.push((row.id, lease.epoch()));
                queue.finish(&lease, &completed()).await.unwrap();
            }
            mine
        })
    });
    let mut claimed = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        claimed.extend(worker.await.unwrap());
    }
    claimed.sort();
    assert_eq!(claimed.len(), 200, "each was claimed");
    assert!(claimed.iter().all(|(_, epoch)| epoch.0 == 1), "and once only");
    claimed.dedup_by_key(|(id, _)| *id);
    assert_eq!(claimed.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_runs_no_more_at_once_than_its_tier_allows() {
    let world = database().await;
    installation(&world, 1, "pro").await;
    let enqueuer = queue(&world, "enqueuer");
    for _ in 0..6 {
        enqueuer.enqueue(&job_of(1)).await.unwrap();
    }
    let claims = (0..8).map(|worker| {
        let queue = queue(&world, &format!("worker {worker}"));
        tokio::spawn(async move { queue.claim(Claim::Any).await.unwrap() })
    });
    let mut leases = Vec::new();
    for claimed in claims.collect::<Vec<_>>() {
        leases.extend(claimed.await.unwrap());
    }
    assert_eq!(leases.len(), 3, "pro: 3 at once");
    let waiting = JobId(6);
    assert!(enqueuer.claim(Claim::Job(waiting)).await.unwrap().is_none(), "not by name either");
    enqueuer.finish(&leases[0].0, &completed()).await.unwrap();
    assert!(enqueuer.claim(Claim::Job(waiting)).await.unwrap().is_some());
    assert!(enqueuer.claim(Claim::Any).await.unwrap().is_none());
}

#[tokio::test]
async fn installations_take_turns() {
    let world = database().await;
    let queue = queue(&world, "a");
    for number in 1..=3 {
        installation(&world, number, "enterprise").await;
    }
    for number in [1, 1, 1, 1, 2, 2, 3] {
        queue.enqueue(&job_of(number)).await.unwrap();
    }
    let mut order = Vec::new();
    while let Some((_, row)) = queue.claim(Claim::Any).await.unwrap() {
        order.extend(row.installation);
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1, 1]);
}

#[tokio::test]
async fn a_suspended_installation_waits() {
    let world = database().await;
    let queue = queue(&world, "a");
    installation(&world, 1, "free").await;
    let id = queue.enqueue(&job_of(1)).await.unwrap().job;
    let mut raw = world.raw().await;
    raw.execute("UPDATE installations SET suspended_at = now()").await.unwrap();
    assert!(queue.claim(Claim::Any).await.unwrap().is_none());
    assert!(queue.claim(Claim::Job(id)).await.unwrap().is_none());
    raw.execute("UPDATE installations SET suspended_at = NULL").await.unwrap();
    assert!(queue.claim(Claim::Any).await.unwrap().is_some());
}

#[tokio::test]
async fn a_job_on_a_local_path_stays_on_its_machine() {
    let world = database().await;
    let here = queue(&world, "a");
    let elsewhere = Queue::new(world.db.clone(), InstanceId("b".to_owned()), *here.clocks(), "elsewhere".to_owned());
    let origin = Origin::Local { source: "/src".to_owned(), affinity: Some(HERE.to_owned()) };
    let id = here.enqueue(&NewJob { origin, ..local_job() }).await.unwrap().job;
    assert!(elsewhere.claim(Claim::Any).await.unwrap().is_none());
    assert!(elsewhere.claim(Claim::Job(id)).await.unwrap().is_none());
    assert_eq!(claim(&here).await.1.id, id);
}

#[tokio::test]
async fn a_job_that_asks_for_what_this_program_does_not_know_waits_for_a_newer_one() {
    let world = database().await;
    let queue = queue(&world, "a");
    let newer = NewJob { spec: json!({ "first_parent": true, "from_a_newer_version": 1 }), ..local_job() };
    let waits = queue.enqueue(&newer).await.unwrap().job;
    installation(&world, 1, "free").await;
    let hosted = queue.enqueue(&NewJob { spec: newer.spec.clone(), ..job_of(1) }).await.unwrap().job;
    let [known, of_one] = [local_job(), job_of(1)];
    let others = [queue.enqueue(&known).await.unwrap().job, queue.enqueue(&of_one).await.unwrap().job];
    assert_eq!([claim(&queue).await.1.id, claim(&queue).await.1.id], others);
    assert!(queue.claim(Claim::Any).await.unwrap().is_none());
    for waiting in [waits, hosted] {
        assert!(queue.claim(Claim::Job(waiting)).await.unwrap().is_none());
        assert_eq!(job(&world, waiting).await.status, JobStatus::Pending);
    }
}

#[tokio::test]
async fn a_higher_priority_comes_first() {
    let world = database().await;
    let queue = queue(&world, "a");
    queue.enqueue(&local_job()).await.unwrap();
    let urgent = queue.enqueue(&NewJob { priority: 5, ..local_job() }).await.unwrap().job;
    assert_eq!(claim(&queue).await.1.id, urgent);
}

#[tokio::test]
async fn a_job_is_taken_from_a_silent_worker_until_its_attempts_are_used_up() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    for attempt in 1..=3 {
        let (lease, _) = claim(&queue).await;
        assert_eq!((lease.attempt(), lease.epoch().0), (attempt, i64::from(attempt)));
        assert!(queue.reclaim_stale().await.unwrap().is_empty(), "it is heard of");
        let_time_pass(&world, id).await;
        let reclaimed = queue.reclaim_stale().await.unwrap();
        let wanted = if attempt < 3 { JobStatus::Pending } else { JobStatus::Failed };
        assert_eq!(reclaimed.len(), 1);
        assert_eq!((reclaimed[0].job, reclaimed[0].status), (id, wanted));
    }
    let row = job(&world, id).await;
    assert_eq!(row.result, Some(ResultKind::Infrastructure));
    assert_eq!(row.error.unwrap(), "attempt 3 of 3: its worker a stopped answering");
    let wanted = {
        use JobEventKind::{Claimed, Failed, Queued, Reclaimed};
        [Queued, Claimed, Reclaimed, Claimed, Reclaimed, Claimed, Failed]
    };
    assert_eq!(kinds(&world, id).await, wanted);
}

#[tokio::test]
async fn a_sign_of_life_in_time_keeps_the_job() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    let_time_pass(&world, id).await;
    assert_eq!(queue.renew(&lease).await.unwrap().cancel_requested_by, None);
    assert!(queue.reclaim_stale().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_recoveries_at_once_reclaim_each_job_once() {
    let world = database().await;
    let one = queue(&world, "a");
    for _ in 0..10 {
        one.enqueue(&local_job()).await.unwrap();
        let (_, row) = claim(&one).await;
        let_time_pass(&world, row.id).await;
    }
    let recoveries = (0..4).map(|worker| {
        let queue = queue(&world, &format!("recovery {worker}"));
        tokio::spawn(async move { queue.reclaim_stale().await.unwrap() })
    });
    let mut reclaimed = Vec::new();
    for recovery in recoveries.collect::<Vec<_>>() {
        reclaimed.extend(recovery.await.unwrap());
    }
    assert_eq!(reclaimed.len(), 10);
}

fn ended(ending: Ending, verdict: Option<Verdict>, took: Duration) -> Ended {
    Ended { ending, verdict, took, fingerprint: String::new() }
}

/// Every write of a worker, by its name in the refusal's event.
async fn write(name: &str, queue: &Queue, lease: &Lease, probe: ProbeId) -> Result<(), LeaseError> {
    let db = queue.database();
    let new = NewProbe { commit: sha(9), purpose: Purpose::Search, lane: 0, position: None };
    match name {
        "renew" => queue.renew(lease).await.map(drop),
        "release" => queue.release(lease, ReleaseReason::Shutdown).await.map(drop),
        "finish" => queue.finish(lease, &completed()).await,
        "start_probes" => start_probes(db, lease, &[new], &standing()).await.map(drop),
        "record_probe" => {
            record_probe(db, lease, probe, &ended(Ending::Exited(0), Some(Verdict::Good), Duration::ZERO)).await
        }
        "set_verdicts" => set_verdicts(db, lease, &[(probe, Verdict::Bad)]).await,
        "stop_probes" => stop_probes(db, lease, &[probe]).await,
        "record_remembered" => {
            let row = (new, ended(Ending::Exited(0), Some(Verdict::Good), Duration::ZERO));
            record_remembered(db, lease, &[row]).await.map(drop)
        }
        "set_aside_remembered" => set_aside_remembered(db, lease).await,
        "append_log" => append_log(db, lease, probe, 0, b"late").await,
        _ => unreachable!("{name}"),
    }
}

const WRITES: [&str; 10] = [
    "renew",
    "release",
    "finish",
    "start_probes",
    "record_probe",
    "set_verdicts",
    "stop_probes",
    "append_log",
    "record_remembered",
    "set_aside_remembered",
];

/// Everything that a worker could have changed.
async fn state(world: &TestDb, id: JobId) -> String {
    let mut tx = world.db.begin().await.unwrap();
    let mut row = jobs::find(&mut tx, id).await.unwrap().unwrap();
    row.event_seq = 0;
    let probes = probes(&mut tx, id).await.unwrap();
    let mut logs = Vec::new();
    for probe in &probes {
        logs.push(log(&mut tx, id, probe.id, None, 100).await.unwrap());
    }
    format!("{row:?} {probes:?} {logs:?}")
}

#[tokio::test]
async fn every_write_of_an_old_epoch_is_refused_and_leaves_a_trace() {
    let world = database().await;
    let (old, new) = (queue(&world, "old"), queue(&world, "new"));
    let id = old.enqueue(&local_job()).await.unwrap().job;
    let (lost, _) = claim(&old).await;
    let commit = NewProbe { commit: sha(4), purpose: Purpose::Search, lane: 0, position: None };
    let probe = start_probes(&world.db, &lost, &[commit], &standing()).await.unwrap()[0];
    let_time_pass(&world, id).await;
    new.reclaim_stale().await.unwrap();
    // Once while the job waits, once while another worker has it, once after it has ended.
    for stage in ["pending", "running", "completed"] {
        let lease = if stage == "running" { Some(claim(&new).await.0) } else { None };
        let before = state(&world, id).await;
        for name in WRITES {
            let refused = write(name, &old, &lost, probe).await;
            assert!(matches!(refused, Err(LeaseError::Lost)), "{name} while {stage}: {refused:?}");
        }
        assert_eq!(state(&world, id).await, before, "nothing changed while {stage}");
        if let Some(lease) = lease {
            new.finish(&lease, &completed()).await.unwrap();
        }
    }
    let refusals: Vec<_> =
        history(&world, id).await.into_iter().filter(|event| event.kind == JobEventKind::WriteRefused).collect();
    assert_eq!(refusals.len(), 3 * WRITES.len());
    assert!(refusals.iter().all(|event| event.epoch.0 == 1 && event.worker == Some(InstanceId("old".to_owned()))));
    assert_eq!(refusals[2].detail, json!({ "write": "finish" }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_meets_an_uncommitted_reclaim_waits_and_is_refused() {
    for name in WRITES {
        let world = database().await;
        let queue = queue(&world, "a");
        let id = queue.enqueue(&local_job()).await.unwrap().job;
        let (lease, _) = claim(&queue).await;
        let commit = NewProbe { commit: sha(4), purpose: Purpose::Search, lane: 0, position: None };
        let probe = start_probes(&world.db, &lease, &[commit], &standing()).await.unwrap()[0];

        let mut raw = world.raw().await;
        let mut reclaim = raw.begin().await.unwrap();
        let sql = "UPDATE bisect_jobs SET status = 'pending' WHERE id = $1";
        sqlx::query(sql).bind(id.0).execute(&mut *reclaim).await.unwrap();
        let late = tokio::spawn(async move { write(name, &queue, &lease, probe).await });
        wait_for_a_blocked_process(&world).await;
        assert!(!late.is_finished(), "{name} waits");
        reclaim.commit().await.unwrap();
        let refused = late.await.unwrap();
        assert!(matches!(refused, Err(LeaseError::Lost)), "{name}: {refused:?}");
        assert!(job(&world, id).await.status == JobStatus::Pending, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reclaim_passes_over_a_job_that_is_being_written() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    let_time_pass(&world, id).await;
    let mut raw = world.raw().await;
    let mut writing = raw.begin().await.unwrap();
    let sql = "SELECT FROM bisect_jobs WHERE id = $1 AND claim_epoch = $2 FOR SHARE";
    sqlx::query(sql).bind(id.0).bind(lease.epoch().0).execute(&mut *writing).await.unwrap();
    assert!(queue.reclaim_stale().await.unwrap().is_empty());
    writing.commit().await.unwrap();
    assert_eq!(queue.reclaim_stale().await.unwrap().len(), 1);
}

async fn wait_for_a_blocked_process(world: &TestDb) {
    let mut raw = world.raw().await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let (blocked,): (i64,) = sqlx::query_as(sql).fetch_one(&mut raw).await.unwrap();
        if blocked > 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_given_back_starts_elsewhere_at_once_and_is_not_counted() {
    let world = database().await;
    let (one, other) = (queue(&world, "a"), queue(&world, "b"));
    let id = one.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&one).await;
    assert_eq!(one.release(&lease, ReleaseReason::Shutdown).await.unwrap(), JobStatus::Pending);
    let (again, row) = claim(&other).await;
    assert_eq!((row.id, again.attempt(), again.epoch().0, row.handovers), (id, 1, 2, 1));
    assert!(matches!(one.release(&lease, ReleaseReason::Shutdown).await, Err(LeaseError::Lost)));
}

#[tokio::test]
async fn a_job_that_lacks_something_waits_before_it_is_tried_again() {
    let world = database().await;
    let queue = queue(&world, "a");
    queue.enqueue(&local_job()).await.unwrap();
    let (lease, _) = claim(&queue).await;
    queue.release(&lease, ReleaseReason::Unavailable).await.unwrap();
    assert!(queue.claim(Claim::Any).await.unwrap().is_none());
    let later = "UPDATE bisect_jobs SET available_at = available_at - interval '30 seconds'";
    world.raw().await.execute(later).await.unwrap();
    assert_eq!(claim(&queue).await.0.attempt(), 1);
}

#[tokio::test]
async fn a_job_is_not_given_back_for_ever() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    world.raw().await.execute("UPDATE bisect_jobs SET handover_count = 50").await.unwrap();
    assert_eq!(queue.release(&lease, ReleaseReason::Drain).await.unwrap(), JobStatus::Failed);
    assert!(job(&world, id).await.error.unwrap().starts_with("given back 50 times"));
}

#[tokio::test]
async fn cancelling_works_in_every_state() {
    let world = database().await;
    let queue = queue(&world, "a");
    // Pending: at once.
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    assert!(queue.request_cancel(id, "ada").await.unwrap());
    let row = job(&world, id).await;
    assert_eq!((row.status, row.result), (JobStatus::Cancelled, Some(ResultKind::Cancelled)));
    assert_eq!(row.cancel_requested_by.as_deref(), Some("ada"));
    assert!(queue.claim(Claim::Any).await.unwrap().is_none());
    // Ended, or never there: nothing.
    assert!(!queue.request_cancel(id, "ada").await.unwrap());
    assert!(!queue.request_cancel(JobId(404), "ada").await.unwrap());
    // Running: told at the next sign of life; asked twice, told once.
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    assert!(queue.request_cancel(id, "grace").await.unwrap());
    assert!(!queue.request_cancel(id, "ada").await.unwrap());
    assert_eq!(queue.renew(&lease).await.unwrap().cancel_requested_by.as_deref(), Some("grace"));
    queue.finish(&lease, &Outcome::cancelled()).await.unwrap();
    let wanted = [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::CancelRequested, JobEventKind::Cancelled];
    assert_eq!(kinds(&world, id).await, wanted);
    // Given back or reclaimed after that: it ends instead of starting again.
    for lost in [false, true] {
        let id = queue.enqueue(&local_job()).await.unwrap().job;
        let (lease, _) = claim(&queue).await;
        queue.request_cancel(id, "ada").await.unwrap();
        if lost {
            let_time_pass(&world, id).await;
            assert_eq!(queue.reclaim_stale().await.unwrap()[0].status, JobStatus::Cancelled);
        } else {
            assert_eq!(queue.release(&lease, ReleaseReason::Shutdown).await.unwrap(), JobStatus::Cancelled);
        }
        assert!(queue.claim(Claim::Any).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_end_may_be_said_twice_by_the_claim_whose_it_is() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    queue.finish(&lease, &completed()).await.unwrap();
    queue.finish(&lease, &completed()).await.unwrap();
    let wanted = [JobEventKind::Queued, JobEventKind::Claimed, JobEventKind::Completed];
    assert_eq!(kinds(&world, id).await, wanted, "once, and without a refusal");
    let other = queue.finish(&lease, &Outcome::failed("something else")).await;
    assert!(matches!(other, Err(LeaseError::Lost)), "{other:?}");
    assert_eq!(kinds(&world, id).await.last(), Some(&JobEventKind::WriteRefused));
}

#[tokio::test]
async fn a_final_state_is_never_left() {
    let world = database().await;
    let queue = queue(&world, "a");
    queue.enqueue(&local_job()).await.unwrap();
    let (lease, _) = claim(&queue).await;
    queue.finish(&lease, &completed()).await.unwrap();
    let meddled = world.raw().await.execute("UPDATE bisect_jobs SET status = 'pending', completed_at = NULL").await;
    assert!(meddled.unwrap_err().to_string().contains("is completed, which is final"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_requests_join_the_one_that_is_not_finished() {
    let world = database().await;
    let one = queue(&world, "a");
    let request = NewJob { request_key: Some("ada/project 1..3 pytest".to_owned()), ..local_job() };
    let requests = (0..8).map(|number| {
        let (queue, request) = (queue(&world, &format!("intake {number}")), request.clone());
        tokio::spawn(async move { queue.enqueue(&request).await.unwrap() })
    });
    let mut answers = BTreeMap::<(JobId, bool), u32>::new();
    for request in requests.collect::<Vec<_>>() {
        let answer = request.await.unwrap();
        *answers.entry((answer.job, answer.joined)).or_default() += 1;
    }
    let id = answers.keys().next().unwrap().0;
    assert_eq!(answers, BTreeMap::from([((id, false), 1), ((id, true), 7)]));

    // Running: joined too. About to be cancelled, or ended: a new one.
    let (lease, _) = claim(&one).await;
    assert!(one.enqueue(&request).await.unwrap().joined);
    one.request_cancel(id, "ada").await.unwrap();
    let second = one.enqueue(&request).await.unwrap();
    assert!(!second.joined && second.job != id);
    one.finish(&lease, &Outcome::cancelled()).await.unwrap();
    let (lease, _) = claim(&one).await;
    one.finish(&lease, &completed()).await.unwrap();
    assert!(!one.enqueue(&request).await.unwrap().joined);
}

#[tokio::test]
async fn probes_are_recorded_and_found_again_by_the_next_owner() {
    let world = database().await;
    let (one, other) = (queue(&world, "a"), queue(&world, "b"));
    let id = one.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&one).await;
    let new: Vec<_> = (0..5)
        .map(|n| NewProbe { commit: sha(10 + n), purpose: Purpose::Search, lane: n.into(), position: None })
        .collect();
    let ids = start_probes(&world.db, &lease, &new, &standing()).await.unwrap();
    let second = Duration::from_secs(1);
    record_probe(&world.db, &lease, ids[0], &ended(Ending::Exited(1), Some(Verdict::Bad), second)).await.unwrap();
    record_probe(&world.db, &lease, ids[1], &ended(Ending::TimedOut, None, second)).await.unwrap();
    set_verdicts(&world.db, &lease, &[(ids[1], Verdict::Skip)]).await.unwrap();
    stop_probes(&world.db, &lease, &[ids[2]]).await.unwrap();
    append_log(&world.db, &lease, ids[0], 0, b"\0\xff one").await.unwrap();
    append_log(&world.db, &lease, ids[0], 1, b"two").await.unwrap();
    append_log(&world.db, &lease, ids[0], 1, b"again").await.unwrap();

    // An answer that was lost is asked for again: the same words are taken, and change nothing.
    record_probe(&world.db, &lease, ids[0], &ended(Ending::Exited(1), Some(Verdict::Bad), second)).await.unwrap();
    stop_probes(&world.db, &lease, &[ids[2]]).await.unwrap();

    // What has ended stays as it is, and what is not there is not written.
    let twice = record_probe(&world.db, &lease, ids[0], &ended(Ending::Exited(0), Some(Verdict::Good), second)).await;
    assert_eq!(twice.unwrap_err().to_string(), format!("probe {} running under this claim does not exist", ids[0]));
    assert!(append_log(&world.db, &lease, ProbeId(404), 0, b"").await.is_err());
    assert!(set_verdicts(&world.db, &lease, &[(ids[2], Verdict::Good)]).await.is_err(), "stopped: no verdict");

    one.release(&lease, ReleaseReason::Shutdown).await.unwrap();
    let (lease, _) = claim(&other).await;
    let mut tx = world.db.begin().await.unwrap();
    let rows = probes(&mut tx, id).await.unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.id, row.commit, row.state, row.verdict)).collect();
    let wanted = [
        (ids[0], sha(10), ProbeState::Ended(Ending::Exited(1)), Some(Verdict::Bad)),
        (ids[1], sha(11), ProbeState::Ended(Ending::TimedOut), Some(Verdict::Skip)),
        (ids[2], sha(12), ProbeState::Stopped, None),
        (ids[3], sha(13), ProbeState::Stopped, None),
        (ids[4], sha(14), ProbeState::Stopped, None),
    ];
    assert_eq!(found, wanted);
    let chunks = log(&mut tx, id, ids[0], None, 10).await.unwrap();
    let bytes: Vec<_> = chunks.iter().map(|chunk| (chunk.seq, chunk.bytes.as_slice())).collect();
    assert_eq!(bytes, [(0, b"\0\xff one".as_slice()), (1, b"two")]);
    assert_eq!(log(&mut tx, id, ids[0], Some(0), 10).await.unwrap().len(), 1);
    assert!(log(&mut tx, JobId(404), ids[0], None, 10).await.unwrap().is_empty(), "not under another job");
    // A new owner may judge what an old one recorded.
    set_verdicts(&world.db, &lease, &[(ids[0], Verdict::Good)]).await.unwrap();
}

#[tokio::test]
async fn instances_live_until_they_retire_or_fall_silent() {
    let world = database().await;
    let (one, other) = (queue(&world, "a"), queue(&world, "b"));
    let row = one.heartbeat_instance(Means { max_jobs: 4, ..Means::default() }).await.unwrap();
    assert_eq!((row.max_jobs, row.drain_requested_by, row.retired_at), (4, None, None));
    other.heartbeat_instance(Means { max_jobs: 2, ..Means::default() }).await.unwrap();
    let alive = |rows: Vec<bisectd::queue::InstanceRow>| rows.into_iter().map(|row| row.id.0).collect::<Vec<_>>();
    assert_eq!(alive(one.alive_instances().await.unwrap()), ["a", "b"]);
    one.retire_instance().await.unwrap();
    one.heartbeat_instance(Means { max_jobs: 4, ..Means::default() }).await.unwrap();
    assert_eq!(alive(other.alive_instances().await.unwrap()), ["b"], "retired for good");
    world.raw().await.execute("UPDATE instances SET heartbeat_at = now() - interval '1 minute'").await.unwrap();
    assert!(other.alive_instances().await.unwrap().is_empty());
}

/// A worker that does what it likes, seeded: nobody is ever patient (`stale_after` is nothing), so
/// jobs change hands all the time.
async fn unruly_worker(queue: Queue, seed: u64) {
    use rand::{RngExt, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let mut leases: Vec<Lease> = Vec::new();
    for _ in 0..120 {
        let lost = match (random.random_range(0..8), leases.last()) {
            (0, _) => {
                let id = JobId(random.random_range(1..=30));
                queue.request_cancel(id, "ada").await.unwrap();
                Ok(())
            }
            (1, _) => queue.reclaim_stale().await.map(drop).map_err(LeaseError::from),
            (2, _) => queue.enqueue(&job_of(random.random_range(1..=3))).await.map(drop).map_err(LeaseError::from),
            (3, Some(lease)) => queue.release(lease, ReleaseReason::Shutdown).await.map(drop),
            (4, Some(lease)) => queue.finish(lease, &completed()).await,
            (5, Some(lease)) => queue.renew(lease).await.map(drop),
            (6, Some(lease)) => {
                let commit = NewProbe { commit: sha(4), purpose: Purpose::Search, lane: 0, position: None };
                start_probes(queue.database(), lease, &[commit], &standing()).await.map(drop)
            }
            _ => {
                leases.extend(queue.claim(Claim::Any).await.unwrap().map(|(lease, _)| lease));
                Ok(())
            }
        };
        match lost {
            Ok(()) => {}
            Err(LeaseError::Lost) => drop(leases.pop()),
            Err(error) => panic!("seed {seed}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_workers_do_no_job_is_lost_or_ends_twice() {
    let world = database().await;
    for (number, tier) in [(1, "free"), (2, "pro"), (3, "enterprise")] {
        installation(&world, number, tier).await;
    }
    let clocks = Clocks { stale_after: Duration::ZERO, ..Clocks::default() };
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let worker =
        |name: u64| Queue::new(world.db.clone(), InstanceId(format!("worker {name}")), clocks, HERE.to_owned());
    let workers = (0..6).map(|name| tokio::spawn(unruly_worker(worker(name), seed + name)));
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    // Whoever comes last finds every job that is left, and brings it to its end.
    let last = worker(99);
    loop {
        last.reclaim_stale().await.unwrap();
        match last.claim(Claim::Any).await.unwrap() {
            Some((lease, _)) => last.finish(&lease, &completed()).await.unwrap(),
            None => break,
        }
    }
    let mut raw = world.raw().await;
    let rows: Vec<(i64, String)> =
        sqlx::query_as("SELECT id, status FROM bisect_jobs").fetch_all(&mut raw).await.unwrap();
    assert!(!rows.is_empty());
    for (id, status) in rows {
        let events = history(&world, JobId(id)).await;
        assert!(status.parse::<JobStatus>().unwrap().is_final(), "job {id} is left {status}: {events:?}");
        let end = events.iter().rfind(|event| event.kind != JobEventKind::WriteRefused).unwrap();
        assert!(end.kind.is_end(), "{events:?}");
    }
    let open: (i64,) =
        sqlx::query_as("SELECT count(*) FROM probes WHERE ending IS NULL").fetch_one(&mut raw).await.unwrap();
    assert_eq!(open, (0,), "no probe is left open");
}

/// `cargo test --release -p bisectd --test all claim_time -- --ignored --nocapture`
#[tokio::test]
#[ignore = "a measurement of about a minute"]
async fn claim_time() {
    let world = database().await;
    let mut raw = world.raw().await;
    let queue = queue(&world, "a");
    for number in 1..=100 {
        installation(&world, number, "enterprise").await;
    }
    for finished in [0, 1_000_000] {
        let sql = "INSERT INTO bisect_jobs (installation_id, repository_id, good_sha, bad_sha, command, status, completed_at) \
                   SELECT 1 + n % 100, 1 + n % 100, repeat('a', 40), repeat('b', 40), '{x}', $2, \
                          CASE $2 WHEN 'completed' THEN now() END FROM generate_series(1, $1) AS n";
        raw.execute("DELETE FROM bisect_jobs WHERE status = 'pending'").await.unwrap();
        for (rows, status) in [(finished, "completed"), (10_000, "pending")] {
            sqlx::query(sql).bind(rows).bind(status).execute(&mut raw).await.unwrap();
        }
        raw.execute("VACUUM ANALYZE bisect_jobs").await.unwrap();
        let mut times = Vec::new();
        for _ in 0..500 {
            let began = std::time::Instant::now();
            let (lease, _) = claim(&queue).await;
            times.push(began.elapsed());
            queue.finish(&lease, &completed()).await.unwrap();
        }
        times.sort();
        let began = std::time::Instant::now();
        assert!(queue.reclaim_stale().await.unwrap().is_empty());
        println!("a look for stale jobs: {:?}", began.elapsed());
        println!("10,000 pending, {finished} finished: median {:?}, p99 {:?}", times[250], times[494]);
    }
}

#[tokio::test]
async fn a_start_whose_answer_was_lost_leaves_no_probe_running() {
    let world = database().await;
    let queue = queue(&world, "a");
    let id = queue.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&queue).await;
    let probe = |lane| NewProbe { commit: sha(10), purpose: Purpose::Search, lane, position: None };
    let lost = start_probes(&world.db, &lease, &[probe(0)], &standing()).await.unwrap();
    let other = start_probes(&world.db, &lease, &[probe(1)], &standing()).await.unwrap();
    let again = start_probes(&world.db, &lease, &[probe(0)], &standing()).await.unwrap();
    let mut tx = world.db.begin().await.unwrap();
    let rows = probes(&mut tx, id).await.unwrap();
    let states: Vec<_> = rows.iter().map(|row| (row.id, row.state)).collect();
    let wanted = [(lost[0], ProbeState::Stopped), (other[0], ProbeState::Running), (again[0], ProbeState::Running)];
    assert_eq!(states, wanted);
}

#[tokio::test]
async fn the_probes_of_a_dead_worker_ended_when_it_was_last_heard_of() {
    let world = database().await;
    let (one, other) = (queue(&world, "a"), queue(&world, "b"));
    let id = one.enqueue(&local_job()).await.unwrap().job;
    let (lease, _) = claim(&one).await;
    let new = NewProbe { commit: sha(10), purpose: Purpose::Search, lane: 0, position: None };
    start_probes(&world.db, &lease, &[new], &standing()).await.unwrap();
    // Nobody gave the command again before the next day.
    let sql = "UPDATE probes SET started_at = now() - interval '25 hours'; \
               UPDATE bisect_jobs SET heartbeat_at = now() - interval '24 hours'";
    sqlx::Executor::execute(&mut world.raw().await, sql).await.unwrap();
    other.reclaim_dead(lease.worker()).await.unwrap();
    let mut tx = world.db.begin().await.unwrap();
    let row = probes(&mut tx, id).await.unwrap().remove(0);
    let ran = row.finished_at.unwrap() - row.started_at;
    assert_eq!((row.state, ran.num_minutes()), (ProbeState::Stopped, 60), "the night is not the job's time");
}
