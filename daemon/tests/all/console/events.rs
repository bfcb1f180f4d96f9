//! What changes, as it is told: of every instance, from any one.

use crate::support::{Console, Pooler, Project, Service, World, eventually};
use bisect_shared::{
    InstanceId, JobId, JobStatus, ResultKind,
    admin::{Event, JobView},
};
use bisectd::db::job_events::JobEventKind;
use secrecy::ExposeSecret;
use std::time::Duration;
use tokio::time::Instant;

/// The job as an event tells it.
fn job(event: &Event) -> Option<&JobView> {
    match event {
        Event::Job(job) => Some(job),
        _ => None,
    }
}

fn of(id: JobId, status: JobStatus) -> impl FnMut(&Event) -> Option<JobView> {
    move |event| job(event).filter(|job| job.id == id && job.status == status).cloned()
}

/// The instance with this socket.
async fn instance(console: &Console) -> InstanceId {
    InstanceId(Console::good(console.get("/v1/hello").await)["instance"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_job_of_another_instance_is_told_from_its_request_to_its_end() {
    let world = World::new(Project::linear(33)).await;
    // Nothing here goes by a slow clock.
    let serve = |name: &str| world.serve(name).env("HEARTBEAT_SECONDS", "60").env("RECOVERY_INTERVAL_SECONDS", "60");
    let one = Service::start(serve("one")).await;
    let other = Service::start(serve("other")).await;
    let (here, there) = (Console::of(&world, "one"), Console::of(&world, "other"));
    let (here_id, there_id) = (instance(&here).await, instance(&there).await);
    let mut events = here.lines("/v1/events").await;
    assert!(matches!(events.event().await, Event::Hello(hello) if hello.instance == here_id), "first of all");
    let drain = here.post(&format!("/v1/instances/{here_id}/drain"), "").await;
    assert_eq!(Console::good(drain)["changed"], true);
    let drained = |event: &Event| match event {
        Event::Instances { instances } => {
            instances.iter().find(|it| it.this).and_then(|it| it.drain_requested_by.clone()).map(drop)
        }
        _ => None,
    };
    events.until("it drains", drained).await;

    let asked = Instant::now();
    let id = world.enqueue("sleep 0.3; test $(cat n) -lt 20").await;
    let queued = events.until("it is queued", |event| job(event).filter(|job| job.id == id).cloned()).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(queued.candidates.is_none() || queued.worker.as_ref() == Some(&there_id));
    // It may be claimed before anybody looks.
    let running = match queued.status {
        JobStatus::Running => queued.clone(),
        _ => events.until("it runs there", of(id, JobStatus::Running)).await,
    };
    assert_eq!(running.worker, Some(there_id));
    let narrowed = |event: &Event| {
        let job = job(event).filter(|job| job.id == id && job.status == JobStatus::Running)?;
        (job.candidates == Some(32) && job.candidates_left? < 10 && job.probes_done > 2).then_some(())
    };
    events.until("it narrows, though nothing notifies of it", narrowed).await;
    let ended = events.until("it ends", of(id, JobStatus::Completed)).await;
    assert_eq!((ended.result, ended.culprit), (Some(ResultKind::Culprit), Some(world.project.sha("c20"))));
    assert!(ended.seq > queued.seq);
    one.stop().await;
    events.until("the end", |event| (*event == Event::Stopping).then_some(())).await;
    assert!(events.next().await.is_none(), "in order");
    other.stop().await;
    world.ends_clean().await;
}

#[tokio::test]
async fn where_nobody_notifies_everything_is_told_all_the_same() {
    let world = World::new(Project::linear(9)).await;
    let pooler = Pooler::start(&world.db);
    let url = pooler.settings("transaction").url.expose_secret().to_owned();
    // Recovery would say now and then that everything is to be looked at.
    let program = world.serve("one").env("DATABASE_URL", &url).env("HEARTBEAT_SECONDS", "60");
    let service = Service::start(program.env("RECOVERY_INTERVAL_SECONDS", "300")).await;
    let console = Console::of(&world, "one");
    let id = instance(&console).await;
    let mut events = console.lines("/v1/events").await;
    Console::good(console.post(&format!("/v1/instances/{id}/drain"), "").await);
    let health = async || (service.get("/health").await.1["status"] == "draining").then_some(());
    eventually("it drains", health).await;
    let (first, second) = (world.enqueue("test $(cat n) -lt 5").await, world.enqueue("sleep 1000").await);
    events.until("it waits", of(first, JobStatus::Pending)).await;
    Console::good(console.post(&format!("/v1/jobs/{second}/cancel"), "").await);
    events.until("it is cancelled", of(second, JobStatus::Cancelled)).await;
    Console::good(console.post(&format!("/v1/instances/{id}/undrain"), "").await);
    events.until("it ends", of(first, JobStatus::Completed)).await;
    service.stop().await;
}

#[tokio::test]
async fn who_cancels_here_stops_the_processes_there_within_two_seconds() {
    let world = World::new(Project::linear(9)).await;
    let other = Service::start(world.serve("other").env("HEARTBEAT_SECONDS", "60")).await;
    let id = world.enqueue("sleep 1000").await;
    eventually("a probe runs", async || (!world.probes(id).await.is_empty()).then_some(())).await;
    let one = Service::start(world.serve("one")).await;
    let console = Console::operator(&world, "one", "grace");
    let mut events = console.lines("/v1/events").await;
    let asked = Instant::now();
    let outcome = Console::good(console.post(&format!("/v1/jobs/{id}/cancel"), "").await);
    assert_eq!(outcome["message"], format!("job {id} is being stopped"));
    let ended = events.until("it ends", of(id, JobStatus::Cancelled)).await;
    println!("cancelled {:?} after it was asked for", asked.elapsed());
    assert_eq!(ended.cancel_requested_by.as_deref(), Some("grace"));
    // By the database's clock.
    let history = world.history(id).await;
    let at = |kind| history.iter().find(|event| event.kind == kind).unwrap().at;
    let took = at(JobEventKind::Cancelled) - at(JobEventKind::CancelRequested);
    assert!(took.num_milliseconds() < 2000, "{took}");
    let again = Console::good(console.post(&format!("/v1/jobs/{id}/cancel"), "").await);
    assert_eq!(
        (&again["changed"], &again["message"]),
        (&false.into(), &format!("job {id} has ended already: it is cancelled").into())
    );
    other.stop().await;
    one.stop().await;
    world.ends_clean().await;
}

#[tokio::test]
async fn a_quiet_stream_ticks_and_a_removed_job_is_told() {
    let world = World::new(Project::linear(9)).await;
    let service = Service::start(world.serve("one").env("HEARTBEAT_SECONDS", "60")).await;
    let mut events = Console::of(&world, "one").lines("/v1/events").await;
    let began = Instant::now();
    let ticked = events.until("it ticks", |event| match event {
        Event::Tick { now } => Some(*now),
        _ => None,
    });
    let off = (ticked.await - chrono::Utc::now()).num_seconds().abs();
    assert!(off < 60, "{off} s");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let id = world.enqueue("sleep 1000").await;
    events.until("it runs", of(id, JobStatus::Running)).await;
    let sql = format!("DELETE FROM bisect_jobs WHERE id = {id}");
    sqlx::Executor::execute(&mut world.db.raw().await, sqlx::AssertSqlSafe(sql)).await.unwrap();
    let gone = |event: &Event| matches!(event, Event::JobGone { id: gone } if *gone == id).then_some(());
    events.until("it is gone", gone).await;
    service.stop().await;
}
