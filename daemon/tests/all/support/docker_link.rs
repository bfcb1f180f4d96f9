//! A way to Docker, or to PostgreSQL, that a test can cut and mend, as if that stopped: others use
//! the real one.

use std::path::{Path, PathBuf};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

const DOCKER: &str = "/var/run/docker.sock";

/// A socket that leads to Docker while it is whole.
pub struct DockerLink {
    socket: PathBuf,
    target: PathBuf,
    listening: Option<JoinHandle<()>>,
}

impl DockerLink {
    pub fn new(socket: &Path) -> Self {
        Self::to(socket, Path::new(DOCKER))
    }

    /// The same to another socket: PostgreSQL's.
    pub fn to(socket: &Path, target: &Path) -> Self {
        let mut link = Self { socket: socket.to_owned(), target: target.to_owned(), listening: None };
        link.mend();
        link
    }

    /// For `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Every connection breaks, and no new one can be made.
    pub fn cut(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            std::fs::remove_file(&self.socket).unwrap();
        }
    }

    pub fn mend(&mut self) {
        if self.listening.is_some() {
            return;
        }
        let listener = UnixListener::bind(&self.socket).unwrap();
        let target = self.target.clone();
        self.listening = Some(tokio::spawn(async move {
            // Dropped with this task, the set ends every connection.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, target.clone()));
            }
        }));
    }
}

impl Drop for DockerLink {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn forward(mut client: UnixStream, target: PathBuf) {
    let Ok(mut server) = UnixStream::connect(target).await else { return };
    // A connection that breaks is what this is for.
    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
}
