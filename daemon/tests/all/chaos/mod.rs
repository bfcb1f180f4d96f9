//! Chaos: real processes, PostgreSQL, Docker and git, of which things go wrong by a seeded plan; at the end of
//! every run all that the design promises must hold. `CHAOS_RUNS` and `CHAOS_SEED`: see docs/development.md.

mod databases;
mod eyes;
mod fleet;
mod inbox;
mod invariants;
mod outside;
mod plan;
mod processes;
mod rolling_restart;

use crate::support::OwnPostgres;
use fleet::{Fleet, REPOSITORIES};
use futures::FutureExt;
use github_lookalike::{Trouble, WebhookFault};
use plan::{Kind, Plan, Strike};
use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Instant};

/// So many runs where nobody asks for more; dealt to [`PARTS`] tests, which may run side by side.
const RUNS: u64 = 20;
const PARTS: u64 = 4;

/// The seeds of one part. `CHAOS_RUNS=200` for more of them, `CHAOS_SEED=7` for that one, both for so many from there.
fn seeds(part: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    let (first, runs) = (number("CHAOS_SEED"), number("CHAOS_RUNS"));
    let runs = runs.unwrap_or(if first.is_some() { 1 } else { RUNS });
    let first = first.unwrap_or(0);
    (first..first + runs).filter(|seed| (seed - first) % PARTS == part).collect()
}

#[rstest::rstest]
#[tokio::test]
async fn whatever_goes_wrong_nothing_is_lost_and_nothing_happens_twice(#[values(0, 1, 2, 3)] part: u64) {
    let seeds = seeds(part);
    let (mut fired, mut failed) = (BTreeMap::<Kind, u32>::new(), Vec::new());
    let mut postgres = OwnPostgres::start().await;
    for plan in seeds.iter().map(|seed| Plan::of(*seed)) {
        println!("chaos: {plan}");
        let began = Instant::now();
        match AssertUnwindSafe(run(&mut postgres, &plan)).catch_unwind().await {
            Ok(()) => {
                plan.strikes.iter().for_each(|strike| *fired.entry(strike.kind).or_default() += 1);
                println!("chaos: seed {} held, in {:.1} s", plan.seed, began.elapsed().as_secs_f64());
            }
            Err(_) => {
                println!("chaos: FAILED {plan} (again: CHAOS_SEED={})", plan.seed);
                failed.push(plan.seed);
                postgres = OwnPostgres::start().await;
            }
        }
    }
    println!("chaos: what went wrong in runs that held: {fired:?}");
    assert!(failed.is_empty(), "seeds {failed:?} of {seeds:?} failed");
}

#[test]
fn the_runs_of_ci_have_every_fault_and_a_seed_gives_one_plan() {
    let plans: Vec<Plan> = (0..RUNS).map(Plan::of).collect();
    let dealt = |kind: &Kind| plans.iter().any(|plan| plan.strikes.iter().any(|strike| strike.kind == *kind));
    let missing: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !dealt(kind)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(format!("{:?}", Plan::of(7)), format!("{:?}", Plan::of(7)));
    assert_ne!(format!("{:?}", Plan::of(7)), format!("{:?}", Plan::of(8)));
}

/// One run: a job that nothing is meant for, the faults one after another, each at a job of its own, and then
/// everything must come to rest and hold. A fault that does not happen fails the run.
async fn run(postgres: &mut OwnPostgres, plan: &Plan) {
    let mut fleet = Fleet::start(postgres, format!("seed-{}", plan.seed), fleet::CHAOS).await;
    fleet.ask(plan.bystander, 0, "").await;
    let issue = fleet.hub.add_issue(REPOSITORIES[0], "eve", "may I?", "").unwrap();
    fleet.hub.comment("eve", REPOSITORIES[0], issue, "/bisect c0 main true").await.unwrap();
    for strike in &plan.strikes {
        let began = Instant::now();
        strike_once(&mut fleet, postgres, strike).await;
        println!("chaos: {:?} struck, after {:.1} s", strike.kind, began.elapsed().as_secs_f64());
    }
    fleet.heal().await;
    fleet.comes_to_rest().await;
    fleet.holds().await;
    let answers = fleet.hub.comments(REPOSITORIES[0], issue).unwrap();
    let refusals = answers.iter().filter(|answer| answer.body.contains("those who can push")).count();
    assert_eq!((answers.len(), refusals), (2, 1), "eve is told once that she may not: {answers:#?}");
}

async fn strike_once(fleet: &mut Fleet, postgres: &mut OwnPostgres, strike: &Strike) {
    match strike.kind {
        Kind::KillAfterDelivery => processes::kill_after_delivery(fleet, strike).await,
        Kind::KillAfterClaim => processes::kill_after_claim(fleet, strike).await,
        Kind::KillMidProbe => processes::kill_mid_probe(fleet, strike).await,
        Kind::KillAfterVerdict => processes::kill_after_verdict(fleet, strike).await,
        Kind::KillAfterComment => processes::kill_after_comment(fleet, strike).await,
        Kind::KillDuringHandover => processes::kill_during_handover(fleet, strike).await,
        Kind::StopPastStale => processes::stop_past_stale(fleet, strike).await,
        Kind::Terminate => processes::terminate(fleet, strike).await,
        Kind::DatabaseRestart => databases::restart(fleet, postgres, strike).await,
        Kind::DatabaseCrash => databases::crash(fleet, postgres, strike).await,
        Kind::ListenersCut => databases::cut_listeners(fleet, strike).await,
        Kind::ConnectionsCut => databases::cut_all(fleet, strike).await,
        Kind::DatabaseRefused => databases::unreachable(fleet, strike, false).await,
        Kind::DatabaseSilent => databases::unreachable(fleet, strike, true).await,
        Kind::DatabaseReadOnly => databases::read_only(fleet, postgres, strike).await,
        Kind::DockerAway => outside::docker_away(fleet, strike).await,
        Kind::DiskFull => outside::disk_full(fleet, strike).await,
        Kind::GithubDown => outside::github_down(fleet, strike).await,
        Kind::GithubErrors => outside::github_trouble(fleet, strike, "* /repos/**", Trouble::Status(502), 4).await,
        Kind::GithubSlow => outside::github_trouble(fleet, strike, "* /**", outside::SLOW, 3).await,
        Kind::RateLimited => {
            let limited = Trouble::SecondaryLimit { status: 429, retry_after: 1 };
            outside::github_trouble(fleet, strike, "* /repos/**", limited, 3).await;
        }
        Kind::AnswerLost => {
            let calls = "POST /repos/*/*/issues/*/comments";
            outside::github_trouble(fleet, strike, calls, Trouble::DropAfter, 1).await;
        }
        Kind::EditAnswerLost => {
            let calls = "PATCH /repos/*/*/issues/comments/*";
            outside::github_trouble(fleet, strike, calls, Trouble::DropAfter, 1).await;
        }
        Kind::WebhookTwice => outside::twice(fleet, strike, WebhookFault::Duplicate).await,
        Kind::WebhookAgain => outside::twice(fleet, strike, WebhookFault::SecondDeliveryId).await,
        Kind::WebhooksLate => outside::late(fleet, strike).await,
        Kind::WebhookLost => outside::lost(fleet, strike).await,
        Kind::ClockOff => outside::clock(fleet, strike).await,
    }
}
