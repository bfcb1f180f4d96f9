//! A body as lines of JSON: bounded, and as many at once as are here.

use super::Error;
use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;

/// The longest line, in bytes. A piece of a log is far below; the list of a large fleet's instances is not much above.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// Lines that keep coming. Safe to cancel: what was read stays.
#[derive(Debug)]
pub struct Lines<T> {
    body: Incoming,
    buffer: BytesMut,
    /// So much of the buffer is known to hold no line feed.
    searched: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0, of: PhantomData }
    }

    /// The next line; `None` when the stream was ended in order.
    ///
    /// # Errors
    /// A stream that broke off, a line that is too long or not what it should be.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        loop {
            if let Some(line) = self.buffered()? {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(Error::lost(&error, true)),
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    return Err(Error::Lost { why: "the stream ended in the middle of a line".to_owned(), sent: true });
                }
            }
        }
    }

    /// A further line that is here already.
    ///
    /// # Errors
    /// As [`Lines::next`].
    pub fn buffered(&mut self) -> Result<Option<T>, Error> {
        loop {
            let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                if self.searched > LONGEST_LINE {
                    return Err(Error::Misunderstood(format!("a line is longer than {LONGEST_LINE} bytes")));
                }
                return Ok(None);
            };
            let line = self.buffer.split_to(self.searched + at);
            self.buffer.advance(1);
            self.searched = 0;
            // An empty line says that the connection lives.
            if !line.iter().all(u8::is_ascii_whitespace) {
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| Error::Misunderstood(error.to_string()));
            }
        }
    }
}
