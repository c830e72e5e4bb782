//! When to look at which element whether its registration has ended.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Instant;

use super::moment::{Moment, Origin};
use super::slots::InSlot;

/// A moment and an element that is looked at then, the latest first: most that come in are looked at after all others,
/// and what comes first is found first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    at: u64,
    element: InSlot,
}

impl PartialOrd for Look {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Look {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at).then_with(|| other.element.cmp(&self.element))
    }
}

impl Look {
    fn new(at: Moment, element: InSlot) -> Self {
        Self { at: at.in_order(), element }
    }

    fn moment(self) -> Moment {
        Moment::from_order(self.at)
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
        self.order.last().and_then(|look| self.origin.instant(look.moment()))
    }

    /// Takes the first one out, if it is time to look at it.
    pub(super) fn pop(&mut self, now: Instant) -> Option<InSlot> {
        let now = self.moment(Some(now));
        self.order.last().filter(|look| look.moment() <= now)?;
        self.order.pop_last().map(|look| look.element)
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Moment, InSlot)> {
        self.order.iter().map(|look| (look.moment(), look.element)).collect()
    }
}
