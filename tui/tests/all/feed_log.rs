//! A followed log through everything that happens to it.

use crate::support::{
    daemon::{Daemon, World},
    listener::Listener,
    samples::{job, piece},
};
use bisect_shared::{JobId, JobStatus, admin::LogPiece};
use bisect_tui::message::{LogOf, Message};
use rstest::rstest;
use std::{sync::atomic::Ordering, time::Duration};

const OF: LogOf = LogOf { job: JobId(1), probe: None };

/// Two runs that print by turns.
fn pieces(count: i64) -> Vec<LogPiece> {
    (0..count).map(|at| piece(at % 2, at / 2)).collect()
}

async fn everything(listener: &mut Listener) -> Vec<LogPiece> {
    let mut told = Vec::new();
    listener
        .wait(|message| match message {
            Message::Log(of, pieces) => {
                assert_eq!(of, OF);
                told.extend(pieces);
                None
            }
            Message::LogEnded(of) => {
                assert_eq!(of, OF);
                Some(())
            }
            _ => None,
        })
        .await;
    told
}

/// The connection breaks after so many bytes, again and again: within frames, headers, lines.
#[rstest]
#[case(3_001)]
#[case(7_919)]
#[case(20_011)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_and_nothing_doubled(#[case] budget: i64) {
    let daemon = Daemon::start(World::new());
    let world = daemon.world.clone();
    world.put(job(1, JobStatus::Running));
    world.budget.store(budget, Ordering::Relaxed);
    let mut listener = Listener::to(&daemon);
    listener.follow(OF);
    let printing = tokio::spawn({
        let world = world.clone();
        async move {
            for part in pieces(600).chunks(20) {
                world.set(|facts| facts.log.extend_from_slice(part));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.put(job(1, JobStatus::Completed));
        }
    });
    let told = everything(&mut listener).await;
    printing.await.unwrap();
    assert_eq!(told, pieces(600));
    let connections = world.connections.load(Ordering::Relaxed);
    assert!(connections > 3, "the connection was to break, but there were {connections}");
}

#[tokio::test]
async fn a_daemon_that_stops_in_order_does_not_end_the_log() {
    let daemon = Daemon::start(World::new());
    let world = daemon.world.clone();
    world.put(job(1, JobStatus::Running));
    world.set(|facts| facts.log = pieces(10));
    let mut listener = Listener::to(&daemon);
    listener.follow(OF);
    let mut told: Vec<LogPiece> = Vec::new();
    while told.len() < 10 {
        let pieces = listener.wait(|message| match message {
            Message::Log(_, pieces) => Some(pieces),
            Message::LogEnded(_) => panic!("the job runs"),
            _ => None,
        });
        told.extend(pieces.await);
    }
    let daemon = daemon.restart(true).await;
    daemon.world.set(|facts| facts.log = pieces(20));
    daemon.world.put(job(1, JobStatus::Completed));
    told.extend(everything(&mut listener).await);
    assert_eq!(told, pieces(20));
}

#[tokio::test]
async fn what_the_state_knows_is_not_told_again() {
    let daemon = Daemon::start(World::new());
    daemon.world.put(job(1, JobStatus::Completed));
    daemon.world.set(|facts| facts.log = pieces(20));
    let mut listener = Listener::to(&daemon);
    let wanted = bisect_tui::message::Wanted { log: Some(OF), ..Default::default() };
    let cursors = vec![(bisect_shared::ProbeId(0), 9), (bisect_shared::ProbeId(1), 7)];
    listener.feed.want.send_replace(bisect_tui::feed::Want { wanted, cursors, subscription: 1 });
    assert_eq!(everything(&mut listener).await, [piece(1, 8), piece(1, 9)]);
    assert_eq!(daemon.world.asked("GET /v1/jobs/1/log?follow=true&after=1:7,0:9"), 1);
}

/// Who does not take the output holds it back at the daemon; who then does gets all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_nobody_takes_is_held_back() {
    let daemon = Daemon::start(World::new());
    let world = daemon.world.clone();
    world.put(job(1, JobStatus::Completed));
    let many = pieces(200_000);
    world.set(|facts| facts.log.clone_from(&many));
    let mut listener = Listener::to(&daemon);
    listener.follow(OF);
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = world.written.load(Ordering::Relaxed);
        // The daemon's ticks go on.
        if now > 100_000 && now - last < 10_000 {
            break;
        }
        last = now;
    }
    assert!(last < 12 << 20, "{last} bytes are on this side");
    let told = everything(&mut listener).await;
    assert_eq!(told.len(), many.len());
    assert!(told == many);
}
