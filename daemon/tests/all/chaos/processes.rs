//! Faults of processes: killed at exact points, stopped for too long, told to end.

use super::{
    eyes::Seen,
    fleet::{Fleet, REPOSITORIES},
    plan::Strike,
};
use crate::support::{Gate, eventually};
use github_lookalike::Place;
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;

/// How long a call may take to come to a gate.
const PATIENCE: Duration = Duration::from_secs(120);

pub async fn kill_after_delivery(fleet: &mut Fleet, strike: &Strike) {
    let gate = fleet.hub.gate("GET /repos/*/*/collaborators/ada/permission", Place::BeforeCall);
    let comment = fleet.ask(strike.asked, strike.via, "").await;
    let place = works_off(fleet, comment, &gate).await;
    kill(fleet, place, strike).await;
    gate.open();
}

/// The place of the instance that works off a comment's delivery, once it stands at the gate.
pub async fn works_off(fleet: &mut Fleet, comment: i64, gate: &github_lookalike::Gate) -> usize {
    // Another question's may have come to the gate before.
    let sql = "SELECT leased_by FROM webhook_deliveries WHERE comment_id = $1 AND state = 'received' \
               AND leased_by IS NOT NULL";
    let (leased,): (String,) = eventually("the delivery is being worked off", async || {
        fleet.eyes.rows(sql, comment).await?.into_iter().next()
    })
    .await;
    gate.reached(PATIENCE).await.unwrap();
    fleet.place_of(&leased).expect("it lives")
}

/// Before any probe of the job has a row.
pub async fn kill_after_claim(fleet: &mut Fleet, strike: &Strike) {
    let comment = kill_at_probe(fleet, strike, "NEW.epoch = 1").await;
    let none = "SELECT count(*) = 0 FROM probes p JOIN bisect_jobs j ON j.id = p.job_id \
                WHERE j.comment_id = $1 AND p.epoch = 1";
    assert!(fleet.eyes.holds(none, comment).await, "nothing of the killed one's first probe is there");
}

pub async fn kill_after_verdict(fleet: &mut Fleet, strike: &Strike) {
    let when =
        "NEW.epoch = 1 AND EXISTS (SELECT 1 FROM probes p WHERE p.job_id = NEW.job_id AND p.verdict IS NOT NULL)";
    kill_at_probe(fleet, strike, when).await;
}

/// Kills the worker where it is about to write a probe's row and `when` holds. The answer is the comment.
async fn kill_at_probe(fleet: &mut Fleet, strike: &Strike, when: &str) -> i64 {
    // Other jobs pass: the question's comment has the highest number of all.
    let asked = fleet.asked.iter().map(|question| question.comment).max().unwrap_or(0);
    let newest = format!("(SELECT comment_id FROM bisect_jobs WHERE id = NEW.job_id) > {asked}");
    let mut gate = Gate::close(&fleet.world, "INSERT", &format!("{when} AND {newest}")).await;
    let comment = fleet.ask(strike.asked, strike.via, "").await;
    gate.reached().await;
    let worker = fleet.eyes.job(comment).await.worker_id.expect("it is claimed");
    let place = fleet.place_of(&worker).expect("it lives");
    kill(fleet, place, strike).await;
    gate.open().await;
    comment
}

pub async fn kill_mid_probe(fleet: &mut Fleet, strike: &Strike) {
    let (_, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).expect("it lives");
    kill(fleet, place, strike).await;
}

/// GitHub has the comment; who wrote it never hears of it.
pub async fn kill_after_comment(fleet: &mut Fleet, strike: &Strike) {
    let issue = fleet.issue(strike.asked);
    let repository = REPOSITORIES[strike.asked.repository];
    let gate = fleet.hub.gate(&format!("POST /repos/{repository}/issues/{issue}/comments"), Place::BeforeAnswer);
    let comment = fleet.ask_on(issue, strike.asked, strike.via, "").await;
    gate.reached(PATIENCE).await.unwrap();
    assert_eq!(fleet.hub.comments(repository, issue).unwrap().len(), 2, "the question, and the answer");
    let job = fleet.eyes.job(comment).await;
    let sql = "SELECT leased_by FROM outbox WHERE job_id = $1 AND kind = 'status' AND remote_id IS NULL AND leased_by IS NOT NULL";
    let leased: Vec<(String,)> = fleet.eyes.rows(sql, job.id).await.unwrap();
    let place = fleet.place_of(&leased[0].0).expect("it lives");
    kill(fleet, place, strike).await;
    gate.open();
}

/// Told to stop, it is killed while the row of its job does not let it go, or as soon as it has.
pub async fn kill_during_handover(fleet: &mut Fleet, strike: &Strike) {
    let (_, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).unwrap();
    let service = fleet.members[place].service.as_ref().unwrap();
    if strike.other_way {
        service.signal(Signal::SIGTERM);
        let sql = "SELECT EXISTS (SELECT 1 FROM job_events WHERE job_id = $1 AND kind = 'released')";
        fleet.eyes.see("the job is given back", sql, seen.id).await;
    } else {
        let mut holder = fleet.world.db.raw().await;
        let lock = format!("BEGIN; SELECT 1 FROM bisect_jobs WHERE id = {} FOR UPDATE", seen.id);
        holder.execute(AssertSqlSafe(lock)).await.unwrap();
        service.signal(Signal::SIGTERM);
        let waits = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                     AND datname = current_database() AND query LIKE 'SELECT id, status,%FOR UPDATE' AND $1::bigint > 0)";
        fleet.eyes.see("it waits for the job's row", waits, seen.id).await;
    }
    kill(fleet, place, strike).await;
}

/// It wakes up when somebody else has its job, and whatever it still writes is refused.
pub async fn stop_past_stale(fleet: &mut Fleet, strike: &Strike) {
    let (comment, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).unwrap();
    fleet.route(Fleet::beside(place));
    fleet.members[place].service.as_ref().unwrap().signal(Signal::SIGSTOP);
    eventually("another one claims its job", async || {
        fleet.eyes.find(comment).await.filter(|now| now.claim_epoch > seen.claim_epoch)
    })
    .await;
    fleet.members[place].service.as_ref().unwrap().signal(Signal::SIGCONT);
    let sql = "SELECT EXISTS (SELECT 1 FROM job_events e JOIN bisect_jobs j ON j.id = e.job_id \
               WHERE j.comment_id = $1 AND e.kind = 'write_refused' AND e.epoch < j.claim_epoch)";
    fleet.eyes.see("a write of the old epoch is refused", sql, comment).await;
}

pub async fn terminate(fleet: &mut Fleet, strike: &Strike) {
    let (_, seen) = mid_probe(fleet, strike).await;
    let place = fleet.place_of(&worker(&seen)).unwrap();
    fleet.terminate(place).await;
    let sql = "SELECT EXISTS (SELECT 1 FROM job_events WHERE job_id = $1 AND kind = 'released')";
    assert!(fleet.eyes.holds(sql, seen.id).await, "its job was given back before it ended");
    fleet.replace(place).await;
}

/// Asks, and returns when the command runs in its container.
pub async fn mid_probe(fleet: &mut Fleet, strike: &Strike) -> (i64, Seen) {
    let comment = fleet.ask(strike.asked, strike.via, "").await;
    let seen = fleet.eyes.mid_probe(comment).await;
    (comment, seen)
}

pub fn worker(seen: &Seen) -> String {
    seen.worker_id.clone().expect("it runs")
}

async fn kill(fleet: &mut Fleet, place: usize, strike: &Strike) {
    fleet.kill(place).await;
    if strike.replaced {
        fleet.replace(place).await;
    }
}
