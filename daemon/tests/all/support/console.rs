//! The console's side of the admin socket, as plain HTTP: what a test asks, and what it is told.

use super::{World, poll::PATIENCE};
use bisect_shared::admin::Event;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::path::PathBuf;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// A way to the socket of one service.
pub struct Console {
    pub socket: PathBuf,
    /// Said before anything else, on every connection.
    pub preamble: String,
}

/// One connection.
pub enum Http {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Http {
    pub async fn one(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self::One(sender)
    }

    pub async fn two(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
        tokio::spawn(connection);
        Self::Two(sender)
    }

    /// The answer's head, or what was wrong with the connection.
    pub async fn ask(&mut self, method: Method, path: &str, body: &str) -> Result<Response<Incoming>, hyper::Error> {
        let address = if matches!(self, Self::One(_)) { path.to_owned() } else { format!("http://bisectd{path}") };
        let request = Request::builder().method(method).uri(address).header("host", "bisectd");
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let answer = async {
            match self {
                Self::One(sender) => sender.send_request(request).await,
                Self::Two(sender) => sender.send_request(request).await,
            }
        };
        timeout(PATIENCE, answer).await.expect("an answer")
    }

    /// Status and JSON.
    pub async fn get(&mut self, path: &str) -> (u16, Value) {
        read(self.ask(Method::GET, path, "").await.unwrap()).await
    }
}

/// Status and JSON of an answer.
pub async fn read(answer: Response<Incoming>) -> (u16, Value) {
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:?}")))
}

impl Console {
    /// Of the service with this name.
    pub fn of(world: &World, name: &str) -> Self {
        Self { socket: world.path(name).join("admin.sock"), preamble: String::new() }
    }

    /// The same, as this operator.
    pub fn operator(world: &World, name: &str, operator: &str) -> Self {
        Self { preamble: format!("BISECT-OPERATOR {operator}\n"), ..Self::of(world, name) }
    }

    async fn connect(&self) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(self.preamble.as_bytes()).await.unwrap();
        stream
    }

    pub async fn one(&self) -> Http {
        Http::one(self.connect().await).await
    }

    pub async fn two(&self) -> Http {
        Http::two(self.connect().await).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.one().await.get(path).await
    }

    pub async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        read(self.two().await.ask(Method::POST, path, body).await.unwrap()).await
    }

    /// The field of an answer that must be good.
    #[track_caller]
    pub fn good((status, answer): (u16, Value)) -> Value {
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// A stream of lines.
    pub async fn lines(&self, path: &str) -> Lines {
        let answer = self.two().await.ask(Method::GET, path, "").await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        Lines::of(answer)
    }
}

/// What comes, line by line.
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    pub fn of(answer: Response<Incoming>) -> Self {
        Self { body: answer.into_body(), buffer: Vec::new() }
    }

    /// The next line; `None` at the end, and an error where the stream broke off.
    pub async fn next(&mut self) -> Option<Result<String, hyper::Error>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(Ok(String::from_utf8(line).unwrap()));
            }
            match timeout(PATIENCE, self.body.frame()).await.expect("a word") {
                None => return None,
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> Event {
        let line = self.next().await.expect("the stream goes on").unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// The next event from which something can be made.
    pub async fn until<T>(&mut self, what: &str, mut made: impl FnMut(&Event) -> Option<T>) -> T {
        let mut heard = Vec::new();
        let wanted = async {
            loop {
                let event = self.event().await;
                if let Some(made) = made(&event) {
                    return made;
                }
                heard.push(event);
            }
        };
        match timeout(PATIENCE, wanted).await {
            Ok(made) => made,
            Err(_) => panic!("waited in vain: {what}; heard {heard:#?}"),
        }
    }
}
