//! ASAP over TCP, for pool users (RFC 5352 §2.1).
//!
//! Each connection has a task of its own, which makes messages of the stream and writes what is queued for it. The
//! service decides everything else: it numbers connections as it does associations, and accounts for what they have
//! not read. While something waits to be written to one, no further message of it is handed over: whoever does not read
//! has to wait, and is reported when the kernel gets rid of nothing for long. Connections take turns, as each waits for
//! a place with the service. Nobody can hold a connection for nothing: a message that has begun has to come whole in time,
//! and who is silent for long is reported, to be ended if it subscribes to nothing.

use asap_client::wire::Stream;
use bytes::Bytes;
use nix::sys::socket::{setsockopt, sockopt};
use sctp_sys::sockopt::unacknowledged;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::StartError;
use super::full::{Full, LOOKS};
use crate::Association;
use crate::config::Config;
use crate::listen::listen;

/// Events that were not yet handled; connections wait beyond it.
const AHEAD: usize = 64;

/// Octets that are read at once.
const CHUNK: usize = 16 << 10;

/// What is asked for as the kernel's buffer for what a client has not read.
const SEND_BUFFER: usize = 64 << 10;

/// How long the peer of a connection may be silent when something was sent to it.
const USER_TIMEOUT_MS: u32 = 30_000;

/// A connection on which nothing happens is looked after: the peer's host may be gone. In seconds, and how often.
const KEEP_ALIVE_AFTER: u32 = 60;
const KEEP_ALIVE_PAUSE: u32 = 10;
const KEEP_ALIVE_COUNT: u32 = 6;

/// After a connection could not be taken, as when there is no file descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// File descriptors that are left to everything else.
const RESERVE: u64 = 128;

/// How long clients may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// For a message, from its first octet to its last.
    pub(super) message: Duration,
    /// Between messages, without a subscription.
    pub(super) idle: Duration,
    /// For reading what was sent before a connection was ended in good order.
    pub(super) linger: Duration,
    /// For reading anything of what fills the kernel's buffer.
    pub(super) unread: Duration,
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Somebody has connected, and has no number yet.
    Accepted(TcpStream, SocketAddr),
    /// A message.
    Message(Association, Vec<u8>),
    /// The stream cannot be read on; this is what came of it last.
    Garbled(Association, Vec<u8>),
    /// All that was given to it is with the kernel.
    Dry(Association),
    /// Nothing has come for a while.
    Idle(Association),
    /// Nothing of what was sent to it is read.
    Deaf(Association),
    /// The peer has ended it, or it is broken.
    Ended(Association),
}

#[derive(Debug)]
struct Connection {
    queue: mpsc::UnboundedSender<Bytes>,
    unwritten: Arc<Unwritten>,
    task: AbortHandle,
}

/// How many messages wait to be written to a connection, here or with the service.
#[derive(Debug, Default)]
struct Unwritten {
    count: AtomicUsize,
    none: Notify,
}

impl Unwritten {
    fn add(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    /// One was written.
    fn less(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.none.notify_one();
        }
    }

    /// Waits until there is none. For one who waits.
    async fn none(&self) {
        while self.count.load(Ordering::SeqCst) > 0 {
            self.none.notified().await;
        }
    }
}

/// The listening sockets, not yet served.
#[derive(Debug)]
pub(super) struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Listens wherever the configuration says so; nowhere is allowed.
    ///
    /// # Errors
    /// An address cannot be had.
    pub(super) fn bind(config: &Config) -> Result<Self, StartError> {
        let addresses = config.tcp_addresses();
        let is_any = |address: &&SocketAddr| address.ip().is_unspecified();
        let mut listeners = Vec::new();
        for address in addresses {
            match listen(*address, SEND_BUFFER) {
                Ok(listener) => listeners.push(listener),
                // A host without IPv6 serves the wildcard of IPv4 alone.
                Err(error)
                    if is_any(&address)
                        && address.is_ipv6()
                        && addresses.iter().filter(is_any).any(SocketAddr::is_ipv4)
                        && matches!(
                            error.raw_os_error(),
                            Some(nix::libc::EAFNOSUPPORT | nix::libc::EADDRNOTAVAIL)
                        ) => {}
                Err(error) => return Err(StartError::Bind { addresses: vec![*address], error }),
            }
        }
        Ok(Self(listeners))
    }

    /// Where it listens.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.0.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

