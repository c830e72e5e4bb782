//! The associations and endpoints of this host (of the calling thread's network namespace), whoever owns
//! them.
//!
//! Asked from the kernel by sock_diag; where the module `sctp_diag` is missing, read from
//! `/proc/net/sctp`. Seeing needs no rights; changing needs the descriptor (see [`adopt`](crate::adopt)).

mod elsewhere;
mod netlink;
mod proc;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::socket::Family;
use crate::sockopt::{AssocId, AssocState, PathState};

pub use elsewhere::{Elsewhere, elsewhere};
pub use netlink::{DiagError, parse_datagram};
pub use proc::{parse_assocs, parse_eps};

/// Where an entry was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// sock_diag.
    SockDiag,
    /// `/proc/net/sctp`.
    Proc,
}

/// Shape of a socket as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One-to-many.
    OneToMany,
    /// Peeled off a one-to-many socket: one association, a one-to-many socket's manners.
    PeeledOff,
    /// One-to-one.
    OneToOne,
}

impl Kind {
    const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::OneToMany),
            1 => Some(Self::PeeledOff),
            2 => Some(Self::OneToOne),
            _ => None,
        }
    }
}

/// An association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssociationEntry {
    /// The socket's inode, as in `/proc/PID/fd`. A peer that was not yet accepted belongs to the listener.
    pub inode: u64,
    /// The socket's user.
    pub uid: u32,
    /// State.
    pub state: AssocState,
    /// Port here.
    pub local_port: u16,
    /// Port there.
    pub peer_port: u16,
    /// Addresses here; one being added is listed at once. /proc leaves out those being deleted.
    pub local: Vec<IpAddr>,
    /// Addresses there.
    pub peer: Vec<IpAddr>,
    /// The peer's address that data goes to.
    pub primary: Option<IpAddr>,
    /// The association's number at its socket; only /proc tells it.
    pub assoc_id: Option<AssocId>,
    /// Verification tag of packets that come in; only sock_diag tells it.
    pub my_tag: Option<u32>,
    /// Verification tag of packets that go out; only sock_diag tells it.
    pub peer_tag: Option<u32>,
    /// Shape of the socket.
    pub kind: Option<Kind>,
    /// Family of the socket; only sock_diag tells it.
    pub family: Option<Family>,
    /// More of its state; only sock_diag tells it.
    pub detail: Option<Detail>,
    /// Where this was read from.
    pub source: Source,
}

/// What sock_diag tells of an association besides its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detail {
    /// Both ends take address changes (ASCONF), as negotiated when it began.
    pub addip: bool,
    /// Both ends take authenticated chunks (AUTH).
    pub auth: bool,
    /// DATA chunks sent and not acknowledged.
    pub unacked: u16,
    /// Chunks that wait to be sent.
    pub out_queue: u32,
    /// Chunks received and not yet read by the program.
    pub in_queue: u32,
    /// Octets that the peer has room for beyond those under way, as this end reckons.
    pub peer_rwnd: u32,
    /// Errors in a row, against the association's limit.
    pub overall_errors: u32,
    /// Chunks sent again since it began.
    pub retransmitted: u64,
    /// Packets sent since it began.
    pub packets_out: u64,
    /// Packets received since it began.
    pub packets_in: u64,
    /// State of the primary path.
    pub primary_state: PathState,
    /// Smoothed round-trip time of the primary path in milliseconds.
    pub srtt: u32,
    /// Retransmission timeout of the primary path in milliseconds.
    pub rto: u32,
    /// Errors in a row on the primary path.
    pub primary_errors: u16,
}

