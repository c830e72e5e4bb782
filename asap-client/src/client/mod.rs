//! A host's whole RSerPool client as one machine: the registrations of all its elements, the resolutions and
//! subscriptions of all its users.
//!
//! Whoever drives it makes associations of its outputs: a *port* is a socket bound to some of the host's addresses, a
//! *link* an association of such a socket. When the host's addresses change, everything is said again over new links
//! from the new addresses. There are two, one for the elements and one for the users, so that registrations and
//! resolutions travel at the same time, each with the setting up of its association. The elements' old association is
//! moved, too, if that can be done, and used again once all is registered.

mod announced;
mod carried;
mod home;
mod machine;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::pool_user::Answer;
use crate::timers::Timers;
use crate::wire::{Cause, Policy, PoolHandle, TransportUse};

pub use machine::Client;

/// A socket bound to addresses of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortId(pub u64);

/// An association.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkId {
    /// Opened by [`Output::Open`].
    Ours(u64),
    /// Set up by a peer; numbered by the driver, the later the higher.
    Theirs(u64),
}

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The registrars, each with its addresses and ports, of either family.
    pub registrars: Vec<Vec<SocketAddr>>,
    /// Timers and thresholds.
    pub timers: Timers,
    /// Random, for the order in which registrars are tried; `None` tries them in the list's order, the first one alone
    /// for [`Timers::head_start`].
    pub seed: Option<u64>,
}

/// A pool element of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementConfig {
    /// Its pool.
    pub handle: PoolHandle,
    /// Its identifier: random, not 0, and kept.
    pub id: u32,
    /// The SCTP port where it serves: its own program's, not the client's.
    pub port: u16,
    /// Whether its program speaks ASAP on the data association.
    pub use_: TransportUse,
    /// How it wants to be selected.
    pub policy: Policy,
    /// How long a registration lives unless renewed; `None` is for ever.
    pub life: Option<Duration>,
    /// Where it serves; `None` is at all addresses of the host. What is not among these is not registered.
    pub addresses: Option<Vec<IpAddr>>,
}

/// What happens to a client.
#[derive(Clone, Debug)]
pub enum Input {
    /// The host has these usable addresses now; none means offline: all rests until there are some again. Elements are
    /// registered with them in this order; the order alone is no news.
    Local(Vec<IpAddr>),
    /// Keep this element registered; one of the same handle and identifier is replaced.
    Register(ElementConfig),
    /// Take this element out of its pool.
    Deregister {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
    },
    /// Take all elements out of their pools.
    DeregisterAll,
    /// Keep me informed about this pool.
    Subscribe(PoolHandle),
    /// No more.
    Unsubscribe(PoolHandle),
    /// Somebody waits for this pool to change, or no more.
    Urge {
        /// The pool.
        handle: PoolHandle,
        /// Whether somebody waits.
        on: bool,
    },
    /// Who is in this pool?
    Resolve {
        /// The pool.
        handle: PoolHandle,
        /// How old a kept answer may be; zero for a new one.
        fresh: Duration,
    },
    /// An element could not be reached: tell the registrar.
    Unreachable {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
    },
    /// A registrar has announced itself (RFC 5352 §3.6). It is believed: to be asked for a home, for
    /// [`Timers::t7_outdate`], and to make itself our home by a keep-alive. No more than 16 are kept at a time.
    Announced {
        /// Its identifier.
        server: u32,
        /// Where it serves, of one port if over SCTP.
        addresses: Vec<SocketAddr>,
    },
    /// What [`Output::Carry`] asked for is under way.
    Carried(LinkId),
    /// An association is up.
    Up(LinkId),
    /// An association could not be set up, is lost or was shut down.
    Down(LinkId),
    /// The peer has begun an association anew: what it knew of us is lost.
    Restarted(LinkId),
    /// A peer has set up an association to one of our ports.
    Accepted {
        /// The association.
        link: LinkId,
        /// Our port.
        port: PortId,
        /// The peer's addresses.
        peer: Vec<SocketAddr>,
    },
    /// A message with ASAP's PPID came.
    Received(LinkId, Vec<u8>),
}

/// What a client wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Make a socket bound to these addresses that also lets peers set up associations.
    Bind {
        /// Its name from now on.
        port: PortId,
        /// The addresses.
        local: Vec<IpAddr>,
    },
    /// Close this socket; it has no associations any more.
    Unbind(PortId),
    /// Set up an association to a peer of these addresses.
    Open {
        /// Its name from now on.
        link: LinkId,
        /// From this socket.
        port: PortId,
        /// The peer's addresses, at least one.
        remote: Vec<SocketAddr>,
    },
    /// Send this over an association that is up, or with its setting up.
    Send {
        /// The association.
        link: LinkId,
        /// One user message.
        bytes: Vec<u8>,
    },
    /// Move this association, and its socket, to these addresses (RFC 5061), if that can be done; answered by
    /// [`Input::Carried`] then, and else not at all.
    Carry {
        /// The association.
        link: LinkId,
        /// The addresses, the likeliest first.
        local: Vec<IpAddr>,
    },
    /// Abort this association.
    Close(LinkId),
    /// Tell the user.
    Event(Event),
}

/// What a user may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a home registrar: the elements', or the users' where there are no elements.
    Home {
        /// The registrar as listed.
        registrar: Vec<SocketAddr>,
    },
    /// There is no home registrar; one is being looked for.
    HomeLost,
    /// The host has no address.
    Offline,
    /// An element is registered.
    Registered {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
        /// The addresses that it is registered with.
        addresses: Vec<IpAddr>,
        /// What the registrar altered.
        warnings: Vec<Cause>,
    },
    /// An element was refused. It is not tried again unchanged at the same home.
    Rejected {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
        /// Why.
        causes: Vec<Cause>,
    },
    /// Registrations of an element went unanswered; it will be tried again.
    Unregistered {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
    },
    /// An element's registration has run out at the registrar; it is being renewed.
    Expired {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
    },
    /// An element is registered no more.
    Withdrawn {
        /// Its pool.
        handle: PoolHandle,
        /// Its identifier.
        id: u32,
    },
    /// A subscribed pool has changed, or the answer to a resolution.
    Pool {
        /// The pool.
        handle: PoolHandle,
        /// Who is in it.
        answer: Answer,
    },
    /// Resolutions of a pool went unanswered.
    Unanswered {
        /// The pool.
        handle: PoolHandle,
    },
    /// The registrar did not understand something.
    Error(Vec<Cause>),
    /// A registrar sent what is not a message.
    Nonsense {
        /// What is wrong with it.
        why: String,
    },
}

#[cfg(test)]
mod tests;
