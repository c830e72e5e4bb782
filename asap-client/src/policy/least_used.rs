//! Least Used (RFC 5356, 5.1): the lowest load first.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct LeastUsed {
    load: u32,
}

impl Rank for LeastUsed {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::LeastUsed { load } => Some(Self { load }),
            _ => None,
        }
    }

    fn rank(&self, _: u64) -> u128 {
        self.load.into()
    }
}
