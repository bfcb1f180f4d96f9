//! One private PostgreSQL for all tests, and a database of its own for each.
//!
//! It lives in a folder that belongs to this target folder, so that every test process of a run
//! finds it (nextest starts one per test). A keeper, this very binary started once more, holds it
//! while tests run and a little longer, and then stops it.

use super::poll::eventually;
use bisectd::db::{Database, DatabaseSettings, migrations, private::PrivatePostgres};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

const KEEPER: &str = "BISECT_TEST_KEEPER";

/// How long the server outlives the last test.
const LINGER: Duration = Duration::from_secs(3);

/// A database for one test, migrated, dropped at the test's end.
pub struct TestDb {
    /// The pool under test.
    pub db: Database,
    /// How it was reached.
    pub settings: DatabaseSettings,
    name: String,
    server: Server,
}

impl TestDb {
    /// A URL for other programs, a daemon for example.
    pub fn url(&self) -> String {
        self.settings.url.expose_secret().to_owned()
    }

    /// A connection of the test's own, to look or meddle by hand.
    pub async fn raw(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // In a runtime of its own: the test's may be about to end.
        let dropped = std::thread::spawn(move || {
            let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            runtime().block_on(async { server.admin().await.execute(AssertSqlSafe(sql)).await.map(drop) })
        });
        let result = dropped.join().unwrap();
        if !std::thread::panicking() {
            result.unwrap();
        }
    }
}

/// A new database with all migrations applied.
pub async fn database() -> TestDb {
    let server = server().await;
    new_database(server, &server.template().await).await
}

/// A new database with nothing in it.
pub async fn empty_database() -> TestDb {
    new_database(server().await, "template0").await
}

async fn new_database(server: &Server, template: &str) -> TestDb {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
    server.admin().await.execute(AssertSqlSafe(sql)).await.unwrap();
    let settings = server.settings(&name);
    let db = Database::connect(&settings).await.unwrap();
    TestDb { db, settings, name, server: server.clone() }
}

/// A PostgreSQL of one test's own, which it may stop, kill and start again.
pub struct OwnPostgres {
    // Before its folder, so that it is stopped before that is removed.
    running: Option<PrivatePostgres>,
    server: Server,
    folder: TempDir,
}

impl OwnPostgres {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The server's user must be able to enter it.
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let running = PrivatePostgres::start(folder.path()).await.unwrap();
        let server = Server { url: running.url(), folder: folder.path().to_owned() };
        Self { folder, running: Some(running), server }
    }

    /// A new database on it, with all migrations applied.
    pub async fn database(&self) -> TestDb {
        new_database(&self.server, &self.server.template().await).await
    }

    /// A new database on it with nothing in it.
    pub async fn empty_database(&self) -> TestDb {
        new_database(&self.server, "template0").await
    }

    /// A session on the server that belongs to no test's database.
    pub async fn admin(&self) -> PgConnection {
        self.server.admin().await
    }

    /// Stopped as an operator stops it: sessions are ended, nothing is lost.
    pub async fn stop(&mut self) {
        self.running.take().expect("it runs").stop().await.unwrap();
    }

    pub async fn start_again(&mut self) {
        self.running = Some(PrivatePostgres::start(self.folder.path()).await.unwrap());
    }

    /// `kill -9`. Its guard starts it again, and it recovers from its log.
    pub async fn crash(&self) {
        let pid_file = self.folder.path().join("postgres/data/postmaster.pid");
        let pid = || fs::read_to_string(&pid_file).ok()?.lines().next()?.parse::<i32>().ok();
        let crashed = pid().expect("it runs");
        kill(Pid::from_raw(crashed), Signal::SIGKILL).unwrap();
        eventually("PostgreSQL is there again", async || {
            let another = pid().is_some_and(|pid| pid != crashed);
            let url = self.server.settings("postgres").url;
            (another && PgConnection::connect(url.expose_secret()).await.is_ok()).then_some(())
        })
        .await;
    }
}

#[derive(Clone)]
struct Server {
    folder: PathBuf,
    url: String,
}

