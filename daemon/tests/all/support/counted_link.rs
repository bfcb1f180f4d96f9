//! A way to the test's PostgreSQL on which every statement is counted.

use super::postgres::TestDb;
use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

const SOCKET: &str = ".s.PGSQL.5432";
/// The request for TLS, after which the session begins once more.
const TLS: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// A socket that leads to PostgreSQL.
pub struct CountedLink {
    url: String,
    statements: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

impl CountedLink {
    pub fn to(db: &TestDb, folder: &Path) -> Self {
        let url: PgConnectOptions = db.settings.url.expose_secret().parse().unwrap();
        let target = url.get_socket().unwrap().join(SOCKET);
        let listener = UnixListener::bind(folder.join(SOCKET)).unwrap();
        let statements = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&statements);
        let listening = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&target).await.unwrap();
                connections.spawn(forward(client, server, Arc::clone(&seen)));
            }
        });
        let url =
            format!("postgresql:///{}?host={}&port=5432&user=bisect", url.get_database().unwrap(), folder.display());
        Self { url, statements, listening }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The statements since the last time, those that were prepared before by `(prepared)`.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.statements.lock().unwrap())
    }
}

impl Drop for CountedLink {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn forward(client: UnixStream, server: UnixStream, seen: Arc<Mutex<Vec<String>>>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    // The first message of a session has no type.
    let mut typed = false;
    // A connection that ends is no trouble.
    while let Ok(message) = message(&mut from_client, typed).await {
        match message.first() {
            Some(b'Q') if typed => {
                let text = String::from_utf8_lossy(&message[5..message.len() - 1]).into_owned();
                seen.lock()
                    .unwrap()
                    .extend(text.split(';').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()));
            }
            Some(b'E') if typed => seen.lock().unwrap().push("(prepared)".to_owned()),
            _ => {}
        }
        typed = typed || message[4..] != TLS;
        if to_server.write_all(&message).await.is_err() {
            break;
        }
    }
    answers.abort();
}

async fn message(from: &mut (impl AsyncReadExt + Unpin), typed: bool) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    if typed {
        message.push(from.read_u8().await?);
    }
    let length = from.read_u32().await?;
    message.extend(length.to_be_bytes());
    let rest = usize::try_from(length).unwrap() - 4;
    let begin = message.len();
    message.resize(begin + rest, 0);
    from.read_exact(&mut message[begin..]).await?;
    Ok(message)
}
