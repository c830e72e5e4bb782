//! The element's side of sessions (RFC 5352 §3.8, §3.9): many users, each over an association of its own.
//!
//! [`Service`] is the machine of all sessions of one element. A session begins with the first message that comes over
//! an association: an echo of a cookie, then it is continued; or anything else, then it is new.

mod machine;
mod served;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::control::Nonsense;
use super::cookie::{Counts, Refusal, SessionId};
use super::key::KeyRing;
use super::window::Freshness;
use crate::wire::{PoolElement, PoolHandle};

pub use machine::Service;

/// How cookies are made.
#[derive(Clone, Debug)]
pub enum Cookies {
    /// Sealed under the pool's key, and refused if they are not, or not fresh.
    Sealed(KeyRing),
    /// As the service makes them, believed as they come: for pools with elements of other libraries. Whoever is a user
    /// can make the service believe anything; the service has to check for itself.
    Plain,
}

/// What an element's service is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pool.
    pub handle: PoolHandle,
    /// The element's identifier.
    pub id: u32,
    /// Whether the element is registered with a control channel. Without one there are neither cookies nor cards.
    pub control: bool,
    /// Whether the service speaks first: a session begins with its association then, and is never continued from a cookie.
    /// No.
    pub greets: bool,
    /// How cookies are made.
    pub cookies: Cookies,
    /// How fresh they have to be.
    pub freshness: Freshness,
    /// The longest cookie, made or opened. 65527, the most there can be.
    pub cookie: usize,
    /// Sessions at a time; the next user's association is aborted. 65536.
    pub sessions: usize,
    /// The elements that users shall go to after this one, in this order: told to each user when it comes
    /// (RFC 5352 §3.9). Empty for no card.
    pub card: Vec<PoolElement>,
    /// Random, and never the same for two machines: nonces and sessions' names begin with it. No secret.
    pub unique: [u8; 16],
    /// What time it is: an instant, and how long after 1970 it was. [`Input::Clock`] corrects it.
    pub clock: (Instant, Duration),
}

impl Config {
    /// With the defaults that the fields name.
    pub fn new(
        handle: PoolHandle,
        id: u32,
        cookies: Cookies,
        unique: [u8; 16],
        clock: (Instant, Duration),
    ) -> Self {
        Self {
            handle,
            id,
            control: true,
            greets: false,
            cookies,
            freshness: Freshness::default(),
            cookie: super::cookie::MAX,
            sessions: 65_536,
            card: Vec::new(),
            unique,
            clock,
        }
    }
}

/// What happens to an element's sessions. A *link* is an association, named by whoever drives the machine; no name is
/// used twice.
#[derive(Clone, Debug)]
pub enum Input {
    /// A user has set up an association.
    Accepted {
        /// Its name from now on.
        link: u64,
        /// What is known of the user and will be known to the next element too; see
        /// [`Bound::user`](super::cookie::Bound::user).
        user: Vec<u8>,
    },
    /// The association is no more.
    Down(u64),
    /// The user has begun it anew (SCTP_RESTART): what it was is over.
    Restarted(u64),
    /// A message of the user came.
    Data {
        /// Over this association.
        link: u64,
        /// Its PPID, any but 11.
        ppid: u32,
        /// Its octets.
        octets: Bytes,
    },
    /// A message with PPID 11 came.
    Control {
        /// Over this association.
        link: u64,
        /// Its octets.
        octets: Bytes,
    },
    /// The service sends a message.
    Send {
        /// Over this association.
        link: u64,
        /// PPID, any but 11.
        ppid: u32,
        /// Octets.
        octets: Bytes,
        /// Whether it may overtake.
        unordered: bool,
    },
    /// The service gives its state of a session, for whoever is the next.
    Cookie {
        /// Over this association.
        link: u64,
        /// The state.
        state: Vec<u8>,
        /// The number of the last message of the user that has gone into it; `None`: of the last that came.
        includes: Option<u64>,
    },
    /// From now on users shall go to these elements, in this order. Those that are here are told.
    Card(Vec<PoolElement>),
    /// From now on these keys.
    Keys(KeyRing),
    /// What time it is: how long after 1970.
    Clock(Duration),
    /// The service ends a session.
    End {
        /// Over this association.
        link: u64,
        /// Once all is delivered, or at once.
        graceful: bool,
    },
}

