//! The same comment twice, GitHub away for a while, and commands that overtake one another.

use crate::support::{CALC, Hub, Project, eventually};
use bisect_shared::JobStatus;
use github_lookalike::{Fault, Trouble, WebhookFault};
use std::time::Duration;

const FIND: &str = "/bisect c0 c4 make";

#[tokio::test]
async fn a_delivery_that_comes_twice_makes_nothing_twice() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for fault in [WebhookFault::Duplicate, WebhookFault::SecondDeliveryId] {
        // The webhook of the bot's own comment must not use it up.
        hub.github.settle().await;
        hub.github.webhook_fault(fault);
        hub.answer("ada", issue, "/bisect status").await;
    }
    hub.github.settle().await;
    hub.github.webhook_fault(WebhookFault::SecondDeliveryId);
    hub.job("ada", issue, FIND).await;
    // And again, long after it was worked off.
    let sent = hub.github.deliveries().into_iter().rfind(|sent| sent.body.contains(FIND)).unwrap();
    assert_eq!(hub.send(&service, "issue_comment", &sent.body).await, 200);
    let statuses: Vec<u16> =
        hub.github.deliveries().iter().filter(|sent| sent.event == "issue_comment").map(|sent| sent.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert_eq!(hub.world.jobs().await.len(), 1);
    hub.end(service).await;
}

#[tokio::test]
async fn github_is_away_for_a_while_and_the_command_is_one_job_nevertheless() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.github.fault(Fault::new("POST /app/installations/*/access_tokens", Trouble::Status(502), 1));
    hub.github.fault(Fault::new("GET /repos/*/*/commits/*", Trouble::DropBefore, 1));
    hub.github.fault(Fault::new("GET /repos/*/*/contents/**", Trouble::DropAfter, 1));
    let job = hub.job("ada", issue, FIND).await;
    assert_eq!(hub.world.jobs().await.len(), 1);
    let tries = format!("SELECT attempts::bigint FROM webhook_deliveries WHERE job_id = {}", job.id);
    assert!(hub.count(&tries).await > 1, "the faults fired");
    assert_eq!(hub.count("SELECT jobs::bigint FROM usage_stats").await, 1, "counted once");
    let log = service.log();
    assert!(log.contains("a delivery is tried again later"), "{log}");
    hub.end(service).await;
}

#[tokio::test]
async fn what_github_refuses_is_given_up_with_its_reason_and_taken_up_when_it_is_sent_again() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.github.fault(Fault::new("GET /repos/*/*/commits/*", Trouble::Status(451), 2));
    let (comment, ended) = hub.ask("ada", issue, FIND).await;
    assert_eq!(ended.state, "failed");
    assert!(ended.why.contains("451"), "{}", ended.why);
    assert!(service.log().contains("a delivery was given up"));
    hub.github.clear_faults();
    let sent = hub.github.deliveries().into_iter().rfind(|sent| sent.body.contains(FIND)).unwrap();
    // Under another delivery id; the same one does as well.
    assert_eq!(hub.send(&service, "issue_comment", &sent.body).await, 202);
    let done = async || Some(hub.ended(comment).await).filter(|ended| ended.state == "processed");
    let ended = eventually("it is taken up again", done).await;
    hub.told(issue, &format!("job:{}:status", ended.job.unwrap())).await;
    assert_eq!(hub.send(&service, "issue_comment", &sent.body).await, 200);
    assert_eq!(hub.world.jobs().await.len(), 1);
    hub.end(service).await;
}

#[tokio::test]
async fn a_permission_that_the_app_lacks_is_told_once() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    hub.github.grant(hub.installation, &[("issues", "write"), ("metadata", "read")]);
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for _ in 0..3 {
        let (_, ended) = hub.ask("ada", issue, FIND).await;
        assert!(ended.state == "rejected" && ended.why.contains("GitHub does not let this App"), "{ended:?}");
    }
    hub.github.expect_comment(CALC, issue, "GitHub does not let me do what this needs");
    hub.end(service).await;
}

#[tokio::test]
async fn a_slow_answer_for_one_comment_holds_up_no_other() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    hub.github.permission(CALC, "bea", Some(github_lookalike::Role::Write)).unwrap();
    let service = hub.serve_idle("one").await;
    let issues: Vec<i64> = (0..7).map(|_| hub.issue()).collect();
    // Longer than this test, however often it is tried; one hand less for each.
    let slow = Trouble::Slow(Duration::from_secs(600));
    hub.github.fault(Fault::new("GET /repos/*/*/collaborators/ada/permission", slow, 1000));
    let mut slow = Vec::new();
    for &issue in &issues[..3] {
        slow.push(hub.github.comment("ada", CALC, issue, "/bisect status").await.unwrap().id.to_string());
    }
    let asked = |calls: &[String]| calls.iter().filter(|call| call.contains("bisect.yml")).count();
    eventually("all three are being asked about", async || (asked(&hub.github.calls()) >= 3).then_some(())).await;
    for &issue in &issues[3..] {
        hub.answer("bea", issue, "/bisect status").await;
    }
    let open = "SELECT count(*) FROM webhook_deliveries WHERE state = 'received' AND comment_id IN";
    assert_eq!(hub.count(&format!("{open} ({})", slow.join(", "))).await, 3, "hers are not done");
    let log = service.log();
    service.kill().await;
    hub.keeps_secrets(&log);
    hub.github.finish().await.unwrap();
}

#[tokio::test]
async fn commands_of_one_issue_are_obeyed_in_the_order_in_which_they_were_written() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    // The first one has to be tried again, and the second must not find nothing to cancel meanwhile.
    hub.github.fault(Fault::new("GET /repos/*/*/commits/*", Trouble::Status(500), 2));
    let first = hub.github.comment("ada", CALC, issue, FIND).await.unwrap().id;
    let second = hub.github.comment("ada", CALC, issue, "/bisect cancel").await.unwrap().id;
    let (first, second) = (hub.ended(first).await, hub.ended(second).await);
    assert_eq!((second.state.as_str(), second.job), ("processed", first.job));
    let job = first.job.unwrap();
    assert_eq!(hub.row(job).await.status, JobStatus::Cancelled);
    hub.told(issue, &format!("job:{job}:status")).await;
    hub.end(service).await;
}
