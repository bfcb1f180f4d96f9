//! What can be read: every route, by both versions of HTTP.

use crate::support::{Console, Project, Service, World, eventually};
use bisect_shared::{
    JobId, JobStatus, Purpose, ResultKind, Verdict,
    admin::{AuditPage, InstanceList, JobDetail, JobPage, Overview, StripMark},
};
use hyper::Method;

async fn ended(world: &World, job: JobId) {
    eventually("the job ends", async || {
        world.jobs().await.iter().find(|row| row.id == job && row.status.is_final()).map(drop)
    })
    .await;
}

#[tokio::test]
async fn both_versions_of_http_share_the_socket_and_every_answer_says_which_api_it_is() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    let (mut one, mut two) = (console.one().await, console.two().await);
    for path in ["/v1/hello", "/v1/jobs", "/v1/instances", "/v1/stats", "/v1/audit", "/nowhere", "/v1/jobs/7"] {
        let answers = [one.ask(Method::GET, path, "").await.unwrap(), two.ask(Method::GET, path, "").await.unwrap()];
        let wanted = if path == "/nowhere" || path.ends_with('7') { 404 } else { 200 };
        for answer in answers {
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["bisect-admin-api"]),
                (wanted, &"1".parse().unwrap())
            );
            let (_, body) = crate::support::read(answer).await;
            assert_eq!(body["error"].is_string(), wanted == 404, "{path}: {body}");
        }
    }
    let hello = Console::good(console.get("/v1/hello").await);
    assert_eq!((&hello["api"], &hello["database"]), (&1.into(), &true.into()));
    let us = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name;
    assert_eq!(hello["operator"], us.as_str(), "the user at the other end");

    // A stream takes nothing away from other requests of its connection.
    let events = two.ask(Method::GET, "/v1/events", "").await.unwrap();
    assert_eq!(two.get("/v1/jobs").await.0, 200);
    drop(events);
    service.stop().await;
}

#[tokio::test]
async fn a_mistake_is_answered_by_a_sentence_that_names_it() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    for (path, status, words) in [
        ("/v1/jobs?status=done", 400, "status: `done` must be one of pending"),
        ("/v1/jobs?limit=0", 400, "limit: 0 must be 1 to 1000"),
        ("/v1/jobs?limit=many", 400, "limit"),
        ("/v1/jobs?before=x", 400, "before"),
        ("/v1/audit?limit=1001", 400, "limit: 1001"),
        ("/v1/jobs/seven", 404, "jobs have numbers"),
        ("/v1/jobs/7/log", 404, "there is no job 7"),
        ("/v1/jobs/7/log?after=1", 400, "after: `1` must be PROBE:SEQ"),
        ("/v1/jobs/7/log?format=html", 400, "format: `html`"),
        ("/v1/jobs/7/log?follow=perhaps", 400, "follow"),
        ("/v1/jobs/7/cancel", 405, "POST acts"),
    ] {
        let (got, body) = console.get(path).await;
        assert_eq!(got, status, "{path}: {body}");
        assert!(body["error"].as_str().unwrap().contains(words), "{path}: {body}");
    }
    for path in ["/v1/jobs/7/cancel", "/v1/jobs/7/retry", "/v1/instances/nobody/drain", "/v1/instances/nobody/undrain"]
    {
        let (status, body) = console.post(path, "{}").await;
        assert!(status == 404 && body["error"].as_str().unwrap().contains("there is no "), "{path}: {body}");
    }
    let (status, body) = console.post("/v1/jobs/7/retry", "[").await;
    assert!(status == 400 && body["error"].as_str().unwrap().contains("the body"), "{body}");
    service.stop().await;
}

#[tokio::test]
async fn a_job_is_told_with_its_range_its_runs_and_their_subjects() {
    let world = World::new(Project::linear(9)).await;
    let service = Service::start(world.serve("one")).await;
    let console = Console::of(&world, "one");
    // Slow enough for git to tell the subjects meanwhile.
    let job = world.enqueue("sleep 0.2; test $(cat n) -lt 5").await;
    ended(&world, job).await;
    let detail = Console::good(console.get(&format!("/v1/jobs/{job}")).await);
    let detail: JobDetail = serde_json::from_value(detail).unwrap();
    let view = &detail.job;
    assert_eq!((view.status, view.result), (JobStatus::Completed, Some(ResultKind::Culprit)));
    assert_eq!((view.candidates, view.candidates_left), (Some(8), Some(1)));
    assert_eq!((view.culprit, view.probes_running), (Some(world.project.sha("c5")), 0));
    assert_eq!(view.probes_done, detail.probes.len() as i64);
    assert!(view.seconds_per_probe.is_some_and(|seconds| seconds > 0.1));
    assert_eq!(view.requested_by.as_deref(), Some("ada"));
    assert_eq!((detail.good.as_slice(), detail.bad), (&[world.project.sha("c0")][..], world.project.sha("main")));
    assert_eq!(detail.command, ["sh", "-c", "sleep 0.2; test $(cat n) -lt 5"]);
    for probe in &detail.probes {
        let number = world.project.number(&probe.commit.to_string());
        assert_eq!(probe.subject, Some(format!("commit {number}")));
        assert_eq!(probe.position, number.checked_sub(1).map(|place| u32::try_from(place).unwrap()), "c{number}");
        assert_eq!(probe.verdict, Some(if number < 5 { Verdict::Good } else { Verdict::Bad }));
        assert!(!probe.running() && !probe.cached);
    }
    assert!(detail.probes.iter().any(|probe| probe.purpose == Purpose::Proof));
    let wanted = [(StripMark::Good, 4), (StripMark::Candidate, 1), (StripMark::Bad, 3)];
    assert_eq!(detail.strip.as_ref().unwrap().pieces, wanted);
    let told: Vec<(&str, &str)> =
        detail.history.iter().map(|event| (event.kind.as_str(), event.detail.as_str())).collect();
    assert_eq!(told, [("queued", "by ada"), ("claimed", "attempt: 1"), ("completed", "")]);
    let report = detail.report.unwrap();
    assert!(report.contains(&world.project.sha("c5").to_string()) && !report.contains('\u{1b}'), "{report}");
    service.stop().await;
}

