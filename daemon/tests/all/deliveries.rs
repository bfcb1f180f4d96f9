//! The inbox as intake uses it: a delivery is worked on by one at a time, and ends once.

use crate::support::{TestDb, database};
use bisect_shared::InstanceId;
use bisectd::db::deliveries::{self, Completion, LeasedDelivery, NewDelivery, Taken};
use sqlx::Executor;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(600);

fn new(id: &str, comment: i64) -> NewDelivery {
    NewDelivery {
        id: id.into(),
        event: "issue_comment".into(),
        action: Some("created".into()),
        installation: Some(5),
        comment: Some(comment),
        order_key: Some(format!("issue {comment}")),
        payload: "{\"a\": \"\\u0000\"}".into(),
        ignored: None,
    }
}

async fn insert(world: &TestDb, new: &[NewDelivery]) -> Vec<Taken> {
    let mut tx = world.db.begin().await.unwrap();
    let taken = deliveries::insert(&mut tx, new).await.unwrap();
    tx.commit().await.unwrap();
    taken
}

async fn lease(world: &TestDb, worker: &str) -> Option<LeasedDelivery> {
    let mut tx = world.db.begin().await.unwrap();
    let leased = deliveries::lease_next(&mut tx, &InstanceId(worker.into()), LEASE).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

async fn complete(world: &TestDb, delivery: &LeasedDelivery, completion: &Completion) -> bool {
    let mut tx = world.db.begin().await.unwrap();
    let done = deliveries::complete(&mut tx, delivery, completion).await.unwrap();
    tx.commit().await.unwrap();
    done
}

#[tokio::test]
async fn a_batch_tells_each_duplicate_apart() {
    let world = database().await;
    let batch = [new("a", 1), new("b", 1), new("a", 2), new("c", 3)];
    let taken = insert(&world, &batch).await;
    assert_eq!(taken, [Taken::Inserted, Taken::Duplicate, Taken::Duplicate, Taken::Inserted]);
    assert_eq!(insert(&world, &[new("c", 9), new("d", 3), new("e", 4)]).await[2], Taken::Inserted);
}

#[tokio::test]
async fn a_delivery_is_leased_by_one_and_completed_once() {
    let world = database().await;
    insert(&world, &[new("a", 1), new("b", 2)]).await;
    let (one, two) = (lease(&world, "one").await.unwrap(), lease(&world, "two").await.unwrap());
    assert_ne!(one.id, two.id);
    assert_eq!((one.attempts, one.payload.as_str()), (1, "{\"a\": \"\\u0000\"}"));
    assert_eq!(lease(&world, "three").await, None, "both are leased");
    assert!(complete(&world, &one, &Completion::Rejected("no permission".into())).await);
    assert!(!complete(&world, &one, &Completion::Processed(None)).await, "it has ended");
    let mut tx = world.db.begin().await.unwrap();
    assert!(deliveries::postpone(&mut tx, &two, Duration::ZERO, "GitHub is away").await.unwrap());
    tx.commit().await.unwrap();
    let again = lease(&world, "one").await.unwrap();
    assert_eq!((again.id.as_str(), again.attempts), (two.id.as_str(), 2));
    assert!(!complete(&world, &two, &Completion::Processed(None)).await, "the old lease is over");
    assert!(complete(&world, &again, &Completion::Processed(None)).await);
    assert_eq!(lease(&world, "one").await, None);
}

#[tokio::test]
async fn a_delivery_whose_worker_died_is_leased_again_when_its_lease_is_over() {
    let world = database().await;
    insert(&world, &[new("a", 1)]).await;
    let dead = lease(&world, "dead").await.unwrap();
    assert_eq!(lease(&world, "one").await, None);
    world
        .raw()
        .await
        .execute("UPDATE webhook_deliveries SET available_at = now(), leased_until = now()")
        .await
        .unwrap();
    let one = lease(&world, "one").await.unwrap();
    assert_eq!((one.id.as_str(), one.attempts), ("a", 2));
    assert!(!complete(&world, &dead, &Completion::Processed(None)).await);
    assert!(complete(&world, &one, &Completion::Failed("the payload cannot be read".into())).await);
}

#[tokio::test]
async fn what_needs_the_token_of_a_quiet_installation_waits_until_it_may_be_asked_again() {
    let world = database().await;
    let quiet = "INSERT INTO installations (installation_id, account_id, account_login, account_type, quiet_until) \
                 VALUES (5, 1, 'ada', 'User', now() + interval '1 hour')";
    world.raw().await.execute(quiet).await.unwrap();
    let removed = NewDelivery { event: "installation".into(), comment: None, order_key: None, ..new("removed", 0) };
    let other = NewDelivery { installation: Some(6), ..new("other", 2) };
    insert(&world, &[new("asked", 1), removed, other]).await;
    let mut leased = vec![lease(&world, "one").await.unwrap().id, lease(&world, "one").await.unwrap().id];
    leased.sort();
    assert_eq!(leased, ["other", "removed"], "of other installations, and that it is gone, is heard at once");
    assert_eq!(lease(&world, "one").await, None);
    let mut tx = world.db.begin().await.unwrap();
    let due = deliveries::next_due(&mut tx).await.unwrap().unwrap();
    assert!(due > Duration::from_secs(500), "nobody looks for it every second: {due:?}");
    tx.commit().await.unwrap();
    world.raw().await.execute("UPDATE installations SET quiet_until = now()").await.unwrap();
    assert_eq!(lease(&world, "one").await.unwrap().id, "asked");
}

#[tokio::test]
async fn what_was_given_up_is_taken_up_again_when_it_is_sent_again_and_nothing_else_is() {
    let world = database().await;
    insert(&world, &[new("given up", 1), new("refused", 2)]).await;
    for end in [Completion::Failed("GitHub was away for a day".into()), Completion::Rejected("no permission".into())] {
        let delivery = lease(&world, "one").await.unwrap();
        assert!(complete(&world, &delivery, &end).await);
    }
    // By its own id, and by the comment under another id.
    assert_eq!(insert(&world, &[new("refused", 2), new("again", 2)]).await, [Taken::Duplicate; 2]);
    assert_eq!(lease(&world, "one").await, None);
    assert_eq!(insert(&world, &[new("again", 1)]).await, [Taken::Inserted]);
    let again = lease(&world, "one").await.unwrap();
    assert_eq!((again.id.as_str(), again.attempts), ("given up", 1));
}
