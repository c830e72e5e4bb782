//! What a session over the kernel is made with.

use std::fmt;
use std::net::IpAddr;

use super::super::Tuning;
use crate::session::user::{self, Decision, Exchange, Loss};
use crate::wire::PoolHandle;

/// An element that the session was at, and is not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The element.
    pub id: u32,
    /// Why.
    pub why: Loss,
    /// Whether there is a cookie for the next one.
    pub cookie: bool,
}

/// What a program wants done about the loss of an element. It is called in the session's task, which waits for it: it
/// should not block.
pub struct OnLoss(pub(super) Box<dyn FnMut(Lost) -> Decision + Send>);

impl OnLoss {
    /// This function decides.
    pub fn new(decide: impl FnMut(Lost) -> Decision + Send + 'static) -> Self {
        Self(Box::new(decide))
    }
}

impl fmt::Debug for OnLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnLoss")
    }
}

/// What a session is made with.
#[derive(Debug)]
pub struct Config {
    /// The pool, what is exchanged, bounds and times. Its `seed` and `turn` are chosen by the library.
    pub session: user::Config,
    /// Decides at each loss of an element whether and where the session goes on. `None`: on to the next, or, with
    /// [`ask`](user::Config::ask), as the program says after [`Event::Decide`](user::Event::Decide).
    pub on_loss: Option<OnLoss>,
    /// What is asked of the kernel: how soon an element that is gone is known as such. [`Tuning::session`].
    pub tuning: Tuning,
    /// The host's addresses that associations are made from; none: all that it has, which can change then. On a host
    /// that moves, [`Session::set_local_addresses`](super::Session::set_local_addresses) tells the new ones.
    pub local: Vec<IpAddr>,
    /// The longest message, either way, in octets; at most twice `net.core.wmem_max`. An element that sends a longer one
    /// is left. 128 KiB.
    pub longest: usize,
    /// Octets that may wait for the program to read them, all that goes with them counted. 1 MiB.
    pub unread: usize,
}

impl Config {
    /// With the defaults that the fields name.
    pub fn new(handle: PoolHandle, exchange: Exchange) -> Self {
        Self {
            session: user::Config::new(handle, exchange),
            on_loss: None,
            tuning: Tuning::session(),
            local: Vec::new(),
            longest: 1 << 17,
            unread: 1 << 20,
        }
    }
}