/// All connections.
#[derive(Debug)]
pub(super) struct Tcp {
    connections: BTreeMap<Association, Connection>,
    most: usize,
    patience: Patience,
    events: mpsc::Receiver<Event>,
    sender: mpsc::Sender<Event>,
    /// They end with this.
    _acceptors: JoinSet<()>,
}

impl Tcp {
    /// Accepts from now on.
    pub(super) fn new(listeners: Listeners, config: &Config) -> Self {
        let (sender, events) = mpsc::channel(AHEAD);
        let mut acceptors = JoinSet::new();
        let most = if listeners.0.is_empty() { 0 } else { room(config) };
        for listener in listeners.0 {
            acceptors.spawn(accept(listener, sender.clone()));
        }
        let patience = Patience {
            message: config.asap.tcp_message_timeout,
            idle: config.asap.tcp_idle_timeout,
            linger: Duration::from_secs(2),
            unread: config.asap.unread_timeout,
        };
        let connections = BTreeMap::new();
        Self { connections, most, patience, events, sender, _acceptors: acceptors }
    }

    /// What happened next. Never ends.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match ready!(self.events.poll_recv(cx)) {
            Some(event) => Poll::Ready(event),
            // It has a sender itself.
            None => Poll::Pending,
        }
    }

    /// Whether there are as many connections as there may be.
    pub(super) fn is_full(&self) -> bool {
        self.connections.len() >= self.most
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    pub(super) fn has(&self, association: Association) -> bool {
        self.connections.contains_key(&association)
    }

    pub(super) fn associations(&self) -> impl Iterator<Item = Association> {
        self.connections.keys().copied()
    }

    /// Takes a connection up.
    pub(super) fn begin(&mut self, association: Association, stream: TcpStream) {
        let (queue, jobs) = mpsc::unbounded_channel();
        let unwritten = Arc::new(Unwritten::default());
        let waits = Arc::clone(&unwritten);
        let serving = serve(association, stream, jobs, waits, self.sender.clone(), self.patience);
        let task = tokio::spawn(serving).abort_handle();
        self.connections.insert(association, Connection { queue, unwritten, task });
    }

    /// Queues octets for a connection, if it is there; bounded by whoever accounts for them.
    pub(super) fn send(&self, association: Association, bytes: Bytes) {
        if let Some(connection) = self.connections.get(&association) {
            connection.unwritten.add();
            // If its task has ended, that is about to be heard.
            let _ended = connection.queue.send(bytes);
        }
    }

    /// A message for a connection waits with the service, to be sent later.
    pub(super) fn hold(&self, association: Association) {
        if let Some(connection) = self.connections.get(&association) {
            connection.unwritten.add();
        }
    }

    /// It does no more.
    pub(super) fn let_go(&self, association: Association) {
        if let Some(connection) = self.connections.get(&association) {
            connection.unwritten.less();
        }
    }

    /// Ends a connection when what is queued for it has been sent.
    pub(super) fn finish(&mut self, association: Association) {
        self.connections.remove(&association);
    }

    /// Ends a connection at once; whether there was one.
    pub(super) fn abort(&mut self, association: Association) -> bool {
        let connection = self.connections.remove(&association);
        connection.inspect(|connection| connection.task.abort()).is_some()
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        for connection in self.connections.values() {
            connection.task.abort();
        }
    }
}

/// How many connections there may be at a time, and how many associations with a socket of their own: as many of each as
/// associations, as far as file descriptors go.
pub(super) fn room(config: &Config) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let reserve = RESERVE + u64::try_from(config.http.connections).unwrap_or(u64::MAX);
    let each = u64::try_from(config.limits.associations).unwrap_or(u64::MAX);
    let wanted = each.saturating_mul(2).saturating_add(reserve);
    let limit = getrlimit(Resource::Nofile);
    let mut soft = limit.current.unwrap_or(u64::MAX);
    let possible = limit.maximum.map_or(wanted, |hard| wanted.min(hard));
    if soft < possible && setrlimit(Resource::Nofile, Rlimit { current: Some(possible), ..limit }).is_ok() {
        soft = possible;
    }
    let room = usize::try_from(soft.saturating_sub(reserve) / 2).unwrap_or(usize::MAX);
    room.clamp(1, config.limits.associations)
}

