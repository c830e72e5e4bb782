//! The registrar's side of ASAP (RFC 5352), as a machine.
//!
//! [`Registrar::handle`] takes what happened, [`Registrar::poll_output`] gives what to do, until it gives nothing;
//! [`Registrar::poll_timeout`] says when to call [`Registrar::handle_timeout`]. Its only random numbers come from the
//! seed it is made with.
//!
//! What the RFC leaves open is decided as follows:
//! - **A known element identifier from another association** is the same host's if the two associations share an
//!   address, and wins at once. If they share none, the one that owns the element is sent a keep-alive, and the newcomer
//!   waits. If the owner answers within [`Settings::move_timeout`], the newcomer is refused with cause 0x4. If not, or if
//!   the owner's association ends or gets an address of the newcomer's, the host has moved: the newcomer is let in.
//!   With no time for the answer it is let in without asking.
//!   An owner that stays silent for a whole keep-alive's time and owns nothing else is aborted then.
//! - **Registrations over two associations of one host** may come in another order than they were sent. If the one that owns
//!   the element ends, and the one before it is still there, the element is asked over that and stays if it answers.
//! - **Policies** that are not known here are refused with cause 0x3 and the policy parameter: an element that
//!   asks for shares by some measure should not seem to get them. All of [`asap_client::policy`] are known. A pool has
//!   the type of its first element's; another is refused with cause 0x5 and the pool's policy parameter.
//! - **A response that was not asked for** is nobody's turn: a push to subscribers shows the elements in the order of
//!   the next selection, and neither moves that on nor counts as use. It is sent once for all changes of an interval.
//! - **Life** is in seconds; 0 and values below -1 are refused with cause 0x3. rsplib's elements mean milliseconds, and
//!   nothing in a REGISTRATION tells them from others: read as seconds, their lives are only longer, and keep-alives
//!   tell all the same when they are gone.
//! - **A resolution without an items option**, or with 0 items, names all elements.
//! - **A foreign association cannot deregister** an element unless it shares an address with the element (cause 0xa).
//! - **Over TCP** users are served as over SCTP. An element has to use SCTP (RFC 5352 §2.1): to register or deregister
//!   over TCP is refused with cause 0xa. A stream that cannot be read on is answered by an Error with cause 0x2.
//! - **A keep-alive** names the element, as rsplib needs it. An element that does not answer is
//!   removed by itself, and told so by an unasked DEREGISTRATION_RESPONSE; its association stays. So is one that another
//!   registrar had and has no more, if it has an association with us: it may be there all the same, and registers again.
//! - **An element that is taken over** from another registrar is told so (KEEP_ALIVE, H set) over a new association to
//!   where it speaks ASAP, twice if need be. If it does not answer, it is removed.
//! - **An element that is offered to another registrar** because this one is drained is not gone when its association
//!   ends: it has followed the other one, most likely. ENRP finds out.
//! - Octets that are no message at all are counted by their fault, and answered only where [`asap_client::wire::DecodeError::report`]
//!   has an answer. An Error is never answered by an Error. None of them ends the association: SCTP says where a
//!   message ends, so that the next one is understood.

mod adoption;
mod clients;
mod event;
mod former;
mod keepalive;
mod newcomer;
mod places;
mod registration;
mod resolution;
mod service;
mod settings;
mod subscribe;
mod timers;

use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

pub use event::{Counters, Event, Reason, Why};
pub use service::Registrar;
pub use settings::{Limits, Settings};
pub use timers::Heard;

use crate::Association;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An association is up.
    Up {
        /// Its number, which was never used before.
        association: Association,
        /// The address it came from.
        from: IpAddr,
        /// The peer's port.
        port: u16,
        /// All of the peer's addresses.
        addresses: Vec<IpAddr>,
    },
    /// A pool user has connected over TCP (RFC 5352 §2.1): an association like any other, but that elements, which have to
    /// use SCTP, neither register nor deregister over it.
    Connected {
        /// Its number, which was never used before.
        association: Association,
        /// Where it came from.
        from: SocketAddr,
    },
    /// The peer's addresses are these now.
    Addresses {
        /// The association.
        association: Association,
        /// All of the peer's addresses.
        addresses: Vec<IpAddr>,
    },
    /// An association has ended, in whatever way; also one that the driver gave up.
    Down {
        /// The association.
        association: Association,
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
    /// A stream in which no message can be told from the next any more. The driver ends the connection when it has sent
    /// what it is given now.
    Garbled {
        /// Over which association.
        association: Association,
        /// What has come behind the last message.
        bytes: Vec<u8>,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an ASAP message.
    Send {
        /// Over which association.
        association: Association,
        /// Its octets; shared among the subscribers of a pool.
        bytes: Bytes,
    },
    /// Open an association to an element, from the port where ASAP is served; unless it is under way already.
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
    /// Something for the log.
    Event(Event),
}

#[cfg(test)]
mod tests;
