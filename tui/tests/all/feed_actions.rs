//! Actions: done once, and what is not known is told as such.

use crate::support::{
    daemon::{Daemon, World},
    listener::{Listener, at, clocks},
};
use bisect_shared::{InstanceId, JobId, admin::Outcome};
use bisect_tui::{
    feed::{Clocks, Order},
    message::{Action, Message},
};
use std::{collections::BTreeSet, time::Duration};

fn outcome(message: &str) -> Option<Result<Outcome, (u16, String)>> {
    Some(Ok(Outcome { message: message.to_owned(), changed: true, job: None }))
}

#[tokio::test]
async fn each_action_has_its_route() {
    let daemon = Daemon::start(World::new());
    daemon.world.set(|facts| facts.outcome = outcome("done"));
    let mut listener = Listener::to(&daemon);
    listener.up().await;
    let instance = InstanceId("bot/1:2 x".to_owned());
    for (action, asked) in [
        (Action::Cancel(JobId(5)), "POST /v1/jobs/5/cancel"),
        (Action::Retry(JobId(5), Some(3)), "POST /v1/jobs/5/retry"),
        (Action::Drain(instance.clone()), "POST /v1/instances/bot%2F1%3A2%20x/drain"),
        (Action::Undrain(instance), "POST /v1/instances/bot%2F1%3A2%20x/undrain"),
    ] {
        listener.act(action).await;
        assert_eq!(listener.done().await, Ok("done".to_owned()));
        assert_eq!(daemon.world.asked(asked), 1, "{asked}");
    }
}

#[tokio::test]
async fn many_at_once_are_all_done() {
    let daemon = Daemon::start(World::new());
    daemon.world.set(|facts| facts.outcome = outcome("done"));
    let mut listener = Listener::to(&daemon);
    listener.up().await;
    listener.order(Order::Act((1..=500).map(|id| Action::Cancel(JobId(id))).collect())).await;
    let mut done = BTreeSet::new();
    while done.len() < 500 {
        done.insert(
            listener
                .wait(|message| match message {
                    Message::Done(Action::Cancel(id), Ok(_)) => Some(id),
                    Message::Done(_, Err(error)) => panic!("{error}"),
                    _ => None,
                })
                .await,
        );
    }
    assert_eq!(daemon.world.asked("POST"), 500);
}

#[tokio::test]
async fn what_the_daemon_refuses_is_told_in_its_words() {
    let daemon = Daemon::start(World::new());
    let words = "job 5 has ended;\u{1b}[31m nothing to cancel\n".to_owned();
    daemon.world.set(|facts| facts.outcome = Some(Err((409, words))));
    let mut listener = Listener::to(&daemon);
    listener.up().await;
    listener.act(Action::Cancel(JobId(5))).await;
    assert_eq!(listener.done().await, Err("job 5 has ended; nothing to cancel".to_owned()));
}

#[tokio::test]
async fn a_lost_answer_is_told_and_nothing_repeated() {
    let daemon = Daemon::start(World::new());
    let mut listener = Listener::to(&daemon);
    listener.up().await;
    listener.act(Action::Cancel(JobId(5))).await;
    let error = listener.done().await.unwrap_err();
    assert!(error.contains("the answer was lost") && error.contains("look before you repeat it"), "{error}");
    listener.up().await;
    assert_eq!(daemon.world.asked("POST"), 1);
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Clocks { first_pause: Duration::from_secs(60), longest_pause: Duration::from_secs(60), ..clocks() };
    let mut listener = Listener::start(at(&folder.path().join("none")), None, slow);
    listener.down().await;
    listener.act(Action::Cancel(JobId(5))).await;
    assert_eq!(listener.done().await, Err("not connected: nothing was sent".to_owned()));
}
