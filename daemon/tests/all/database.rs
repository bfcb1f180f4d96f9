//! The schema, the connection and its limits, row-level security.

use crate::support::{Pooler, database, empty_database, sample};
use bisect_shared::{InstanceId, JobId};
use bisectd::{
    db::{
        Database, DatabaseSettings, DbError, LeaseError, RocketDb, jobs,
        migrations::{self, MigrationError, SchemaState},
        probes::probes,
    },
    queue::{Claim, Clocks, Queue},
};
use rocket_db_pools::{Connection as Guard, Database as _, Pool};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Everything that a migration can make, as text.
async fn schema(raw: &mut PgConnection) -> BTreeSet<String> {
    let sql = "
        SELECT format('column %s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT format('policy %s %s %s', tablename, policyname, qual) FROM pg_policies
        UNION ALL SELECT format('trigger %s', pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT format('function %s', proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT format('table %s %s %s %s', relname, relrowsecurity, reloptions, relacl) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
        UNION ALL SELECT format('grant %s.%s %s', table_name, column_name, privilege_type)
            FROM information_schema.column_privileges WHERE grantee = 'bisect_dashboard'
        UNION ALL SELECT format('rate limit %s %s', tier, max_concurrent) FROM limits()";
    // The seeds count too, where their table is there.
    let limits = "CREATE OR REPLACE FUNCTION pg_temp.limits() RETURNS TABLE (tier text, max_concurrent int) \
        LANGUAGE plpgsql AS $$ BEGIN IF to_regclass('rate_limits') IS NOT NULL THEN \
        RETURN QUERY EXECUTE 'SELECT tier, max_concurrent FROM rate_limits'; END IF; END $$";
    raw.execute(limits).await.unwrap();
    let sql = sql.replace("FROM limits()", "FROM pg_temp.limits()");
    let rows: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(raw).await.unwrap();
    // An empty list of rights is as good as none.
    rows.into_iter().map(|(row,)| row.replace("{bisect=arwdDxt/bisect}", "")).collect()
}

#[tokio::test]
async fn every_migration_goes_up_and_down_and_up_over_sample_rows() {
    let world = empty_database().await;
    let mut raw = world.raw().await;
    let versions: Vec<i64> =
        migrations::status(&world.settings).await.unwrap().iter().map(|migration| migration.version).collect();
    // Up one by one, each with rows in its tables, and each once down and up again over them.
    let mut schemas = vec![schema(&mut raw).await];
    for &version in &versions {
        migrations::up(&world.settings, Some(version)).await.unwrap();
        let after = schema(&mut raw).await;
        sample::insert(&mut raw, version).await;
        let left = migrations::down(&world.settings, None).await.unwrap();
        assert_eq!(left.iter().filter(|migration| migration.applied_at.is_some()).count(), schemas.len() - 1);
        if schemas.len() > 1 {
            assert_eq!(schema(&mut raw).await, schemas[schemas.len() - 1], "down of {version}");
        }
        migrations::up(&world.settings, Some(version)).await.unwrap();
        assert_eq!(schema(&mut raw).await, after, "up, down and up of {version}");
        sample::insert(&mut raw, version).await;
        schemas.push(after);
    }
    for table in sample::tables(&mut raw).await {
        let sql = format!("SELECT count(*) FROM {table}");
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut raw).await.unwrap();
        assert!(rows > 0, "{table} has a sample row");
    }
    // All the way down at once, and up again.
    migrations::down(&world.settings, Some(0)).await.unwrap();
    assert_eq!(sample::tables(&mut raw).await, BTreeSet::new());
    assert_eq!(migrations::check_schema(&world.db).await.unwrap(), SchemaState::Empty);
    migrations::up(&world.settings, None).await.unwrap();
    assert_eq!(Some(&schema(&mut raw).await), schemas.last());
    assert_eq!(migrations::history(&world.settings).await.unwrap().len(), versions.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runners_at_once_migrate_once() {
    let world = empty_database().await;
    let runs = [migrations::up(&world.settings, None), migrations::up(&world.settings, None)];
    for run in futures::future::join_all(runs).await {
        assert!(run.unwrap().iter().all(|migration| migration.applied_at.is_some()));
    }
}

#[tokio::test]
async fn every_other_schema_is_told_apart_and_says_what_to_run() {
    let world = empty_database().await;
    let versions: Vec<i64> =
        migrations::status(&world.settings).await.unwrap().iter().map(|migration| migration.version).collect();
    let (first, newest) = (versions[0], versions[versions.len() - 1]);
    let state = async || migrations::check_schema(&world.db).await.unwrap();
    assert_eq!(state().await, SchemaState::Empty);
    migrations::up(&world.settings, Some(first)).await.unwrap();
    assert_eq!(state().await, SchemaState::Older { applied: first, needed: newest });
    assert!(state().await.to_string().ends_with("run `bisectd migrate up`"));
    migrations::up(&world.settings, None).await.unwrap();
    assert_eq!(state().await, SchemaState::Current);

    let unknown = migrations::down(&world.settings, Some(7)).await.unwrap_err();
    assert!(matches!(unknown, MigrationError::UnknownVersion { version: 7, .. }), "{unknown}");

    let mut raw = world.raw().await;
    let meddle = async |raw: &mut PgConnection, sql: &'static str| {
        let mut undo = raw.begin().await.unwrap();
        undo.execute(sql).await.unwrap();
        undo.commit().await.unwrap();
        let state = migrations::check_schema(&world.db).await.unwrap();
        // Neither way is a schema touched that no migration leads to.
        for refused in [migrations::up(&world.settings, None).await, migrations::down(&world.settings, None).await] {
            assert!(matches!(refused, Err(MigrationError::Schema(_))), "{refused:?}");
        }
        state
    };
    let newer = meddle(&mut raw, "INSERT INTO _sqlx_migrations SELECT 99990101000000, 'later', now(), true, '', 0");
    assert_eq!(newer.await, SchemaState::Newer { applied: 99_990_101_000_000, known: newest });
    raw.execute("DELETE FROM _sqlx_migrations WHERE version = 99990101000000").await.unwrap();
    for (sql, cause) in [
        ("UPDATE _sqlx_migrations SET success = false WHERE version = 20260101000002", "did not finish"),
        (
            "UPDATE _sqlx_migrations SET success = true, checksum = '\\x00' WHERE version = 20260101000002",
            "another file",
        ),
        ("DELETE FROM _sqlx_migrations WHERE version = 20260101000002", "is missing below"),
        ("DROP TABLE _sqlx_migrations", "no record of migrations"),
    ] {
        let state = meddle(&mut raw, sql).await;
        assert!(matches!(&state, SchemaState::HalfMigrated { cause: found } if found.contains(cause)), "{state:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let mut settings = DatabaseSettings::new("postgresql://ada:hunter2@127.0.0.1:1/bisect");
    let error = Database::connect(&settings).await.unwrap_err();
    assert!(error.is_unreachable());
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1/bisect (DATABASE_URL)") && !text.contains("hunter2"), "{text}");

    let world = empty_database().await;
    settings.direct_url = Some(world.url().replace("/test_", "/no_such_").into());
    let error = migrations::up(&settings, None).await.unwrap_err().to_string();
    assert!(error.contains("(DATABASE_DIRECT_URL)") && error.contains("does not exist"), "{error}");

    let bad = DatabaseSettings::new("ada:hunter2@example.com");
    let error = Database::connect(&bad).await.unwrap_err().to_string();
    assert!(error.starts_with("DATABASE_URL is not a database URL") && !error.contains("hunter2"), "{error}");
}

fn queue(db: Database) -> Queue {
    Queue::new(db, InstanceId("a".to_owned()), Clocks::default(), "here".to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_too_long_ends_and_the_connection_is_good_again() {
    let world = database().await;
    let mut settings = world.settings.clone();
    settings.call_timeout = Duration::from_millis(200);
    settings.max_connections = 1;
    let queue = queue(Database::connect(&settings).await.unwrap());
    queue.enqueue(&sample::local_job()).await.unwrap();
    let (lease, _) = queue.claim(Claim::Any).await.unwrap().unwrap();
    let mut raw = world.raw().await;
    let mut lock = raw.begin().await.unwrap();
    lock.execute("SELECT FROM bisect_jobs FOR UPDATE").await.unwrap();
    let began = Instant::now();
    let late = queue.renew(&lease).await;
    assert!(matches!(late, Err(LeaseError::Database(DbError::TimedOut { .. }))), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
    lock.rollback().await.unwrap();
    queue.renew(&lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_were_cut_are_replaced_without_an_error() {
    let world = database().await;
    let queue = queue(world.db.clone());
    futures::future::try_join_all((0..6).map(|_| sample::enqueue(&queue))).await.unwrap();
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.raw().await.execute(cut).await.unwrap();
    for _ in 0..6 {
        assert!(queue.claim(Claim::Any).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_undone_and_gives_its_connection_back() {
    let world = database().await;
    let mut settings = world.settings.clone();
    settings.max_connections = 1;
    let db = Database::connect(&settings).await.unwrap();
    let queue = queue(db.clone());
    queue.enqueue(&sample::local_job()).await.unwrap();
    let (lease, _) = queue.claim(Claim::Any).await.unwrap().unwrap();
    for _ in 0..3 {
        let mut tx = db.begin().await.unwrap();
        assert!(queue.finish_in(&mut tx, &lease, &bisectd::queue::Outcome::cancelled()).await.unwrap());
    }
    queue.renew(&lease).await.unwrap();
}

#[tokio::test]
async fn a_viewer_sees_what_row_level_security_allows() {
    let world = database().await;
    let mut raw = world.raw().await;
    sample::insert_all(&mut raw).await;
    let unprotected: Vec<(String,)> = sqlx::query_as(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relrowsecurity",
    )
    .fetch_all(&mut raw)
    .await
    .unwrap();
    assert!(unprotected.is_empty(), "row-level security on every table: {unprotected:?}");

    // Job 1 is of a private repository that user 1 may see; job 2 is local; job 3 is public.
    let sees = async |user: Option<i64>| {
        let mut seen = Vec::new();
        for id in 1..=3 {
            let mut tx = world.db.begin_as_viewer(user).await.unwrap();
            let job = jobs::find_visible(&mut tx, JobId(id)).await.unwrap();
            let probes = probes(&mut tx, JobId(id)).await.unwrap();
            assert!(job.is_some() || probes.is_empty());
            seen.extend(job.map(|job| job.id.0));
        }
        seen
    };
    assert_eq!(sees(Some(1)).await, [1, 3]);
    assert_eq!(sees(Some(2)).await, [3]);
    assert_eq!(sees(None).await, [3]);
    raw.execute("UPDATE user_repositories SET expires_at = now()").await.unwrap();
    assert_eq!(sees(Some(1)).await, [3], "what GitHub said is out of date");

    // Secrets and other people's rows are out of reach, and nothing can be written.
    raw.execute("SET ROLE bisect_dashboard; SET app.user_id = '1'").await.unwrap();
    for forbidden in [
        "SELECT access_token FROM users",
        "SELECT 1 FROM sessions",
        "SELECT 1 FROM webhook_deliveries",
        "SELECT 1 FROM outbox",
        "SELECT 1 FROM verdicts",
        // The values of --env, and a hash over them.
        "SELECT spec FROM bisect_jobs",
        "SELECT request_key FROM bisect_jobs",
        "SELECT * FROM bisect_jobs",
        "UPDATE bisect_jobs SET priority = 9",
        "INSERT INTO audit_events (actor, channel, action) VALUES ('ada', 'web', 'x')",
    ] {
        let refused = raw.execute(forbidden).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{forbidden}: {refused}");
    }
    let (users,): (i64,) = sqlx::query_as("SELECT count(id) FROM users").fetch_one(&mut raw).await.unwrap();
    assert_eq!(users, 1);
}

#[tokio::test]
async fn migrations_and_viewers_need_no_superuser() {
    let world = empty_database().await;
    let mut raw = world.raw().await;
    let role = "DO $$ BEGIN CREATE ROLE test_owner LOGIN CREATEROLE; \
                EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
    raw.execute(role).await.unwrap();
    let owner = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO test_owner', current_database()); END $$";
    raw.execute(owner).await.unwrap();
    let settings = DatabaseSettings::new(world.url().replace("user=bisect", "user=test_owner"));
    migrations::up(&settings, None).await.unwrap();
    let db = Database::connect(&settings).await.unwrap();
    assert!(!db.behind_transaction_pooler(), "found out by asking");
    let id = queue(db.clone()).enqueue(&sample::local_job()).await.unwrap().job;
    let mut tx = db.begin().await.unwrap();
    assert!(jobs::find(&mut tx, id).await.unwrap().is_some());
    let mut tx = db.begin_as_viewer(None).await.unwrap();
    assert!(jobs::find_visible(&mut tx, id).await.unwrap().is_none());
    migrations::down(&settings, Some(0)).await.unwrap();
}

/// As the second owner on a server with PostgreSQL 16 or newer, or one that may make no roles.
#[tokio::test]
async fn an_owner_who_cannot_have_the_viewers_role_is_told_what_to_run() {
    let world = empty_database().await;
    let mut raw = world.raw().await;
    let roles = "DO $$ BEGIN CREATE ROLE bisect_dashboard NOLOGIN; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
                 DO $$ BEGIN CREATE ROLE test_second LOGIN; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
                 ALTER ROLE test_second NOCREATEROLE; REVOKE bisect_dashboard FROM test_second; \
                 DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO test_second', current_database()); END $$";
    raw.execute(roles).await.unwrap();
    let settings = DatabaseSettings::new(world.url().replace("user=bisect", "user=test_second"));
    let refused = migrations::up(&settings, None).await.unwrap_err();
    let MigrationError::ViewersRole { way_out, .. } = &refused else { panic!("{refused:?}") };
    assert!(way_out.contains("GRANT bisect_dashboard TO test_second"), "{way_out}");
    assert!(refused.to_string().contains(way_out.as_str()), "{refused}");
    assert_eq!(migrations::history(&settings).await.unwrap().len(), 0, "nothing is half done");
    raw.execute(AssertSqlSafe(way_out.clone())).await.unwrap();
    migrations::up(&settings, None).await.unwrap();
    let db = Database::connect(&settings).await.unwrap();
    db.begin_as_viewer(None).await.unwrap();
}

#[tokio::test]
async fn deleting_an_installation_deletes_all_that_was_its() {
    let world = database().await;
    let mut raw = world.raw().await;
    sample::insert_all(&mut raw).await;
    raw.execute("DELETE FROM installations").await.unwrap();
    for table in ["repositories", "usage_stats", "user_repositories", "verdicts", "outbox"] {
        let sql = format!("SELECT count(*) FROM {table}");
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut raw).await.unwrap();
        assert_eq!(rows, 0, "{table}");
    }
    let left: Vec<(i64,)> = sqlx::query_as("SELECT id FROM bisect_jobs").fetch_all(&mut raw).await.unwrap();
    assert_eq!(left, [(2,)], "the local job");
}

#[rocket::get("/job/<id>")]
async fn job(mut db: Guard<RocketDb>, id: i64) -> Option<String> {
    let job = jobs::find(&mut db, JobId(id)).await.ok()??;
    Some(job.status.to_string())
}

#[tokio::test]
async fn rocket_serves_from_the_same_pool() {
    let world = database().await;
    let queue = queue(world.db.clone());
    let id = queue.enqueue(&sample::local_job()).await.unwrap().job;
    let figment = rocket::Config::figment().merge(("databases.bisect.url", world.url())).merge(("log_level", "off"));
    let rocket = rocket::custom(figment).attach(RocketDb::init()).mount("/", rocket::routes![job]);
    let client = rocket::local::asynchronous::Client::tracked(rocket).await.unwrap();
    for _ in 0..30 {
        let answer = client.get(format!("/job/{id}")).dispatch().await;
        assert_eq!(answer.into_string().await.as_deref(), Some("pending"));
    }
    // Rocket closes its pools when its shutdown starts; ours stays open for the jobs.
    let pool = RocketDb::fetch(client.rocket()).unwrap();
    pool.close().await;
    let db = pool.database();
    db.begin().await.unwrap().commit().await.unwrap();
    db.close().await;
    assert!(db.begin().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_but_migrations_works_through_a_transaction_pooler() {
    let world = database().await;
    let pooler = Pooler::start(&world);
    let mut settings = pooler.settings("transaction");
    let db = Database::connect(&settings).await.unwrap();
    assert!(db.behind_transaction_pooler());
    let error = migrations::status(&settings).await.unwrap_err().to_string();
    assert!(
        error.starts_with("DATABASE_URL leads to a transaction-mode pooler") && error.contains("DATABASE_DIRECT_URL")
    );
    // A session-mode pooler will do.
    settings.direct_url = Some(pooler.settings("session").url.expose_secret().to_owned().into());
    migrations::status(&settings).await.unwrap();

    // Three servers' connections, and more clients than that.
    let queue = queue(db);
    futures::future::try_join_all((0..40).map(|_| sample::enqueue(&queue))).await.unwrap();
    let workers = (0..8).map(|_| {
        let queue = queue.clone();
        tokio::spawn(async move {
            let mut claimed = 0;
            while let Some((lease, _)) = queue.claim(Claim::Any).await.unwrap() {
                queue.renew(&lease).await.unwrap();
                queue.finish(&lease, &bisectd::queue::Outcome::failed("done")).await.unwrap();
                claimed += 1;
            }
            claimed
        })
    });
    let mut claimed = 0;
    for worker in workers.collect::<Vec<_>>() {
        claimed += worker.await.unwrap();
    }
    assert_eq!(claimed, 40);
    assert_eq!(migrations::check_schema(queue.database()).await.unwrap(), SchemaState::Current);
}
