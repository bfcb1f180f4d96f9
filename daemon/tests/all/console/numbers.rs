//! The numbers of the overview: right, and as cheap with a million ended jobs as with none.

use crate::support::{Console, Project, Service, World, database};
use bisect_shared::{ResultKind, admin::Overview};
use bisectd::db::trends;
use sqlx::{AssertSqlSafe, Executor, Row};

#[tokio::test]
async fn the_last_hour_is_told_by_the_minute_and_the_last_day_by_results() {
    let world = World::new(Project::linear(2)).await;
    let service = Service::start(world.serve("one").env("MAX_CONCURRENT_JOBS", "1")).await;
    let console = Console::of(&world, "one");
    let instance = Console::good(console.get("/v1/hello").await)["instance"].as_str().unwrap().to_owned();
    console.post(&format!("/v1/instances/{instance}/drain"), "").await;
    // 1 waits since ten minutes and a half; 2 waited from then for five minutes; 3 came and was cancelled at once, two
    // minutes ago; 4 ended yesterday.
    let ago = |seconds: u32| format!("now() - interval '{seconds} seconds'");
    let job = |id: u32, status: &str, result: &str, came: u32, ended: Option<u32>| {
        let ended = ended.map_or_else(|| "NULL".to_owned(), ago);
        format!(
            "INSERT INTO bisect_jobs (id, status, result, source, good_sha, bad_sha, command, created_at, completed_at) \
             VALUES ({id}, '{status}', {result}, '/src', repeat('a', 40), repeat('b', 40), '{{true}}', {}, {ended});",
            ago(came)
        )
    };
    let event = |job: u32, seq: u32, kind: &str, at: u32| {
        format!(
            "INSERT INTO job_events (job_id, seq, kind, epoch, created_at) VALUES ({job}, {seq}, '{kind}', 0, {});",
            ago(at)
        )
    };
    let rows = [
        job(1001, "pending", "NULL", 630, None),
        event(1001, 1, "queued", 630),
        job(1002, "completed", "'culprit'", 630, Some(90)),
        event(1002, 1, "queued", 630),
        event(1002, 2, "claimed", 330),
        event(1002, 3, "completed", 90),
        job(1003, "cancelled", "'cancelled'", 150, Some(150)),
        event(1003, 1, "queued", 150),
        event(1003, 2, "cancel_requested", 150),
        event(1003, 3, "cancelled", 150),
        job(1004, "failed", "NULL", 90_000, Some(88_000)),
        job(1005, "completed", "'culprit'", 5000, Some(4000)),
    ];
    world.db.raw().await.execute(AssertSqlSafe(rows.concat())).await.unwrap();
    let told: Overview = serde_json::from_value(Console::good(console.get("/v1/stats").await)).unwrap();
    assert_eq!((told.pending, told.running, told.completed, told.failed, told.cancelled), (1, 0, 2, 1, 1));
    assert!(told.oldest_pending.is_some_and(|seconds| (630.0..700.0).contains(&seconds)), "{told:?}");
    let newest = |minutes: &[i64]| minutes.iter().rev().take(12).copied().collect::<Vec<_>>();
    assert_eq!((told.depth_by_minute.len(), told.ended_by_minute.len()), (60, 60));
    assert_eq!(newest(&told.depth_by_minute), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0]);
    assert_eq!(newest(&told.ended_by_minute), [0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let results: Vec<_> = told.results.iter().map(|it| (it.result, it.jobs)).collect();
    assert_eq!(results, [(Some(ResultKind::Culprit), 2), (Some(ResultKind::Cancelled), 1)]);
    assert_eq!((told.inbox, told.outbox), (0, 0));
    assert!(told.github.is_empty(), "no App is configured");
    service.stop().await;
}

/// How many blocks of the database a query reads.
async fn blocks(raw: &mut sqlx::PgConnection, sql: &str) -> i64 {
    let sql = AssertSqlSafe(format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"));
    let plan: serde_json::Value = raw.fetch_one(sql).await.unwrap().get(0);
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

#[tokio::test]
async fn they_cost_the_same_however_many_jobs_ended_before() {
    let world = database().await;
    let mut raw = world.raw().await;
    let add = |jobs: u32, ago: &str| {
        AssertSqlSafe(format!(
            "WITH added AS (INSERT INTO bisect_jobs (status, result, source, good_sha, bad_sha, command, completed_at, created_at) \
               SELECT 'completed', 'culprit', '/src', repeat('a', 40), repeat('b', 40), '{{true}}', now() - interval '{ago}', \
                 now() - interval '{ago}' FROM generate_series(1, {jobs}) n RETURNING id) \
             INSERT INTO job_events (job_id, seq, kind, epoch, created_at) SELECT id, 1, 'queued', 0, now() - interval '{ago}' \
               FROM added"
        ))
    };
    let vacuum = "VACUUM ANALYZE bisect_jobs; VACUUM ANALYZE job_events";
    raw.execute(add(30_000, "3 days")).await.unwrap();
    raw.execute(add(30, "10 minutes")).await.unwrap();
    for statement in vacuum.split("; ") {
        raw.execute(statement).await.unwrap();
    }
    for (name, sql) in [("ended", trends::ENDED), ("results", trends::RESULTS), ("moves", trends::MOVES)] {
        let read = blocks(&mut raw, sql).await;
        println!("{name}: {read} blocks");
        assert!(read < 200, "{name}: {read} blocks beside 30,000 jobs that ended long ago");
    }
}
