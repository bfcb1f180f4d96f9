//! A way to Docker that a test can cut and mend, as if Docker stopped: others use the real one.

use std::path::{Path, PathBuf};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

const DOCKER: &str = "/var/run/docker.sock";

/// A socket that leads to Docker while it is whole.
pub struct DockerLink {
    socket: PathBuf,
    listening: Option<JoinHandle<()>>,
}

impl DockerLink {
    pub fn new(socket: &Path) -> Self {
        let mut link = Self { socket: socket.to_owned(), listening: None };
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
        let listener = UnixListener::bind(&self.socket).unwrap();
        self.listening = Some(tokio::spawn(async move {
            // Dropped with this task, the set ends every connection.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client));
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

async fn forward(mut client: UnixStream) {
    let Ok(mut docker) = UnixStream::connect(DOCKER).await else { return };
    // A connection that breaks is what this is for.
    drop(tokio::io::copy_bidirectional(&mut client, &mut docker).await);
}
