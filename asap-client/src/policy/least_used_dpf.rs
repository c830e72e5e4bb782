//! Least Used with Distance Penalty Factor (draft-dreibholz-rserpool-delay): the factor is load for each millisecond of
//! distance.

use super::ranking::Rank;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct LeastUsedDpf {
    load: u32,
    dpf: u32,
    distance: u32,
}

impl Rank for LeastUsedDpf {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::LeastUsedDpf { load, dpf, distance } => Some(Self { load, dpf, distance }),
            _ => None,
        }
    }

    fn rank(&self, _: u64) -> u128 {
        u128::from(self.load) + u128::from(self.distance) * u128::from(self.dpf)
    }
}
