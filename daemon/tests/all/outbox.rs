//! The outbox: results go before progress, whatever progress waits for.

use crate::support::{TestDb, database, sample};
use bisect_shared::{InstanceId, JobId};
use bisectd::{
    db::outbox::{self, OutboxRow, ReplyKind},
    queue::{Clocks, Queue},
};
use sqlx::Executor;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

async fn lease(world: &TestDb) -> Option<OutboxRow> {
    let mut tx = world.db.begin().await.unwrap();
    let leased = outbox::lease_next(&mut tx, &InstanceId("sender".into()), HOUR).await.unwrap();
    tx.commit().await.unwrap();
    leased
}

async fn wait_an_hour(world: &TestDb, row: &OutboxRow) {
    let mut tx = world.db.begin().await.unwrap();
    outbox::failed(&mut tx, row, Some(HOUR), "the share of this hour is used").await.unwrap();
    tx.commit().await.unwrap();
}

#[rstest::rstest]
#[case::the_end_comes_while_progress_waits(false)]
#[case::the_end_comes_while_progress_is_being_told(true)]
#[tokio::test]
async fn a_result_does_not_wait_for_progress_that_may_not_be_told(#[case] meanwhile: bool) {
    let world = database().await;
    let mut raw = world.raw().await;
    sample::insert_all(&mut raw).await;
    // The sample's event was not counted in its job.
    raw.execute("UPDATE bisect_jobs SET event_seq = 1").await.unwrap();
    let queue = Queue::new(world.db.clone(), InstanceId("worker".into()), Clocks::default(), "here".into());
    let row = lease(&world).await.unwrap();
    assert_eq!((row.job, row.kind), (Some(JobId(1)), ReplyKind::Status));
    let end = async || assert!(queue.request_cancel(JobId(1), "ada").await.unwrap());
    if meanwhile {
        end().await;
        assert!(lease(&world).await.is_none(), "it is being told");
        wait_an_hour(&world, &row).await;
    } else {
        wait_an_hour(&world, &row).await;
        assert!(lease(&world).await.is_none(), "it waits");
        end().await;
    }
    let result = lease(&world).await.expect("the result is due at once");
    assert!(result.urgent && result.revision > row.revision, "{result:?}");
}
