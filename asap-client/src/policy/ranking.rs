//! What all policies share that name the best members in order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Circle, Selection};
use crate::wire::Policy;

/// A member's values, and what they make of it.
pub(super) trait Rank: Copy + fmt::Debug + Send + Sync + 'static {
    /// Whether being returned changes a member's rank.
    const DEGRADES: bool = false;

    /// The values in a policy of this type; `None`: it is of another.
    fn read(policy: &Policy) -> Option<Self>;

    /// The smaller, the better. `returned` tells how often it was returned since it registered last.
    fn rank(&self, returned: u64) -> u128;
}

#[derive(Clone, Copy, Debug)]
struct Place<R> {
    values: R,
    returned: u64,
    /// Among equals, the one whose turn is longest ago is first.
    turn: u64,
}

impl<R: Rank> Place<R> {
    fn key(&self, member: u32) -> Key {
        (self.values.rank(self.returned), self.turn, member)
    }
}

type Key = (u128, u64, u32);

/// Members from the best to the worst, equals in turn.
#[derive(Clone, Debug)]
pub(super) struct Ranking<R> {
    places: BTreeMap<u32, Place<R>>,
    order: BTreeSet<Key>,
    turns: u64,
}

impl<R> Default for Ranking<R> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), order: BTreeSet::new(), turns: 0 }
    }
}

impl<R> Ranking<R> {
    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

impl<R: Rank> Selection for Ranking<R> {
    fn set(&mut self, member: u32, policy: &Policy) {
        let Some(values) = R::read(policy) else { return self.remove(member) };
        let before = self.places.get(&member).copied();
        let turn = before.map_or_else(|| self.next_turn(), |place| place.turn);
        let place = Place { values, returned: 0, turn };
        let keys = (before.map(|before| before.key(member)), place.key(member));
        if keys.0 != Some(keys.1) {
            self.remove(member);
            self.order.insert(keys.1);
        }
        self.places.insert(member, place);
    }

    fn remove(&mut self, member: u32) {
        if let Some(place) = self.places.remove(&member) {
            self.order.remove(&place.key(member));
        }
    }

    fn choose(&mut self, _: &dyn Circle, count: usize, _: &mut dyn FnMut() -> u64) -> Vec<u32> {
        self.order.iter().take(count).map(|(_, _, member)| *member).collect()
    }

    /// The first of each group of equals goes behind the others of its group.
    fn returned(&mut self, _: &dyn Circle, named: &[u32]) {
        let mut group = None;
        for member in named {
            let Some(mut place) = self.places.get(member).copied() else { continue };
            let before = place.key(*member);
            if R::DEGRADES {
                place.returned += 1;
            }
            if group.replace(before.0) != Some(before.0) {
                place.turn = self.next_turn();
            }
            if place.key(*member) != before {
                self.order.remove(&before);
                self.order.insert(place.key(*member));
            }
            self.places.insert(*member, place);
        }
    }

    fn boxed_clone(&self) -> Box<dyn Selection> {
        Box::new(self.clone())
    }
}