async fn accept(listener: TcpListener, events: mpsc::Sender<Event>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                if events.send(Event::Accepted(stream, from)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a TCP connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn set(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE_AFTER);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE_PAUSE);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE_COUNT);
}

async fn serve(
    association: Association,
    stream: TcpStream,
    queue: mpsc::UnboundedReceiver<Bytes>,
    unwritten: Arc<Unwritten>,
    events: mpsc::Sender<Event>,
    patience: Patience,
) {
    set(&stream);
    let (input, output) = stream.into_split();
    let mut writing = std::pin::pin!(write(association, output, queue, &unwritten, &events, patience));
    let end = tokio::select! {
        end = read(association, &input, &unwritten, &events, patience) => end,
        end = &mut writing => {
            let _closing = events.send(end).await;
            return;
        }
    };
    if events.send(end).await.is_ok() {
        // The service ends the queue when all is in it. What comes meanwhile is read: else the peer would be told that
        // it was lost, and might forget what was sent to it.
        let _ = timeout(patience.linger, async {
            writing.await;
            while let Ok(()) = input.readable().await {
                match input.try_read(&mut [0; CHUNK]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        })
        .await;
    }
}

/// Reads messages until there can be no more; says why.
async fn read(
    association: Association,
    input: &OwnedReadHalf,
    unwritten: &Unwritten,
    events: &mpsc::Sender<Event>,
    patience: Patience,
) -> Event {
    let mut stream = Stream::new();
    let mut began: Option<Instant> = None;
    loop {
        let left = match began {
            Some(began) => patience.message.saturating_sub(began.elapsed()),
            None => patience.idle,
        };
        match timeout(left, input.readable()).await {
            Ok(Ok(())) => {}
            Err(_) if began.is_none() => {
                if events.send(Event::Idle(association)).await.is_err() {
                    return Event::Ended(association);
                }
                continue;
            }
            Ok(Err(_)) | Err(_) => return Event::Ended(association),
        }
        match take(input, &mut stream) {
            Ok(true) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Ok(false) | Err(_) => return Event::Ended(association),
        }
        loop {
            match stream.message() {
                Ok(Some(message)) => {
                    began = None;
                    unwritten.none().await;
                    if events.send(Event::Message(association, message)).await.is_err() {
                        return Event::Ended(association);
                    }
                }
                Ok(None) => break,
                Err(_) => return Event::Garbled(association, stream.rest().to_vec()),
            }
        }
        if stream.is_within_message() {
            began.get_or_insert_with(Instant::now);
        }
    }
}

/// Reads what has come; `false` at the end of the stream.
fn take(input: &OwnedReadHalf, stream: &mut Stream) -> io::Result<bool> {
    let mut chunk = [0; CHUNK];
    let count = input.try_read(&mut chunk)?;
    stream.push(&chunk[..count]);
    Ok(count > 0)
}

/// Writes what is queued until the queue is ended or nothing can be written; says why.
async fn write(
    association: Association,
    mut output: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<Bytes>,
    unwritten: &Unwritten,
    events: &mpsc::Sender<Event>,
    patience: Patience,
) -> Event {
    while let Some(bytes) = queue.recv().await {
        match write_one(&mut output, &bytes, patience.unread).await {
            Ok(()) => unwritten.less(),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Event::Deaf(association),
            Err(_) => return Event::Ended(association),
        }
        if queue.is_empty() && events.send(Event::Dry(association)).await.is_err() {
            return Event::Ended(association);
        }
    }
    let _ = output.shutdown().await;
    Event::Ended(association)
}

/// Writes a message. `TimedOut`: for so long nothing of what is in the kernel was read.
async fn write_one(output: &mut OwnedWriteHalf, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    let mut full: Option<Full> = None;
    while !bytes.is_empty() {
        match timeout(patience / LOOKS, output.write(bytes)).await {
            Ok(written) => {
                bytes = &bytes[written?..];
                full = None;
            }
            // The kernel tells of room only when there is much of it.
            Err(_) => {
                let socket: &TcpStream = output.as_ref();
                let octets = unacknowledged(socket.as_fd())?;
                let now = Instant::now();
                let full = full.get_or_insert_with(|| Full::new(now - patience / LOOKS));
                if full.is_left(now, octets, patience) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
    Ok(())
}
