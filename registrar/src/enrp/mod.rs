//! ENRP (RFC 5353): what registrars tell each other, as a machine.
//!
//! [`Enrp::handle`] takes what happened, [`Enrp::poll_output`] gives what to do, [`Enrp::poll_timeout`] says when to
//! call [`Enrp::handle_timeout`]. Its only random numbers come from the seed it is made with. The handlespace is the
//! one that the ASAP service keeps: ENRP borrows it, and what it has done there the ASAP service is told by
//! [`Effect`]s, as ENRP is told by [`Change`]s what pool elements have done.
//!
//! Who may say what about an element:
//! - **Only its home removes or changes it**: an ADD_PE names the sender as home, a DEL_PE of another than the home is
//!   ignored. So the stale DEL_PEs of a healed partition do no harm. An element that is not ours has no timer here; it
//!   goes when its home says so, or in a takeover.
//! - **An ADD_PE for another's element** means that it registered there, and is believed at once, for hosts move; if
//!   the home before lives and announces the element again, the claim is refuted, and a registrar whose claims to
//!   an element are refuted again and again is not believed for a while about that element.
//! - **A claim to an element of our own** is followed if it has no association with us; but not at once on the word of
//!   a table, by the larger identifier, while it is being told that we are its home. If it has one, it is asked over
//!   it: no answer, and it has moved; an answer, and it is announced again (less and less often, if the claims go on),
//!   while the claim is kept: when the element is lost to us, it is the claimant's, and nobody is told that it is gone. A
//!   claim is withdrawn by the claimant's checksum, if that is of what is its own in our books; and by the element, if it
//!   deregisters.
//!   An element that has answered us, and never registered here, is left to the claimant: it stays where it registered.
//! - **An element that we told that it is ours**, and then left to another registrar, is asked once more if that one says
//!   that it is gone: it may have followed us, and ended its association with the other.
//! - **A table entry** is second-hand where the peer that sends it is not the element's home: it fills gaps only. A
//!   home's own entry is believed against another registrar unless that one's checksum shows that it claims the
//!   element too.
//! - **Elements are purged** after a resynchronisation only if what is left has the checksum that the peer announces a
//!   while later (MAX-TIME-NO-RESPONSE): a table that was cut short takes nothing away, nor does one that comes before
//!   the word of the home to which an element has just moved.
//!
//! What the RFC leaves open, or both worlds do differently:
//! - An INIT_TAKEOVER for a registrar that was just heard is acknowledged only when that one, asked, has not answered:
//!   whoever sees it alive keeps it from being taken over.
//! - Missing acknowledgements are asked for again, at random moments; of two candidates the larger identifier wins,
//!   except against rsplib, where it is the smaller. Whoever has given way looks again later whether it was done.
//! - A registrar that leaves ([`Enrp::drain`]) offers its elements to its peers, one by one, and owns each until the peer
//!   says that the element has followed it.
//! - What has to be known of a peer ([`wire::Profile`]) is configured, or asked when it is met: only rsplib calls a
//!   message invalid for an unknown parameter.

mod claims;
mod disputes;
mod drain;
mod event;
mod machine;
mod peers;
mod reading;
mod settings;
mod startup;
mod status;
mod strangers;
mod sync;
mod takeover;
mod update;
pub mod wire;

use asap_client::wire::PoolHandle;
use bytes::Bytes;
use std::net::SocketAddr;

pub use drain::NoPeer;
pub use event::{Counters, Event, Reason};
pub use machine::Enrp;
pub use settings::{Contact, Limits, Settings};
pub use status::{PeerState, PeerStatus, ProfileSource, Takeover};

use crate::Association;
use crate::handlespace::{Element, ElementKey};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Where we speak ENRP ourselves: what peers are told.
    Local {
        /// All addresses, of one port.
        addresses: Vec<SocketAddr>,
    },
    /// An association is up, whoever opened it.
    Up {
        /// Its number, which was never used before.
        association: Association,
        /// The peer's addresses.
        addresses: Vec<SocketAddr>,
    },
    /// The peer's addresses are these now.
    Addresses {
        /// The association.
        association: Association,
        /// All of the peer's addresses.
        addresses: Vec<SocketAddr>,
    },
    /// An association has ended, in whatever way.
    Down {
        /// The association.
        association: Association,
    },
    /// What was to be connected to cannot be reached.
    Unreachable {
        /// As it was in [`Output::Connect`].
        remote: Vec<SocketAddr>,
    },
    /// A whole user message came.
    Message {
        /// Over which association.
        association: Association,
        /// Its payload protocol identifier.
        ppid: u32,
        /// Its octets.
        bytes: Vec<u8>,
    },
    /// Something came that is longer than any message, and was thrown away.
    Oversized {
        /// Over which association.
        association: Association,
    },
    /// A datagram came from the multicast group.
    Announcement {
        /// Its sender; a registrar sends from the port where it speaks ENRP.
        from: SocketAddr,
        /// Its octets.
        bytes: Vec<u8>,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an ENRP message, in order with all others of the association.
    Send {
        /// Over which association.
        association: Association,
        /// Its octets.
        bytes: Bytes,
    },
    /// Open an association to these addresses of one registrar, from the port where ENRP is spoken: if it does the
    /// same, the two become one.
    Connect {
        /// Addresses of one port.
        remote: Vec<SocketAddr>,
    },
    /// End an association. The machine has forgotten it; no [`Input::Down`] is needed.
    Abort {
        /// The association.
        association: Association,
        /// Why.
        reason: Reason,
    },
    /// Send a datagram to the multicast group.
    Announce {
        /// Its octets.
        bytes: Bytes,
    },
    /// Something for the log.
    Event(Event),
}

/// What ENRP did in the handlespace, or wants of pool elements; for the ASAP service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A pool has changed: its subscribers have to be told.
    Changed(PoolHandle),
    /// An element is gone, or not ours any more: nothing is waited for from it.
    Gone(ElementKey),
    /// An element is not ours any more for it did not answer, or another registrar's is gone by that one's word: it is
    /// to be told, if there is an association with it. If it is there all the same, it registers again.
    Dropped {
        /// Its pool.
        handle: PoolHandle,
        /// The element as it was.
        element: Box<Element>,
    },
    /// An element that has answered us, and never registered here, is left to another registrar. If that one says that
    /// it is gone, it may have followed us all the same.
    Yielded {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
        /// Over which it has answered us.
        owner: Association,
    },
    /// An element is to become ours, or is already, but has no association with us: open one, and tell it.
    Adopt(ElementKey),
    /// An element was offered to another registrar. If its association ends, it is not gone.
    Leaving(ElementKey),
    /// An element that was offered has left us, and is nowhere.
    Lost(ElementKey),
    /// Is the element still at the other end of its association? To be answered by [`Change::Confirmed`] or
    /// [`Change::Denied`].
    Verify(ElementKey),
}

/// What the ASAP service did in the handlespace, or found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An element was registered, registered again, or adopted.
    Updated(ElementKey),
    /// An element of ours is gone.
    Removed {
        /// Its key, which is of no more use in the handlespace.
        key: ElementKey,
        /// Its pool.
        handle: PoolHandle,
        /// The element as it was.
        element: Box<Element>,
        /// It has said itself that it leaves its pool: it is nobody's.
        deregistered: bool,
    },
    /// The element answers.
    Confirmed(ElementKey),
    /// The element does not answer.
    Denied(ElementKey),
}

#[cfg(test)]
mod tests;
