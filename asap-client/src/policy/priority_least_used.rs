//! Priority Least Used (RFC 5356, 5.3): the lowest load first that a member would have with one more user.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct PriorityLeastUsed {
    load: u32,
    degradation: u32,
}

impl Rank for PriorityLeastUsed {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::PriorityLeastUsed { load, degradation } => Some(Self { load, degradation }),
            _ => None,
        }
    }

    fn rank(&self, _: u64) -> u128 {
        u128::from(self.load) + u128::from(self.degradation)
    }
}
