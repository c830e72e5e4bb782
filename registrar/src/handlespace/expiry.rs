//! Deadlines in order: at most one per key, the nearest found at once.

use foldhash::quality::RandomState;
#[cfg(test)]
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::mem;
use std::time::Instant;

use super::looks::Looks;
use super::moment::Moment;

/// A set of keys, each with the moment at which it falls due.
///
/// Setting a key again replaces its deadline, so there are no stale timers to recognise later. Most deadlines are put off
/// again and again before they come: that leaves the order as it is, and the key is looked at when it would have been
/// due before.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    /// The first of them is always the look of a key.
    looks: Looks<K>,
    /// Keyed by chance, since others choose part of the keys, but quick: each message from an element comes by here.
    when: HashMap<K, When, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct When {
    /// The deadline.
    at: Moment,
    /// When the key is looked at: not after the deadline.
    look: Moment,
}

impl<K: Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self { looks: Looks::default(), when: HashMap::default() }
    }
}

impl<K: Ord + Copy + Hash> Deadlines<K> {
    /// Sets, or moves, the deadline of `key`.
    pub fn set(&mut self, key: K, at: Instant) {
        let at = self.looks.moment(Some(at));
        self.put(key, at);
    }

    /// As [`Self::set`], up to 17 ms later, when more falls due: whoever sleeps in between wakes less often.
    pub fn set_roughly(&mut self, key: K, at: Instant) {
        let at = self.looks.moment(Some(at)).roughly();
        self.put(key, at);
    }

    fn put(&mut self, key: K, at: Moment) {
        match self.when.entry(key) {
            Entry::Occupied(mut entry) => {
                let when = entry.get_mut();
                when.at = at;
                if at < when.look {
                    let before = mem::replace(&mut when.look, at);
                    self.looks.change(key, before, at);
                    self.tidy();
                }
            }
            Entry::Vacant(entry) => {
                entry.insert(When { at, look: at });
                self.looks.change(key, Moment::NEVER, at);
            }
        }
    }

    /// Takes the deadline of `key` away; says whether there was one.
    pub fn clear(&mut self, key: K) -> bool {
        if self.when.is_empty() {
            return false;
        }
        let Some(when) = self.when.remove(&key) else { return false };
        self.looks.change(key, when.look, Moment::NEVER);
        self.tidy();
        true
    }

    /// Drops looks that no key takes any more: those that come first, and all where they are many.
    fn tidy(&mut self) {
        while self.looks.first().is_some_and(|(key, look)| !takes(&self.when, key, look)) {
            self.looks.take_first();
            self.looks.was_stale();
        }
        if self.looks.is_untidy() {
            self.looks.tidy(|key, look| takes(&self.when, key, look));
        }
    }

    /// When `key` falls due, if it has a deadline.
    pub fn get(&self, key: K) -> Option<Instant> {
        self.when.get(&key).and_then(|when| self.looks.instant(when.at))
    }

    /// When to call [`Self::pop_due`]: not after the nearest deadline, but perhaps before.
    pub fn next(&self) -> Option<Instant> {
        self.looks.next()
    }

    /// Takes out one key whose deadline is `now` or earlier, the earliest first.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        self.pop_due_since(now).map(|(_, key)| key)
    }

    /// As [`Self::pop_due`], with the deadline.
    pub fn pop_due_since(&mut self, now: Instant) -> Option<(Instant, K)> {
        while let Some((key, look)) = self.looks.pop(now) {
            match self.when.get_mut(&key) {
                Some(when) if when.at > look => {
                    when.look = when.at;
                    self.looks.change(key, Moment::NEVER, when.at);
                    self.tidy();
                }
                _ => {
                    let at = self.when.remove(&key).map_or(look, |when| when.at);
                    self.tidy();
                    return Some((self.looks.instant(at)?, key));
                }
            }
        }
        None
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
        let looks: BTreeSet<(Moment, K)> = self.looks.all().collect();
        let there = |(k, when): (&K, &When)| when.look <= when.at && looks.contains(&(when.look, *k));
        let first = self.looks.first().is_none_or(|(key, look)| takes(&self.when, key, look));
        let all = self.looks.all().count() == self.when.len() + self.looks.stale();
        first && all && !self.looks.is_untidy() && self.when.iter().all(there)
    }
}

/// Whether a key is looked at at this moment.
fn takes<K: Hash + Eq>(when: &HashMap<K, When, RandomState>, key: K, look: Moment) -> bool {
    when.get(&key).is_some_and(|when| when.look == look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
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

    #[test]
    fn deadlines_that_are_set_and_cleared_again_and_again_leave_nothing_behind() {
        let (t, mut d) = (origin(), Deadlines::default());
        let at = |ms: u64| t + Duration::from_millis(ms);
        d.set(0, at(0));
        for round in 0..10_000 {
            d.set(1, at(5));
            d.set(2, at(6 + round));
            assert!(d.clear(1) && d.clear(2));
        }
        assert!(d.consistent() && d.looks.all().count() <= 1026, "{}", d.looks.all().count());
        assert_eq!((d.pop_due(at(0)), d.next(), d.looks.all().count()), (Some(0), None, 0));
    }

    #[test]
    fn deadlines_that_have_come_leave_no_more_behind_than_there_are() {
        let (t, mut d) = (origin(), Deadlines::default());
        let at = |ms: u64| t + Duration::from_millis(ms);
        (0..4000).for_each(|key| d.set(key, at(key)));
        (2000..3900).for_each(|key| assert!(d.clear(key)));
        (0..2000).for_each(|key| assert_eq!(d.pop_due(at(1999)), Some(key)));
        assert!(d.consistent(), "{} of {}", d.looks.stale(), d.looks.all().count());
        assert_eq!(d.next(), Some(at(3900)));
    }

    proptest! {
        #[test]
        fn deadlines_are_those_of_a_list_in_order(
            steps in prop::collection::vec((0..4u8, 0..8u32, 0..20u64), 0..300),
        ) {
            let (t, mut d) = (origin(), Deadlines::default());
            let mut list = BTreeMap::new();
            let mut now = 0;
            let at = |ms: u64| t + Duration::from_millis(ms);
            for (what, key, ms) in steps {
                match what {
                    0 | 1 => {
                        d.set(key, at(now + ms));
                        list.insert(key, now + ms);
                    }
                    2 => prop_assert_eq!(d.clear(key), list.remove(&key).is_some()),
                    _ => {
                        now += ms / 4;
                        while let Some((due, key)) = d.pop_due_since(at(now)) {
                            let first = list.iter().map(|(key, ms)| (*ms, *key)).min();
                            prop_assert_eq!(first.map(|(ms, key)| (at(ms), key)), Some((due, key)));
                            list.remove(&key);
                        }
                        prop_assert!(list.values().all(|due| *due > now));
                    }
                }
                let first = list.values().min().map(|ms| at(*ms));
                prop_assert!(d.consistent() && d.len() == list.len());
                prop_assert!(d.next() <= first && d.next().is_some() == first.is_some());
                prop_assert_eq!(d.get(key), list.get(&key).map(|ms| at(*ms)));
            }
        }
    }
}
