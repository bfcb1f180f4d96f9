//! The private PostgreSQL: shared, unprivileged, hard to lose.

use crate::support::{Helper, Project, Running, World, eventually};
use bisectd::db::{
    Database, migrations,
    private::{PrivatePostgres, PrivatePostgresError, ServeLock},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rstest::rstest;
use sqlx::{Connection, Executor, PgConnection};
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        net::UnixStream,
    },
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

async fn start(data_dir: &Path) -> PrivatePostgres {
    PrivatePostgres::start(data_dir).await.unwrap()
}

async fn connect(postgres: &PrivatePostgres) -> PgConnection {
    PgConnection::connect(&postgres.url()).await.unwrap()
}

fn postmaster(data_dir: &Path) -> i32 {
    let file = fs::read_to_string(data_dir.join("postgres/data/postmaster.pid")).unwrap();
    file.lines().next().unwrap().parse().unwrap()
}

fn runs(data_dir: &Path) -> bool {
    UnixStream::connect(data_dir.join("postgres/run/.s.PGSQL.5432")).is_ok()
}

/// A user of the private PostgreSQL in a process of its own.
#[tokio::test]
#[ignore = "started by other tests, as a process of its own"]
async fn user() {
    let Some(folder) = Helper::folder() else {
        return;
    };
    let postgres = start(&folder).await;
    Helper::say("started");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_made_found_shared_and_stopped_by_the_last_one_out() {
    let folder = TempDir::new().unwrap();
    let began = Instant::now();
    let first = start(folder.path()).await;
    let made_in = began.elapsed();
    assert!(made_in < Duration::from_secs(15), "made in {made_in:?}");

    // Unprivileged, for nobody else, on a socket only.
    let server = fs::metadata(format!("/proc/{}", postmaster(folder.path()))).unwrap();
    assert_ne!(server.uid(), 0);
    assert_eq!(fs::metadata(first.socket_folder()).unwrap().permissions().mode() & 0o777, 0o700);
    let mut connection = connect(&first).await;
    let settings: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'listen_addresses', 'synchronous_commit') ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(settings, [("fsync", "on"), ("listen_addresses", ""), ("synchronous_commit", "on")]);

    // It holds our schema.
    migrations::up(&first.settings(), None).await.unwrap();
    assert!(!Database::connect(&first.settings()).await.unwrap().behind_transaction_pooler());

    // Two users in one process, and a third in another.
    let began = Instant::now();
    let second = start(folder.path()).await;
    let found_in = began.elapsed();
    assert!(found_in < Duration::from_secs(2), "found in {found_in:?}");
    println!("made in {made_in:?}, found in {found_in:?}");
    let mut third = Helper::start("private_postgres::user", folder.path());
    third.wait_for("started");
    first.stop().await.unwrap();
    drop(second);
    assert!(runs(folder.path()), "the third uses it");
    third.end();
    assert!(!runs(folder.path()), "the last one out stopped it");

    // A user that is killed leaves it to the next, who stops it.
    let mut killed = Helper::start("private_postgres::user", folder.path());
    killed.wait_for("started");
    let before = postmaster(folder.path());
    killed.kill();
    assert!(runs(folder.path()));
    let next = start(folder.path()).await;
    assert_eq!(postmaster(folder.path()), before, "the same server");
    drop(next);
    assert!(!runs(folder.path()));
}

#[tokio::test]
async fn it_survives_kill_9_with_everything_committed() {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let postgres = start(folder.path()).await;
    let mut connection = connect(&postgres).await;
    connection.execute("CREATE TABLE kept AS SELECT 42 AS answer").await.unwrap();
    kill(Pid::from_raw(postmaster(folder.path())), Signal::SIGKILL).unwrap();
    let again = start(folder.path()).await;
    let answer: (i32,) = sqlx::query_as("SELECT answer FROM kept").fetch_one(&mut connect(&again).await).await.unwrap();
    assert_eq!(answer, (42,));
    postgres.stop().await.unwrap();
    again.stop().await.unwrap();

    // After a loss of power the process id in the file may be somebody else's.
    let stale = format!(
        "{}\n{}\n0\n5432\n/nowhere\n\n0 0\nready\n",
        std::process::id(),
        folder.path().join("postgres/data").display()
    );
    let file = folder.path().join("postgres/data/postmaster.pid");
    fs::write(&file, stale).unwrap();
    let owner = fs::metadata(folder.path().join("postgres/data")).unwrap();
    chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
    start(folder.path()).await.stop().await.unwrap();

    // A cluster of another version is named, and left alone.
    fs::write(folder.path().join("postgres/data/PG_VERSION"), "12\n").unwrap();
    let error = PrivatePostgres::start(folder.path()).await.unwrap_err();
    assert!(matches!(error, PrivatePostgresError::OtherVersion { made_by: 12, .. }), "{error}");
    assert!(error.to_string().contains("apt-get install postgresql-12"), "{error}");
}

