//! When to look at which element whether its registration has ended.

use std::collections::BTreeSet;
use std::time::Instant;

use super::moment::{Moment, Origin};
use super::slots::InSlot;

/// A moment and an element that is looked at then, in the order of both: in one number, which is quickly compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Look(u128);

impl Look {
    fn new(at: Moment, element: InSlot) -> Self {
        Self(u128::from(at.in_order()) << 64 | u128::from(element.in_order()))
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    fn parts(self) -> (Moment, InSlot) {
        (Moment::from_order((self.0 >> 64) as u64), InSlot::from_order(self.0 as u64))
    }
}

/// All elements whose registrations end, each with the moment at which it is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    origin: Origin,
    order: BTreeSet<Look>,
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
            self.order.insert(Look::new(to, element));
        }
        if from != Moment::NEVER {
            self.order.remove(&Look::new(from, element));
        }
    }

    /// When the first is looked at.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().and_then(|look| self.origin.instant(look.parts().0))
    }

    /// Takes the first one out, if it is time to look at it.
    pub(super) fn pop(&mut self, now: Instant) -> Option<InSlot> {
        let now = self.moment(Some(now));
        self.order.first().filter(|look| look.parts().0 <= now)?;
        self.order.pop_first().map(|look| look.parts().1)
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Moment, InSlot)> {
        self.order.iter().map(|look| look.parts()).collect()
    }
}
