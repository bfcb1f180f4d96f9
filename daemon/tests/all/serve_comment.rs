//! The whole way: a comment on the look-alike, a job in containers, the answer in the same comment.

use crate::support::{CALC, Hub, Project, eventually};
use github_lookalike::Role;

#[tokio::test]
async fn a_comment_becomes_a_proven_answer_on_github() {
    let hub = Hub::private(Project::linear(9)).await;
    hub.github.permission(CALC, "eve", Some(Role::Read)).unwrap();
    let service = hub.serve("one").await;
    let issue = hub.issue();

    let job = hub.job("ada", issue, "/bisect c0 main test \"$(cat n)\" -lt 5").await;
    let proven = async || hub.status(issue, job.id).contains("Culprit found and proven").then_some(());
    eventually("the answer is told", proven).await;
    let answer = hub.status(issue, job.id);
    assert!(answer.contains(&hub.world.project.sha("c5").to_string()), "{answer}");
    let asked = job.comment.unwrap();
    assert_eq!(hub.github.reactions(asked).len(), 1, "eyes on the comment");
    assert_eq!(hub.github.comments_by_apps().len(), 1, "one comment, edited in place");

    hub.ask("eve", issue, "/bisect c0 main true").await;
    hub.github.expect_comment(CALC, issue, "those who can push");
    hub.settled().await;
    assert_eq!(hub.github.comments_by_apps().len(), 2, "eve is told that she may not");
    assert_eq!(hub.world.jobs().await.len(), 1, "nothing was queued for her");
    hub.end(service).await.ends_clean().await;
}
