//! Deadlines in order: at most one per key, the nearest found at once.

use foldhash::quality::RandomState;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

use super::moment::{Moment, Origin};

/// A set of keys, each with the moment at which it falls due.
///
/// Setting a key again replaces its deadline, so there are no stale timers to recognise later. Most deadlines are put off
/// again and again before they come: that leaves the order as it is, and the key is looked at when it would have been
/// due before.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    origin: Origin,
    order: BTreeSet<(Moment, K)>,
    /// Keyed by chance, since others choose part of the keys, but quick: each message from an element comes by here.
    when: HashMap<K, When, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct When {
    /// The deadline.
    at: Moment,
    /// Its place in the order: not after the deadline.
    look: Moment,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { origin: Origin::default(), order: BTreeSet::new(), when: HashMap::default() }
    }
}

impl<K: Ord + Copy + Hash> Deadlines<K> {
    /// Sets, or moves, the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        let at = self.origin.moment(Some(at));
        self.put(key, at);
    }

    /// As [`Self::set`], up to 17 ms later, when more falls due: whoever sleeps in between wakes less often.
    pub fn set_roughly(&mut self, key: K, at: Instant) {
        let at = self.origin.moment(Some(at)).roughly();
        self.put(key, at);
    }

    fn put(&mut self, key: K, at: Moment) {
        match self.when.get_mut(&key) {
            Some(when) if when.look <= at => when.at = at,
            Some(when) => {
                self.order.remove(&(when.look, key));
                *when = When { at, look: at };
                self.order.insert((at, key));
            }
            None => {
                self.when.insert(key, When { at, look: at });
                self.order.insert((at, key));
            }
        }
    }

    /// Takes the deadline of `key` away; says whether there was one.
    pub fn clear(&mut self, key: K) -> bool {
        if self.when.is_empty() {
            return false;
        }
        match self.when.remove(&key) {
            Some(when) => self.order.remove(&(when.look, key)),
            None => false,
        }
    }

    /// When `key` falls due, if it has a deadline.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.when.get(&key).and_then(|when| self.origin.instant(when.at))
    }

    /// When to call [`Self::pop_due`]: not after the nearest deadline, but perhaps before.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().and_then(|(at, _)| self.origin.instant(*at))
    }

    /// Takes out one key whose deadline is `now` or earlier, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.pop_due_since(now).map(|(_, key)| key)
    }

    /// As [`Self::pop_due`], with the deadline.
    pub fn pop_due_since(&mut self, now: Instant) -> Option<(Instant, K)> {
        let now = self.origin.moment(Some(now));
        loop {
            let (look, key) = *self.order.first()?;
            if look > now {
                return None;
            }
            self.order.pop_first();
            match self.when.get_mut(&key) {
                Some(when) if when.at > look => {
                    when.look = when.at;
                    self.order.insert((when.at, key));
                }
                _ => {
                    let at = self.when.remove(&key).map_or(look, |when| when.at);
                    return Some((self.origin.instant(at)?, key));
                }
            }
        }
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
        let there = |(k, when): (&K, &When)| when.look <= when.at && self.order.contains(&(when.look, *k));
        self.order.len() == self.when.len() && self.when.iter().all(there)
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

    #[test]
    fn deadlines_that_have_time_come_together_and_none_of_them_early_or_late() {
        let (t, mut d) = (origin(), Deadlines::default());
        let at = |ms| t + Duration::from_millis(ms);
        (0..1_000).for_each(|ms| d.set_roughly(ms, at(ms)));
        let mut wakes = 0;
        while let Some(next) = d.next() {
            wakes += 1;
            while let Some(ms) = d.pop_due(next) {
                assert!(at(ms) <= next && next < at(ms + 17), "{ms}");
            }
        }
        assert_eq!(wakes, 60);
    }

    #[test]
    fn deadlines_that_were_put_off_come_in_their_order_all_the_same() {
        let (t, mut d) = (origin(), Deadlines::default());
        let at = |seconds| t + Duration::from_secs(seconds);
        d.set(1, at(1));
        d.set(2, at(3));
        d.set(1, at(5));
        d.set(3, at(9));
        d.set(3, at(4));
        assert_eq!((d.get(1), d.len()), (Some(at(5)), 3));
        assert!(d.next().is_some_and(|next| next <= at(3)) && d.consistent());
        assert_eq!(d.pop_due(at(2)), None);
        assert_eq!(d.next(), Some(at(3)), "it was looked at");
        let order: Vec<_> = std::iter::from_fn(|| d.pop_due(at(10))).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
