//! What operators do, what is told of it, and who did it.

use crate::support::{CALC, Console, Hub, Project, Service, World, eventually};
use bisect_shared::{
    JobId, JobStatus, Purpose,
    admin::{AuditPage, Outcome},
};
use bisectd::{
    db::probes::ProbeRow,
    queue::{NewJob, Origin},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn outcome(answer: (u16, Value)) -> Outcome {
    serde_json::from_value(Console::good(answer)).unwrap()
}

/// The sentence of a refusal.
#[track_caller]
fn refused((status, body): (u16, Value), wanted: u16) -> String {
    assert_eq!(status, wanted, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

async fn ended(world: &World, job: JobId) -> bisectd::db::jobs::JobRow {
    let row = async || world.jobs().await.into_iter().find(|row| row.id == job && row.status.is_final());
    eventually("the job ends", row).await
}

async fn audit(console: &Console) -> Vec<(String, String, String, Option<JobId>, String)> {
    let page: AuditPage = serde_json::from_value(Console::good(console.get("/v1/audit").await)).unwrap();
    page.entries.into_iter().map(|it| (it.actor, it.channel, it.action, it.job, it.detail)).collect()
}

#[tokio::test]
async fn a_job_is_repeated_as_it_was_asked_for_and_everything_is_in_the_audit() {
    let world = World::new(Project::linear(9)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::operator(&world, "one", "grace");
    let job = world.enqueue("test $(cat n) -lt 5").await;
    let first = ended(&world, job).await;
    let retry = async |job: JobId, body: &str| console.post(&format!("/v1/jobs/{job}/retry"), body).await;
    let said = refused(retry(job, r#"{"runs": 101}"#).await, 400);
    assert!(said.contains("`runs` is 101; it must be from 1 to 100"), "{said}");
    let told = outcome(retry(job, "{}").await);
    let again = told.job.unwrap();
    assert!(told.changed && told.message.starts_with(&format!("job {again} repeats job {job}")), "{told:?}");
    let row = ended(&world, again).await;
    assert_eq!((row.retry_of, row.requested_by.as_deref()), (Some(job), Some("grace")));
    assert_eq!((row.culprit, &row.command, row.good, row.bad), (first.culprit, &first.command, first.good, first.bad));

    // For a test that fails by chance.
    let sampled = outcome(retry(again, r#"{"runs": 12}"#).await).job.unwrap();
    let row = ended(&world, sampled).await;
    assert_eq!((row.culprit, &row.spec["runs"]), (first.culprit, &json!(12)));
    let samples = |probe: &ProbeRow| probe.purpose == Purpose::Sample;
    assert!(world.probes(sampled).await.iter().any(samples), "many runs of a commit");

    // One that runs.
    let long = world.enqueue("sleep 1000").await;
    eventually("a probe runs", async || (!world.probes(long).await.is_empty()).then_some(())).await;
    let said = refused(retry(long, "").await, 409);
    assert!(said.contains(&format!("job {long} is running")), "{said}");
    assert!(outcome(console.post(&format!("/v1/jobs/{long}/cancel"), "").await).changed);
    ended(&world, long).await;

    // Two who ask at once get one job.
    let gate = "while ! test -e";
    let slow = world.enqueue(&format!("{gate} {}; do sleep 0.02; done; false", world.path("go").display())).await;
    outcome(console.post(&format!("/v1/jobs/{slow}/cancel"), "").await);
    ended(&world, slow).await;
    let both = [outcome(retry(slow, "").await), outcome(retry(slow, "").await)];
    assert_eq!((both[0].changed, both[1].changed, both[0].job), (true, false, both[1].job));
    std::fs::write(world.path("go"), "").unwrap();
    ended(&world, both[0].job.unwrap()).await;

    let us = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    let plain = Console::of(&world, "one");
    let told = audit(&plain).await;
    let of = |action: &str, job: JobId| {
        let found: Vec<_> = told.iter().filter(|it| it.2 == action && it.3 == Some(job)).collect();
        assert_eq!(found.len(), 1, "{action} {job}: {told:?}");
        (found[0].0.clone(), found[0].1.clone(), found[0].4.clone())
    };
    let console_by = |detail: String| ("grace".to_owned(), "console".to_owned(), detail);
    assert_eq!(of("job.retry", job), console_by(format!("as user: {us}, new job: {again}")));
    assert_eq!(of("job.retry", again), console_by(format!("as user: {us}, new job: {sampled}, runs: 12")));
    assert_eq!(of("job.cancel", long), console_by(format!("as user: {us}")));
    // Without a name it is the user at the other end.
    let more = world.enqueue("sleep 1000").await;
    outcome(plain.post(&format!("/v1/jobs/{more}/cancel"), "").await);
    assert_eq!(audit(&plain).await[0], (us, "console".into(), "job.cancel".into(), Some(more), String::new()));
    ended(&world, more).await;
    service.stop().await;
    world.ends_clean().await;
}

#[tokio::test]
async fn a_job_of_another_machine_is_repeated_only_where_somebody_can_run_it() {
    let world = World::new(Project::linear(9)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    world.enqueue("test $(cat n) -lt 5").await;
    let row = ended(&world, world.job().await.id).await;
    let elsewhere = async |affinity: &str| {
        let job = NewJob {
            origin: Origin::Local { source: row.source.clone().unwrap(), affinity: Some(affinity.into()) },
            request_key: None,
            requested_by: None,
            retry_of: None,
            good: row.good,
            more_good: Vec::new(),
            bad: row.bad,
            command: row.command.clone(),
            setup: None,
            image: None,
            lanes: 1,
            timeout: None,
            max_duration: None,
            spec: row.spec.clone(),
            priority: 0,
        };
        let nobody = bisect_shared::InstanceId("test".into());
        let queue = bisectd::queue::Queue::new(world.db.db.clone(), nobody, Default::default(), "nowhere".into());
        let job = queue.enqueue(&job).await.unwrap().job;
        queue.request_cancel(job, "the test").await.unwrap();
        // It may have been claimed before.
        ended(&world, job).await;
        console.post(&format!("/v1/jobs/{job}/retry"), "{}").await
    };
    let said = refused(elsewhere("another machine").await, 409);
    assert!(said.contains("can run only on the machine"), "{said}");
    let sql = "SELECT affinity FROM instances";
    let (here,): (String,) = sqlx::query_as(sql).fetch_one(&mut world.db.raw().await).await.unwrap();
    let again = outcome(elsewhere(&here).await).job.unwrap();
    assert_eq!(ended(&world, again).await.affinity, Some(here));
    service.stop().await;
}

#[tokio::test]
async fn an_instance_that_is_drained_claims_nothing_within_two_seconds_and_goes_on_with_what_it_runs() {
    let world = World::new(Project::linear(9)).await;
    // Its heartbeat would tell it in a minute.
    let service = Service::start(world.serve("one").env("HEARTBEAT_SECONDS", "60")).await;
    let console = Console::operator(&world, "one", "grace");
    let id = Console::good(console.get("/v1/hello").await)["instance"].as_str().unwrap().to_owned();
    let go = world.path("go");
    let running = world.enqueue(&format!("test -e {} || exec sleep 1000; test $(cat n) -lt 5", go.display())).await;
    eventually("a probe runs", async || (!world.probes(running).await.is_empty()).then_some(())).await;
    let asked = Instant::now();
    let told = outcome(console.post(&format!("/v1/instances/{id}/drain"), "").await);
    assert_eq!(told.message, format!("{id} takes no new jobs; what it runs goes on"));
    let health = async |wanted: &str| (service.get("/health").await.1["status"] == wanted).then_some(());
    eventually("it drains", async || health("draining").await).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    let waits = world.enqueue("test $(cat n) -lt 5").await;
    assert!(!outcome(console.post(&format!("/v1/instances/{id}/drain"), "").await).changed, "it is already");
    assert!(outcome(console.post(&format!("/v1/jobs/{running}/cancel"), "").await).changed);
    ended(&world, running).await;
    // A slot is free now, and it was woken by the end of the other job.
    assert_eq!(world.jobs().await[1].status, JobStatus::Pending);
    let list = Console::good(console.get("/v1/instances").await);
    assert_eq!(list["instances"][0]["drain_requested_by"], "grace");
    assert!(outcome(console.post(&format!("/v1/instances/{id}/undrain"), "").await).changed);
    ended(&world, waits).await;
    let actions: Vec<String> = audit(&console).await.into_iter().map(|it| it.2).collect();
    assert_eq!(actions, ["instance.undrain", "job.cancel", "instance.drain"]);
    service.kill().await;
    let again = Service::start(world.serve("one")).await;
    let retired = "UPDATE instances SET retired_at = now() WHERE id = $1";
    sqlx::query(retired).bind(&id).execute(&mut world.db.raw().await).await.unwrap();
    let said = refused(console.post(&format!("/v1/instances/{id}/drain"), "").await, 409);
    assert!(said.contains("has ended"), "{said}");
    let shell = "INSERT INTO instances (id, host, affinity, version, max_jobs, retired_at) \
        VALUES ('shell', 'here', 'here', '0', 0, now()), ('another', 'here', 'here', '0', 0, NULL)";
    sqlx::query(shell).execute(&mut world.db.raw().await).await.unwrap();
    let list = Console::good(console.get("/v1/instances").await);
    let listed: Vec<&str> = list["instances"].as_array().unwrap().iter().filter_map(|it| it["id"].as_str()).collect();
    assert!(listed.contains(&"another") && listed.contains(&&*id), "{listed:?}");
    assert!(!listed.contains(&"shell"), "a shell's `bisectd bisect` that has ended: {listed:?}");
    again.stop().await;
}

#[tokio::test]
async fn github_hears_who_stopped_and_who_repeated_a_job() {
    let hub = Hub::new(Project::linear(5), &[]).await;
    let service = hub.serve_idle("one").await;
    let issue = hub.issue();
    let console = Console::operator(&hub.world, "one", "grace");
    let job = hub.job("ada", issue, "/bisect c0 main test $(cat n) -lt 3").await;
    // The month is used up: that is no limit for operators.
    hub.sql("UPDATE usage_stats SET jobs = 50").await;
    assert!(outcome(console.post(&format!("/v1/jobs/{}/cancel", job.id), "").await).changed);
    let status = async |job: JobId, words: &str| {
        eventually(words, async || hub.status(issue, job).contains(words).then_some(())).await;
    };
    status(job.id, "Stopped by grace").await;
    let again = outcome(console.post(&format!("/v1/jobs/{}/retry", job.id), "").await).job.unwrap();
    let comment = hub.told(issue, &format!("job:{again}:status")).await;
    assert!(comment.contains(&format!("which repeats job {} as grace asked", job.id)), "{comment}");
    let row = hub.row(again).await;
    assert_eq!(
        (row.retry_of, row.issue, row.comment, row.installation),
        (Some(job.id), job.issue, job.comment, job.installation)
    );
    assert_eq!((&row.command, row.max_duration), (&job.command, Some(Duration::from_secs(30 * 60))));
    assert_eq!(hub.count("SELECT jobs::bigint FROM usage_stats").await, 51, "it counts");
    let detail = Console::good(console.get(&format!("/v1/jobs/{again}")).await);
    assert_eq!((&detail["job"]["repository"], &detail["job"]["issue"]), (&CALC.into(), &issue.into()));
    let asked = format!("/issues/{issue}#issuecomment-{}", job.comment.unwrap());
    assert!(detail["links"][0].as_str().unwrap().ends_with(&asked), "{}", detail["links"]);
    // What is done on GitHub is in the same audit.
    hub.ask("ada", issue, "/bisect cancel").await;
    status(again, "Stopped by ada").await;
    let told: Vec<_> = audit(&console).await.into_iter().map(|it| (it.0, it.1, it.2)).collect();
    let wanted =
        [("ada", "github", "job.cancel"), ("grace", "console", "job.retry"), ("grace", "console", "job.cancel")];
    assert_eq!(told, wanted.map(|(who, through, what)| (who.into(), through.into(), what.into())));
    let rates = Console::good(console.get("/v1/stats").await)["github"].clone();
    assert!(rates[0]["limit"].as_i64().is_some_and(|limit| limit > 0), "{rates}");

    hub.sql("UPDATE installations SET suspended_at = now()").await;
    let said = refused(console.post(&format!("/v1/jobs/{again}/retry"), "").await, 409);
    assert!(said.contains("is suspended"), "{said}");
    hub.sql("UPDATE installations SET suspended_at = NULL").await;
    hub.end(service).await;
}
