//! Priority (RFC 5356, 4.5): the highest priority first.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct Priority {
    priority: u32,
}

impl Rank for Priority {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::Priority { priority } => Some(Self { priority }),
            _ => None,
        }
    }

    fn rank(&self, _: u64) -> u128 {
        u128::from(u32::MAX - self.priority)
    }
}