/// Why an input was not taken. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no session over this association, or no more.
    #[error("there is no such session")]
    Unknown,
    /// Data must not have ASAP's PPID (RFC 5352 §3.8).
    #[error("PPID 11 is the control channel's")]
    ControlPpid,
    /// There is no control channel for a cookie.
    #[error("the element has no control channel")]
    NoControl,
    /// The state does not fit into a cookie.
    #[error("a cookie of {size} octets, where {most} are allowed")]
    TooLong {
        /// Octets of the cookie.
        size: usize,
        /// The most there may be.
        most: usize,
    },
    /// The state is said to include a message that has not come.
    #[error("message {0} has not come")]
    NotCome(u64),
}

/// What an element's sessions want done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this message with PPID 11, in order with the data.
    Control {
        /// Over this association.
        link: u64,
        /// Octets.
        octets: Vec<u8>,
    },
    /// Send this message of the service.
    Data {
        /// Over this association.
        link: u64,
        /// PPID.
        ppid: u32,
        /// Octets.
        octets: Bytes,
        /// Whether it may overtake.
        unordered: bool,
    },
    /// Abort an association. Nothing from it is wanted any more.
    Abort(u64),
    /// Shut an association down once all is delivered. Nothing from it is wanted any more.
    Shutdown(u64),
    /// Tell the service.
    Event(Event),
}

/// What a session is continued from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The state, as the service at the element before gave it.
    pub state: Vec<u8>,
    /// How far the session had come: messages are numbered on from here. 0 for a plain cookie, which does not say it.
    pub counts: Counts,
    /// The element that gave the state; `None` for a plain cookie.
    pub issuer: Option<u32>,
}

/// What a service wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session has begun here.
    Started {
        /// Over this association.
        link: u64,
        /// Its name.
        session: SessionId,
        /// What it is continued from, if it is not new.
        restored: Option<Restored>,
    },
    /// A cookie was refused. If it was the first message of its association, the session starts afresh, and the user is
    /// told so. Comes before [`Self::Started`].
    Refused {
        /// Over this association.
        link: u64,
        /// Why.
        why: Refusal,
    },
    /// A message of the user.
    Data {
        /// Over this association.
        link: u64,
        /// Its number in the session.
        number: u64,
        /// PPID.
        ppid: u32,
        /// Octets.
        octets: Bytes,
    },
    /// A user that is an element itself has told of its own pool (RFC 5352 §3.9).
    Card {
        /// Over this association.
        link: u64,
        /// The user's pool.
        handle: PoolHandle,
        /// Its elements in the order of failover.
        elements: Vec<PoolElement>,
    },
    /// The user sent what makes no sense. It is ignored.
    Nonsense {
        /// Over this association.
        link: u64,
        /// What.
        what: Nonsense,
    },
    /// A session is not here any more.
    Ended {
        /// Over this association.
        link: u64,
        /// Why.
        why: Left,
    },
}

/// Why a session is not here any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// The association is no more.
    Down,
    /// The user has begun the association anew.
    Restarted,
    /// The user continues the session over another association to this element.
    Continued,
    /// The service ended it.
    Done,
}

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions begun.
    pub started: u64,
    /// Of these, continued from a cookie.
    pub restored: u64,
    /// Users turned away for want of room.
    pub turned_away: u64,
    /// Cookies made.
    pub cookies: u64,
    /// Cookies refused, by reason.
    pub refused: BTreeMap<Refusal, u64>,
    /// What made no sense.
    pub nonsense: u64,
}

#[cfg(test)]
mod tests;
