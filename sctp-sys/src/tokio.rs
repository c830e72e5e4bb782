//! Sockets driven by tokio's reactor.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::{Received, SendInfo, Socket, Style};
use crate::sockopt::{self, AssocId};

const READ: Interest = Interest::READABLE.add(Interest::ERROR);
const WRITE: Interest = Interest::WRITABLE.add(Interest::ERROR);

/// Hands a descriptor's owner to the reactor.
fn register<T: Owner>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: an `Owner` keeps the one descriptor that it names open for as long as it lives.
    unsafe { AsyncFd::register_with_interest(owner, interest) }.map_err(|e| e.into_parts().1)
}

/// A type that owns one descriptor.
///
/// # Safety
/// It names that descriptor always, and keeps it open for as long as it lives.
unsafe trait Owner: AsRawFd {}
// SAFETY: a `Socket` owns its one descriptor and never replaces it.
unsafe impl Owner for Socket {}

/// A [`Socket`] whose calls wait without blocking the thread. All take `&self`: share it in an `Arc`.
#[derive(Debug)]
pub struct AsyncSocket {
    inner: AsyncFd<Socket>,
}

impl AsyncSocket {
    /// Takes a socket and makes it non-blocking. (For a descriptor that other programs share this would
    /// change theirs too.)
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(socket: Socket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let inner = register(socket, READ.add(WRITE))?;
        Ok(Self { inner })
    }

    /// The socket inside, for everything that does not wait: options, bindx, listen, abort.
    pub fn get_ref(&self) -> &Socket {
        self.inner.get_ref()
    }

    /// The socket back; it stays non-blocking.
    pub fn into_inner(self) -> Socket {
        self.inner.into_inner()
    }

    /// Receives one whole message or notification; see [`Socket::recv`]. Nothing is lost when it is
    /// cancelled.
    ///
    /// # Errors
    /// See there.
    pub async fn recv(&self, buf: &mut Vec<u8>) -> io::Result<Option<Received>> {
        self.inner.async_io(READ, |socket| socket.recv(buf)).await
    }

    /// Sends one message, waiting for room; see [`Socket::send`].
    ///
    /// # Errors
    /// See there.
    pub async fn send(&self, info: &SendInfo, data: &[u8]) -> io::Result<usize> {
        self.inner.async_io(WRITE, |socket| socket.send(info, data)).await
    }

    /// Takes an association that a peer has set up; see [`Socket::accept`].
    ///
    /// # Errors
    /// See there.
    pub async fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let (socket, from) = self.inner.async_io(READ, Socket::accept).await?;
        Ok((Self::new(socket)?, from))
    }

    /// Sets up an association. A one-to-one socket waits until it is up; a one-to-many socket returns at
    /// once, and the association is up with the notification `AssocChange::CommUp`.
    ///
    /// # Errors
    /// See [`Socket::connect`].
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.get_ref().connect(peer)?;
        self.wait_connected().await
    }

    /// Sets up an association with a peer of several addresses; waits like [`connect`](Self::connect).
    ///
    /// # Errors
    /// See [`Socket::connectx`].
    pub async fn connectx(&self, peers: &[SocketAddr]) -> io::Result<AssocId> {
        let assoc = self.get_ref().connectx(peers)?;
        self.wait_connected().await?;
        Ok(assoc)
    }

    async fn wait_connected(&self) -> io::Result<()> {
        if self.get_ref().style()? == Style::OneToMany {
            return Ok(());
        }
        self.inner
            .async_io(WRITE, |socket| {
                // Asked in this order, an error that comes between the two questions is seen in the next round.
                if let Some(error) = sockopt::take_error(socket.as_fd())? {
                    return Err(error);
                }
                if socket.connected()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            })
            .await
    }
}

impl AsFd for AsyncSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}
