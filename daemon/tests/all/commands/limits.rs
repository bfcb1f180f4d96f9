//! What an installation, a repository and a person may use, and that each limit is told.

use crate::support::{CALC, Hub, Project, eventually};
use github_lookalike::{NewRepository, Role};
use sqlx::Executor;

const USED: &str = "INSERT INTO usage_stats (installation_id, period, jobs) \
                    SELECT installation_id, date_trunc('month', now() AT TIME ZONE 'UTC')::date, 49 FROM installations \
                    ON CONFLICT (installation_id, period) DO UPDATE SET jobs = 49";

#[tokio::test]
async fn the_month_is_used_up_by_tier_and_the_reply_says_all_of_it() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.answer("ada", issue, "/bisect help").await;
    hub.sql(USED).await;
    let last = hub.job("ada", issue, "/bisect c0 c4 make 50").await;
    assert_eq!(last.max_duration.unwrap().as_secs(), 30 * 60, "the free tier's duration");
    let told = hub.answer("ada", issue, "/bisect c0 c4 make 51").await;
    assert!(told.contains("free") && told.contains("has 50 bisections a month, and 50 are used"), "{told}");
    assert!(told.contains("The next month begins on ") && told.contains("-01 00:00 UTC"), "{told}");
    // The same again is joined, and costs nothing.
    let told = hub.answer("ada", issue, "/bisect c0 c4 make 50").await;
    assert!(told.contains("being looked for already") && told.contains(&format!("job {}", last.id)), "{told}");

    hub.sql("UPDATE installations SET tier = 'pro'").await;
    let job = hub.job("ada", issue, "/bisect c0 c4 make 51").await;
    assert_eq!(job.max_duration.unwrap().as_secs(), 60 * 60);
    hub.sql("UPDATE usage_stats SET jobs = 1000000; UPDATE installations SET tier = 'enterprise'").await;
    let job = hub.job("ada", issue, "/bisect c0 c4 make 52").await;
    assert_eq!(job.max_duration.unwrap().as_secs(), 120 * 60);
    assert_eq!(hub.count("SELECT jobs::bigint FROM usage_stats").await, 1_000_001);
    hub.stop(service).await;
}

#[tokio::test]
async fn of_two_requests_at_once_for_the_last_place_one_wins() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issues = [hub.issue(), hub.issue()];
    hub.answer("ada", issues[0], "/bisect help").await;
    hub.sql(USED).await;
    // Both come to the installation's row before either may have it.
    let mut holder = hub.world.db.raw().await;
    holder.execute("BEGIN; SELECT FROM installations FOR NO KEY UPDATE").await.unwrap();
    let mut comments = Vec::new();
    for issue in issues {
        let text = format!("/bisect c0 c4 make {issue}");
        comments.push(hub.github.comment("ada", CALC, issue, &text).await.unwrap().id);
    }
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("both wait", async || (hub.count(waiting).await == 2).then_some(())).await;
    holder.execute("ROLLBACK").await.unwrap();
    let mut states = Vec::new();
    for (comment, issue) in comments.into_iter().zip(issues) {
        let ended = hub.ended(comment).await;
        match ended.job {
            Some(job) => drop(hub.told(issue, &format!("job:{job}:status")).await),
            None => drop(hub.told(issue, &format!("comment:{comment}:reply")).await),
        }
        states.push(ended.state);
    }
    states.sort();
    assert_eq!(states, ["processed", "rejected"]);
    assert_eq!(hub.world.jobs().await.len(), 1);
    hub.stop(service).await;
}

#[tokio::test]
async fn an_installation_runs_as_many_at_once_as_its_tier_allows_and_the_others_wait_in_line() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    let mut jobs = Vec::new();
    for place in 1..=3 {
        let job = hub.job("ada", issue, &format!("/bisect c0 c4 make {place}")).await;
        let told = hub.status(issue, job.id);
        assert!(told.contains(&format!("Place {place} of {place}")), "{told}");
        jobs.push(job.id);
    }
    let (lease, row) = hub.claim().await;
    assert_eq!(row.id, jobs[0]);
    let queue = hub.queue();
    assert!(queue.claim(bisectd::queue::Claim::Any).await.unwrap().is_none(), "one at once in the free tier");
    hub.finish(&lease).await;
    let (lease, row) = hub.claim().await;
    assert_eq!(row.id, jobs[1], "in their order");
    hub.sql("UPDATE installations SET tier = 'pro'").await;
    let (other, row) = hub.claim().await;
    assert_eq!(row.id, jobs[2]);
    hub.finish(&lease).await;
    hub.finish(&other).await;
    hub.stop(service).await;
}