#[tokio::test]
async fn any_path_will_do() {
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join(format!("it's \"$(a)\" {}", "long ".repeat(20)));
    let postgres = start(&data_dir).await;
    assert!(postgres.socket_folder().starts_with("/tmp"), "a socket's path has 107 bytes at most");
    connect(&postgres).await;
    let socket_folder = postgres.socket_folder().to_owned();
    postgres.stop().await.unwrap();
    fs::remove_dir_all(socket_folder).unwrap();
}

#[tokio::test]
async fn a_data_dir_that_cannot_be_used_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = PrivatePostgres::start(&file.join("data")).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("DATA_DIR cannot be used: {}", file.display())), "{error}");
    // DATA_DIR itself is opened to the server's user; a folder above it is not ours to open.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    if nix::unistd::geteuid().is_root() {
        let error = PrivatePostgres::start(&folder.path().join("data")).await.unwrap_err();
        assert!(matches!(&error, PrivatePostgresError::Closed { path, .. } if path == folder.path()), "{error}");
    }
}

/// Somebody who serves, in a process of its own.
#[test]
#[ignore = "started by other tests, as a process of its own"]
fn server() {
    let Some(folder) = Helper::folder() else {
        return;
    };
    let _lock = ServeLock::acquire(&folder).unwrap();
    Helper::say(&format!("{}", std::process::id()));
}

#[test]
fn only_one_serves_from_a_data_dir() {
    let folder = TempDir::new().unwrap();
    let lock = ServeLock::acquire(folder.path()).unwrap();
    let error = ServeLock::acquire(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
    drop(lock);
    let mut other = Helper::start("private_postgres::server", folder.path());
    other.wait_for(&other.id().to_string());
    let error = ServeLock::acquire(folder.path()).unwrap_err().to_string();
    assert!(error.contains(&format!("(process {})", other.id())), "{error}");
    other.kill();
    ServeLock::acquire(folder.path()).unwrap();
}

/// How many processes of the server there are: each stands in its data folder.
fn servers(data_dir: &Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let folders = entries.filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
    folders.filter(|folder| folder.starts_with(data_dir)).count()
}

/// As the system does when memory is short, or a person who mistook it for another one.
#[rstest]
#[case::of_one_process(1)]
#[case::of_two_processes(2)]
#[tokio::test]
async fn private_postgres_killed_under_a_job_is_started_again_and_the_job_goes_on(#[case] processes: usize) {
    let world = World::new(Project::linear(17)).await;
    let (hold, tally) = (world.path("hold"), world.path("tally"));
    let (held, listed) = (hold.display(), tally.display());
    let script = format!(
        "n=$(cat n); echo $n >>{listed}; if test $n = 8; then while test -e {held}; do sleep 0.05; done; fi; test $n -lt 11"
    );
    fs::write(&hold, "").unwrap();
    let bisect = || world.bisect("c0", "main", &["--json", "--jobs", "1"]).without("DATABASE_URL");
    let running: Vec<Running> = (0..processes).map(|_| bisect().args(["--", "sh", "-c", &script]).start()).collect();
    let tested = || fs::read_to_string(&tally).unwrap_or_default();
    eventually("the midpoint runs", async || tested().lines().any(|n| n == "8").then_some(())).await;
    // Of two that queue at once the second number may win: the other one's was drawn for nothing.
    let joined =
        async || running.iter().all(|process| process.stderr().contains("looking for the culprit")).then_some(());
    eventually("all wait for the job", joined).await;
    let data_dir = world.data_dir();
    let killed = postmaster(&data_dir);
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    // Nobody comes: the process that runs the job does it itself.
    let again = async || (runs(&data_dir) && postmaster(&data_dir) != killed).then_some(());
    eventually("it is started again", again).await;
    fs::remove_file(&hold).unwrap();
    for process in running {
        let ran = process.end().await.expect(0);
        assert_eq!(ran.field("culprit"), world.project.sha("c11").to_string(), "{}", ran.stderr);
    }
    let mut twice: Vec<u32> = tested().lines().map(|n| n.parse().unwrap()).collect();
    let all = twice.len();
    twice.sort_unstable();
    twice.dedup();
    assert_eq!(all - twice.len(), 2, "only the proof runs a commit twice, the culprit and its parent: {}", tested());
    assert_eq!(servers(&data_dir), 0, "the last one out stopped it");
    world.nothing_is_left().await;
}
