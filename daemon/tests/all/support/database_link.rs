//! A way to a test's database that the test can cut, stall and mend, or on which one answer gets lost:
//! others use the real one.

use super::TestDb;
use sqlx::postgres::PgConnectOptions;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};

const PORT: u16 = 5432;

/// A socket that leads to the database while it is whole.
pub struct DatabaseLink {
    folder: PathBuf,
    server: PathBuf,
    database: String,
    listening: Option<JoinHandle<()>>,
    lost: Arc<Lost>,
    /// While it is set nothing passes, and nobody is told.
    stalled: watch::Sender<bool>,
}

/// After the client sent `words`, the answer to its next commit is lost with the connection, once.
#[derive(Default)]
struct Lost {
    words: &'static str,
    times: AtomicU32,
}

impl DatabaseLink {
    /// Makes a folder with the socket in it.
    pub fn new(world: &TestDb, folder: &Path) -> Self {
        Self::losing(world, folder, "")
    }

    /// The same, and the answer to the commit of a transaction with `words` in it gets lost, once; of none
    /// without `words`.
    pub fn losing(world: &TestDb, folder: &Path, words: &'static str) -> Self {
        std::fs::create_dir(folder).unwrap();
        let options: PgConnectOptions = world.url().parse().unwrap();
        let server = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
        let database = options.get_database().unwrap().to_owned();
        let lost = Arc::new(Lost { words, times: AtomicU32::new(0) });
        let mut link = Self {
            folder: folder.to_owned(),
            server,
            database,
            listening: None,
            lost,
            stalled: watch::Sender::new(false),
        };
        link.mend();
        link
    }

    /// For `DATABASE_URL`.
    pub fn url(&self) -> String {
        format!("postgresql:///{}?host={}&port={PORT}&user=bisect", self.database, self.folder.display())
    }

    /// Every connection breaks, and no new one can be made.
    pub fn cut(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            std::fs::remove_file(self.socket()).unwrap();
        }
    }

    /// Nothing passes any more, on connections that are there and on new ones, and none breaks: a
    /// network that swallows everything.
    pub fn stall(&self) {
        self.stalled.send_replace(true);
    }

    /// Everything passes again, what was held back first.
    pub fn mend(&mut self) {
        self.stalled.send_replace(false);
        if self.listening.is_some() {
            return;
        }
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (server, lost, stalled) = (self.server.clone(), Arc::clone(&self.lost), self.stalled.subscribe());
        self.listening = Some(tokio::spawn(async move {
            // Dropped with this task, the set ends every connection.
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(forward(client, server.clone(), Arc::clone(&lost), stalled.clone()));
            }
        }));
    }

    /// How many answers were lost.
    pub fn lost(&self) -> u32 {
        self.lost.times.load(Ordering::Relaxed)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }
}

impl Drop for DatabaseLink {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn forward(client: UnixStream, server: PathBuf, lost: Arc<Lost>, stalled: watch::Receiver<bool>) {
    let Ok(server) = UnixStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // A connection that breaks is what this is for.
    tokio::select! {
        () = requests(&mut from_client, &mut to_server, &lost, stalled.clone()) => {
            // The commit is done when the server answers it.
            drop(from_server.read(&mut [0; 64]).await);
        }
        () = answers(&mut from_server, &mut to_client, stalled) => {}
    }
}

/// Passes on what the client says. Returns when it has said everything, or has just sent the commit
/// whose answer is to be lost.
async fn requests(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    lost: &Lost,
    mut stalled: watch::Receiver<bool>,
) {
    let (mut buffer, mut said) = (vec![0; 64 << 10], false);
    while let Ok(count @ 1..) = client.read(&mut buffer).await {
        let sent = &buffer[..count];
        let has = |words: &str| sent.windows(words.len()).any(|window| window == words.as_bytes());
        said |= !lost.words.is_empty() && has(lost.words);
        let loses = said && has("COMMIT") && lost.times.load(Ordering::Relaxed) == 0;
        if loses {
            lost.times.store(1, Ordering::Relaxed);
        }
        passes(&mut stalled).await;
        if server.write_all(sent).await.is_err() || loses {
            return;
        }
    }
}

async fn answers(server: &mut OwnedReadHalf, client: &mut OwnedWriteHalf, mut stalled: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = server.read(&mut buffer).await {
        passes(&mut stalled).await;
        if client.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Waits while the link is stalled.
async fn passes(stalled: &mut watch::Receiver<bool>) {
    // An error means that the link is gone, and this task with it.
    let _gone = stalled.wait_for(|stalled| !stalled).await.map(drop);
}
