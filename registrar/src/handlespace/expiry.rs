//! Deadlines in order: at most one per key, the nearest found at once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A set of keys, each with the moment at which it falls due.
///
/// Setting a key again replaces its deadline, so there are no stale timers to recognise later.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    order: BTreeSet<(Instant, K)>,
    when: BTreeMap<K, Instant>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { order: BTreeSet::new(), when: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// Sets, or moves, the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(before) = self.when.insert(key, at) {
            self.order.remove(&(before, key));
        }
        self.order.insert((at, key));
    }

    /// Takes the deadline of `key` away; says whether there was one.
    pub fn clear(&mut self, key: K) -> bool {
        match self.when.remove(&key) {
            Some(at) => self.order.remove(&(at, key)),
            None => false,
        }
    }

    /// When `key` falls due, if it has a deadline.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.when.get(&key).copied()
    }

    /// The nearest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes out one key whose deadline is `now` or earlier, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.pop_first();
        self.when.remove(&key);
        Some(key)
    }

    /// How many keys have a deadline.
    pub fn len(&self) -> usize {
        self.when.len()
    }

    /// Whether no key has a deadline.
    pub fn is_empty(&self) -> bool {
        self.when.is_empty()
    }

    /// The two orders say the same. For tests.
    #[cfg(test)]
    pub(crate) fn consistent(&self) -> bool {
        self.order.len() == self.when.len() && self.when.iter().all(|(k, at)| self.order.contains(&(*at, *k)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn origin() -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "an Instant can be had no other way; only differences count"
        )]
        Instant::now()
    }

    #[test]
    fn the_earliest_deadline_comes_out_first() {
        let (t, mut d) = (origin(), Deadlines::default());
        d.set(1, t + Duration::from_secs(2));
        d.set(2, t + Duration::from_secs(1));
        assert_eq!(d.next(), Some(t + Duration::from_secs(1)));
        assert_eq!(d.pop_due(t), None);
        assert_eq!(d.pop_due(t + Duration::from_secs(3)), Some(2));
        assert_eq!(d.pop_due(t + Duration::from_secs(3)), Some(1));
        assert!(d.is_empty() && d.consistent());
    }

    #[test]
    fn setting_a_key_again_moves_its_deadline() {
        let (t, mut d) = (origin(), Deadlines::default());
        d.set(1, t);
        d.set(1, t + Duration::from_secs(5));
        assert_eq!(d.len(), 1);
        assert_eq!(d.pop_due(t + Duration::from_secs(4)), None);
        assert!(d.clear(1) && !d.clear(1) && d.consistent());
    }
}
