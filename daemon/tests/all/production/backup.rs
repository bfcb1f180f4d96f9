//! A backup holds everything, and restores into an empty server.

use super::{output, repository};
use crate::support::{OwnPostgres, Program, TestDb, database, sample};
use nix::unistd::{chown, geteuid};
use secrecy::ExposeSecret;
use sqlx::{AssertSqlSafe, Executor, PgConnection, postgres::PgConnectOptions};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

/// A script of ours on a database, as the user that may reach it and is not root.
fn script(name: &str, db: &TestDb, argument: &Path) -> Command {
    let url = db.settings.url.expose_secret();
    let options: PgConnectOptions = url.parse().unwrap();
    let owner = options.get_socket().unwrap().metadata().unwrap();
    let path = repository(&format!("systemd/{name}"));
    let mut command = if geteuid().is_root() {
        let (user, group) = (owner.uid().to_string(), owner.gid().to_string());
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &user, "--regid", &group, "--clear-groups", "bash", "-c"]);
        // The repository may lie where that user may not read.
        command.arg(fs::read_to_string(path).unwrap()).arg(name);
        command
    } else {
        Command::new(path)
    };
    command.arg(argument).env("DATABASE_DIRECT_URL", url).env_remove("DATABASE_URL").current_dir("/");
    command
}

/// A folder that whoever runs the scripts may write into.
fn folder(db: &TestDb) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let options: PgConnectOptions = db.settings.url.expose_secret().parse().unwrap();
    let owner = options.get_socket().unwrap().metadata().unwrap();
    chown(folder.path(), Some(owner.uid().into()), Some(owner.gid().into())).unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    folder
}

fn backups(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Every row of every table, as a digest.
async fn content(raw: &mut PgConnection) -> BTreeMap<String, (i64, String)> {
    let mut content = BTreeMap::new();
    for table in sample::tables(raw).await {
        let sql = format!(
            "SELECT count(*), coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '') FROM \"{table}\" t"
        );
        let row: (i64, String) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *raw).await.unwrap();
        content.insert(table, row);
    }
    content
}

#[tokio::test]
async fn a_backup_restores_into_an_empty_server_and_is_the_same() {
    let db = database().await;
    let mut raw = db.raw().await;
    sample::insert_all(&mut raw).await;
    // What a hosted database gives its own roles, on every table there is and will be.
    let hosted = format!("anon_{}", std::process::id());
    let roles = format!(
        "CREATE ROLE {hosted}; GRANT USAGE ON SCHEMA public TO {hosted}; GRANT ALL ON ALL TABLES IN SCHEMA public TO {hosted}; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO {hosted}; \
         INSERT INTO bisect_jobs (id, source, good_sha, bad_sha, command, error) \
           VALUES (4711, '/src', repeat('a', 40), repeat('b', 40), '{{true}}', E'x\\nGRANT ALL TO nobody;\\n\\\\.\\nCREATE SCHEMA public;')"
    );
    raw.execute(AssertSqlSafe(roles)).await.unwrap();
    let before = content(&mut raw).await;
    assert!(before.values().filter(|(rows, _)| *rows > 0).count() > 10, "{before:?}");

    let folder = folder(&db);
    let old = folder.path().join("bisect_20200101_000000.sql.gz");
    fs::write(&old, "").unwrap();
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 9);
    fs::File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    let said = output(&mut script("backup.sh", &db, folder.path()));
    assert!(said.contains("restored and compared"), "{said}");
    let made = backups(folder.path());
    let [backup] = &made[..] else { panic!("one is kept, the old one is gone: {made:?}") };
    assert_eq!(backup.metadata().unwrap().mode() & 0o777, 0o600);

    let elsewhere = OwnPostgres::start().await;
    let restored = elsewhere.empty_database().await;
    let copy = folder_copy(&restored, backup);
    output(&mut script("restore.sh", &restored, &copy.path().join("backup.sql.gz")));
    assert_eq!(content(&mut restored.raw().await).await, before);
    // Ours: what people at the dashboard may read.
    let sql = "SELECT has_column_privilege('bisect_dashboard', 'bisect_jobs', 'pulls', 'SELECT') \
               AND NOT has_column_privilege('bisect_dashboard', 'bisect_jobs', 'spec', 'SELECT')";
    let (kept,): (bool,) = sqlx::query_as(sql).fetch_one(&mut restored.raw().await).await.unwrap();
    assert!(kept, "the rights of viewers");
    let drop = format!("DROP OWNED BY {hosted}; DROP ROLE {hosted}");
    raw.execute(AssertSqlSafe(drop)).await.unwrap();
    let program = |db: &TestDb| Program::new(folder.path()).env("DATABASE_URL", db.url());
    let status = program(&restored).args(["migrate", "status"]).run().await.expect(0);
    assert!(status.stdout.contains("is current"), "{}", status.stdout);

    // Migrations down and up again on the copy, with its rows.
    program(&restored).args(["migrate", "down"]).run().await.expect(0);
    program(&restored).args(["migrate", "up"]).run().await.expect(0);
    let again = script("restore.sh", &restored, &copy.path().join("backup.sql.gz")).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("not empty"), "{said}");
}

fn folder_copy(db: &TestDb, backup: &Path) -> tempfile::TempDir {
    let folder = folder(db);
    let copy = folder.path().join("backup.sql.gz");
    fs::copy(backup, &copy).unwrap();
    let owner = folder.path().metadata().unwrap();
    chown(&copy, Some(owner.uid().into()), Some(owner.gid().into())).unwrap();
    folder
}

#[tokio::test]
async fn a_database_without_our_tables_is_no_backup() {
    let db = crate::support::empty_database().await;
    let folder = folder(&db);
    let ran = script("backup.sh", &db, folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success() && said.contains("the right database"), "{said}");
    assert_eq!(backups(folder.path()), Vec::<PathBuf>::new());
}