async fn server() -> &'static Server {
    static SERVER: OnceCell<(Server, PrivatePostgres, File)> = OnceCell::const_new();
    let started = SERVER.get_or_init(|| async {
        let folder = folder();
        fs::create_dir_all(&folder).unwrap();
        // Statics are never dropped: these locks end with the process.
        let in_use = lock_file(&folder, "tests.lock");
        in_use.lock_shared().unwrap();
        let postgres = PrivatePostgres::start(&folder).await.unwrap();
        start_keeper(&folder);
        (Server { url: postgres.url(), folder }, postgres, in_use)
    });
    &started.await.0
}

impl Server {
    fn settings(&self, database: &str) -> DatabaseSettings {
        let mut settings = DatabaseSettings::new(self.url.replacen("/bisect?", &format!("/{database}?"), 1));
        settings.transaction_pooler = Some(false);
        settings
    }

    async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.settings("postgres").url.expose_secret()).await.unwrap()
    }

    /// A migrated database to copy, made once for each state of the migrations.
    async fn template(&self) -> String {
        let name = format!("template_{}", migrations::fingerprint());
        let lock = lock_file(&self.folder, "template.lock");
        lock.lock().unwrap();
        let mut admin = self.admin().await;
        let there: Option<(i32,)> = sqlx::query_as("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(&name)
            .fetch_optional(&mut admin)
            .await
            .unwrap();
        if there.is_none() {
            for sql in [
                "ALTER SYSTEM SET fsync = off",
                "SELECT pg_reload_conf()",
                "DROP DATABASE IF EXISTS test_new",
                "CREATE DATABASE test_new",
            ] {
                admin.execute(sql).await.unwrap();
            }
            migrations::up(&self.settings("test_new"), None).await.unwrap();
            let sql = format!("ALTER DATABASE test_new RENAME TO {name}");
            admin.execute(AssertSqlSafe(sql)).await.unwrap();
        }
        name
    }
}

fn folder() -> PathBuf {
    let id = hex::encode(&Sha256::digest(env!("CARGO_TARGET_TMPDIR"))[..6]);
    let user = nix::unistd::geteuid();
    // In the temporary folder: the server's user may not enter every target folder.
    std::env::temp_dir().join(format!("bisect-bot-tests-{user}-{id}"))
}

fn lock_file(folder: &Path, name: &str) -> File {
    File::options().create(true).truncate(false).write(true).open(folder.join(name)).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[expect(clippy::zombie_processes, reason = "it outlives this process")]
fn start_keeper(folder: &Path) {
    if lock_file(folder, "keeper.lock").try_lock().is_err() {
        return;
    }
    // Two may be started at once: the second finds the lock taken and ends.
    let mut keeper = Command::new(std::env::current_exe().unwrap());
    keeper.args(["--exact", "support::postgres::keeper", "--ignored"]).env(KEEPER, "1");
    keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
    keeper.spawn().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, which has nothing else to do")]
fn linger() {
    std::thread::sleep(LINGER);
}

#[test]
#[ignore = "started by the other tests, as a process of its own"]
fn keeper() {
    if std::env::var_os(KEEPER).is_none() {
        return;
    }
    let folder = folder();
    let alone = lock_file(&folder, "keeper.lock");
    if alone.try_lock().is_err() {
        return;
    }
    let runtime = runtime();
    let postgres = runtime.block_on(PrivatePostgres::start(&folder)).unwrap();
    let tests = lock_file(&folder, "tests.lock");
    loop {
        linger();
        if tests.try_lock().is_ok() {
            break;
        }
    }
    runtime.block_on(async {
        let server = Server { url: postgres.url(), folder };
        remove_left_overs(&server).await;
        postgres.stop().await.unwrap();
    });
    // In this order: a test that waits for `tests` must find that there is no keeper.
    drop(alone);
    drop(tests);
}

async fn remove_left_overs(server: &Server) {
    let mut admin = server.admin().await;
    let sql = "SELECT datname::text FROM pg_database WHERE datname LIKE 'test\\_%' OR (datname LIKE 'template\\_%' AND datname <> $1)";
    let template = format!("template_{}", migrations::fingerprint());
    let names: Vec<(String,)> = sqlx::query_as(sql).bind(template).fetch_all(&mut admin).await.unwrap();
    for (name,) in names {
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}
