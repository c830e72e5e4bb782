//! An association, and what is under way over it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::{Options, To};
use crate::wire::PoolHandle;

/// What keeping a message costs besides its octets.
const OVERHEAD: usize = 64;

/// A message on its way.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    /// Its number, as the program knows it.
    pub(super) number: u64,
    pub(super) to: To,
    pub(super) octets: Bytes,
    pub(super) options: Options,
    /// When it was sent first, and until when it waits for somebody to send it to.
    pub(super) since: Instant,
    pub(super) until: Instant,
}

impl Letter {
    pub(super) fn cost(&self) -> usize {
        self.octets.len() + OVERHEAD
    }
}

/// An association.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: Vec<SocketAddr>,
    pub(super) up: bool,
    /// It was set up from here; until when that may take.
    pub(super) ours: bool,
    pub(super) by: Instant,
    /// When it was last used.
    pub(super) used: Instant,
    /// The element that it was set up to.
    pub(super) element: Option<(PoolHandle, u32)>,
    /// What is not acknowledged, by copy.
    pub(super) letters: BTreeMap<u32, Letter>,
}
