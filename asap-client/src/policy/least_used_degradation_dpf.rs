//! Least Used with Degradation and Distance Penalty Factor (rsplib): degradation for each time that a member is returned,
//! until it registers again, and penalty for each millisecond of distance, on top of the load.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct LeastUsedDegradationDpf {
    load: u32,
    degradation: u32,
    dpf: u32,
    distance: u32,
}

impl Rank for LeastUsedDegradationDpf {
    const DEGRADES: bool = true;

    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::LeastUsedDegradationDpf { load, degradation, dpf, distance } => {
                Some(Self { load, degradation, dpf, distance })
            }
            _ => None,
        }
    }

    fn rank(&self, returned: u64) -> u128 {
        u128::from(self.load)
            + u128::from(returned) * u128::from(self.degradation)
            + u128::from(self.distance) * u128::from(self.dpf)
    }
}
