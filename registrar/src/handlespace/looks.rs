//! When to look at which element whether its registration has ended.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A moment, in nanoseconds since the first one that was told: half as large as an [`Instant`], in orders that have one
/// for each element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// It never comes.
    pub(super) const NEVER: Self = Self(i64::MAX);
}

/// An element, by its pool's slot and its identifier.
pub(super) type InSlot = (u32, u32);

/// All elements whose registrations end, each with the moment at which it is looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    origin: Option<Instant>,
    order: BTreeSet<(Moment, InSlot)>,
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Looks {
    /// `None` is never. Three hundred years are the same as never.
    pub(super) fn moment(&mut self, at: Option<Instant>) -> Moment {
        let Some(at) = at else { return Moment::NEVER };
        let origin = *self.origin.get_or_insert(at);
        Moment(match at.checked_duration_since(origin) {
            Some(later) => nanoseconds(later),
            None => -nanoseconds(origin.saturating_duration_since(at)),
        })
    }

    fn instant(&self, moment: Moment) -> Option<Instant> {
        let origin = self.origin?;
        let distance = Duration::from_nanos(moment.0.unsigned_abs());
        if moment.0 < 0 { origin.checked_sub(distance) } else { origin.checked_add(distance) }
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
        self.order.first().and_then(|(at, _)| self.instant(*at))
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
