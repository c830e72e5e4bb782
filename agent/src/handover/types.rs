//! What goes into a planner and what comes out.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::translate::{Pair, Rule};

/// How the program bound its socket; decides which calls change the association's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Bound to one or several addresses: `sctp_bindx` works, auto-ASCONF does not.
    Explicit,
    /// Bound to the wildcard address: only the kernel's auto-ASCONF works, on its tick of 500 ms.
    Wildcard,
}

/// What never changes in the life of an association.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The port numbers.
    pub pair: Pair,
    /// How the local socket is bound.
    pub binding: Binding,
    /// Whether this end may ever be mute (send nothing but ASCONF until one is answered). At most one end of an
    /// association may, and both must know which without asking: see [`may_mute`].
    pub may_mute: bool,
    /// Whether the host can translate addresses (nftables); without it only [`Action::Swap`] is left.
    pub translate: bool,
}

/// The rule by which both ends know, without asking, which of them may be mute: never the one with the lower port;
/// with equal ports, never the one with the lower address when the association began.
#[must_use]
pub fn may_mute(pair: Pair, local: Option<IpAddr>, peer: Option<IpAddr>) -> bool {
    if pair.local_port == pair.peer_port { local > peer } else { pair.local_port > pair.peer_port }
}

/// How a path to the peer stands (`spinfo_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathState {
    /// Works.
    Active,
    /// Given up for now.
    Inactive,
    /// Added, not yet confirmed by a heartbeat.
    Unconfirmed,
}

/// What the kernel's lists say of the association now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The association's own addresses; one that is being added is in it from the call on, one that is being
    /// deleted until the peer's answer.
    pub local: BTreeSet<IpAddr>,
    /// The peer's addresses.
    pub peers: Vec<(IpAddr, PathState)>,
    /// The primary path's address.
    pub primary: Option<IpAddr>,
    /// DATA chunks of ours are waiting for the peer's acknowledgement.
    pub unacknowledged: bool,
    /// How many SACKs the association has received.
    pub sacks: u64,
    /// How many gaps these told of: TSNs that arrived behind missing ones.
    pub gaps: u64,
}

impl Facts {
    /// Whether `address` is one of the peer's.
    #[must_use]
    pub fn has_peer(&self, address: IpAddr) -> bool {
        self.peers.iter().any(|&(peer, _)| peer == address)
    }
}

/// One change that an ASCONF asks for (RFC 5061, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Add IP Address.
    Add(IpAddr),
    /// Delete IP Address.
    Delete(IpAddr),
    /// Set Primary Address.
    SetPrimary(IpAddr),
}

/// What a planner is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The host's usable addresses, the preferred first.
    Usable(Vec<IpAddr>),
    /// More about the host's addresses than which are usable. Nothing follows from that before the next
    /// [`Usable`](Self::Usable).
    About {
        /// Backups that are to be in the association beside the preferred one.
        warm: BTreeSet<IpAddr>,
        /// Backups that are to be in the association only while one of them is the preferred one.
        cold: BTreeSet<IpAddr>,
        /// Not usable, since their link is dead: nothing is sent from them, and no renewal brings them back.
        dead: BTreeSet<IpAddr>,
    },
    /// The kernel's lists, read again.
    Facts(Facts),
    /// An ASCONF of this association left the host.
    OwnAsconf {
        /// Its sequence number.
        serial: u32,
        /// What it asks for, with the correlation ids.
        changes: Vec<(u32, Change)>,
    },
    /// An ASCONF-ACK for this association arrived. What is seen on the wire is not authenticated: only the kernel
    /// can tell, and shows it by what it does next.
    OwnAnswer {
        /// The sequence number it answers.
        serial: u32,
        /// Refused changes: correlation id and cause (0x00a0 and following).
        errors: Vec<(u32, u16)>,
        /// The packet's source address on the wire, before any translation.
        from: IpAddr,
        /// The packet's destination address on the wire, before any translation.
        to: IpAddr,
    },
    /// An ASCONF of the peer arrived. Not authenticated either: a hint where the peer is, and where the answers to
    /// its ASCONFs have to go (the kernel sends a repeated answer to an address that the peer may have left).
    PeerAsconf {
        /// The packet's source address on the wire, before any translation.
        from: IpAddr,
        /// It asks for that very address to be added: a peer that still had another would have sent it from there
        /// (RFC 5061, section 5.3, F1).
        arrives: bool,
    },
    /// Where the registrar says that the peer is; empty: it says nothing.
    Located(Vec<IpAddr>),
    /// A deletion by an address event cannot be carried out yet: another association still needs the copy of the
    /// address. Either [`Vanishes`](Self::Vanishes) follows, or the planner asks again.
    Postponed(IpAddr),
    /// The copy of an address that several associations hold vanishes now, since each of them has asked for it: their
    /// sockets look.
    Vanishes(IpAddr),
    /// This action could not be carried out.
    Failed(Action),
}

