//! Randomized Priority Least Used (rsplib): chances by the load that is left to full with one more user.

use super::lottery::{Weigh, what_is_left};
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct RandomizedPriorityLeastUsed {
    load: u32,
    degradation: u32,
}

impl Weigh for RandomizedPriorityLeastUsed {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::RandomizedPriorityLeastUsed { load, degradation } => Some(Self { load, degradation }),
            _ => None,
        }
    }

    fn weight(&self, _: u64) -> u32 {
        what_is_left(u32::MAX, u128::from(self.load) + u128::from(self.degradation))
    }
}
