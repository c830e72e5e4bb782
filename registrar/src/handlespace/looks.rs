//! When to look at which element whether its registration has ended.

use std::collections::BTreeSet;
use std::time::Instant;

use super::moment::{Moment, Origin};

/// An element, by its pool's slot and its identifier.
pub(super) type InSlot = (u32, u32);

/// All elements whose registrations end, each with the moment at which it is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    origin: Origin,
    order: BTreeSet<(Moment, InSlot)>,
}

impl Looks {
    /// When that is, in this order.
    pub(super) fn moment(&mut self, at: Option<Instant>) -> Moment {
        self.origin.moment(at)
    }

    /// An element is looked at so at another moment than before.
    pub(super) fn change(&mut self, element: InSlot, from: Moment, to: Moment) {
        if from == to {
            return;
        }
        if to != Moment::NEVER {
            self.order.insert((to, element));
        }
        if from != Moment::NEVER {
            self.order.remove(&(from, element));
        }
    }

    /// When the first is looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().and_then(|(at, _)| self.origin.instant(*at))
    }

    /// Takes the first one out, if it is time to look at it.
    pub(super) fn pop(&mut self, now: Instant) -> Option<InSlot> {
        let now = self.moment(Some(now));
        self.order.first().filter(|(at, _)| *at <= now)?;
        self.order.pop_first().map(|(_, element)| element)
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> &BTreeSet<(Moment, InSlot)> {
        &self.order
    }
}
