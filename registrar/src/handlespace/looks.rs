//! When to look at which element whether its registration has ended.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::moment::{Moment, Origin};
use super::slots::InSlot;

/// A moment and an element that is looked at then. The earlier is the greater, for a heap that has its greatest first.
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
    fn moment(self) -> Moment {
        Moment::from_order(self.at)
    }
}

/// So many looks that nobody takes any more need no tidying.
const FEW: usize = 1024;

/// All elements whose registrations end, each with the moment at which it is looked at; and some looks that no element
/// takes any more, as it has gone, or is looked at at another moment. Every element knows when it is looked at, so
/// those are told apart when their time comes, or when they are as many as the others.
///
/// Most that come in are looked at after all others. In a heap that is one comparison, and no memory but their own.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    origin: Origin,
    heap: BinaryHeap<Look>,
    /// How many of them are not taken any more.
    stale: usize,
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
            self.heap.push(Look { at: to.in_order(), element });
        }
        if from != Moment::NEVER {
            self.stale += 1;
        }
    }

    /// When the first is looked at, or before.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().and_then(|look| self.origin.instant(look.moment()))
    }

    /// Takes the first one out, if it is time to look at it, with the moment that it was for.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(InSlot, Moment)> {
        let now = self.moment(Some(now));
        self.heap.peek().filter(|look| look.moment() <= now)?;
        self.heap.pop().map(|look| (look.element, look.moment()))
    }

    /// A look was taken out that no element takes any more.
    pub(super) fn was_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// Whether there are as many that are not taken any more as others, and not a few: then [`Self::tidy`] is due.
    pub(super) fn is_untidy(&self) -> bool {
        self.stale > FEW && self.stale > self.heap.len() / 2
    }

    /// Throws away what is not taken any more; `taken` says whether an element is looked at at a moment.
    pub(super) fn tidy(&mut self, taken: impl Fn(InSlot, Moment) -> bool) {
        self.heap.retain(|look| taken(look.element, look.moment()));
        self.heap.shrink_to(self.heap.len() * 2);
        self.stale = 0;
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (Moment, InSlot)> {
        self.heap.iter().map(|look| (look.moment(), look.element))
    }

    /// How many of them are not taken any more. For tests.
    #[cfg(test)]
    pub(super) fn stale(&self) -> usize {
        self.stale
    }
}
