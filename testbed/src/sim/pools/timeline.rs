//! What is to happen, in order.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::Time;

/// Something at its time; of two at the same time the one that was added first comes first.
#[derive(Debug)]
struct Entry<T> {
    at: Reverse<(Time, u64)>,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}

/// All that is to happen.
#[derive(Debug)]
pub(super) struct Timeline<T> {
    heap: BinaryHeap<Entry<T>>,
    added: u64,
}

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), added: 0 }
    }
}

impl<T> Timeline<T> {
    pub(super) fn add(&mut self, at: Time, what: T) {
        self.added += 1;
        self.heap.push(Entry { at: Reverse((at, self.added)), what });
    }

    /// The next that is to happen, if it is at `until` or before, and when.
    pub(super) fn next(&mut self, until: Time) -> Option<(Time, T)> {
        self.heap.peek().filter(|entry| entry.at.0.0 <= until)?;
        self.heap.pop().map(|entry| (entry.at.0.0, entry.what))
    }
}
