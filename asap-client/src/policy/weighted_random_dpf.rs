//! Weighted Random with Distance Penalty Factor (draft-dreibholz-rserpool-delay): the factor is the fraction of the
//! weight that each millisecond of distance takes off.

use super::lottery::{Weigh, what_is_left};
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct WeightedRandomDpf {
    weight: u32,
    dpf: u32,
    distance: u32,
}

impl Weigh for WeightedRandomDpf {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::WeightedRandomDpf { weight, dpf, distance } => Some(Self { weight, dpf, distance }),
            _ => None,
        }
    }

    fn weight(&self, _: u64) -> u32 {
        if self.weight == 0 {
            return 0;
        }
        // Two factors of 32 bits fit into 64, and 128 hold the third.
        let penalty = u128::from(self.distance) * u128::from(self.dpf);
        what_is_left(self.weight, u128::from(self.weight) * penalty / u128::from(u32::MAX))
    }
}
