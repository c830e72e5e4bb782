//! Messages to pools, elements and addresses, each by itself, without sessions (RFC 5352 §6.3 to §6.9).
//!
//! [`Mail`] is a machine without I/O, of both sides: whoever sends, by pool handle, by pool element or by transport
//! address; and whoever receives, with the sender's pool element where the cache knows it. Each message to a pool is given
//! to the element that the pool's policy selects for it. What an element has not acknowledged when its association is lost
//! goes to the next one (ASAP_SEND_FAILOVER), or back to the program; a message that is acknowledged may still have been
//! lost with the program that was to read it. Programs that want an answer to each request, or have a state at their
//! element, use a [`session`](crate::session).

mod link;
mod machine;
mod pool;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::pool_user::Answer;
use crate::wire::PoolHandle;

pub use machine::Mail;

/// Where a message is to go (RFC 5352 §6.5: "type of address").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// To an element of this pool, by its policy (§6.5.1).
    Pool(PoolHandle),
    /// To this element, or, with [`Options::failover`], to another one of its pool (§6.5.3).
    Element(PoolHandle, u32),
    /// To whoever is there: no pool, no failover (§6.5.4). An association with it is used if there is one.
    Address(SocketAddr),
}

/// How a message is to be sent (RFC 5352 §6.5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// SCTP payload protocol identifier; any but ASAP's 11. 0.
    pub ppid: u32,
    /// ASAP_SCTP_UNORDER. No.
    pub unordered: bool,
    /// ASAP_SEND_FAILOVER: to another element of the pool if need be. Without it (ASAP_SEND_NO_FAILOVER) it is given
    /// back to the program. Yes.
    pub failover: bool,
    /// ASAP_SEND_TO_LAST: to the element to which the last message to this pool went. No.
    pub to_last: bool,
    /// ASAP_SEND_TO_ALL: a copy to each element of the pool, but to this program's own. No.
    pub to_all: bool,
    /// ASAP_SEND_TO_SELF: with `to_all`, to this program's own too. No.
    pub to_self: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ppid: 0, unordered: false, failover: true, to_last: false, to_all: false, to_self: false }
    }
}

/// Bounds and times.
#[derive(Clone, Debug)]
pub struct Config {
    /// This program's own element, if it is one: no copy of what goes to all elements goes to it.
    pub own: Option<(PoolHandle, u32)>,
    /// How old an answer of the registrar may be that is still used: RFC 5352's stale cache value. 30 s.
    pub fresh: Duration,
    /// How long a message waits for a pool that is unknown, empty or not to be resolved, or of which no element can be
    /// reached. Zero: not at all, it is given back at once. Zero.
    pub patience: Duration,
    /// How long the setup of an association may take. 2 s.
    pub reach: Duration,
    /// After so long without a message an association that was set up from here is shut down. 60 s.
    pub idle: Duration,
    /// Octets of messages that may be under way, with 64 for each. 1 MiB.
    pub room: usize,
    /// Associations that others have set up and that may be there at a time. 1,024.
    pub visitors: usize,
    /// Random, for the policies that draw.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            own: None,
            fresh: Duration::from_secs(30),
            patience: Duration::ZERO,
            reach: Duration::from_secs(2),
            idle: Duration::from_secs(60),
            room: 1 << 20,
            visitors: 1024,
            seed: 0,
        }
    }
}

/// What happens to a mailbox.
#[derive(Clone, Debug)]
pub enum Input {
    /// The registrar's answer about a pool.
    Pool(PoolHandle, Answer),
    /// There was none.
    Unanswered(PoolHandle),
    /// An association that was asked for with [`Output::Open`] is up.
    Up(u64),
    /// Somebody has set an association up, from these addresses. Numbers of such are the driver's, from
    /// [`Mail::VISITORS`] on.
    Visitor(u64, Vec<SocketAddr>),
    /// All that was sent over this association is acknowledged.
    Dry(u64),
    /// The association is no more, or could not be set up. What it has not delivered, by [`Output::Send`]'s `copy`; and
    /// whether the other side has ended it in good order.
    Down {
        /// The association.
        link: u64,
        /// What was not delivered.
        undelivered: Vec<u32>,
        /// It was a shutdown.
        graceful: bool,
    },
    /// A message has come.
    Data {
        /// Over this association.
        link: u64,
        /// SCTP payload protocol identifier.
        ppid: u32,
        /// The octets.
        octets: Bytes,
    },
}

/// What a mailbox wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Resolve a pool; an answer no older than this will do.
    Resolve(PoolHandle, Duration),
    /// Set an association up.
    Open {
        /// Its number.
        link: u64,
        /// Where to.
        remote: Vec<SocketAddr>,
    },
    /// Send a message.
    Send {
        /// Over this association.
        link: u64,
        /// What the message is known by: the kernel's context.
        copy: u32,
        /// SCTP payload protocol identifier.
        ppid: u32,
        /// It may overtake others.
        unordered: bool,
        /// The octets.
        octets: Bytes,
    },
    /// Shut an association down; nothing is under way.
    Shutdown(u64),
    /// Abort an association. What was given to it is not waited for.
    Abort(u64),
    /// Tell the registrar that an element cannot be reached (RFC 5352 §6.9.2).
    Unreachable(PoolHandle, u32),
    /// For the program.
    Event(Event),
}

/// Who has sent a message (RFC 5352 §6.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The pool element that it is, by the pools that are in the cache.
    pub element: Option<(PoolHandle, u32)>,
    /// An address of it: to answer [`To::Address`].
    pub address: SocketAddr,
}

/// What the program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message has come (data.received, §6.6).
    Received {
        /// From whom.
        from: Origin,
        /// SCTP payload protocol identifier.
        ppid: u32,
        /// The octets.
        octets: Bytes,
    },
    /// A message could not be delivered (error.report, §6.7), and comes back.
    Failed {
        /// Its number.
        number: u64,
        /// Where it was to go; of a message to all elements, the one that did not get it.
        to: To,
        /// The octets.
        octets: Bytes,
        /// Why.
        why: Failure,
    },
    /// There is room again for messages that were refused.
    Room,
}

/// Why a message could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// No registrar has answered.
    #[error("no registrar has answered")]
    Unresolved,
    /// The registrar knows no such pool.
    #[error("there is no such pool")]
    UnknownPool,
    /// The pool has no such element, or none that could be reached.
    #[error("the pool has no element that could be reached")]
    NoElement,
    /// The association was lost, or could not be set up, and the message was not to go elsewhere.
    #[error("the association was lost or could not be set up")]
    Lost,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Too much is under way. [`Event::Room`] follows when there is room.
    #[error("too much is under way")]
    Full,
    /// ASAP's own payload protocol identifier is not for programs.
    #[error("payload protocol identifier 11 is ASAP's own")]
    Reserved,
    /// An address has neither pool nor policy: nothing but [`Options::ppid`] and [`Options::unordered`] goes with it.
    #[error("a transport address has no other elements")]
    NoPool,
}
