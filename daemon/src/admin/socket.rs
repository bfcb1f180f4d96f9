//! The socket of the admin API: who may connect is decided by its file's mode and folder, and by nothing else here.

use std::{
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// Owner and group may connect.
const MODE: u32 = 0o660;
/// A folder that is made for it: everybody may pass through, as in `/run`; the socket's own mode keeps them out.
const FOLDER_MODE: u32 = 0o755;

/// The longest path of a socket, by unix(7); it would be made under a shorter name, and nobody could reach it.
const LONGEST: usize = 107;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another program answers on it.
    #[error(
        "ADMIN_SOCKET: another bisectd answers on {}; stop it, or name another socket for this one (example: \
         ADMIN_SOCKET=/run/bisectd/second.sock)",
        .0.display()
    )]
    Live(PathBuf),
    /// Something else lies there.
    #[error("ADMIN_SOCKET: {} is there and is no socket; nothing was changed: remove it, or name another place", .0.display())]
    NoSocket(PathBuf),
    /// It cannot be made.
    #[error("ADMIN_SOCKET: {} cannot be made: {why}; name a place where this user may write (example: ADMIN_SOCKET=/run/bisectd/admin.sock)", path.display())]
    Unwritable {
        /// The socket.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The socket of this process, listening. Dropped, its file is removed, if it is still this one.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl Socket {
    /// Makes it, in the place of one that a dead process left.
    ///
    /// # Errors
    /// [`SocketError`]: somebody listens there, something else is there, or it cannot be made.
    pub async fn claim(path: &Path) -> Result<Self, SocketError> {
        let unwritable = |error: io::Error| SocketError::Unwritable { path: path.to_owned(), why: error.to_string() };
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(SocketError::NoSocket(path.to_owned()));
            }
            match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => return Err(SocketError::Live(path.to_owned())),
                Err(error) => return Err(unwritable(error)),
            }
        }
        if path.as_os_str().len() > LONGEST {
            let why = format!("its path is longer than the {LONGEST} bytes that a socket's may have");
            return Err(SocketError::Unwritable { path: path.to_owned(), why });
        }
        let folder = path.parent().ok_or_else(|| unwritable(io::ErrorKind::NotFound.into()))?;
        if !folder.exists() {
            std::fs::DirBuilder::new().mode(FOLDER_MODE).create(folder).map_err(unwritable)?;
        }
        // Under another name first: nobody can connect before its mode is right, and a stale one is replaced at once.
        let new = folder.join(format!(".{}", std::process::id()));
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unwritable(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(unwritable)?;
        let placed = std::fs::set_permissions(&new, PermissionsExt::from_mode(MODE))
            .and_then(|()| std::fs::metadata(&new))
            .and_then(|made| std::fs::rename(&new, path).map(|()| (made.dev(), made.ino())));
        match placed {
            Ok(file) => Ok(Self { listener, path: path.to_owned(), file }),
            Err(error) => {
                let _ = std::fs::remove_file(&new);
                Err(unwritable(error))
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection.
    ///
    /// # Errors
    /// As [`UnixListener::accept`].
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(socket = %self.path.display(), error = %error, "the console's socket was not removed");
        }
    }
}