impl Detail {
    /// Whether data waits though nothing is under way that would have to be acknowledged first, and the peer is taken
    /// for full: even to a full one the kernel sends one chunk at a time (RFC 9260, section 6.1, A). For a moment that
    /// is nothing; if it lasts, the kernel has lost count of the octets under way, for good: a chunk that was under
    /// way on a path that was then removed is taken off the count each time it is reported received, again and again
    /// when SACKs overtake each other (`migrate_bytes` in `sctp_check_transmitted`), until the count is below zero
    /// and no window is wide enough.
    #[must_use]
    pub fn is_jammed(&self) -> bool {
        self.out_queue > 0 && self.unacked == 0 && self.peer_rwnd == 0
    }
}

/// A socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointEntry {
    /// The socket's inode, as in `/proc/PID/fd`.
    pub inode: u64,
    /// The socket's user.
    pub uid: u32,
    /// The bound port; 0: unbound.
    pub local_port: u16,
    /// The bound addresses.
    pub local: Vec<IpAddr>,
    /// Bound to the wildcard, so to every address of the host.
    pub wildcard: bool,
    /// Takes new associations.
    pub listening: bool,
    /// Shape of the socket.
    pub kind: Option<Kind>,
    /// Family of the socket; only sock_diag tells it.
    pub family: Option<Family>,
    /// Where this was read from.
    pub source: Source,
}

/// The host's SCTP at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All associations.
    pub associations: Vec<AssociationEntry>,
    /// The sockets that listen or have associations; /proc tells of those that listen alone.
    pub endpoints: Vec<EndpointEntry>,
}

impl Snapshot {
    /// The socket with this inode.
    pub fn endpoint(&self, inode: u64) -> Option<&EndpointEntry> {
        self.endpoints.iter().find(|endpoint| endpoint.inode == inode)
    }

    /// Lists each association and socket once (a dump that spans several answers may repeat some), and says
    /// of associations what only their socket's entry tells.
    fn unique(&mut self) {
        let mut seen = HashSet::new();
        self.associations
            .retain(|a| seen.insert((a.inode, a.my_tag, a.assoc_id, a.local_port, a.peer_port, a.primary)));
        let mut seen = HashSet::new();
        // The inode 0 is that of sockets whose descriptor is gone; they are not one and the same.
        self.endpoints.retain(|e| e.inode == 0 || seen.insert(e.inode));
        let kinds: HashMap<u64, Option<Kind>> = self.endpoints.iter().map(|e| (e.inode, e.kind)).collect();
        for association in self.associations.iter_mut().filter(|a| a.kind.is_none() && a.inode != 0) {
            association.kind = kinds.get(&association.inode).copied().flatten();
        }
    }
}

/// All associations and sockets: by sock_diag, or where that is missing from /proc.
///
/// # Errors
/// The system's: ENOENT or the like when the kernel has no SCTP.
pub fn snapshot() -> io::Result<Snapshot> {
    match netlink::snapshot() {
        Err(_) => proc::snapshot(),
        done => done,
    }
}

/// The sockets that listen, as [`snapshot`] finds them. It costs the same however many associations there are.
///
/// # Errors
/// The system's: ENOENT or the like when the kernel has no SCTP.
pub fn listening() -> io::Result<Vec<EndpointEntry>> {
    netlink::listening().or_else(|_| proc::listening())
}

/// As [`snapshot`], by sock_diag alone.
///
/// # Errors
/// ENOENT: the kernel's module `sctp_diag` is missing.
pub fn snapshot_by_sock_diag() -> io::Result<Snapshot> {
    netlink::snapshot()
}

/// The association between these two addresses, by sock_diag; none: there is no such one. It costs the same however many
/// associations there are.
///
/// # Errors
/// ENOENT: the kernel's module `sctp_diag` is missing. EINVAL: the kernel takes no such question.
pub fn association(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<AssociationEntry>> {
    netlink::one(local, peer)
}

/// As [`snapshot`], from /proc alone.
///
/// # Errors
/// ENOENT: the kernel's module `sctp` is not loaded.
pub fn snapshot_from_proc() -> io::Result<Snapshot> {
    proc::snapshot()
}

#[cfg(test)]
mod tests;
