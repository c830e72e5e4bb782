//! A port of the client: one one-to-many socket with its associations.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sctp_sys::event::{EventType, Notification};
use sctp_sys::readdress;
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, FUTURE_ASSOC, Family, MessageInfo, Received, SendInfo, Socket, Style};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Tuning;
use crate::client::{LinkId, PortId};
use crate::wire::PPID;

/// Above this an ASAP message cannot be: its length has 16 bits.
const MOST: usize = 1 << 16;

/// What a port's socket brings.
#[derive(Debug)]
pub(super) enum Incoming {
    Message(MessageInfo, Vec<u8>),
    Notification(Notification),
    /// A message over TCP.
    Octets(AssocId, Vec<u8>),
    /// A TCP connection is up.
    Connected(AssocId),
    /// A TCP connection has ended, or could not be set up.
    Ended(AssocId),
    /// What was to be sent over this association could not be.
    NotSent(AssocId, io::Error),
    /// The socket is of no use any more.
    Broken(io::Error),
}

pub(super) type Inbox = mpsc::Sender<(PortId, Incoming)>;

#[derive(Debug)]
pub(super) struct Port {
    socket: Arc<AsyncSocket>,
    links: HashMap<AssocId, LinkId>,
    writer: mpsc::UnboundedSender<(AssocId, Vec<u8>)>,
    /// Messages that the writer has not yet got rid of.
    waiting: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl Port {
    /// A socket bound to as many of these addresses as can be, at least one.
    pub(super) fn bind(id: PortId, local: &[IpAddr], tuning: &Tuning, inbox: &Inbox) -> io::Result<Self> {
        let socket = Arc::new(AsyncSocket::new(bound(local, tuning)?)?);
        let (writer, jobs) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let tasks = [
            tokio::spawn(read(id, Arc::clone(&socket), inbox.clone())),
            tokio::spawn(write(id, Arc::clone(&socket), jobs, Arc::clone(&waiting), inbox.clone())),
        ];
        Ok(Self { socket, links: HashMap::new(), writer, waiting, tasks })
    }

    /// Begins to set up an association.
    pub(super) fn open(&mut self, link: LinkId, remote: &[SocketAddr]) -> io::Result<AssocId> {
        let assoc = self.socket.get_ref().connectx(remote)?;
        self.links.insert(assoc, link);
        Ok(assoc)
    }

    /// Sends at once if nothing waits before, else in turn.
    pub(super) fn send(&self, assoc: AssocId, bytes: Vec<u8>) -> io::Result<()> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            match self.socket.get_ref().send(&info(assoc), &bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done.map(drop),
            }
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.writer.send((assoc, bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Begins to move an association, with the others of its socket, to these addresses; whether that can be done.
    ///
    /// Registrars stay where they are, so that this end may be mute meanwhile.
    pub(super) fn carry(&self, assoc: AssocId, local: &[IpAddr]) -> io::Result<bool> {
        readdress::follow(self.socket.get_ref().as_fd(), assoc, local)
    }

    /// Aborts an association.
    pub(super) fn close(&mut self, assoc: AssocId) {
        if self.links.remove(&assoc).is_some()
            && let Err(error) = self.socket.get_ref().abort(assoc)
        {
            tracing::debug!(%error, assoc, "the association had ended already");
        }
    }

    pub(super) fn link(&self, assoc: AssocId) -> Option<LinkId> {
        self.links.get(&assoc).copied()
    }

    pub(super) fn forget(&mut self, assoc: AssocId) -> Option<LinkId> {
        self.links.remove(&assoc)
    }

    /// Takes note of an association that a peer has set up; its addresses, if it still exists.
    pub(super) fn adopt(&mut self, assoc: AssocId, link: LinkId) -> io::Result<Vec<SocketAddr>> {
        let peer = self.socket.get_ref().peer_addrs(assoc)?;
        self.links.insert(assoc, link);
        Ok(peer)
    }

    /// All links, which are lost with the socket.
    pub(super) fn into_links(self) -> Vec<LinkId> {
        self.links.values().copied().collect()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn info(assoc: AssocId) -> SendInfo {
    SendInfo { ppid: PPID, assoc, ..SendInfo::default() }
}

fn bound(local: &[IpAddr], tuning: &Tuning) -> io::Result<Socket> {
    let family = if local.iter().any(IpAddr::is_ipv6) { Family::V6 } else { Family::V4 };
    let socket = Socket::new(Style::OneToMany, family)?;
    let fd = socket.as_fd();
    tuning.apply(fd)?;
    sockopt::set_events(fd, &[EventType::AssocChange, EventType::Shutdown])?;
    // It has to be on before the association is set up that is to be moved.
    if let Err(error) = sockopt::set_auth_supported(fd, FUTURE_ASSOC, true)
        .and_then(|()| sockopt::set_asconf_supported(fd, FUTURE_ASSOC, true))
    {
        tracing::debug!(%error, "the association will not be moved: Add-IP is not to be had");
    }
    socket.set_message_limit(MOST);
    // An IPv6 address that is still being checked for duplicates can be bound only so.
    sockopt::set_freebind(fd, family, true)?;
    let mut own: Vec<IpAddr> = local.to_vec();
    own.sort_by_key(IpAddr::is_ipv4);
    let (mut port, mut refused) = (0, None);
    for ip in own {
        match socket.bindx_add(&[SocketAddr::new(ip, port)]) {
            Ok(()) if port == 0 => {
                port = socket.local_addrs(FUTURE_ASSOC)?.first().map_or(0, SocketAddr::port)
            }
            Ok(()) => {}
            Err(error) => {
                tracing::debug!(%ip, %error, "an address cannot be bound");
                refused = Some(error);
            }
        }
    }
    if port == 0 {
        return Err(refused.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()));
    }
    socket.listen(16)?;
    Ok(socket)
}

async fn read(port: PortId, socket: Arc<AsyncSocket>, inbox: Inbox) {
    let mut bytes = Vec::new();
    loop {
        let incoming = match socket.recv(&mut bytes).await {
            Ok(Some(Received::Message(info))) => Incoming::Message(info, bytes.clone()),
            Ok(Some(Received::Notification(notification))) => Incoming::Notification(notification),
            Ok(Some(Received::TooLong { length, .. })) => {
                tracing::debug!(length, "a message that is too long for ASAP");
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
            Ok(None) => Incoming::Broken(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Incoming::Broken(error),
        };
        let broken = matches!(incoming, Incoming::Broken(_));
        if inbox.send((port, incoming)).await.is_err() || broken {
            return;
        }
    }
}

async fn write(
    port: PortId,
    socket: Arc<AsyncSocket>,
    mut jobs: mpsc::UnboundedReceiver<(AssocId, Vec<u8>)>,
    waiting: Arc<AtomicUsize>,
    inbox: Inbox,
) {
    while let Some((assoc, bytes)) = jobs.recv().await {
        let sent = socket.send(&info(assoc), &bytes).await;
        waiting.fetch_sub(1, Ordering::AcqRel);
        if let Err(error) = sent
            && inbox.send((port, Incoming::NotSent(assoc, error))).await.is_err()
        {
            return;
        }
    }
}
