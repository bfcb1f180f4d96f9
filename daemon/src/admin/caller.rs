//! Who speaks on a connection: the user at its other end, as the kernel says, and the operator's name, where the
//! connection begins with one.

use crate::actions::Actor;
use bisect_shared::admin::{LONGEST_OPERATOR, OPERATOR_PREAMBLE, is_operator};
use bytes::{Buf, BytesMut};
use nix::unistd::{Uid, User};
use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::UnixStream,
    sync::OnceCell,
};

/// The longest preamble: the word, the name, a line feed.
const LONGEST: usize = OPERATOR_PREAMBLE.len() + LONGEST_OPERATOR + 1;

/// The other end of one connection. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Caller {
    uid: Option<u32>,
    user: Arc<OnceCell<String>>,
    operator: Arc<OnceLock<String>>,
}

impl Caller {
    /// Who this connection is with, and the connection, from which a preamble is taken.
    pub fn meet(stream: UnixStream) -> (Self, Spoken) {
        let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
        let caller = Self { uid, user: Arc::default(), operator: Arc::default() };
        let opening = Opening::Reading(BytesMut::with_capacity(LONGEST));
        let spoken = Spoken { stream, opening, operator: Arc::clone(&caller.operator) };
        (caller, spoken)
    }

    /// The name under which this connection's actions stand in the audit.
    pub async fn name(&self) -> String {
        match self.operator.get() {
            Some(name) => name.clone(),
            None => self.user().await,
        }
    }

    /// Who does what this connection asks for.
    pub async fn actor(&self) -> Actor {
        let (name, user) = (self.name().await, self.user().await);
        let user = self.operator.get().map(|_| user);
        Actor { name, channel: "console", user, account: None }
    }

    /// The user's name, or number where it has none.
    async fn user(&self) -> String {
        let Some(uid) = self.uid else { return "unknown user".to_owned() };
        let look_up = || async move {
            // A directory server may be asked, which may take its time.
            let found = tokio::task::spawn_blocking(move || User::from_uid(Uid::from_raw(uid))).await;
            match found {
                Ok(Ok(Some(user))) => user.name,
                _ => format!("uid {uid}"),
            }
        };
        self.user.get_or_init(look_up).await.clone()
    }
}

/// A connection without its preamble.
#[derive(Debug)]
pub struct Spoken {
    stream: UnixStream,
    opening: Opening,
    operator: Arc<OnceLock<String>>,
}

#[derive(Debug)]
enum Opening {
    /// The first bytes, which may become a preamble.
    Reading(BytesMut),
    /// What was read of what follows.
    Over(BytesMut),
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
enum Beginning {
    /// More is needed to tell.
    Unknown,
    /// No preamble.
    Other,
    /// A name, and how long the preamble is.
    Named(String, usize),
    /// A preamble without a name that may stand in the audit.
    Bad,
}

fn beginning(bytes: &[u8]) -> Beginning {
    let word = OPERATOR_PREAMBLE.as_bytes();
    let common = bytes.len().min(word.len());
    if bytes[..common] != word[..common] {
        return Beginning::Other;
    }
    let Some(rest) = bytes.strip_prefix(word) else { return Beginning::Unknown };
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => match std::str::from_utf8(&rest[..end]) {
            Ok(name) if is_operator(name) => Beginning::Named(name.to_owned(), word.len() + end + 1),
            _ => Beginning::Bad,
        },
        None if rest.len() > LONGEST_OPERATOR => Beginning::Bad,
        None => Beginning::Unknown,
    }
}

impl Spoken {
    /// Reads until it is known how the connection begins.
    fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Opening::Reading(first) = &mut self.opening {
            let mut space = [0; LONGEST];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let ended = buffer.filled().is_empty();
            first.extend_from_slice(buffer.filled());
            match beginning(first) {
                Beginning::Unknown if !ended => continue,
                Beginning::Bad => {
                    tracing::warn!("a connection to the console's socket began with a name that cannot be one; closed");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "no operator's name")));
                }
                Beginning::Named(name, length) => {
                    first.advance(length);
                    // The opening is read once.
                    let _ = self.operator.set(name);
                }
                Beginning::Other | Beginning::Unknown => {}
            }
            self.opening = Opening::Over(std::mem::take(first));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Spoken {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_opening(cx))?;
        if let Opening::Over(rest) = &mut this.opening
            && !rest.is_empty()
        {
            let count = rest.len().min(buffer.remaining());
            buffer.put_slice(&rest[..count]);
            rest.advance(count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Spoken {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn a_preamble_is_known_by_its_word_and_its_end() {
        let named = |bytes: &str| beginning(bytes.as_bytes());
        assert_eq!(named("BISECT-OPERATOR ada\nGET /"), Beginning::Named("ada".into(), 20));
        for unknown in ["", "B", "BISECT-OPERATOR", "BISECT-OPERATOR ada", "BISECT-OPERATOR a b"] {
            assert_eq!(named(unknown), Beginning::Unknown, "{unknown}");
        }
        for other in ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.0", "BISECT /", "bisect-operator ada\n"] {
            assert_eq!(named(other), Beginning::Other, "{other}");
        }
        let long = format!("BISECT-OPERATOR {}", "a".repeat(65));
        for bad in ["BISECT-OPERATOR \n", "BISECT-OPERATOR a b\n", "BISECT-OPERATOR ada\r\n", &long] {
            assert_eq!(named(bad), Beginning::Bad, "{bad}");
        }
    }

    /// What is left of these parts, each written once the one before it was taken, and whose it is.
    async fn heard(parts: &[&str]) -> (io::Result<String>, String) {
        let (mut here, there) = UnixStream::pair().unwrap();
        let (caller, mut spoken) = Caller::meet(there);
        let parts: Vec<Vec<u8>> = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
        let writing = tokio::spawn(async move {
            for part in parts {
                here.write_all(&part).await.unwrap();
                tokio::task::yield_now().await;
            }
            here.shutdown().await.unwrap();
            here
        });
        let mut rest = String::new();
        let read = spoken.read_to_string(&mut rest).await.map(|_| rest);
        drop(writing.await);
        (read, caller.name().await)
    }

    #[tokio::test]
    async fn however_it_is_cut_only_the_first_preamble_is_taken() {
        let us = User::from_uid(nix::unistd::getuid()).unwrap().unwrap().name;
        let plain = heard(&["GET / HTTP/1.1\r\n\r\n"]).await;
        assert_eq!((plain.0.unwrap().as_str(), plain.1.as_str()), ("GET / HTTP/1.1\r\n\r\n", us.as_str()));
        let whole = heard(&["BISECT-OPERATOR ada\nGET /\r\n", "BISECT-OPERATOR eve\n"]).await;
        assert_eq!((whole.0.unwrap().as_str(), whole.1.as_str()), ("GET /\r\nBISECT-OPERATOR eve\n", "ada"));
        let cut = heard(&["BISE", "CT-OPERATOR a", "da", "\n", "PRI"]).await;
        assert_eq!((cut.0.unwrap().as_str(), cut.1.as_str()), ("PRI", "ada"));
        let half = heard(&["BISECT-OPER"]).await;
        assert_eq!((half.0.unwrap().as_str(), half.1.as_str()), ("BISECT-OPER", us.as_str()));
        let bad = heard(&["BISECT-OPERATOR a b\nGET / HTTP/1.1\r\n\r\n"]).await;
        assert_eq!((bad.0.unwrap_err().kind(), bad.1), (io::ErrorKind::InvalidData, us));
    }
}
