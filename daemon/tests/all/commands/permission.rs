//! Who may ask, and what a repository says about that and about its jobs.

use crate::support::{CALC, Hub, Project};
use bisect_shared::JobStatus;
use bisectd::runner::spec::JobSpec;
use github_lookalike::{Fault, NewRepository, Order, Role, Trouble};

const CONFIG: &str = ".github/bisect.yml";

#[tokio::test]
async fn whoever_the_repository_lets_ask_is_obeyed_and_nobody_else() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    let mut refused = 0;
    for (allow, allowed) in [("", 1), ("write", 1), ("triage", 2), ("anyone", 3)] {
        if !allow.is_empty() {
            hub.push(CONFIG, &format!("allow: {allow}\n"));
        }
        for (place, user) in ["ada", "tom", "ann"].into_iter().enumerate() {
            let text = format!("/bisect c0 c4 make {user} {allow}");
            let (_, ended) = hub.ask(user, issue, &text).await;
            if place < allowed {
                hub.told(issue, &format!("job:{}:status", ended.job.expect(&text))).await;
            } else {
                assert_eq!((ended.state.as_str(), ended.why.as_str()), ("rejected", "the author may not"), "{text}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 5);
    let denied = "SELECT count(*) FROM audit_events WHERE action = 'permission.denied' AND channel = 'github' \
                  AND actor IN ('tom', 'ann') AND detail->>'repository' = 'octo/calc'";
    assert_eq!(hub.count(denied).await, 5);
    // Told once a day each, not five times.
    let id = hub.github.repository(CALC).unwrap().id;
    for user in ["tom", "ann"] {
        let key = format!("may-not:{id}:{}", hub.github.add_user(user));
        let told = hub.github.comments_by_apps().into_iter().find(|comment| comment.body.contains(&key)).unwrap();
        assert!(told.body.contains("those who can push"), "{}", told.body);
        hub.github.expect_comment(CALC, issue, &key);
    }

    // A guest stops his own only; `allow: anyone` holds still.
    let mine = hub.github.comments(CALC, issue).unwrap().len();
    hub.ask("ann", issue, "/bisect cancel").await;
    let left: Vec<_> = hub.world.jobs().await.into_iter().filter(|job| job.status == JobStatus::Pending).collect();
    assert!(left.len() == 6 && left.iter().all(|job| job.requested_by.as_deref() != Some("ann")), "{left:?}");
    let told = hub.answer("ann", issue, "/bisect cancel").await;
    assert!(told.contains("asked for by others"), "{told}");
    assert!(hub.github.comments(CALC, issue).unwrap().len() > mine);

    // In a locked issue it is for those who manage issues.
    hub.github.lock_issue(CALC, issue, true).unwrap();
    assert_eq!(hub.ask("ann", issue, "/bisect c0 c4 make locked").await.1.why, "the author may not");
    assert!(hub.ask("tom", issue, "/bisect c0 c4 make locked").await.1.job.is_some());
    hub.stop(service).await;
}

#[tokio::test]
async fn strangers_cannot_make_the_bot_write() {
    let hub = Hub::new(Project::linear(5), &[(CONFIG, "allow: everybody\n")]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    for text in ["/bisect help", "/bisect", "/bisect c0 c4 true", "/bisect status", "/bisect --nope", "/bisect wrong"] {
        assert_eq!(hub.ask("ann", issue, text).await.1.why, "the author may not", "{text}");
    }
    assert_eq!(hub.count("SELECT count(*) FROM outbox").await, 1, "one reply to all of it");
    hub.github.expect_comment(CALC, issue, "may-not:");
    // Who may ask hears what is wrong with the file.
    let told = hub.answer("ada", issue, "/bisect help").await;
    assert!(told.contains("cannot be used") && told.contains("allow"), "{told}");
    hub.end(service).await;
}

#[tokio::test]
async fn nobody_asks_by_anothers_name_or_in_a_repository_that_is_hidden_from_him() {
    let hub = Hub::new(Project::linear(5), &[(CONFIG, "allow: anyone\n")]).await;
    hub.github
        .add_repository(&NewRepository::new("octo/secret").private().copied_from(hub.world.project.path()))
        .unwrap();
    let service = hub.serve_idle("one").await;
    let issue = hub.github.add_issue("octo/secret", "octo", "it broke", "").unwrap();
    let posted = hub.github.comment("eve", "octo/secret", issue, "/bisect c0 c4 true").await.unwrap();
    assert_eq!(hub.ended(posted.id).await.why, "the author may not");
    hub.github.expect_comment("octo/secret", issue, "may-not:");

    let issue = hub.issue();
    hub.github.fault(Fault::new("GET /repos/*/*/collaborators/*/permission", Trouble::Status(404), 1));
    assert_eq!(hub.ask("ada", issue, "/bisect c0 c4 true").await.1.why, "the author may not");
    hub.github.expect_comment(CALC, issue, "may-not:");

    // Somebody else took the login before the comment was read.
    hub.push(CONFIG, "allow: write\n");
    hub.github.hold_webhooks();
    let posted = hub.github.comment("bob", CALC, issue, "/bisect c0 c4 true").await.unwrap();
    hub.github.rename_account("bob", "bobby").await.unwrap();
    hub.github.permission(CALC, "bob", Some(Role::Admin)).unwrap();
    hub.github.release_webhooks(Order::AsHappened).await;
    assert_eq!(hub.ended(posted.id).await.why, "the author may not");
    hub.github.expect_comment(CALC, issue, "may-not:");
    assert_eq!(hub.world.jobs().await.len(), 0);
    hub.end(service).await;
}

#[tokio::test]
async fn the_repositorys_file_reaches_its_jobs_and_a_broken_one_is_told() {
    let file = "image: python:3.12\nsetup: make deps\ntimeout: 90s\nnetwork: none\nenv:\n  CI: '1'\n  MODE: strict\n";
    let hub = Hub::new(Project::linear(5), &[(CONFIG, file)]).await;
    let service = hub.serve_program(hub.program("one").env("RUNNER_NETWORK", "egress")).await;
    hub.drain(&service).await;
    let issue = hub.issue();
    let spec = |job: &bisectd::db::jobs::JobRow| serde_json::from_value::<JobSpec>(job.spec.clone()).unwrap();
    let job = hub.job("ada", issue, "/bisect c0 c4 make one").await;
    assert_eq!((job.image.as_deref(), job.setup.as_deref()), (Some("python:3.12"), Some("make deps")));
    assert_eq!((job.timeout.unwrap().as_secs(), spec(&job).network.as_str()), (90, "none"));
    assert_eq!(spec(&job).env, [("CI".to_owned(), "1".to_owned()), ("MODE".to_owned(), "strict".to_owned())]);
    // The comment goes before the file, and the file before the server.
    let job = hub.job("ada", issue, "/bisect --image alpine --timeout 5s c0 c4 make two").await;
    assert_eq!((job.image.as_deref(), job.timeout.unwrap().as_secs()), (Some("alpine"), 5));
    // A branch's file is not read.
    hub.push(CONFIG, "# nothing\n");
    let job = hub.job("ada", issue, "/bisect c0 c4 make three").await;
    assert_eq!((spec(&job).network.as_str(), job.setup), ("egress", None));

    let bomb = format!(
        "a: &a [x,x,x,x,x,x,x,x,x]\n{}",
        (b'b'..=b'j').map(|c| {
            let (name, before) = (c as char, (c - 1) as char);
            format!("{name}: &{name} [*{before},*{before},*{before},*{before},*{before},*{before},*{before},*{before}]\n")
        }).collect::<String>()
    );
    let large = format!("# {}\nallow: write\n", "x".repeat(70_000));
    let huge = format!("# {}\n", "x".repeat(1_100_000));
    for (text, what) in [
        ("image: [", "cannot be used"),
        ("imagee: x\n", "imagee"),
        ("timeout: soon\n", "line 1"),
        (bomb.as_str(), "cannot be used"),
        (large.as_str(), "at most"),
        (huge.as_str(), "larger than 1 MB"),
    ] {
        hub.push(CONFIG, text);
        let told = hub.answer("ada", issue, "/bisect c0 c4 make four").await;
        assert!(told.contains("cannot be used") && told.contains(what) && told.len() < 2000, "{what}: {told}");
    }
    hub.push_bytes(CONFIG, b"allow: \xff\n");
    let told = hub.answer("ada", issue, "/bisect c0 c4 make four").await;
    assert!(told.contains("not UTF-8"), "{told}");
    assert_eq!(hub.world.jobs().await.len(), 3);
    hub.stop(service).await;
}

#[tokio::test]
async fn what_the_operator_forbids_no_job_from_before_brings_back() {
    let hub = Hub::new(Project::linear(5), &[(CONFIG, "network: egress\n")]).await;
    let issue = hub.issue();
    let network = |job: &bisectd::db::jobs::JobRow| job.spec["network"].as_str().unwrap().to_owned();
    let service = hub.serve_program(hub.program("one").env("RUNNER_NETWORK", "egress")).await;
    hub.drain(&service).await;
    let job = hub.job("ada", issue, "/bisect c0 c4 make").await;
    assert_eq!(network(&job), "egress");
    hub.ask("ada", issue, "/bisect cancel").await;
    hub.settled().await;
    service.stop().await;
    let service = hub.serve_program(hub.program("one").env("RUNNER_NETWORK", "none")).await;
    hub.drain(&service).await;
    assert_eq!(network(&hub.job("ada", issue, "/bisect retry").await), "none");
    assert_eq!(network(&hub.job("ada", issue, "/bisect c0 c4 make test").await), "none");
    hub.stop(service).await;
}
