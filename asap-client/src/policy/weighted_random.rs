//! Weighted Random (RFC 5356, 4.4): chances by weight.

use super::lottery::Weigh;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct WeightedRandom {
    weight: u32,
}

impl Weigh for WeightedRandom {
    fn read(policy: &Policy) -> Option<Self> {
        match *policy {
            Policy::WeightedRandom { weight } => Some(Self { weight }),
            _ => None,
        }
    }

    fn weight(&self, _: u64) -> u32 {
        self.weight
    }
}
