//! Round Robin (RFC 5356, 4.1): a circular list in order of the identifiers; a response starts at its head.

use super::{Circle, Selection};
use crate::wire::Policy;

#[derive(Clone, Debug, Default)]
pub(super) struct RoundRobin {
    /// The list starts at the first member that is not below this.
    head: u32,
    /// Where among the members that one may be.
    place: u32,
}

impl RoundRobin {
    pub(super) fn place(&self) -> usize {
        usize::try_from(self.place).unwrap_or(0)
    }
}

impl Selection for RoundRobin {
    fn set(&mut self, _: u32, _: &Policy) {}

    fn remove(&mut self, _: u32) {}

    fn choose(&mut self, members: &dyn Circle, count: usize, _: &mut dyn FnMut() -> u64) -> Vec<u32> {
        members.once_round(self.head, &mut self.place, count)
    }

    /// The head moves on by one member, however many were named. It is a member and no number, so that a newcomer
    /// in front of the first is behind the last.
    fn returned(&mut self, members: &dyn Circle, named: &[u32]) {
        match *named {
            [] => {}
            [_, second, ..] => (self.head, self.place) = (second, self.place.wrapping_add(1)),
            [only] => {
                let next = members.next_after(only, self.place);
                (self.head, self.place) = (next, self.place.wrapping_add(1));
            }
        }
    }

    fn boxed_clone(&self) -> Box<dyn Selection> {
        Box::new(self.clone())
    }
}
