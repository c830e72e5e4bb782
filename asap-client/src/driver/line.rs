//! A session's association: its socket, and what waits to be sent over it.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use bytes::Bytes;
use sctp_sys::event::{AssocChange, EventType, Notification};
use sctp_sys::sockopt::{self, PathState};
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{AssocId, FUTURE_ASSOC, Received, SendInfo, Socket};

use super::Tuning;

/// The send buffer that is asked for at least, in octets.
const USUAL_BUFFER: u32 = 1 << 17;

/// One association on a socket of its own. Messages leave in the order in which they are given.
#[derive(Debug)]
pub(super) struct Line {
    socket: Arc<AsyncSocket>,
    assoc: AssocId,
    unsent: VecDeque<(SendInfo, Bytes)>,
    /// Nothing can be sent any more.
    broken: bool,
}

impl Line {
    pub(super) fn new(socket: AsyncSocket, assoc: AssocId) -> Self {
        Self { socket: Arc::new(socket), assoc, unsent: VecDeque::new(), broken: false }
    }

    pub(super) fn socket(&self) -> &Arc<AsyncSocket> {
        &self.socket
    }

    /// Gives a message to be sent behind all others.
    pub(super) fn push(&mut self, mut info: SendInfo, octets: Bytes) {
        info.assoc = self.assoc;
        self.unsent.push_back((info, octets));
    }

    /// Does nothing wait?
    pub(super) fn is_clear(&self) -> bool {
        self.unsent.is_empty()
    }

    /// What waits.
    pub(super) fn unsent(&self) -> impl Iterator<Item = &SendInfo> {
        self.unsent.iter().map(|(info, _)| info)
    }

    /// Has sending failed? The association is lost then.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Sends what there is room for. Whether nothing waits any more.
    pub(super) fn flush(&mut self) -> bool {
        while let Some((info, octets)) = self.unsent.front()
            && !self.broken
        {
            match self.socket.try_send(info, octets) {
                Ok(_) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) => {
                    tracing::debug!(%error, "nothing can be sent over the association any more");
                    self.broken = true;
                }
            }
        }
        self.unsent.is_empty()
    }

    /// Aborts the association.
    pub(super) fn abort(&self) {
        if let Err(error) = self.socket.get_ref().abort(self.assoc) {
            tracing::debug!(%error, "the association had ended already");
        }
    }

    /// Does any path to the peer work? `None`: that cannot be said any more.
    pub(super) fn is_reachable(&self) -> Option<bool> {
        let fd = self.socket.as_fd();
        let peers = sockopt::peer_addrs(fd, self.assoc).ok()?;
        let works = |peer: &SocketAddr| {
            sockopt::peer_addr_info(fd, self.assoc, *peer).is_ok_and(|path| path.state != PathState::Inactive)
        };
        Some(peers.iter().any(works))
    }

    /// How many packets have come so far, and whether the peer has still to acknowledge something.
    pub(super) fn look(&self) -> io::Result<(u64, bool)> {
        let fd = self.socket.as_fd();
        let packets = sockopt::assoc_stats(fd, self.assoc)?.packets_in;
        Ok((packets, sockopt::status(fd, self.assoc)?.unacked > 0))
    }

    /// Sends a HEARTBEAT to each of the peer's addresses.
    pub(super) fn probe(&self) {
        let fd = self.socket.as_fd();
        for peer in sockopt::peer_addrs(fd, self.assoc).unwrap_or_default() {
            if let Err(error) = sockopt::heartbeat_now(fd, self.assoc, peer) {
                tracing::debug!(%error, %peer, "no heartbeat can be sent");
            }
        }
    }

    /// Sends what waits, shuts the association down in good order, and waits until it has ended. What still comes is
    /// not wanted.
    pub(super) async fn shut_down(mut self) -> io::Result<()> {
        while !self.flush() {
            if self.broken {
                return Ok(());
            }
            self.socket.writable().await?;
        }
        self.socket.get_ref().shutdown_assoc(self.assoc)?;
        let mut octets = Vec::new();
        loop {
            match self.socket.recv(&mut octets).await {
                Ok(Some(Received::Notification(Notification::AssocChange { state, .. })))
                    if state != AssocChange::CommUp =>
                {
                    return Ok(());
                }
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// What sessions' sockets have in common. `longest`: octets of a message, either way.
pub(super) fn prepare(
    socket: &Socket,
    tuning: &Tuning,
    longest: usize,
    events: &[EventType],
) -> io::Result<()> {
    let fd = socket.as_fd();
    tuning.apply(fd)?;
    sockopt::set_events(fd, events)?;
    // It has to be on before the association is set up that is to be moved.
    if let Err(error) = sockopt::set_auth_supported(fd, FUTURE_ASSOC, true)
        .and_then(|()| sockopt::set_asconf_supported(fd, FUTURE_ASSOC, true))
    {
        tracing::debug!(%error, "associations will not be moved: Add-IP is not to be had");
    }
    socket.set_message_limit(longest);
    // The kernel takes no message that is longer than its buffer. It doubles what is asked for, and bounds it.
    let asked = u32::try_from(longest).unwrap_or(u32::MAX).max(USUAL_BUFFER);
    sockopt::set_send_buffer(fd, asked)?;
    if usize::try_from(sockopt::send_buffer(fd)?).unwrap_or(usize::MAX) < longest {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "messages are longer than net.core.wmem_max allows",
        ));
    }
    Ok(())
}
