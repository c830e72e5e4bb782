//! Our own rules and routes: what we want, and what the kernel has of it.
//!
//! Routing puts them there; the monitor hears when they vanish. Both hold this book, so that a handover
//! needs no look at the kernel before it changes something.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::event::{OUR_PROTOCOL, Route};

/// A rule or route of ours. In order, a route comes before the rules that need it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Own {
    /// A route in one of our tables.
    Route(Route),
    /// A rule that sends what comes from an address to one of our tables.
    Rule { from: IpAddr, table: u32 },
}

impl Own {
    /// A route as we write it into our tables: no metric, our protocol.
    pub(crate) fn route(route: &Route, table: u32) -> Self {
        Self::Route(Route { table, metric: 0, protocol: OUR_PROTOCOL, ..route.clone() })
    }
}

#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) wanted: BTreeSet<Own>,
    pub(crate) present: BTreeSet<Own>,
    /// How often something wanted vanished.
    pub(crate) lost: u64,
    /// Events are missing: `present` has to be looked up in the kernel.
    pub(crate) doubtful: bool,
}

impl Ours {
    /// The kernel reports it gone.
    pub(crate) fn gone(&mut self, own: &Own) {
        if self.present.remove(own) && self.wanted.contains(own) {
            self.lost += 1;
        }
    }

    /// The kernel may have removed our routes through an interface without a word: those of IPv4, or all.
    pub(crate) fn routes_gone(&mut self, ifindex: u32, ipv4_only: bool) {
        let affected = |own: &Own| match own {
            Own::Route(route) => route.ifindex == ifindex && (!ipv4_only || route.destination.is_ipv4()),
            Own::Rule { .. } => false,
        };
        let before = self.present.len();
        self.present.retain(|own| !affected(own));
        if before != self.present.len() && self.wanted.iter().any(affected) {
            self.lost += 1;
        }
    }

    /// Nothing is known of the kernel any more.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = true;
        self.lost += 1;
    }
}

/// The book, shared by the monitor and [`crate::routing::Routing`].
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedOurs(Arc<Mutex<Ours>>);

impl SharedOurs {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Ours> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
