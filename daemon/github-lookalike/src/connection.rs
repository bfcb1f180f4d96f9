//! The listening socket and its connections, which can be refused or cut as those of a real network are.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Cuts one connection: nothing more is read from it or written to it.
#[derive(Debug, Clone)]
pub(crate) struct Cut(pub CancellationToken);

impl Connected<IncomingStream<'_, Door>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(stream.io().cut.clone())
    }
}

/// A listening socket that can be closed and opened again at the same address.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    socket: Option<TcpListener>,
    wanted: watch::Receiver<bool>,
    actual: watch::Sender<bool>,
    /// Every connection's cut is a child of this.
    all: CancellationToken,
}

/// The other side of a [`Door`].
#[derive(Debug)]
pub(crate) struct Handle {
    pub address: SocketAddr,
    wanted: watch::Sender<bool>,
    actual: watch::Receiver<bool>,
}

impl Door {
    pub async fn open(address: SocketAddr) -> io::Result<(Self, Handle)> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let ((wanting, wanted), (actual, seen)) = (watch::channel(true), watch::channel(true));
        let door = Self { address, socket: Some(socket), wanted, actual, all: CancellationToken::new() };
        Ok((door, Handle { address, wanted: wanting, actual: seen }))
    }

    async fn obey(&mut self) {
        let open = *self.wanted.borrow_and_update();
        if !open {
            self.socket = None;
            self.all.cancel();
        } else if self.socket.is_none() {
            match TcpListener::bind(self.address).await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    self.all = CancellationToken::new();
                }
                Err(error) => tracing::error!(%error, address = %self.address, "the look-alike cannot listen again"),
            }
        }
        self.actual.send_replace(self.socket.is_some());
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.all.cancel();
    }
}

impl Handle {
    /// Opens or closes the door and returns when it is so.
    pub async fn set(&mut self, open: bool) {
        self.wanted.send_replace(open);
        // An error means that the server has ended, which closes the door too.
        let _ended = self.actual.wait_for(|actual| *actual == open).await;
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            if self.wanted.has_changed().unwrap_or(false) {
                self.obey().await;
            }
            let accepted = async {
                match &self.socket {
                    Some(socket) => socket.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.obey().await,
                    Err(_) => std::future::pending().await,
                },
                accepted = accepted => match accepted {
                    Ok((stream, from)) => {
                        let _slower = stream.set_nodelay(true);
                        let cut = self.all.child_token();
                        let ended = Box::pin(cut.clone().cancelled_owned());
                        return (Connection { stream, cut, ended }, from);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "no connection could be accepted");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that can be cut.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    cut: CancellationToken,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.ended.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
