//! Randomized Least Used with Degradation (rsplib): chances by the load that is left to full, less the degradation for
//! every time that the member was returned since it registered.

use super::lottery::{Weigh, what_is_left};
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct RandomizedLeastUsedDegradation {
    load: u32,
    degradation: u32,
}

impl Weigh for RandomizedLeastUsedDegradation {
    const DEGRADES: bool = true;

    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::RandomizedLeastUsedDegradation { load, degradation } => Some(Self { load, degradation }),
            _ => None,
        }
    }

    fn weight(&self, returned: u64) -> u32 {
        let used = u128::from(self.load) + u128::from(returned) * u128::from(self.degradation);
        what_is_left(u32::MAX, used)
    }
}
