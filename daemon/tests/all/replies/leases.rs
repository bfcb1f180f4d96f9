//! What a sender that is not there any more had leased.

use super::scene::scene;
use bisect_shared::InstanceId;
use bisectd::db::{
    Database,
    outbox::{self, OutboxRow},
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn lease(db: &Database, sender: &str) -> Option<OutboxRow> {
    let mut tx = db.begin().await.unwrap();
    let leased = outbox::lease_next(&mut tx, &InstanceId(sender.into()), HOUR).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

async fn beat(db: &mut sqlx::PgConnection, sender: &str) {
    let sql = "INSERT INTO instances (id, host, affinity, version, max_jobs) VALUES ($1, 'h', 'a', '1', 1) \
               ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()";
    sqlx::query(sql).bind(sender).execute(db).await.unwrap();
}

#[tokio::test]
async fn a_lease_goes_back_when_its_sender_is_stale_or_retired_and_the_sender_can_write_no_more() {
    let scene = scene().await;
    scene.job().await;
    let db = &scene.db.db;
    let mut raw = scene.db.raw().await;
    beat(&mut raw, "one").await;
    let give_back = async || {
        let mut tx = db.begin().await.unwrap();
        let given = outbox::give_back_stale(&mut tx, HOUR, Duration::ZERO).await.unwrap();
        tx.commit().await.unwrap();
        given
    };
    let first = lease(db, "one").await.unwrap();
    assert_eq!(give_back().await, 0, "it lives");
    sqlx::query("UPDATE instances SET heartbeat_at = now() - interval '2 hours'").execute(&mut raw).await.unwrap();
    assert_eq!(give_back().await, 1, "it is stale");
    beat(&mut raw, "two").await;
    let second = lease(db, "two").await.unwrap();
    assert_eq!((second.id, second.attempts), (first.id, 2), "who comes next looks for what the first one wrote");
    let mut tx = db.begin().await.unwrap();
    assert!(!outbox::sent(&mut tx, &first, HOUR).await.unwrap());
    assert!(!outbox::failed(&mut tx, &first, None, "late").await.unwrap());
    tx.commit().await.unwrap();
    sqlx::query("UPDATE instances SET retired_at = now()").execute(&mut raw).await.unwrap();
    assert_eq!(give_back().await, 1, "it retired");
    let third = lease(db, "three").await.unwrap();
    let mut tx = db.begin().await.unwrap();
    assert_eq!(outbox::give_back(&mut tx, &InstanceId("three".into()), HOUR).await.unwrap(), 1);
    assert!(!outbox::sent(&mut tx, &third, HOUR).await.unwrap());
    tx.commit().await.unwrap();
    assert!(lease(db, "four").await.is_none(), "GitHub may still be at it");
    scene.ends_well().await;
}
