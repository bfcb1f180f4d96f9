//! `bisectd prune`: what is old goes, and nothing else.

use crate::support::{Project, World, git_in};
use sqlx::Executor;
use std::{fs, path::Path, time::SystemTime};

#[tokio::test]
async fn what_is_older_than_the_retention_goes_and_nothing_of_an_unfinished_job() {
    let world = World::new(Project::linear(2)).await;
    let mut raw = world.db.raw().await;
    raw.execute(
        "INSERT INTO bisect_jobs (id, source, good_sha, bad_sha, command, status, completed_at, result) VALUES
             (1, '/src', repeat('a', 40), repeat('b', 40), '{true}', 'completed', now() - interval '40 days', 'culprit'),
             (2, '/src', repeat('a', 40), repeat('b', 40), '{true}', 'completed', now() - interval '1 day', 'culprit'),
             (3, '/src', repeat('a', 40), repeat('b', 40), '{true}', 'pending', NULL, NULL);
         INSERT INTO job_events (job_id, seq, kind, epoch, created_at)
             SELECT id, 1, 'queued', 0, now() - interval '41 days' FROM bisect_jobs;
         INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane) SELECT id, id, 1, repeat('c', 40), 'search', 0
             FROM bisect_jobs;
         INSERT INTO log_chunks (probe_id, seq, bytes, created_at)
             SELECT p.id, n, 'x', now() - interval '41 days' FROM probes p, generate_series(0, 5999) n;
         INSERT INTO webhook_deliveries (delivery_id, event, payload, state, received_at, processed_at) VALUES
             ('old', 'ping', '', 'ignored', now() - interval '31 days', now()),
             ('waits', 'ping', '', 'received', now() - interval '31 days', NULL),
             ('new', 'ping', '', 'ignored', now(), now());
         INSERT INTO instances (id, host, affinity, version, max_jobs, heartbeat_at) VALUES
             ('gone', 'h', 'a', '1', 0, now() - interval '50 days'), ('here', 'h', 'a', '1', 0, now());
         INSERT INTO verdicts (scope, commit_sha, circumstances, verdict, ending, exit_code, seconds, used_at)
             SELECT 'local', repeat(digit, 40), sha256('x'), 'good', 'exited', 0, 1, now() - age
             FROM (VALUES ('a', interval '31 days'), ('b', interval '29 days')) AS of (digit, age)",
    )
    .await
    .unwrap();
    let ran = world.program().args(["prune"]).run().await.expect(0);
    let first = "older than 30 days: removed 6000 pieces of output, 1 deliveries, 1 events, 1 ended instances, 1 remembered verdicts; 0 expired sessions";
    assert!(ran.stdout.contains(first), "{}", ran.stdout);
    let left = |sql: &'static str| {
        let world = &world;
        async move {
            let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(&mut world.db.raw().await).await.unwrap();
            rows.into_iter().map(|(text,)| text).collect::<Vec<_>>()
        }
    };
    assert_eq!(left("SELECT DISTINCT probe_id::text FROM log_chunks ORDER BY 1").await, ["2", "3"]);
    assert_eq!(left("SELECT job_id::text FROM job_events ORDER BY 1").await, ["2", "3"]);
    assert_eq!(left("SELECT delivery_id FROM webhook_deliveries ORDER BY 1").await, ["new", "waits"]);
    assert_eq!(left("SELECT id FROM instances WHERE id IN ('gone', 'here')").await, ["here"]);
    let kept = world.program().args(["prune"]).env("LOG_RETENTION_DAYS", "1000").run().await.expect(0);
    assert!(
        kept.stdout.contains("older than 1000 days: removed 0 pieces of output, 0 deliveries, 0 events"),
        "{}",
        kept.stdout
    );
}

#[tokio::test]
async fn mirrors_over_the_budget_go_but_none_that_is_in_use() {
    let world = World::new(Project::linear(2)).await;
    let mirrors = world.data_dir().join("mirrors");
    fs::create_dir_all(&mirrors).unwrap();
    for (name, hours) in [("oldest", 30), ("pinned", 20), ("locked", 10), ("recent", 0)] {
        let path = mirrors.join(format!("{name}.git"));
        assert!(
            git_in(&mirrors, &["clone", "--quiet", "--bare", &world.project.text(), path.to_str().unwrap()])
                .status()
                .unwrap()
                .success()
        );
        // A hole: it counts, and takes no room.
        fs::File::create(path.join("ballast")).unwrap().set_len(600_000_000).unwrap();
        if name == "pinned" {
            assert!(git_in(&path, &["update-ref", "refs/bisect/7/x", "HEAD"]).status().unwrap().success());
        }
        age(&path, hours);
    }
    let lock = fs::File::create(mirrors.join("locked.lock")).unwrap();
    lock.lock().unwrap();
    let prune = || world.program().args(["prune"]).env("MIRROR_BUDGET_GB", "1");
    let ran = prune().run().await.expect(0);
    assert!(ran.stdout.contains("mirrors: removed 1 (600 MB); 1800 MB are left"), "{}", ran.stdout);
    assert!(ran.stdout.contains("are in use"), "{}", ran.stdout);
    assert_eq!(names(&mirrors), ["locked.git", "pinned.git", "recent.git"]);
    lock.unlock().unwrap();
    let ran = prune().run().await.expect(0);
    assert!(ran.stdout.contains("mirrors: removed 1 (600 MB)"), "{}", ran.stdout);
    assert_eq!(names(&mirrors), ["pinned.git", "recent.git"]);
}

/// The mirrors of a folder.
fn names(mirrors: &Path) -> Vec<String> {
    let names = fs::read_dir(mirrors).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".git") || name.ends_with(".removed")).collect();
    names.sort();
    names
}

fn age(mirror: &Path, hours: u64) {
    for name in ["HEAD", "packed-refs", "FETCH_HEAD"] {
        if let Ok(file) = fs::File::options().write(true).open(mirror.join(name)) {
            file.set_modified(SystemTime::now() - std::time::Duration::from_hours(hours)).unwrap();
        }
    }
}