/// Retransmission timers of the association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    /// As adoption set them: RTO.max around a second.
    Calm,
    /// No usable address: RTO.max short, so that no timer is far away when one comes.
    Stranded,
    /// An ASCONF is under way and may have to be repeated to another address at any moment.
    Moving,
}

/// What a planner wants done. The executor does it and, where that changes the kernel's lists, reads them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keep `address` as /32 or /128 on lo, routed as `via` is.
    Hold {
        /// The address that the network took away.
        address: IpAddr,
        /// A usable address whose routes it shall share; none yet: none is known.
        via: Option<IpAddr>,
    },
    /// Put a copy of an address that is gone on lo once more, so that it can vanish while the kernel looks; not while
    /// another socket looks, which would take it for a new one.
    Prepare(IpAddr),
    /// Let go of a held address.
    Release(IpAddr),
    /// The translation rules that this association wants from now on, all of them.
    Rules(BTreeSet<Rule>),
    /// Add the address (bindx, or an address event for a wildcard socket).
    Add(IpAddr),
    /// Delete the address (bindx, or an address event).
    Remove(IpAddr),
    /// A wildcard socket needs an address event that the kernel has not made (or has made too early): make one with
    /// a copy of the address on lo.
    MakeEvent(IpAddr),
    /// A wildcard socket shall no longer react to address events; copies made for it may go.
    EventsOff,
    /// Ask the peer to send to this own address.
    SetPeerPrimary(IpAddr),
    /// Send a heartbeat to this peer address now.
    Heartbeat(IpAddr),
    /// The peer has moved while data waits for a distant timer: make the kernel send it now.
    Nudge {
        /// To where it has moved.
        peer: IpAddr,
        /// It is known to have left its other addresses.
        left: bool,
    },
    /// Make this peer address the primary path.
    SendTo {
        /// Where to send.
        peer: IpAddr,
        /// Paths of the other family lead nowhere.
        alone: bool,
    },
    /// Set the association's retransmission timers.
    Timers(Timers),
    /// The whole break-before-make by socket options alone (mutes this end until answered).
    Swap {
        /// The association's only address.
        old: IpAddr,
        /// The address to move to.
        new: IpAddr,
    },
}

/// An action with its reason, and one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// How the association stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// At least one confirmed address is usable, nothing is under way.
    Settled,
    /// A usable path remains and a change is under way.
    Changing,
    /// No usable address.
    Stranded,
    /// No confirmed usable address, a new one is being added.
    Moving,
}

/// Bounds and waiting times of the planner.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// How long a vanished address is kept while another path works (DHCP renewals look like delete and add).
    pub grace: Duration,
    /// How long an ASCONF may stay unanswered before it is looked at again.
    pub retry: Duration,
    /// How long the kernel may take to act on an address event (its tick is 500 ms).
    pub tick: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(500),
            retry: Duration::from_millis(200),
            tick: Duration::from_millis(600),
        }
    }
}
