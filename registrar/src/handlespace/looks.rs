//! Moments at which something is looked at, in their order.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Instant;

use super::moment::{Moment, Origin};

/// A moment and what is looked at then. The earlier is the greater, for a heap that has its greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look<T> {
    at: Moment,
    of: T,
}

impl<T: Ord> PartialOrd for Look<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for Look<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at).then_with(|| other.of.cmp(&self.of))
    }
}

/// So many looks that nobody takes any more need no tidying.
const FEW: usize = 1024;

/// Things with the moments at which each is looked at; and some looks that none of them takes any more, as it has gone,
/// or is looked at at another moment. Whoever has the things knows of each when it is looked at, so those are told apart
/// when their time comes, or when they are as many as the others.
///
/// Most that come in are looked at after nearly all others. In a heap that is a comparison or two, and no memory but
/// their own.
#[derive(Clone, Debug)]
pub(super) struct Looks<T> {
    origin: Origin,
    heap: BinaryHeap<Look<T>>,
    /// How many of them are not taken any more.
    stale: usize,
}

impl<T: Ord> Default for Looks<T> {
    fn default() -> Self {
        Self { origin: Origin::default(), heap: BinaryHeap::new(), stale: 0 }
    }
}

impl<T: Ord + Copy> Looks<T> {
    /// When that is, in this order.
    pub(super) fn moment(&mut self, at: Option<Instant>) -> Moment {
        self.origin.moment(at)
    }

    /// The time of a moment; `None`: no clock goes so far.
    pub(super) fn instant(&self, moment: Moment) -> Option<Instant> {
        self.origin.instant(moment)
    }

    /// Something is looked at at another moment than before.
    pub(super) fn change(&mut self, of: T, from: Moment, to: Moment) {
        if from == to {
            return;
        }
        if to != Moment::NEVER {
            self.heap.push(Look { at: to, of });
        }
        if from != Moment::NEVER {
            self.stale += 1;
        }
    }

    /// What is looked at first, or would have been, and when.
    pub(super) fn first(&self) -> Option<(T, Moment)> {
        self.heap.peek().map(|look| (look.of, look.at))
    }

    /// When the first is looked at, or before.
    pub(super) fn next(&self) -> Option<Instant> {
        self.first().and_then(|(_, at)| self.instant(at))
    }

    /// Takes the first one out, if it is time to look at it, with the moment that it was for.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(T, Moment)> {
        let now = self.moment(Some(now));
        self.first().filter(|(_, at)| *at <= now)?;
        self.take_first()
    }

    /// Takes the first one out, with the moment that it was for.
    pub(super) fn take_first(&mut self) -> Option<(T, Moment)> {
        self.heap.pop().map(|look| (look.of, look.at))
    }

    /// A look was taken out that nothing takes any more.
    pub(super) fn was_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// Whether there are as many that are not taken any more as others, and not a few: then [`Self::tidy`] is due.
    pub(super) fn is_untidy(&self) -> bool {
        self.stale > FEW && self.stale > self.heap.len() / 2
    }

    /// Throws away what is not taken any more; `taken` says whether something is looked at at a moment.
    pub(super) fn tidy(&mut self, taken: impl Fn(T, Moment) -> bool) {
        let mut looks = mem::take(&mut self.heap).into_vec();
        looks.retain(|look| taken(look.of, look.at));
        // Whatever is looked at at the same moment as once before is there twice.
        looks.sort_unstable();
        looks.dedup();
        looks.shrink_to(looks.len() * 2);
        self.heap = looks.into();
        self.stale = 0;
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (Moment, T)> {
        self.heap.iter().map(|look| (look.at, look.of))
    }

    /// How many of them are not taken any more. For tests.
    #[cfg(test)]
    pub(super) fn stale(&self) -> usize {
        self.stale
    }
}
