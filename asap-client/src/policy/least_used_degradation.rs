//! Least Used with Degradation (RFC 5356, 5.2): every time that a member is returned, its degradation is added to its
//! load, until it registers again.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct LeastUsedDegradation {
    load: u32,
    degradation: u32,
}

impl Rank for LeastUsedDegradation {
    const DEGRADES: bool = true;

    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::LeastUsedDegradation { load, degradation } => Some(Self { load, degradation }),
            _ => None,
        }
    }

    fn rank(&self, returned: u64) -> u128 {
        u128::from(self.load) + u128::from(returned) * u128::from(self.degradation)
    }
}
