//! Randomized Least Used (RFC 5356, 5.4): chances by the load that is left to full.

use super::lottery::{Weigh, what_is_left};
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct RandomizedLeastUsed {
    load: u32,
}

impl Weigh for RandomizedLeastUsed {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::RandomizedLeastUsed { load } => Some(Self { load }),
            _ => None,
        }
    }

    fn weight(&self, _: u64) -> u32 {
        what_is_left(u32::MAX, self.load.into())
    }
}
