//! The two kinds of streams as one, with the first bytes kept: what is no HTTP/2 is then shown to people.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Join, ReadBuf},
    net::UnixStream,
    process::{ChildStdin, ChildStdout},
};

const KEPT: usize = 400;

/// The first bytes that came.
#[derive(Debug, Clone, Default)]
pub struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, bytes: &[u8]) -> usize {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        kept.len()
    }
}

/// A stream to a daemon.
#[derive(Debug)]
pub struct Io {
    inner: Inner,
    first: FirstBytes,
    all_kept: bool,
}

#[derive(Debug)]
enum Inner {
    Socket(UnixStream),
    Pipes(Join<ChildStdout, ChildStdin>),
}

impl Io {
    pub(super) fn socket(socket: UnixStream) -> Self {
        Self { inner: Inner::Socket(socket), first: FirstBytes::default(), all_kept: false }
    }

    pub(super) fn pipes(out: ChildStdout, into: ChildStdin) -> Self {
        Self { inner: Inner::Pipes(tokio::io::join(out, into)), first: FirstBytes::default(), all_kept: false }
    }

    pub(super) fn first_bytes(&self) -> FirstBytes {
        self.first.clone()
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = match &mut self.inner {
            Inner::Socket(socket) => Pin::new(socket).poll_read(cx, buf),
            Inner::Pipes(pipes) => Pin::new(pipes).poll_read(cx, buf),
        };
        if !self.all_kept {
            self.all_kept = self.first.keep(&buf.filled()[before..]) == KEPT;
        }
        polled
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let polled = match &mut self.inner {
            Inner::Socket(socket) => Pin::new(socket).poll_write(cx, buf),
            Inner::Pipes(pipes) => Pin::new(pipes).poll_write(cx, buf),
        };
        match polled {
            // Who went may have said why: its last words are still to be read, and so is its end. Who hears nothing
            // more has a time limit.
            Poll::Ready(Err(_)) => Poll::Ready(Ok(buf.len())),
            polled => polled,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.inner {
            Inner::Socket(socket) => Pin::new(socket).poll_flush(cx),
            Inner::Pipes(pipes) => Pin::new(pipes).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.inner {
            Inner::Socket(socket) => Pin::new(socket).poll_shutdown(cx),
            Inner::Pipes(pipes) => Pin::new(pipes).poll_shutdown(cx),
        }
    }
}
