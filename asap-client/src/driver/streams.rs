//! A port of the client over TCP: connections from some of the host's addresses.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt as tcp;
use sctp_sys::{AssocId, Family, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::Tuning;
use super::port::{Inbox, Incoming};
use crate::client::{LinkId, PortId};
use crate::wire::Stream;

/// Octets that are read at once.
const CHUNK: usize = 4096;

#[derive(Debug)]
struct Connection {
    link: LinkId,
    queue: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
pub(super) struct Streams {
    id: PortId,
    local: Vec<IpAddr>,
    tuning: Tuning,
    inbox: Inbox,
    last: AssocId,
    connections: HashMap<AssocId, Connection>,
}

impl Streams {
    pub(super) fn new(id: PortId, local: &[IpAddr], tuning: &Tuning, inbox: &Inbox) -> Self {
        let (local, tuning, inbox) = (local.to_vec(), tuning.clone(), inbox.clone());
        Self { id, local, tuning, inbox, last: 0, connections: HashMap::new() }
    }

    /// Begins to connect to any of these addresses. The connection has a number as an association has.
    pub(super) fn open(&mut self, link: LinkId, remote: &[SocketAddr]) -> AssocId {
        self.last = self.last.wrapping_add(1);
        let (queue, jobs) = mpsc::unbounded_channel();
        let connecting = connect(self.local.clone(), remote.to_vec(), self.tuning.clone());
        let task = tokio::spawn(run((self.id, self.last), connecting, jobs, self.inbox.clone()));
        self.connections.insert(self.last, Connection { link, queue, task });
        self.last
    }

    /// Sends once the connection is up.
    pub(super) fn send(&self, number: AssocId, bytes: Vec<u8>) -> io::Result<()> {
        let connection = self.connections.get(&number).ok_or(io::ErrorKind::NotConnected)?;
        connection.queue.send(bytes).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Ends a connection at once.
    pub(super) fn close(&mut self, number: AssocId) {
        self.connections.remove(&number);
    }

    pub(super) fn link(&self, number: AssocId) -> Option<LinkId> {
        self.connections.get(&number).map(|connection| connection.link)
    }

    /// All links, which end with this.
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.connections.values().map(|connection| connection.link).collect()
    }
}

/// The first connection that comes up, to any of these addresses from any of ours of its family.
async fn connect(local: Vec<IpAddr>, remote: Vec<SocketAddr>, tuning: Tuning) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    for to in remote {
        let from: Vec<IpAddr> = local.iter().filter(|own| own.is_ipv4() == to.is_ipv4()).copied().collect();
        attempts.spawn(async move {
            let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
            for own in from {
                match connect_from(own, to).await {
                    Err(error) => refused = error,
                    connected => return connected,
                }
            }
            Err(refused)
        });
    }
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(stream)) => {
                set(&stream, &tuning)?;
                return Ok(stream);
            }
            Ok(Err(error)) => refused = error,
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

async fn connect_from(own: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let (socket, family) = match own {
        IpAddr::V4(_) => (TcpSocket::new_v4()?, Family::V4),
        IpAddr::V6(_) => (TcpSocket::new_v6()?, Family::V6),
    };
    // As for SCTP: an address that is still being checked for duplicates.
    sockopt::set_freebind(socket.as_fd(), family, true)?;
    socket.bind(SocketAddr::new(own, 0))?;
    socket.connect(to).await
}

/// A registrar that is gone is to be known about as soon as over SCTP.
fn set(stream: &TcpStream, tuning: &Tuning) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let pause = Duration::from_millis(tuning.heartbeat.into()).max(Duration::from_secs(1));
    tcp::set_socket_keepalive(stream, true)?;
    tcp::set_tcp_keepidle(stream, pause)?;
    tcp::set_tcp_keepintvl(stream, pause)?;
    tcp::set_tcp_keepcnt(stream, u32::from(tuning.path_retransmissions).max(1))?;
    let patience = tuning.rto_max.saturating_mul(tuning.association_retransmissions.into());
    Ok(tcp::set_tcp_user_timeout(stream, patience)?)
}

async fn run(
    name: (PortId, AssocId),
    connecting: impl Future<Output = io::Result<TcpStream>>,
    queue: mpsc::UnboundedReceiver<Vec<u8>>,
    inbox: Inbox,
) {
    let (port, number) = name;
    match connecting.await {
        Ok(mut stream) => {
            if inbox.send((port, Incoming::Connected(number))).await.is_err() {
                return;
            }
            let (input, output) = stream.split();
            tokio::select! {
                () = read(name, input, &inbox) => {}
                () = write(output, queue) => {}
            }
        }
        Err(error) => tracing::debug!(%error, "no connection"),
    }
    // If nobody listens, nobody needs it.
    let _closed = inbox.send((port, Incoming::Ended(number))).await;
}

async fn read((port, number): (PortId, AssocId), mut input: ReadHalf<'_>, inbox: &Inbox) {
    let mut stream = Stream::new();
    let mut chunk = vec![0; CHUNK];
    while let Ok(count @ 1..) = input.read(&mut chunk).await {
        stream.push(&chunk[..count]);
        loop {
            match stream.message() {
                Ok(Some(bytes)) => {
                    if inbox.send((port, Incoming::Octets(number, bytes))).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(problem) => return tracing::debug!(%problem, "the stream cannot be read on"),
            }
        }
    }
}

async fn write(mut output: WriteHalf<'_>, mut queue: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(bytes) = queue.recv().await {
        if output.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