#[tokio::test]
async fn jobs_come_newest_first_in_pages_and_by_state() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one").env("RECOVERY_INTERVAL_SECONDS", "100")).await;
    let sql = "INSERT INTO bisect_jobs (status, source, good_sha, bad_sha, command, completed_at) \
               SELECT CASE n % 4 WHEN 0 THEN 'failed' ELSE 'completed' END, '/src', repeat('a', 40), repeat('b', 40), \
               '{true}', now() FROM generate_series(1, 11) n";
    sqlx::Executor::execute(&mut world.db.raw().await, sql).await.unwrap();
    let console = Console::of(&world, "one");
    let page = async |query: &str| -> (Vec<i64>, Option<i64>) {
        let page = Console::good(console.get(&format!("/v1/jobs{query}")).await);
        let page: JobPage = serde_json::from_value(page).unwrap();
        (page.jobs.iter().map(|job| job.id.0).collect(), page.next)
    };
    assert_eq!(page("").await, ((1..=11).rev().collect(), None));
    assert_eq!(page("?limit=4").await, (vec![11, 10, 9, 8], Some(8)));
    assert_eq!(page("?limit=4&before=8").await, (vec![7, 6, 5, 4], Some(4)));
    assert_eq!(page("?limit=3&before=4").await, (vec![3, 2, 1], None));
    assert_eq!(page("?status=failed").await, (vec![8, 4], None));
    assert_eq!(page("?status=failed&limit=1").await, (vec![8], Some(8)));
    assert_eq!(page("?status=failed,completed&limit=2&before=9").await, (vec![8, 7], Some(7)));
    assert_eq!(page("?status=running").await, (vec![], None));
    service.stop().await;
}

#[tokio::test]
async fn the_fleet_is_told_with_what_each_can_and_does() {
    let world = World::new(Project::linear(9)).await;
    let one = Service::start(world.serve("one").env("MAX_CONCURRENT_JOBS", "3")).await;
    let job = world.enqueue("sleep 1000").await;
    eventually("a probe runs", async || (!world.probes(job).await.is_empty()).then_some(())).await;
    let other = Service::start(world.serve("other")).await;
    let console = Console::of(&world, "other");
    let list =
        async || -> InstanceList { serde_json::from_value(Console::good(console.get("/v1/instances").await)).unwrap() };
    let list = eventually("both say how their Docker is", async || {
        let list = list().await;
        list.instances.iter().all(|instance| instance.docker.is_some()).then_some(list.instances)
    })
    .await;
    assert_eq!(list.len(), 2);
    let (first, second) = (&list[0], &list[1]);
    assert_eq!((first.max_jobs, first.max_probes, first.running_jobs, first.this), (3, Some(4), 1, false));
    assert!(first.running_probes > 0, "{first:?}");
    assert_eq!((second.max_jobs, second.running_jobs, second.running_probes, second.this), (4, 0, 0, true));
    assert!(list.iter().all(|it| !it.stale && it.retired_at.is_none() && it.drain_requested_by.is_none()));
    let numbers: Overview = serde_json::from_value(Console::good(console.get("/v1/stats").await)).unwrap();
    assert_eq!((numbers.running, numbers.pending, numbers.stale), (1, 0, 0));
    one.kill().await;
    let mut raw = world.db.raw().await;
    let silent = "UPDATE instances SET heartbeat_at = now() - interval '1 hour' WHERE max_jobs = 3";
    sqlx::Executor::execute(&mut raw, silent).await.unwrap();
    let list: InstanceList = serde_json::from_value(Console::good(console.get("/v1/instances").await)).unwrap();
    let told: Vec<(bool, bool)> = list.instances.iter().map(|it| (it.this, it.stale)).collect();
    assert_eq!(told, [(true, false), (false, true)], "those that serve come first");
    let audit: AuditPage = serde_json::from_value(Console::good(console.get("/v1/audit").await)).unwrap();
    assert!(audit.entries.is_empty() && audit.next.is_none());
    other.stop().await;
}
