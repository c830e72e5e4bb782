//! Sockets driven by tokio's reactor.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::task::{Context, Poll, Waker};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::adopt::{HandOverError, HandedOver, Receiving, Sending, Step};
use crate::socket::{Received, SendInfo, Socket, Style};
use crate::sockopt::{self, AssocId};
use crate::watch::{Sighting, Watch};

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
// SAFETY: a `Watch` owns its one descriptor and never replaces it.
unsafe impl Owner for Watch {}

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

    /// Acts if the socket is ready as far as the reactor knows. `AsyncFd::try_io` is of no use here: for several
    /// interests at once it never takes a descriptor for ready.
    fn now<T>(&self, interest: Interest, act: impl FnOnce(&Socket) -> io::Result<T>) -> io::Result<T> {
        let ready = std::pin::pin!(self.inner.ready(interest));
        let Poll::Ready(guard) = ready.poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        guard?.try_io(|inner| act(inner.get_ref())).unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
    }

    /// Receives one whole message or notification if it is there; see [`Socket::recv`].
    ///
    /// # Errors
    /// See there; `WouldBlock`: wait until it is [`readable`](Self::readable).
    pub fn try_recv(&self, buf: &mut Vec<u8>) -> io::Result<Option<Received>> {
        self.now(READ, |socket| socket.recv(buf))
    }

    /// Sends one message if there is room; see [`Socket::send`].
    ///
    /// # Errors
    /// See there; `WouldBlock`: wait until it is [`writable`](Self::writable).
    pub fn try_send(&self, info: &SendInfo, data: &[u8]) -> io::Result<usize> {
        self.now(WRITE, |socket| socket.send(info, data))
    }

    /// Waits until there may be room for a message. It may turn out that there is none.
    ///
    /// # Errors
    /// The reactor's.
    pub async fn writable(&self) -> io::Result<()> {
        self.inner.ready(WRITE).await.map(|mut guard| guard.retain_ready())
    }

    /// Waits until a message may be there. It is not taken, and may turn out not to be there.
    ///
    /// # Errors
    /// The reactor's.
    pub async fn readable(&self) -> io::Result<()> {
        self.inner.ready(READ).await.map(|mut guard| guard.retain_ready())
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
                if socket.is_connected()? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            })
            .await
    }
}

impl AsFd for AsyncSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

/// A [`Watch`] that waits without blocking the thread.
#[derive(Debug)]
pub struct AsyncWatch {
    inner: AsyncFd<Watch>,
}

impl AsyncWatch {
    /// Begins to watch; see [`Watch::open`].
    ///
    /// # Errors
    /// See there.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn open() -> io::Result<Self> {
        Self::new(Watch::open()?)
    }

    /// Takes a watch that was opened elsewhere, such as in another network namespace.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled.
    pub fn new(watch: Watch) -> io::Result<Self> {
        Ok(Self { inner: register(watch, READ)? })
    }

    /// The next packet of interest. Nothing is lost when it is cancelled.
    ///
    /// # Errors
    /// The system's.
    pub async fn next(&mut self) -> io::Result<Sighting> {
        self.inner.async_io_mut(READ, Watch::try_next).await
    }

    /// How many packets were lost for lack of room since the last call.
    ///
    /// # Errors
    /// The system's.
    pub fn lost(&self) -> io::Result<u32> {
        self.inner.get_ref().lost()
    }
}

/// Hands sockets over through a Unix stream; see [`adopt::send_sockets`](crate::adopt::send_sockets).
/// Cancelled in the middle, it leaves a stream that is good for nothing.
///
/// # Errors
/// See there.
pub async fn send_sockets(
    stream: &tokio::net::UnixStream,
    msg: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<(), HandOverError> {
    let mut sending = Sending::new(msg, fds)?;
    while !stream.async_io(Interest::WRITABLE, || sending.step(stream.as_fd())).await? {}
    Ok(())
}

/// Takes one hand-over; see [`adopt::recv_sockets`](crate::adopt::recv_sockets). Cancelled in the middle,
/// it leaves a stream that is good for nothing.
///
/// # Errors
/// See there.
pub async fn recv_sockets(stream: &tokio::net::UnixStream) -> Result<Option<HandedOver>, HandOverError> {
    let mut receiving = Receiving::default();
    loop {
        let step = stream
            .async_io(Interest::READABLE, || match receiving.step(stream.as_fd()) {
                Err(HandOverError::Io(e)) => Err(e),
                other => Ok(other),
            })
            .await??;
        match step {
            Step::More => {}
            Step::Closed => return Ok(None),
            Step::Whole => return receiving.finish().map(Some),
        }
    }
}
