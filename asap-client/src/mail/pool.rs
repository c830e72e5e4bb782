//! What is known of one pool, and what waits for it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::link::Letter;
use crate::session::Candidates;
use crate::wire::{PoolElement, Transport};

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) candidates: Candidates,
    /// When the registrar told who is in it.
    pub(super) answered: Option<Instant>,
    /// An answer is waited for.
    pub(super) resolving: bool,
    /// Messages that wait for an answer.
    pub(super) waiting: VecDeque<Letter>,
    /// When it is asked again for those that have patience.
    pub(super) again: Option<Instant>,
    /// To whom the last message went.
    pub(super) last: Option<u32>,
}

impl Pool {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            candidates: Candidates::new(seed, 0),
            answered: None,
            resolving: false,
            waiting: VecDeque::new(),
            again: None,
            last: None,
        }
    }
}

/// Where an element is reached; nowhere if that is not over SCTP.
pub(super) fn places(element: &PoolElement) -> Vec<SocketAddr> {
    match &element.user {
        Transport::Sctp { port, addresses, .. } => {
            addresses.iter().map(|ip| SocketAddr::new(ip.to_canonical(), *port)).collect()
        }
        _ => Vec::new(),
    }
}