#[tokio::test]
async fn who_asks_too_often_is_told_once_and_only_where_he_does() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    hub.github.add_organization("acme");
    hub.github.add_repository(&NewRepository::new("acme/other").copied_from(hub.world.project.path())).unwrap();
    hub.github.permission("acme/other", "ada", Some(Role::Write)).unwrap();
    hub.github.install(hub.app.id, "acme", None).unwrap();
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    let mut comments = Vec::new();
    for _ in 0..26 {
        comments.push(hub.github.comment("ada", CALC, issue, "/bisect status").await.unwrap().id);
    }
    let mut states = Vec::new();
    for &comment in &comments {
        states.push(hub.ended(comment).await.state);
    }
    let obeyed = |state: &&String| *state == "processed";
    assert_eq!(states.iter().take_while(obeyed).count(), 20, "{states:?}");
    assert_eq!(states.iter().filter(obeyed).count(), 20, "{states:?}");
    for comment in &comments[..20] {
        hub.told(issue, &format!("comment:{comment}:reply")).await;
    }
    let flood = format!("flood:{}:{}", hub.installation, hub.github.add_user("ada"));
    eventually("she is told", async || {
        let comments = hub.github.comments_by_apps();
        comments
            .iter()
            .any(|comment| comment.body.contains(&flood) && comment.body.contains("More than 20"))
            .then_some(())
    })
    .await;
    hub.github.expect_comment(CALC, issue, &flood);
    assert_eq!(hub.count("SELECT count(*) FROM outbox WHERE reply_key LIKE 'flood:%'").await, 1);
    // Others here, and she elsewhere, are heard.
    hub.github.permission(CALC, "bea", Some(Role::Write)).unwrap();
    hub.answer("bea", issue, "/bisect status").await;
    let other = hub.github.add_issue("acme/other", "ada", "it broke", "").unwrap();
    let posted = hub.github.comment("ada", "acme/other", other, "/bisect status").await.unwrap();
    assert_eq!(hub.ended(posted.id).await.state, "processed");
    hub.github.expect_comment("acme/other", other, "No bisection");
    hub.end(service).await;
}

#[tokio::test]
async fn nobody_fills_the_queue_of_an_installation_or_of_a_repository() {
    let hub = Hub::new(Project::linear(5), &[(".github/bisect.yml", "allow: anyone\n")]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    hub.sql("UPDATE rate_limits SET jobs_per_month = 1000").await;
    for (user, most) in [("ann", 2), ("ada", 10)] {
        for place in 0..most {
            hub.job(user, issue, &format!("/bisect c0 c4 make {user} {place}")).await;
        }
        let told = hub.answer(user, issue, &format!("/bisect c0 c4 make {user} more")).await;
        assert!(told.contains(&format!("You have {most} unfinished bisections already")), "{told}");
    }
    // What she waits for in another installation does not count here.
    hub.sql(
        "INSERT INTO installations (installation_id, account_type, account_login, account_id) VALUES (7, 'User', 'x', 7); \
         INSERT INTO repositories (github_id, installation_id, owner, name, full_name, private) \
           VALUES (7, 7, 'x', 'y', 'x/y', false); \
         UPDATE bisect_jobs SET installation_id = 7, repository_id = (SELECT id FROM repositories WHERE github_id = 7) \
           WHERE requested_by = 'ann'",
    )
    .await;
    hub.job("ann", issue, "/bisect c0 c4 make ann more").await;
    // As many as a repository may have, of whomever.
    hub.sql(
        "INSERT INTO bisect_jobs (installation_id, repository_id, good_sha, bad_sha, command) \
         SELECT j.installation_id, j.repository_id, j.good_sha, j.bad_sha, j.command \
         FROM (SELECT * FROM bisect_jobs WHERE requested_by = 'ada' LIMIT 1) j, generate_series(1, 14)",
    )
    .await;
    hub.github.permission(CALC, "bea", Some(Role::Write)).unwrap();
    let told = hub.answer("bea", issue, "/bisect c0 c4 make bea").await;
    assert!(told.contains("This repository has 25 unfinished bisections already"), "{told}");
    hub.stop(service).await;
}

#[tokio::test]
async fn the_same_request_is_one_job_whoever_asks_and_wherever() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    hub.github.permission(CALC, "bea", Some(Role::Write)).unwrap();
    let service = hub.serve_idle("one").await;
    let (first, second) = (hub.issue(), hub.issue());
    let job = hub.job("ada", first, "/bisect c0 c4 make").await;
    let told = hub.answer("bea", first, "/bisect c0 c4   make\n\n/bisect status").await;
    assert!(told.contains("Its result answers this comment too") && told.contains("1 further"), "{told}");
    let told = hub.answer("bea", second, "/bisect c0 main make").await;
    assert!(told.contains(&format!("Its result will stand in [issue {first}]")), "{told}");
    // Renamed, it is the same repository still.
    hub.github.rename_repository(CALC, "calculator").await.unwrap();
    let issue = hub.github.add_issue("octo/calculator", "ada", "it broke", "").unwrap();
    let posted = hub.github.comment("ada", "octo/calculator", issue, "/bisect c0 c4 make").await.unwrap();
    assert_eq!(hub.ended(posted.id).await.job, Some(job.id));
    hub.github.rename_repository("octo/calculator", "calc").await.unwrap();
    hub.github.expect_comment(CALC, issue, "being looked for already");
    assert_eq!(hub.world.jobs().await.len(), 1);
    // Another command is another job, and once it has ended so is the same.
    hub.job("ada", first, "/bisect c0 c4 make test").await;
    hub.ask("ada", first, "/bisect cancel").await;
    assert_ne!(hub.job("ada", first, "/bisect c0 c4 make").await.id, job.id);
    hub.stop(service).await;
}
