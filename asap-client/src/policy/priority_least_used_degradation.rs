//! Priority Least Used with Degradation (rsplib): as Priority Least Used, and every time that a member is returned, its
//! degradation is added once more, until it registers again.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct PriorityLeastUsedDegradation {
    load: u32,
    degradation: u32,
}

impl Rank for PriorityLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::PriorityLeastUsedDegradation { load, degradation } => Some(Self { load, degradation }),
            _ => None,
        }
    }

    fn rank(&self, returned: u64) -> u128 {
        u128::from(self.load) + (u128::from(returned) + 1) * u128::from(self.degradation)
    }
}
