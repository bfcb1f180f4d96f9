//! What becomes of a reply, by what GitHub answers.

use super::scene::{REPOSITORY, Scene, drain, scene};
use bisect_shared::{InstanceId, JobId};
use bisectd::{
    db::outbox::ReplyKind,
    outbox::{Markers, Outbox, Pace, ReplyBody},
};
use github_lookalike::{Fault, Trouble};
use secrecy::SecretString;
use std::time::Duration;

const CREATE: &str = "POST /repos/*/*/issues/*/comments";
const EDIT: &str = "PATCH /repos/*/*/issues/comments/*";
const REACT: &str = "POST /repos/*/*/issues/comments/*/reactions";

async fn sent_once(scene: &Scene, sender: &Outbox, job: JobId) {
    assert_eq!(scene.status(job).await.state, "waiting");
    scene.time_passes().await;
    drain(sender).await;
    let row = scene.status(job).await;
    assert_eq!((row.state.as_str(), row.error), ("sent", None));
    let comments = scene.comments();
    assert_eq!(comments.len(), 1, "one comment: {comments:?}");
}

#[rstest::rstest]
#[case::refused_before(Trouble::Status(502))]
#[case::cut_before(Trouble::DropBefore)]
#[case::cut_after_it_was_written(Trouble::DropAfter)]
#[case::written_but_too_slow(Trouble::Slow(Duration::from_secs(20)))]
#[tokio::test]
async fn whatever_befalls_the_first_try_there_is_one_comment(#[case] trouble: Trouble) {
    let scene = scene().await;
    let job = scene.job().await;
    scene.hub.fault(Fault::new(CREATE, trouble, 1));
    let sender = scene.sender(Pace::default());
    let mut hasty = sender.clone();
    if matches!(trouble, Trouble::Slow(_)) {
        hasty.github = scene.github(Duration::from_millis(1500));
    }
    drain(&hasty).await;
    let row = scene.status(job).await;
    assert!(row.error.as_ref().is_some_and(|error| error.contains("did not answer")), "{row:?}");
    sent_once(&scene, &sender, job).await;
    scene.ends_well().await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_tried_again_and_a_text_that_is_refused_is_not() {
    let scene = scene().await;
    let sender = scene.sender(Pace::default());
    let job = scene.job().await;
    // The client asks for another token at once, and says it with that one.
    scene.hub.fault(Fault::new(CREATE, Trouble::Status(401), 2));
    drain(&sender).await;
    let row = scene.status(job).await;
    assert!(row.error.as_ref().is_some_and(|error| error.contains("401")), "{row:?}");
    sent_once(&scene, &sender, job).await;
    let refused = scene.job().await;
    scene.hub.fault(Fault::new(CREATE, Trouble::Status(422), 1));
    drain(&sender).await;
    let row = scene.status(refused).await;
    assert!(row.state == "dropped" && row.error.as_ref().is_some_and(|error| error.contains("422")), "{row:?}");
    scene.time_passes().await;
    drain(&sender).await;
    assert_eq!(scene.comments().len(), 1, "it was not said again");
    scene.ends_well().await;
}

#[tokio::test]
async fn an_edit_whose_answer_is_lost_is_said_again() {
    let scene = scene().await;
    let job = scene.job().await;
    let sender = scene.sender(Pace::default());
    drain(&sender).await;
    scene.finish(&scene.claim(job).await).await;
    scene.hub.fault(Fault::new(EDIT, Trouble::DropAfter, 1));
    drain(&sender).await;
    sent_once(&scene, &sender, job).await;
    assert!(scene.comments()[0].contains("Not reproducible"));
    scene.ends_well().await;
}

#[tokio::test]
async fn a_comment_marked_with_the_old_secret_is_known_during_a_rotation() {
    let scene = scene().await;
    let job = scene.job().await;
    scene.hub.fault(Fault::new(CREATE, Trouble::DropAfter, 1));
    let mut sender = scene.sender(Pace::default());
    drain(&sender).await;
    sender.markers = Markers::read(&SecretString::from("new, secret"));
    sent_once(&scene, &sender, job).await;
    scene.ends_well().await;
}

#[rstest::rstest]
#[case(429)]
#[case(403)]
#[tokio::test]
async fn after_a_rate_limit_no_server_says_anything_before_its_time(#[case] status: u16) {
    let scene = scene().await;
    let job = scene.job().await;
    scene.hub.fault(Fault::new(CREATE, Trouble::SecondaryLimit { status, retry_after: 600 }, 1));
    let (one, mut other) = (scene.sender(Pace::default()), scene.sender(Pace::default()));
    other.instance = InstanceId("other".into());
    drain(&one).await;
    let row = scene.status(job).await;
    assert!(row.state == "waiting" && row.due > 500.0 && row.due <= 600.0, "{row:?}");
    // Not even what comes later, and not by a server that was not told.
    scene.reply("later", None, ReplyKind::Reply, &ReplyBody::Text("later".into())).await;
    let calls = scene.hub.calls().len();
    drain(&other).await;
    assert_eq!(scene.hub.calls().len(), calls, "nothing was sent");
    scene.time_passes().await;
    drain(&other).await;
    assert_eq!(scene.comments().len(), 2);
    scene.ends_well().await;
}

#[tokio::test]
async fn what_the_app_may_not_do_is_left_out_and_comes_back_with_the_permission() {
    let scene = scene().await;
    let (reads, writes) = ([("contents", "read"), ("issues", "read"), ("metadata", "read")], [("issues", "write")]);
    scene.hub.grant(scene.installation, &reads);
    let job = scene.job().await;
    scene.reply("eyes", None, ReplyKind::Reaction, &ReplyBody::Reaction("eyes".into())).await;
    let sender = scene.sender(Pace::default());
    drain(&sender).await;
    for row in [scene.status(job).await, scene.row("eyes").await] {
        assert_eq!(row.state, "dropped", "{row:?}");
    }
    // The job's news is not tried again and again.
    scene.finish(&scene.claim(job).await).await;
    assert!(!sender.next().await.unwrap());
    scene.hub.grant(scene.installation, &writes);
    let next = scene.job().await;
    drain(&sender).await;
    assert_eq!((scene.status(next).await.state.as_str(), scene.comments().len()), ("sent", 1));
    scene.ends_well().await;
}

#[tokio::test]
async fn a_locked_issue_a_deleted_one_and_a_suspended_installation_get_nothing_and_are_told_apart() {
    let scene = scene().await;
    let sender = scene.sender(Pace::default());
    let dropped = async |said: &str| {
        let job = scene.job().await;
        drain(&sender).await;
        let row = scene.status(job).await;
        assert!(row.state == "dropped" && row.error.as_ref().is_some_and(|error| error.contains(said)), "{row:?}");
    };
    scene.hub.lock_issue(REPOSITORY, scene.issue, true).unwrap();
    dropped("the issue is locked").await;
    scene.hub.lock_issue(REPOSITORY, scene.issue, false).unwrap();
    scene.hub.suspend(scene.installation).await.unwrap();
    dropped("suspended").await;
    scene.hub.unsuspend(scene.installation).await.unwrap();
    scene.hub.delete_issue(REPOSITORY, scene.issue).unwrap();
    dropped("410").await;
    assert_eq!(scene.comments(), Vec::<String>::new());
    scene.ends_well().await;
}

#[tokio::test]
async fn a_status_comment_that_somebody_deleted_comes_back_once_with_the_result() {
    let scene = scene().await;
    let job = scene.job().await;
    let sender = scene.sender(Pace::default());
    drain(&sender).await;
    let comment = scene.status(job).await.remote_id.unwrap();
    scene.hub.delete_comment(comment);
    let lease = scene.claim(job).await;
    for _ in 0..3 {
        scene.time_passes().await;
        drain(&sender).await;
    }
    assert_eq!(scene.comments(), Vec::<String>::new(), "no progress for who does not want it");
    assert_eq!(scene.calls("PATCH", &format!("/comments/{comment}")), 1, "it was tried once");
    scene.finish(&lease).await;
    drain(&sender).await;
    let comments = scene.comments();
    assert!(comments.len() == 1 && comments[0].contains("Not reproducible"), "{comments:?}");
    scene.hub.delete_comment(scene.status(job).await.remote_id.unwrap());
    scene.time_passes().await;
    drain(&sender).await;
    assert_eq!(scene.comments(), Vec::<String>::new(), "and not a third time");
    scene.ends_well().await;
}

#[tokio::test]
async fn a_reaction_that_fails_does_not_hold_up_the_comment() {
    let scene = scene().await;
    scene.reply("eyes", None, ReplyKind::Reaction, &ReplyBody::Reaction("eyes".into())).await;
    let job = scene.job().await;
    scene.hub.fault(Fault::new(REACT, Trouble::Status(503), 1));
    let sender = scene.sender(Pace::default());
    drain(&sender).await;
    assert_eq!((scene.status(job).await.state.as_str(), scene.comments().len()), ("sent", 1));
    assert_eq!(scene.hub.reactions(scene.asked).len(), 0);
    scene.time_passes().await;
    drain(&sender).await;
    assert_eq!(scene.hub.reactions(scene.asked).len(), 1);
    scene.ends_well().await;
}

#[tokio::test]
async fn a_text_that_is_too_long_is_told_without_its_middle() {
    let scene = scene().await;
    let text = format!("begin {} end", "ö".repeat(100_000));
    scene.reply("long", None, ReplyKind::Reply, &ReplyBody::Text(text)).await;
    drain(&scene.sender(Pace::default())).await;
    assert_eq!(scene.row("long").await.state, "sent");
    let body = scene.comments().remove(0);
    assert!(body.starts_with("begin") && body.contains("characters left out") && body.contains(" end\n"));
    scene.ends_well().await;
}
