//! Locks between processes: flock(2), which ends with the process, however that ends.

use super::{PrivatePostgresError, unwritable};
use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The longest wait for a lock: longer than a start with crash recovery usually takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A lock on a file, held until it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    pub(super) fn exclusive(path: &Path) -> Result<Self, PrivatePostgresError> {
        Self::wait(path, File::try_lock)
    }

    pub(super) fn shared(path: &Path) -> Result<Self, PrivatePostgresError> {
        Self::wait(path, File::try_lock_shared)
    }

    /// Makes a shared lock exclusive; `false` when others hold it too.
    pub(super) fn try_upgrade(&self) -> Result<bool, PrivatePostgresError> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(cause)) => Err(unwritable(&self.path)(cause)),
        }
    }

    fn wait(path: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<Self, PrivatePostgresError> {
        let file = open(path).map_err(unwritable(path))?;
        let start = Instant::now();
        loop {
            match lock(&file) {
                Ok(()) => {
                    return Ok(Self { file, path: path.to_owned() });
                }
                Err(TryLockError::Error(cause)) => return Err(unwritable(path)(cause)),
                Err(TryLockError::WouldBlock) if start.elapsed() > PATIENCE => {
                    return Err(PrivatePostgresError::Busy { seconds: PATIENCE.as_secs(), lock: path.to_owned() });
                }
                Err(TryLockError::WouldBlock) => pause(Duration::from_millis(10)),
            }
        }
    }
}

/// Waits between two looks. Everything here runs on a thread that may block.
#[expect(clippy::disallowed_methods, reason = "never called on a worker thread of tokio")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
}

impl Drop for FileLock {
    /// Not left to the file's closing: a child that another thread is just starting shares the
    /// file until it runs its program, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(path = %self.path.display(), error = %error, "a lock was not released");
        }
    }
}

/// The right to be the one `bisectd serve` of a `DATA_DIR`.
#[derive(Debug)]
pub struct ServeLock {
    _file: File,
}

/// Why this process may not serve from a `DATA_DIR`.
#[derive(Debug, thiserror::Error)]
pub enum ServeLockError {
    /// Another process does.
    #[error("`bisectd serve` already runs on DATA_DIR {} (process {holder}): stop it, or give this one a DATA_DIR of its own", data_dir.display())]
    Taken {
        /// The folder.
        data_dir: PathBuf,
        /// The process id of the other, as far as it has told.
        holder: String,
    },
    /// The folder cannot be written.
    #[error("DATA_DIR cannot be used: {}: {cause}; set DATA_DIR to a folder that this user may write", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What happened.
        cause: io::Error,
    },
}

impl ServeLock {
    /// Takes the lock, without waiting. It ends with the value, or with the process.
    ///
    /// # Errors
    /// [`ServeLockError::Taken`], naming the process that holds it.
    pub fn acquire(data_dir: &Path) -> Result<Self, ServeLockError> {
        let path = data_dir.join("serve.lock");
        let unwritable = |cause| ServeLockError::Unwritable { path: path.clone(), cause };
        fs::create_dir_all(data_dir).map_err(unwritable)?;
        let mut file = open(&path).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(unwritable)?;
                writeln!(file, "{}", std::process::id()).map_err(unwritable)?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).map_err(unwritable)?;
                let holder = if holder.trim().is_empty() { "unknown" } else { holder.trim() };
                Err(ServeLockError::Taken { data_dir: data_dir.to_owned(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(cause)) => Err(unwritable(cause)),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}
