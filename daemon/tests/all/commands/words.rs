//! Every command, every mistake, and what is no command at all.

use crate::support::{CALC, Hub, Project};
use bisect_shared::JobStatus;
use bisectd::queue::Outcome;

const FIND: &str = "/bisect c0 main test \"$(cat n)\" -lt 5";

#[tokio::test]
async fn each_word_is_obeyed_where_it_means_something_and_answered_where_not() {
    let hub = Hub::new(Project::linear(9), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for (word, answer) in [
        ("help", "### How to bisect"),
        ("Status", "No bisection was asked for in this issue"),
        ("cancel", "No bisection of this issue waits or runs"),
        ("retry", "there is none to repeat"),
        ("wrong", "there is none to repeat"),
    ] {
        let told = hub.answer("ada", issue, &format!("/bisect {word}")).await;
        assert!(told.contains(answer), "{word}: {told}");
    }

    let job = hub.job("ada", issue, FIND).await;
    assert_eq!((job.status, job.issue, job.requested_by.as_deref()), (JobStatus::Pending, Some(issue), Some("ada")));
    let told = hub.answer("ada", issue, "/bisect status").await;
    assert!(
        told.contains(&format!("[{0}](https://bisect.example.com/jobs/{0})", job.id)) && told.contains("pending"),
        "{told}"
    );
    for word in ["retry", "wrong"] {
        let told = hub.answer("ada", issue, &format!("/bisect {word}")).await;
        assert!(told.contains("has not ended"), "{word}: {told}");
    }
    // What waits ends at once.
    let (comment, ended) = hub.ask("ada", issue, "/bisect cancel").await;
    assert_eq!((ended.state.as_str(), ended.job), ("processed", Some(job.id)));
    assert_eq!(hub.row(job.id).await.status, JobStatus::Cancelled);
    crate::support::eventually("its comment says so", async || {
        (hub.status(issue, job.id).contains("cancelled") && hub.github.reactions(comment).len() == 1).then_some(())
    })
    .await;

    // What runs is told to stop.
    let again = hub.job("ada", issue, "/bisect retry").await;
    assert_eq!(
        (again.retry_of, &again.command, again.good, again.bad),
        (Some(job.id), &job.command, job.good, job.bad)
    );
    let (lease, row) = hub.claim().await;
    assert_eq!(row.id, again.id);
    hub.ask("tom", issue, "/bisect cancel").await;
    assert_eq!(hub.row(again.id).await.status, JobStatus::Running, "tom may not: only ada may here");
    hub.ask("ada", issue, "/bisect cancel").await;
    assert_eq!(hub.queue().renew(&lease).await.unwrap().cancel_requested_by.as_deref(), Some("ada"));
    hub.queue().finish(&lease, &Outcome::cancelled()).await.unwrap();

    let told = hub.answer("ada", issue, "/bisect wrong").await;
    assert!(told.contains(&format!("the answer of job {} is disputed", again.id)), "{told}");
    assert_eq!(hub.count("SELECT count(*) FROM audit_events WHERE action = 'answer.disputed'").await, 1);
    let told = hub.answer("ada", issue, "/bisect retry --runs many").await;
    assert!(told.contains("from 1 to 100") && told.contains("\n/bisect retry\n"), "{told}");
    let sampled = hub.job("ada", issue, "/bisect retry --runs 5").await;
    assert_eq!((sampled.retry_of, &sampled.spec["runs"]), (Some(again.id), &serde_json::json!(5)));
    let (lease, row) = hub.claim().await;
    assert_eq!(row.id, sampled.id);
    hub.queue().finish(&lease, &Outcome::cancelled()).await.unwrap();
    // Tom was told that he may not.
    let denied = format!("may-not:{}:{}", hub.github.repository(CALC).unwrap().id, hub.github.add_user("tom"));
    hub.github.expect_comment(CALC, issue, &denied);
    hub.end(service).await;
}

#[tokio::test]
async fn each_mistake_gets_one_helpful_reply_with_an_example_that_works() {
    let hub = Hub::new(Project::linear(3), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for (text, what) in [
        ("/bisect", "takes a good commit"),
        ("/bisect c0", "bad commit is missing"),
        ("/bisect c0 main", "command is missing"),
        ("/bisect: ", "belongs a space"),
        ("/bisect --nope c0 main true", "There is no option"),
        ("/bisect --imagee x c0 main true", "Did you mean --image"),
        ("/bisect --jobs 0 c0 main true", "whole number"),
        ("/bisect -c0 main true", "begins with a dash"),
        ("/bisect c0 \u{202e}main true", "control or invisible"),
        ("/bisect c0 ma\u{7}in true", "control or invisible"),
        ("/bisect c0..main true", "is a range"),
        ("/bisect HEAD~3 main true", "write the commit's SHA"),
        ("/bisect c0 c0 true", "there is nothing between them"),
        ("/bisect --runs 0 c0 main true", "from 1 to 100"),
        ("/bisect auto auto true", "there is nothing between them"),
        ("/bisect --network none c0 main true", "bisect.yml"),
        ("/bisect cancel everything", "takes nothing after it"),
        ("/bisect c0 main `make test`", "backticks"),
    ] {
        let told = hub.answer("ada", issue, text).await;
        assert!(told.contains(what), "{text}: {told}");
        assert!(told.contains("This would work") && told.contains("\n/bisect "), "{text}: {told}");
    }
    assert_eq!(hub.world.jobs().await.len(), 0);
    hub.end(service).await;
}

#[tokio::test]
async fn what_stands_elsewhere_is_no_command_and_more_than_one_gets_one_note() {
    let hub = Hub::new(Project::linear(3), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for text in [
        "> /bisect help",
        "```\n/bisect help\n```",
        "    /bisect help",
        "<!-- /bisect help -->",
        "`/bisect help`",
        "try /bisect help",
        "/bisected help",
        "<details>\n\n/bisect help\n\n</details>",
    ] {
        let (_, ended) = hub.ask("ada", issue, text).await;
        assert_eq!((ended.state.as_str(), ended.why.as_str()), ("ignored", "no command"), "{text}");
    }
    let told = hub.answer("ada", issue, "/bisect help\n\n/bisect status").await;
    assert!(told.contains("### How to bisect") && told.contains("1 further `/bisect` line was not read"), "{told}");
    let many = "/bisect status\n".repeat(1000);
    let told = hub.answer("ada", issue, &many).await;
    assert!(told.contains("No bisection") && told.contains("999 further `/bisect` lines were not read"), "{told}");
    let (comment, ended) = hub.ask("ada", issue, "/bisect c0 main true\n/bisect cancel").await;
    hub.told(issue, &format!("job:{}:status", ended.job.unwrap())).await;
    let told = hub.told(issue, &format!("comment:{comment}:further")).await;
    assert!(told.contains("1 further"), "{told}");

    let script = "make\nmake test # 'it\"s`";
    let fenced = hub.job("ada", issue, &format!("see\n\n/bisect c0 main\n```sh\n{script}\n```\n")).await;
    assert_eq!(fenced.command[..2], ["sh", "-c"]);
    assert_eq!(fenced.command[2].trim_end(), script);
    let long = "x".repeat(60_000);
    assert_eq!(hub.ask("ada", issue, &long).await.1.why, "no command");
    let told = hub.answer("ada", issue, &format!("/bisect c0 main {long}")).await;
    assert!(told.contains("at most") && told.len() < 2000, "{} bytes", told.len());

    let pull = hub.github.add_pull(CALC, "ada", "a topic", &[], None).unwrap();
    assert_eq!(hub.job("ada", pull, "/bisect c0 main make pull").await.issue, Some(pull));
    hub.end(service).await;
}

#[tokio::test]
async fn machines_and_changed_comments_are_not_listened_to() {
    let hub = Hub::new(Project::linear(3), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.github.add_app("other", "octo").unwrap();
    hub.github.permission(CALC, "other[bot]", Some(github_lookalike::Role::Admin)).unwrap();
    let (_, ended) = hub.ask("other[bot]", issue, "/bisect help").await;
    assert_eq!((ended.state.as_str(), ended.why.as_str()), ("ignored", "written by a bot or an App"));
    let told = hub.answer("ada", issue, "/bisect help").await;
    assert!(told.contains("### How to bisect"));
    // The webhook of that very reply.
    hub.github.settle().await;
    let reply = hub.github.comments_by_apps()[0].id;
    assert_eq!(hub.ended(reply).await.state, "ignored");

    let asked = hub.github.deliveries().into_iter().find(|sent| sent.body.contains("\"login\":\"ada\"")).unwrap();
    let changed = |comment: i64, change: &dyn Fn(&mut serde_json::Value)| {
        let mut body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
        body["comment"]["id"] = comment.into();
        change(&mut body);
        body.to_string()
    };
    let through_app = changed(1, &|body| body["comment"]["performed_via_github_app"] = serde_json::json!({"id": 7}));
    hub.send(&service, "issue_comment", &through_app).await;
    assert_eq!(hub.ended(1).await.why, "written by a bot or an App");
    for action in ["edited", "deleted"] {
        hub.send(&service, "issue_comment", &changed(2, &|body| body["action"] = action.into())).await;
        let sql = format!(
            "SELECT count(*) FROM webhook_deliveries WHERE state = 'ignored' AND action = '{action}' \
                           AND outcome LIKE '%only a new comment is a command%'"
        );
        assert_eq!(hub.count(&sql).await, 1, "{action}");
    }
    hub.end(service).await;
}
