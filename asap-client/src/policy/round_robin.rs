//! Round Robin (RFC 5356, 4.1): a circular list in order of the identifiers; a response starts at its head.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::Selection;
use crate::wire::Policy;

#[derive(Clone, Debug, Default)]
pub(super) struct RoundRobin {
    ring: BTreeSet<u32>,
    /// The list starts at the first member that is not below this.
    head: u32,
}

impl Selection for RoundRobin {
    fn set(&mut self, member: u32, policy: &Policy) {
        match policy {
            Policy::RoundRobin => self.ring.insert(member),
            _ => self.ring.remove(&member),
        };
    }

    fn remove(&mut self, member: u32) {
        self.ring.remove(&member);
    }

    fn choose(&mut self, count: usize, _: &mut dyn FnMut() -> u64) -> Vec<u32> {
        let later = self.ring.range(self.head..);
        later.chain(self.ring.range(..self.head)).take(count).copied().collect()
    }

    /// The head moves on by one member, however many were named.
    fn returned(&mut self, members: &[u32]) {
        let Some(first) = members.first() else { return };
        let after = self.ring.range((Bound::Excluded(*first), Bound::Unbounded)).next();
        // A newcomer in front of the first is behind the last: it waits for its turn.
        self.head = after.or_else(|| self.ring.first()).copied().unwrap_or(0);
    }

    fn boxed_clone(&self) -> Box<dyn Selection> {
        Box::new(self.clone())
    }
}
