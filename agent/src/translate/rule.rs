//! What can be said about the packets of one association at the host's edge.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An association's port numbers; with its addresses they identify it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// The port at this host.
    pub local_port: u16,
    /// The peer's port.
    pub peer_port: u16,
}

/// One rule. Addresses of rules for what leaves are those that the kernel's SCTP uses; addresses of rules for what
/// enters are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Nothing of this port pair enters: a packet to an address that the association does not know yet would be
    /// answered with ABORT.
    Guard(Pair),
    /// No ABORT enters that has the T bit set (RFC 9260 §8.5.1): a host sends such where it has no association, as for
    /// packets from an address that it does not know yet. One without, which a peer sends that ends its own association,
    /// enters.
    NoAbortIn(Pair),
    /// From each ASCONF of the peer on, for two seconds, the kernel sees no SACK that tells of gaps: it becomes a chunk
    /// that the kernel skips (PAD, RFC 4820), and the rest of its packet enters. What the kernel has not taken for
    /// received out of order, it cannot lose count of when an older SACK arrives after that: Linux does, with data that
    /// was under way to an address that the peer then deletes (`sctp_assoc_rm_peer`, `sctp_check_transmitted`), and never
    /// sends again. The retransmission timer fills the gaps meanwhile. The packet itself starts the time, so that no
    /// deletion comes too early for it. Packets of more than 512 octets pass as they are: from a host on the same
    /// machine one may come that is still to be cut for the wire (none is that small, as SCTP takes no path's MTU for
    /// smaller), and the kernel does not survive that nftables writes into it.
    NoGapsIn(Pair),
    /// No answer to a heartbeat leaves: the peer's path to a new address shall be confirmed only after the deletion of
    /// the old one, since it is then that its kernel sends again at once what has not arrived.
    NoHeartbeatAckOut(Pair),
    /// Of what leaves from `source` for `destination`, only ASCONF and its answers do, and answers to heartbeats: who
    /// probes an address knows it.
    Restrict {
        /// The ports.
        pair: Pair,
        /// The held address.
        source: IpAddr,
        /// The peer's address.
        destination: IpAddr,
    },
    /// The same for whatever leaves for `destination`. Linux sends from an address that the association does not have
    /// to a path of IPv6 for which it has none (`sctp_transport_pmtu` asks for a route with the source `::`, and takes the
    /// route's own), and the peer answers with ABORT.
    RestrictTo {
        /// The ports.
        pair: Pair,
        /// The peer's address.
        destination: IpAddr,
    },
    /// Nothing leaves from `source`.
    Block {
        /// The ports.
        pair: Pair,
        /// The held address.
        source: IpAddr,
    },
    /// What leaves from `from` leaves from `to`.
    OutSource {
        /// The ports.
        pair: Pair,
        /// The held address.
        from: IpAddr,
        /// The usable address.
        to: IpAddr,
    },
    /// What leaves for `from` goes to `to`.
    OutDestination {
        /// The ports.
        pair: Pair,
        /// The peer's address as the kernel knows it.
        from: IpAddr,
        /// Where the peer is.
        to: IpAddr,
    },
    /// An ASCONF-ACK that leaves for `from` goes to `to`, whatever [`OutDestination`](Self::OutDestination) says of
    /// the rest: the kernel sends an answer that it repeats to a path that the peer may have left.
    AnswerTo {
        /// The ports.
        pair: Pair,
        /// The peer's address as the kernel knows it.
        from: IpAddr,
        /// Where the peer's ASCONF came from.
        to: IpAddr,
    },
    /// What enters from `from` seems to come from `to`.
    InSource {
        /// The ports.
        pair: Pair,
        /// Where the peer is.
        from: IpAddr,
        /// The peer's address as the kernel knows it.
        to: IpAddr,
    },
    /// What enters for `from` seems to be for `to`.
    InDestination {
        /// The ports.
        pair: Pair,
        /// The usable address.
        from: IpAddr,
        /// The held address.
        to: IpAddr,
    },
}

impl Rule {
    /// The port pair that the rule is about.
    #[must_use]
    pub const fn pair(&self) -> Pair {
        match *self {
            Self::Guard(pair)
            | Self::NoAbortIn(pair)
            | Self::NoGapsIn(pair)
            | Self::NoHeartbeatAckOut(pair)
            | Self::Restrict { pair, .. }
            | Self::RestrictTo { pair, .. }
            | Self::Block { pair, .. }
            | Self::OutSource { pair, .. }
            | Self::OutDestination { pair, .. }
            | Self::AnswerTo { pair, .. }
            | Self::InSource { pair, .. }
            | Self::InDestination { pair, .. } => pair,
        }
    }
}
