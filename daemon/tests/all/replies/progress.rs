//! How often progress is told, and that a result waits for none of it.

use super::scene::{drain, scene};
use bisectd::{db::outbox, outbox::Pace, queue::ReleaseReason};
use github_lookalike::{Fault, Trouble};
use std::time::Duration;

fn pace() -> Pace {
    Pace { first: Duration::from_secs(100), last: Duration::from_secs(200), ..Pace::default() }
}

#[tokio::test]
async fn edits_come_ever_more_slowly_up_to_the_longest_pause() {
    let scene = scene().await;
    let job = scene.job().await;
    let sender = scene.sender(pace());
    drain(&sender).await;
    let mut pauses = vec![scene.status(job).await.pause.unwrap().round()];
    for _ in 0..5 {
        let lease = scene.claim(job).await;
        assert!(!sender.next().await.unwrap(), "there is news, but not yet");
        scene.time_passes().await;
        drain(&sender).await;
        assert!(scene.comments()[0].starts_with("### Bisecting"), "{:?}", scene.comments());
        pauses.push(scene.status(job).await.pause.unwrap().round());
        scene.queue.release(&lease, ReleaseReason::Shutdown).await.unwrap();
    }
    assert_eq!(pauses, [100.0, 100.0, 125.0, 156.0, 195.0, 200.0]);
    assert_eq!(scene.comments().len(), 1, "all of it in one comment");
    scene.ends_well().await;
}

#[tokio::test]
async fn an_installation_has_so_many_edits_an_hour_and_results_do_not_count() {
    let scene = scene().await;
    let job = scene.job().await;
    let sender = scene.sender(Pace { edits_per_hour: 1, ..pace() });
    drain(&sender).await;
    let lease = scene.claim(job).await;
    scene.time_passes().await;
    drain(&sender).await;
    scene.queue.release(&lease, ReleaseReason::Shutdown).await.unwrap();
    scene.time_passes().await;
    drain(&sender).await;
    let row = scene.status(job).await;
    assert!(row.state == "waiting" && row.due > 3000.0, "the second edit waits for the next hour: {row:?}");
    assert!(scene.comments()[0].starts_with("### Bisecting"));
    let lease = scene.claim(job).await;
    scene.finish(&lease).await;
    drain(&sender).await;
    assert!(scene.comments()[0].contains("Not reproducible"), "the result does not");
    scene.ends_well().await;
}

#[tokio::test]
async fn in_no_hour_are_there_more_edits_than_its_share_wherever_it_begins() {
    const SHARE: u32 = 30;
    let scene = scene().await;
    let mut raw = scene.db.raw().await;
    let take = async || {
        let mut tx = scene.db.db.begin().await.unwrap();
        let wait = outbox::take_edit(&mut tx, scene.installation, SHARE).await.unwrap();
        tx.commit().await.unwrap();
        wait
    };
    // Every ten seconds for two hours somebody wants to edit.
    let mut edits = Vec::new();
    for at in (0..7200).step_by(10) {
        if take().await.is_none() {
            edits.push(at);
        }
        let later = "UPDATE installations SET edits_since = edits_since - interval '10 s'";
        sqlx::query(later).execute(&mut raw).await.unwrap();
    }
    let share = usize::try_from(SHARE).unwrap();
    let most = edits.iter().map(|from| edits.iter().filter(|at| (*from..from + 3600).contains(*at)).count()).max();
    assert!(most.unwrap() <= share, "{most:?}: {edits:?}");
    assert!(edits.len() > share + share / 2, "and the share can be used: {edits:?}");
    scene.ends_well().await;
}

#[tokio::test]
async fn a_long_job_ends_with_a_short_new_comment_and_a_quick_one_does_not() {
    let scene = scene().await;
    let (patient, hasty) = (scene.sender(pace()), scene.sender(Pace { long: Duration::ZERO, ..pace() }));
    for (sender, comments) in [(patient, 1), (hasty, 3)] {
        let job = scene.job().await;
        drain(&sender).await;
        let lease = scene.claim(job).await;
        scene.finish(&lease).await;
        drain(&sender).await;
        scene.time_passes().await;
        drain(&sender).await;
        assert_eq!(scene.comments().len(), comments, "{:?}", scene.comments());
    }
    assert!(scene.comments()[2].starts_with("The bisection has ended"));
    scene.ends_well().await;
}

#[tokio::test]
async fn the_place_in_the_queue_is_told_anew_when_others_start() {
    let scene = scene().await;
    let (first, second) = (scene.job().await, scene.job().await);
    let sender = scene.sender(pace());
    drain(&sender).await;
    assert!(scene.comments()[1].contains("Place 2 of 2"), "{:?}", scene.comments());
    scene.claim(first).await;
    scene.time_passes().await;
    drain(&sender).await;
    assert!(scene.comments()[1].contains("Place 1 of 1"), "{:?}", scene.comments());
    assert_eq!(scene.status(second).await.state, "sent");
    scene.ends_well().await;
}

#[tokio::test]
async fn a_result_is_told_though_nothing_could_be_told_before() {
    let scene = scene().await;
    let job = scene.job().await;
    let sender = scene.sender(pace());
    scene.hub.fault(Fault::new("POST /repos/*/*/issues/*/comments", Trouble::Status(503), 1000));
    drain(&sender).await;
    let lease = scene.claim(job).await;
    scene.time_passes().await;
    drain(&sender).await;
    scene.finish(&lease).await;
    drain(&sender).await;
    assert_eq!(scene.comments(), Vec::<String>::new());
    scene.hub.clear_faults();
    scene.time_passes().await;
    drain(&sender).await;
    let comments = scene.comments();
    assert!(comments.len() == 1 && comments[0].contains("Not reproducible"), "{comments:?}");
    scene.ends_well().await;
}

#[tokio::test]
async fn progress_that_comes_during_the_first_answer_keeps_its_pace() {
    let scene = scene().await;
    let job = scene.job().await;
    scene.hub.fault(Fault::new("POST /repos/*/*/issues/*/comments", Trouble::Slow(Duration::from_secs(2)), 1));
    let sender = scene.sender(pace());
    let sending = tokio::spawn(async move {
        sender.next().await.unwrap();
        sender
    });
    crate::support::eventually("the comment is there", async || (!scene.comments().is_empty()).then_some(())).await;
    scene.claim(job).await;
    let sender = sending.await.unwrap();
    let row = scene.status(job).await;
    assert!(row.state == "waiting" && row.due > 50.0, "{row:?}");
    assert!(!sender.next().await.unwrap());
    scene.ends_well().await;
}
