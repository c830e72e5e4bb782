//! Random (RFC 5356, 4.3): all have the same chance.

use super::lottery::Weigh;
use crate::wire::Policy;

#[derive(Clone, Copy, Debug)]
pub(super) struct Random;

impl Weigh for Random {
    fn read(policy: &Policy) -> Option<Self> {
        matches!(policy, Policy::Random).then_some(Self)
    }

    fn weight(&self, _: u64) -> u32 {
        1
    }
}
