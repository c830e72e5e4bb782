//! What is to happen, in order.

use std::collections::VecDeque;

use super::super::Time;

/// As many as a time has bits.
const BUCKETS: usize = Time::BITS as usize;

/// What is later than now by the same highest bit, in the order in which it was added.
#[derive(Debug)]
struct Bucket<T> {
    first: Time,
    all: Vec<(Time, T)>,
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { first: Time::MAX, all: Vec::new() }
    }
}

/// All that is to happen; of two at the same time the one that was added first comes first.
///
/// Time only goes on. So nothing is sorted that is far away: it lies together with all whose time differs from the present
/// one in the same highest bit, and these are divided when the first of them comes. Each is moved a few times in all, in
/// memory that lies in a row, however many there are. (A radix heap: Ahuja, Mehlhorn, Orlin and Tarjan, 1990.)
#[derive(Debug)]
pub(in crate::sim) struct Timeline<T> {
    now: Time,
    present: VecDeque<T>,
    later: [Bucket<T>; BUCKETS],
    /// A bit for each bucket that is not empty.
    filled: Time,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        let later = std::array::from_fn(|_| Bucket::default());
        Self { now: 0, present: VecDeque::new(), later, filled: 0 }
    }
}

impl<T> Timeline<T> {
    /// What was to be before the last that happened is to be now.
    pub(in crate::sim) fn add(&mut self, at: Time, what: T) {
        let at = at.max(self.now);
        let Some(bit) = (at ^ self.now).checked_ilog2() else { return self.present.push_back(what) };
        let bucket = &mut self.later[bit as usize];
        bucket.first = bucket.first.min(at);
        bucket.all.push((at, what));
        self.filled |= 1 << bit;
    }

    /// The next that is to happen, if it is at `until` or before, and when.
    pub(in crate::sim) fn next(&mut self, until: Time) -> Option<(Time, T)> {
        if self.present.is_empty() {
            let place = self.filled.trailing_zeros() as usize;
            let bucket = self.later.get_mut(place).filter(|bucket| bucket.first <= until)?;
            let Bucket { first, mut all } = std::mem::take(bucket);
            self.now = first;
            self.filled &= !(1 << place);
            for (at, what) in all.drain(..) {
                self.add(at, what);
            }
            // All of it lies in lower ones now; its room is used again.
            self.later[place].all = all;
        }
        self.present.pop_front().map(|what| (self.now, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_comes_at_its_time_and_what_comes_at_the_same_time_in_the_order_it_was_added(
            steps in prop::collection::vec((0u64..3, prop_oneof![0u64..4, 0u64..1000, 0u64..10_000_000]), 1..200)
        ) {
            let (mut timeline, mut all, mut now) = (Timeline::default(), Vec::new(), 0);
            for (number, (kind, time)) in steps.into_iter().enumerate() {
                if kind > 0 {
                    timeline.add(now + time, number);
                    all.push((now + time, number));
                    all.sort_unstable();
                    continue;
                }
                let until = now + time;
                while let Some(next) = timeline.next(until) {
                    prop_assert_eq!(next, all.remove(0));
                }
                prop_assert!(all.first().is_none_or(|(at, _)| *at > until));
                now = until;
            }
            while let Some(next) = timeline.next(Time::MAX) {
                prop_assert_eq!(next, all.remove(0));
            }
            prop_assert!(all.is_empty());
        }
    }
}
