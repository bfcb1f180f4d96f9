//! The server itself: initdb, start, stop, and whether it answers.

use super::{PrivatePostgresError, binaries::Binaries, unwritable, user::ServerUser};
use crate::db::{DatabaseSettings, DbError, error::Place, pooler, settings::Which};
use sha2::{Digest, Sha256};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use std::{
    fs,
    os::unix::{ffi::OsStrExt, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// Its user, its database, and its socket's name: PostgreSQL numbers sockets like ports.
pub(super) const NAME: &str = "bisect";
const SOCKET: &str = ".s.PGSQL.5432";

/// `sockaddr_un.sun_path` holds 108 bytes, the last of which is a NUL (unix(7)).
const LONGEST_SOCKET: usize = 107;

/// The longest that start, crash recovery included, or stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that processes of a killed server are waited for.
pub(super) const ORPHANS: Duration = Duration::from_secs(10);

/// Sized for one machine. Durability is left as it is: nothing may be lost. There is no TCP: the
/// socket's folder says who may connect.
const OPTIONS: &str = "-c listen_addresses='' -c unix_socket_permissions=0700 -c max_connections=100 \
    -c shared_buffers=32MB -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=256MB -c jit=off \
    -c max_parallel_workers_per_gather=0 -c timezone=UTC -c log_timezone=UTC -c log_min_messages=warning \
    -c log_min_error_statement=panic";

/// One cluster: its folders and its user.
#[derive(Debug, Clone)]
pub(super) struct Server {
    /// `DATA_DIR/postgres`, ours.
    home: PathBuf,
    /// `home/data`, the server's.
    cluster: PathBuf,
    /// Holds socket and log, the server's; elsewhere when its path is too long for a socket.
    run: PathBuf,
    user: ServerUser,
}

impl Server {
    pub(super) fn locate(data_dir: &Path, home: &Path) -> Result<Self, PrivatePostgresError> {
        let data_dir = data_dir.canonicalize().map_err(unwritable(data_dir))?;
        let cluster = home.join("data");
        let user = ServerUser::for_cluster(&cluster)?;
        user.open_the_way(&data_dir, home)?;
        let mut run = home.join("run");
        if run.join(SOCKET).as_os_str().len() > LONGEST_SOCKET || run.to_str().is_none() {
            let name = hex::encode(&Sha256::digest(home.as_os_str().as_bytes())[..8]);
            run = PathBuf::from(format!("/tmp/bisect-bot-{name}"));
        }
        user.own_folder(&run)?;
        Ok(Self { home: home.to_owned(), cluster, run, user })
    }

    pub(super) fn socket_folder(&self) -> &Path {
        &self.run
    }

    pub(super) fn url(&self, database: &str) -> String {
        let folder = self.run.to_string_lossy();
        let folder = folder.bytes().map(percent_encoded).collect::<String>();
        format!("postgresql:///{database}?host={folder}&port=5432&user={NAME}")
    }

    pub(super) fn settings(&self, database: &str) -> DatabaseSettings {
        let mut settings = DatabaseSettings::new(self.url(database));
        settings.name = "the private PostgreSQL";
        settings.transaction_pooler = Some(false);
        settings
    }

    /// Whether somebody listens on the socket; it may still be starting.
    pub(super) fn answers(&self) -> bool {
        UnixStream::connect(self.run.join(SOCKET)).is_ok()
    }

    /// Starts it unless it runs, and makes it first if it was never made.
    pub(super) fn ensure_running(&self) -> Result<(), PrivatePostgresError> {
        if self.answers() {
            return Ok(());
        }
        let binaries = Binaries::find();
        let folder = binaries.folder(&self.cluster, self.made_by()?)?;
        if !self.cluster.exists() {
            self.init(folder)?;
        }
        self.shorten_log()?;
        let began = Instant::now();
        loop {
            let Err(error) = self.pg_ctl(folder, "start") else {
                return Ok(());
            };
            // A server that was killed leaves processes that end by themselves, and a file with
            // its process id, which may be somebody else's by now.
            if self.answers() {
                return Ok(()); // A starter that was killed had come this far.
            }
            if began.elapsed() > ORPHANS {
                return Err(self.with_log(error));
            }
            if self.forget_a_foreign_process()? {
                continue;
            }
            super::lock::pause(Duration::from_millis(200));
        }
    }

    pub(super) fn stop(&self, binaries: &Binaries) -> Result<(), PrivatePostgresError> {
        self.pg_ctl(binaries.folder(&self.cluster, self.made_by()?)?, "stop")
    }

    /// Waits until it takes connections, and makes sure that our database is there.
    pub(super) async fn create_database(&self) -> Result<(), DbError> {
        let (options, place) = self.settings(NAME).options(Which::Pooled)?;
        let began = Instant::now();
        loop {
            let Ok(answer) = timeout(PATIENCE, options.connect()).await else {
                return Err(DbError::timed_out(&place));
            };
            match answer {
                Ok(connection) => return close(connection, &place).await,
                Err(error) => match code(&error).as_deref() {
                    // cannot_connect_now: it recovers from a crash
                    Some("57P03") if began.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
                    // invalid_catalog_name
                    Some("3D000") => break,
                    _ => return Err(DbError::unreachable(&place, error)),
                },
            }
        }
        let (options, place) = self.settings("postgres").options(Which::Pooled)?;
        let mut connection = pooler::connect(&options, &place, PATIENCE).await?;
        let created = connection.execute("CREATE DATABASE bisect").await;
        created.map_err(|error| DbError::from_sqlx(error, &place))?;
        close(connection, &place).await
    }

    /// Into a folder beside it, which takes its place only when all is there.
    fn init(&self, binaries: &Path) -> Result<(), PrivatePostgresError> {
        let new = self.home.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(unwritable(&new))?;
        }
        self.user.own_folder(&new)?;
        let mut initdb = self.user.command(&binaries.join("initdb"));
        initdb.current_dir(&self.home).args(["-D", "data.new", "-U", NAME, "-E", "UTF8", "--locale=C"]);
        // Who may enter the socket's folder is the owner; nobody else gets that far.
        initdb.args(["--auth-local=trust", "--auth-host=reject"]);
        run("initdb", &mut initdb)?;
        fs::rename(&new, &self.cluster).map_err(unwritable(&self.cluster))
    }

    fn made_by(&self) -> Result<Option<u32>, PrivatePostgresError> {
        let path = self.cluster.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unwritable(&path)(error)),
        }
    }

    /// `pg_ctl` puts the paths it is given into a shell command, so it gets none of ours: only
    /// names below its working folder, and one of our own making.
    fn pg_ctl(&self, binaries: &Path, action: &str) -> Result<(), PrivatePostgresError> {
        let inside = self.run.starts_with(&self.home);
        let run_folder = if inside { "../run".to_owned() } else { self.run.display().to_string() };
        let log = if inside { "run/server.log".to_owned() } else { format!("{run_folder}/server.log") };
        let mut command = self.user.command(&binaries.join("pg_ctl"));
        command.current_dir(&self.home).args([action, "-D", "data", "-s", "-w", "-t", "60"]);
        if action == "start" {
            command.args(["-l", &log, "-o", &format!("{OPTIONS} -c unix_socket_directories={run_folder}")]);
            run("pg_ctl start", &mut command)
        } else {
            command.args(["-m", "fast"]);
            run("pg_ctl stop", &mut command)
        }
    }

    /// Process ids come round again. A `postmaster.pid` that names a process that is no server, or
    /// is one no more, keeps ours from starting; nobody listens, so it is out of date.
    fn forget_a_foreign_process(&self) -> Result<bool, PrivatePostgresError> {
        let path = self.cluster.join("postmaster.pid");
        match self.postmaster() {
            Some(pid) if !is_server(pid) && !self.is_stood_in() => {
                fs::remove_file(&path).map_err(unwritable(&path))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether the process that `postmaster.pid` names is there, and a server.
    pub(super) fn postmaster_lives(&self) -> bool {
        self.postmaster().is_some_and(is_server)
    }

    fn postmaster(&self) -> Option<u32> {
        let text = fs::read_to_string(self.cluster.join("postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// Whether a process stands in the data folder, as all of a server's do: a killed server's
    /// children may live on for a moment, and nobody else may write there meanwhile.
    fn is_stood_in(&self) -> bool {
        let Ok(entries) = fs::read_dir("/proc") else { return true };
        let mut folders = entries.flatten().filter_map(|entry| fs::read_link(entry.path().join("cwd")).ok());
        folders.any(|folder| folder == self.cluster)
    }

    fn shorten_log(&self) -> Result<(), PrivatePostgresError> {
        let log = self.run.join("server.log");
        match fs::metadata(&log) {
            Ok(found) if found.len() > 1 << 20 => {
                fs::rename(&log, self.run.join("server.log.old")).map_err(unwritable(&log))
            }
            _ => Ok(()),
        }
    }

    fn with_log(&self, error: PrivatePostgresError) -> PrivatePostgresError {
        let PrivatePostgresError::Failed { what, output } = error else {
            return error;
        };
        let log = fs::read(self.run.join("server.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).trim().to_owned();
        PrivatePostgresError::Failed { what, output: format!("{output}\n{log}") }
    }
}

/// Whether a process of this id lives and is a server. One that has ended and whose parent has not
/// asked for it (a container without an init process) is listed for ever, and lives no more.
fn is_server(pid: u32) -> bool {
    // proc(5): `pid (name) state …`
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else { return false };
    name.starts_with("post") && !rest.trim_start().starts_with(['Z', 'X'])
}

fn run(what: &'static str, command: &mut Command) -> Result<(), PrivatePostgresError> {
    let failed = |output: String| PrivatePostgresError::Failed { what, output };
    let output = command.output().map_err(|error| failed(format!("{}: {error}", command.get_program().display())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(format!("{}\n{}", output.status, String::from_utf8_lossy(&said).trim())))
}

async fn close(connection: PgConnection, place: &Place) -> Result<(), DbError> {
    connection.close().await.map_err(|error| DbError::from_sqlx(error, place))
}

fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|refusal| refusal.code()).map(|code| code.into_owned())
}

fn percent_encoded(byte: u8) -> String {
    match byte {
        b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    }
}
