//! Randomized Priority Least Used with Degradation (rsplib): chances by the load that is left to full with one more user,
//! less the degradation for every time that the member was returned since it registered.

use super::lottery::{Weigh, what_is_left};
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct RandomizedPriorityLeastUsedDegradation {
    load: u32,
    degradation: u32,
}

impl Weigh for RandomizedPriorityLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::RandomizedPriorityLeastUsedDegradation { load, degradation } => {
                Some(Self { load, degradation })
            }
            _ => None,
        }
    }

    fn weight(&self, returned: u64) -> u32 {
        let used = u128::from(self.load) + (u128::from(returned) + 1) * u128::from(self.degradation);
        what_is_left(u32::MAX, used)
    }
}
