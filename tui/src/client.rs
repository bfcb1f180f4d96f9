//! HTTP/2 over one stream: typed calls and streams of lines. Every call has a time limit, every body a size limit.
//!
//! It does not connect, does not repeat, and does not know what is asked for when.

mod lines;

pub use lines::Lines;

use bisect_shared::admin::{API_VERSION, Problem, VERSION_HEADER};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::timeout,
};

/// The longest answer that is read, in bytes. A job with thousands of runs takes a few.
const LONGEST_BODY: usize = 64 * 1024 * 1024;
/// What one stream may have under way: less than the connection's, so that a log which nobody reads holds up nothing.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The daemon said no.
    #[error("{message}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// The connection ended before the answer. `sent`: the request may have been carried out.
    #[error("{why}")]
    Lost {
        /// What the stream said.
        why: String,
        /// Whether any of the request may have reached the daemon.
        sent: bool,
    },
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// A daemon of a later protocol.
    #[error(
        "bisectd there speaks version {theirs} of the console's protocol, this bisect-tui only {API_VERSION}: upgrade bisect-tui"
    )]
    Newer {
        /// The daemon's [`API_VERSION`].
        theirs: u32,
    },
    /// Not what the protocol says.
    #[error("an answer that makes no sense: {0}")]
    Misunderstood(String),
}

impl Error {
    fn lost(error: &hyper::Error, sent: bool) -> Self {
        // hyper's own text is "connection error"; the reason is below it.
        let mut why = error.to_string();
        let mut below = std::error::Error::source(error);
        while let Some(reason) = below {
            why = format!("{why}: {reason}");
            below = reason.source();
        }
        Self::Lost { why: crate::plain::line(&why), sent }
    }
}

/// Speaks to one daemon. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    sender: http2::SendRequest<Full<Bytes>>,
    limit: Duration,
}

impl Client {
    /// Begins to speak HTTP/2 over `io`; the task moves the bytes until the connection ends, and ends it when aborted.
    ///
    /// # Errors
    /// A stream that takes no bytes.
    pub async fn start<T>(io: T, limit: Duration) -> Result<(Self, JoinHandle<()>), Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| Error::lost(&error, false))?;
        let task = tokio::spawn(async move {
            // Whoever waits for an answer hears of it as well.
            let _ = connection.await;
        });
        Ok((Self { sender, limit }, task))
    }

    /// `GET`, the answer as JSON.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        within(self.limit, self.call(request(Method::GET, path, Bytes::new())?)).await
    }

    /// `POST` with a body of JSON, once: an answer that is lost is not asked for again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Misunderstood(error.to_string()))?;
        within(self.limit, self.call(request(Method::POST, path, body.into())?)).await
    }

    /// `GET`, the answer as lines of JSON that keep coming. With `patient`, the beginning may take any time.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream<T: DeserializeOwned>(&self, path: &str, patient: bool) -> Result<Lines<T>, Error> {
        let asked = async {
            let answer = self.send(request(Method::GET, path, Bytes::new())?).await?;
            if answer.status().is_success() { Ok(Lines::new(answer.into_body())) } else { Err(refusal(answer).await) }
        };
        if patient { asked.await } else { within(self.limit, asked).await }
    }

    async fn call<T: DeserializeOwned>(&self, request: Request<Full<Bytes>>) -> Result<T, Error> {
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let body = collect(answer).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Misunderstood(error.to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        let mut sender = self.sender.clone();
        let answer = sender.try_send_request(request).await.map_err(|mut failed| {
            let sent = failed.take_message().is_none();
            Error::lost(failed.error(), sent)
        })?;
        let version = answer.headers().get(VERSION_HEADER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        match version {
            Some(theirs) if theirs > API_VERSION => Err(Error::Newer { theirs }),
            Some(_) => Ok(answer),
            None => Err(Error::Misunderstood(format!("it lacks {VERSION_HEADER}, so it is not bisectd's"))),
        }
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(limit, call).await.unwrap_or(Err(Error::Late(limit)))
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::builder().method(method).uri(format!("http://bisectd{path}"));
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    request.body(Full::new(body)).map_err(|error| Error::Misunderstood(error.to_string()))
}

async fn collect(answer: Response<Incoming>) -> Result<Bytes, Error> {
    match Limited::new(answer.into_body(), LONGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => match error.downcast_ref::<hyper::Error>() {
            Some(error) => Err(Error::lost(error, true)),
            None => Err(Error::Misunderstood(format!("longer than {LONGEST_BODY} bytes"))),
        },
    }
}

async fn refusal(answer: Response<Incoming>) -> Error {
    let status = answer.status();
    match collect(answer).await {
        Ok(body) => {
            let message = serde_json::from_slice::<Problem>(&body).map_or_else(
                |_| format!("bisectd answers {status}: {}", String::from_utf8_lossy(&body)),
                |problem| problem.error,
            );
            Error::Refused { status, message: crate::plain::line(&message) }
        }
        Err(error) => error,
    }
}

/// What stands in a segment of a path as it is (RFC 3986, 3.3, without `%` and what begins a query).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, and what cursors are made of.
const VALUE: &AsciiSet = &SEGMENT.remove(b':').remove(b',');

/// One segment of a path.
#[must_use]
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// `path` with a query, from those values that there are.
#[must_use]
pub fn with_query(path: &str, values: &[(&str, Option<String>)]) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in values {
        if let Some(value) = value {
            out.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, VALUE)));
            separator = '&';
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(segment("bot-1/../x y"), "bot-1%2F..%2Fx%20y");
        assert_eq!(with_query("/v1/jobs", &[("before", None), ("limit", None)]), "/v1/jobs");
        let after = ("after", Some("1:2,3:4".to_owned()));
        assert_eq!(with_query("/l", &[("a", Some("b&c".to_owned())), after]), "/l?a=b%26c&after=1:2,3:4");
    }
}
