//! A PostgreSQL of our own in `DATA_DIR`, for use without `DATABASE_URL`.
//!
//! Made from the installed server binaries, on a Unix socket only, as an unprivileged user. All
//! `bisectd` processes with the same `DATA_DIR` share it; the last one out stops it.

mod binaries;
mod guard;
mod lock;
mod server;
mod user;

pub use lock::{ServeLock, ServeLockError};

use super::{DatabaseSettings, DbError};
use binaries::Binaries;
use guard::Guard;
use lock::FileLock;
use server::Server;
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Why there is no private PostgreSQL.
#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    /// No server binaries on this machine.
    #[error(
        "no PostgreSQL server is installed, and DATABASE_URL is not set: install it (Debian and Ubuntu: \
         `apt-get install postgresql`, or `make setup` in the source folder), or set DATABASE_URL"
    )]
    NotInstalled,
    /// The data was written by another major version.
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, and installed is {installed}: install PostgreSQL \
         {made_by} (Debian and Ubuntu: `apt-get install postgresql-{made_by}`), or move the folder away to start \
         with an empty database", cluster.display()
    )]
    OtherVersion {
        /// The data folder.
        cluster: PathBuf,
        /// The version that made it.
        made_by: u32,
        /// The versions there are.
        installed: String,
    },
    /// `DATA_DIR` cannot be written.
    #[error("DATA_DIR cannot be used: {}: {cause}; set DATA_DIR to a folder that this user may write", path.display())]
    Unwritable {
        /// The folder or file.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
    /// The server's user may not pass a folder on the way.
    #[error(
        "PostgreSQL runs as user `{user}`, who may not enter {}: set DATA_DIR to a folder outside of it \
         (/var/lib/bisect-bot), or allow it with `chmod o+x`", path.display()
    )]
    Closed {
        /// The folder.
        path: PathBuf,
        /// The server's user.
        user: String,
    },
    /// Started by root, and there is nobody else to run it as.
    #[error("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")]
    NoUser,
    /// One of the server's programs failed.
    #[error("{what} failed: {output}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// What it said.
        output: String,
    },
    /// Another process is starting or stopping it, and does not come to an end.
    #[error("another process has been starting or stopping the private PostgreSQL for {seconds} s ({})", lock.display())]
    Busy {
        /// How long was waited.
        seconds: u64,
        /// Its lock.
        lock: PathBuf,
    },
    /// It runs and cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// This process's use of the private PostgreSQL of a `DATA_DIR`.
///
/// When the last use ends, by [`PrivatePostgres::stop`] or by being dropped, the server is
/// stopped cleanly. A killed process leaves it running for the next. A server that is killed
/// while it is used is started again by its users.
#[derive(Debug)]
pub struct PrivatePostgres {
    server: Server,
    start_lock: PathBuf,
    /// Shared by all users; `None` once this one has left.
    users: Option<FileLock>,
    /// Set once the server has been seen running.
    guard: Option<Guard>,
}

impl PrivatePostgres {
    /// Finds it running, or starts it, or makes it.
    ///
    /// # Errors
    /// [`PrivatePostgresError`]: each names the way out.
    pub async fn start(data_dir: &Path) -> Result<Self, PrivatePostgresError> {
        let data_dir = data_dir.to_owned();
        // Files, locks and child processes: nothing of it is asynchronous.
        let (mut this, start) = blocking(move || Self::enter(&data_dir)).await?;
        let began = Instant::now();
        loop {
            let server = this.server.clone();
            blocking(move || server.ensure_running()).await?;
            match this.server.create_database().await {
                // It was killed between the two.
                Err(error) if error.is_unreachable() && began.elapsed() < server::ORPHANS => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                created => break created?,
            }
        }
        drop(start);
        this.guard = Some(Guard::start(this.server.clone(), this.start_lock.clone()));
        Ok(this)
    }

    /// Becomes a user. The start lock comes back too: the caller has something to do under it.
    fn enter(data_dir: &Path) -> Result<(Self, FileLock), PrivatePostgresError> {
        let home = make_folder(&data_dir.join("postgres"))?;
        let start_lock = home.join("start.lock");
        let start = FileLock::exclusive(&start_lock)?;
        let users = FileLock::shared(&home.join("users.lock"))?;
        let server = Server::locate(data_dir, &home)?;
        Ok((Self { server, start_lock, users: Some(users), guard: None }, start))
    }

    /// Whether there is one in `data_dir`, running or not; else the first start makes it.
    #[must_use]
    pub fn is_made(data_dir: &Path) -> bool {
        data_dir.join("postgres").join("data").exists()
    }

    /// How to connect to it.
    #[must_use]
    pub fn settings(&self) -> DatabaseSettings {
        self.server.settings(server::NAME)
    }

    /// The same as a URL that libpq and the drivers read. It holds no secret.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(server::NAME)
    }

    /// The folder of its socket, its log and, while it runs, nothing else.
    #[must_use]
    pub fn socket_folder(&self) -> &Path {
        self.server.socket_folder()
    }

    /// Ends this use, and stops the server if no other process uses it.
    ///
    /// # Errors
    /// [`PrivatePostgresError::Failed`] when the server does not stop.
    pub async fn stop(mut self) -> Result<(), PrivatePostgresError> {
        blocking(move || self.leave()).await
    }

    fn leave(&mut self) -> Result<(), PrivatePostgresError> {
        let Some(users) = self.users.take() else {
            return Ok(());
        };
        if let Some(guard) = &self.guard {
            guard.leave();
        }
        // Nobody comes in while this is held, so "nobody else is in" stays true.
        let _start = FileLock::exclusive(&self.start_lock)?;
        if users.try_upgrade()? && self.server.answers() {
            self.server.stop(&Binaries::find())?;
        }
        Ok(())
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(error = %error, "the private PostgreSQL was not stopped");
        }
    }
}

fn make_folder(path: &Path) -> Result<PathBuf, PrivatePostgresError> {
    std::fs::create_dir_all(path).map_err(unwritable(path))?;
    path.canonicalize().map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> PrivatePostgresError {
    let path = path.to_owned();
    |cause| PrivatePostgresError::Unwritable { path, cause }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PrivatePostgresError> + Send + 'static,
) -> Result<T, PrivatePostgresError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(PrivatePostgresError::Failed { what: "starting a thread", output: error.to_string() }),
        },
    }
}
