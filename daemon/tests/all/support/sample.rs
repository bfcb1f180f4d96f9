//! Sample rows and requests.

use bisect_shared::Sha;
use bisectd::{
    db::DbError,
    queue::{Enqueued, NewJob, Origin, Queue},
};
use serde_json::json;
use sqlx::{Executor, PgConnection};
use std::{collections::BTreeSet, time::Duration};

/// A commit with this number.
pub fn sha(number: u8) -> Sha {
    Sha::from_bytes([number; 20])
}

/// A request without an installation.
pub fn local_job() -> NewJob {
    NewJob {
        origin: Origin::Local { source: "/src/project".to_owned(), affinity: None },
        request_key: None,
        requested_by: Some("ada".to_owned()),
        retry_of: None,
        good: sha(1),
        more_good: vec![sha(2)],
        bad: sha(3),
        command: vec!["pytest".to_owned(), "-x".to_owned()],
        setup: Some("pip install -e .".to_owned()),
        image: None,
        lanes: 2,
        timeout: Some(Duration::from_millis(1500)),
        max_duration: None,
        spec: json!({ "first_parent": true }),
        priority: 0,
    }
}

/// Queues a request without an installation.
pub async fn enqueue(queue: &Queue) -> Result<Enqueued, DbError> {
    queue.enqueue(&local_job()).await
}

/// Puts rows into the tables that this migration makes.
pub async fn insert(raw: &mut PgConnection, version: i64) {
    let sql = match version {
        20260101000001 => OWNER,
        20260101000002 => ENGINE,
        20260101000003 => SERVICE,
        20260101000010 => UPKEEP,
        20261126011700 => TAMPERED,
        20261126081500 => CONSOLE,
        20261126132903 => SIGN_IN,
        20261126171500 => SAMPLES,
        20261126171700 => JOB_PAGES,
        20261126211500 => FINGERPRINTS,
        20260101000004..=20260101000006 | 20261126010940 | 20261126011800 | 20261126083600 => return,
        _ => panic!("migration {version} has no sample rows"),
    };
    raw.execute(sql).await.unwrap();
}

/// Puts rows into every table.
pub async fn insert_all(raw: &mut PgConnection) {
    for sql in [OWNER, ENGINE, SERVICE, UPKEEP] {
        raw.execute(sql).await.unwrap();
    }
}

/// Every table but the migrations' own.
pub async fn tables(raw: &mut PgConnection) -> BTreeSet<String> {
    let sql = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tablename <> '_sqlx_migrations'";
    let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(raw).await.unwrap();
    rows.into_iter().map(|(table,)| table).collect()
}

const SIGN_IN: &str = "UPDATE users SET repositories_until = now(), repositories_asking_until = now()";

const JOB_PAGES: &str = "UPDATE bisect_jobs SET pulls = '{}', spec = '{\"env\": [[\"TOKEN\", \"hush\"]]}' WHERE id = 1";

const OWNER: &str = "
    INSERT INTO users (id, github_id, github_login, access_token) VALUES (1, 11, 'ada', 'x'), (2, 12, 'eve', 'x')
        ON CONFLICT DO NOTHING;
    INSERT INTO installations (installation_id, account_type, account_login, account_id, installed_by_user_id)
        VALUES (5, 'User', 'ada', 11, 1) ON CONFLICT DO NOTHING;
    INSERT INTO repositories (id, github_id, installation_id, owner, name, full_name, private)
        VALUES (1, 21, 5, 'ada', 'secret', 'ada/secret', true), (2, 22, 5, 'ada', 'open', 'ada/open', false)
        ON CONFLICT DO NOTHING;
    INSERT INTO bisect_jobs (id, installation_id, repository_id, source, good_sha, bad_sha, command) VALUES
        (1, 5, 1, NULL, repeat('a', 40), repeat('b', 40), '{pytest}'),
        (2, NULL, NULL, '/src', repeat('a', 40), repeat('b', 40), '{pytest}'),
        (3, 5, 2, NULL, repeat('a', 40), repeat('b', 40), '{pytest}') ON CONFLICT DO NOTHING;
    INSERT INTO usage_stats (installation_id, period, jobs) VALUES (5, '2026-01-01', 3) ON CONFLICT DO NOTHING;";

const UPKEEP: &str = "
    INSERT INTO redeliveries (delivery_id) VALUES ('d-2') ON CONFLICT DO NOTHING;
    INSERT INTO job_totals VALUES ('completed', 0);";

const ENGINE: &str = "
    INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane)
        SELECT id, id, 1, repeat('c', 40), 'search', 0 FROM bisect_jobs ON CONFLICT DO NOTHING;
    INSERT INTO log_chunks (probe_id, seq, bytes) SELECT id, 0, 'x' FROM probes ON CONFLICT DO NOTHING;
    INSERT INTO job_events (job_id, seq, kind, epoch) SELECT id, 1, 'queued', 0 FROM bisect_jobs ON CONFLICT DO NOTHING;
    INSERT INTO instances (id, host, affinity, version, max_jobs) VALUES ('a', 'h', 'h:/data', '1', 4)
        ON CONFLICT DO NOTHING;
    INSERT INTO verdicts (scope, commit_sha, circumstances, installation_id, repository_id, verdict, ending, exit_code, seconds, probe_id)
        VALUES ('repository 1', repeat('c', 40), sha256('x'), 5, 1, 'good', 'exited', 0, 1, 1) ON CONFLICT DO NOTHING;";

const TAMPERED: &str = "
    INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane, ending, finished_at)
        VALUES (1001, 3, 1, repeat('d', 40), 'search', 0, 'tampered', now()) ON CONFLICT DO NOTHING;";

const FINGERPRINTS: &str = "
    UPDATE probes SET fingerprint = '0000feed' WHERE ending = 'exited';
    UPDATE verdicts SET fingerprint = '0000feed';";

const SAMPLES: &str = "
    INSERT INTO probes (id, job_id, epoch, commit_sha, purpose, lane)
        VALUES (1002, 3, 1, repeat('e', 40), 'sample', 0) ON CONFLICT DO NOTHING;";

const CONSOLE: &str = "
    UPDATE bisect_jobs SET candidates = 9, strip = '{\"pieces\": [[\"good\", 4], [\"candidate\", 5]]}' WHERE id = 1;
    UPDATE probes SET subject = 'Fix it', position = 3 WHERE id = 1;
    UPDATE instances SET max_probes = 4, docker = true;";

const SERVICE: &str = "
    INSERT INTO webhook_deliveries (delivery_id, event, action, installation_id, comment_id, payload, job_id)
        VALUES ('d-1', 'issue_comment', 'created', 5, 31, '{\"a\": \"\\u0000\"}', 1) ON CONFLICT DO NOTHING;
    INSERT INTO outbox (reply_key, job_id, installation_id, kind, target, body)
        VALUES ('job 1 status', 1, 5, 'status', '{}', '{}') ON CONFLICT DO NOTHING;
    INSERT INTO sessions (token_hash, user_id, expires_at) VALUES (sha256('x'), 1, now()) ON CONFLICT DO NOTHING;
    INSERT INTO user_repositories (user_id, repository_id, permission, expires_at)
        VALUES (1, 1, 'write', now() + interval '10 minutes') ON CONFLICT DO NOTHING;
    INSERT INTO audit_events (actor, actor_user_id, channel, action) VALUES ('ada', 1, 'web', 'sign_in');";
