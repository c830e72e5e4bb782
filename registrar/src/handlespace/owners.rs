//! Elements by the association that owns them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, btree_map};

use super::slots::InSlot;
use crate::Association;

/// The elements of one owner. Nearly all have one, for which a set would cost more than the element.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "a set takes three words, and nearly nobody has one")]
enum Owned {
    One(InSlot),
    /// The last first: most that come in come behind all others, and what comes first is found first.
    More(Box<BTreeSet<Reverse<InSlot>>>),
}

/// Elements by owner. Those that are registered at another registrar are not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners(BTreeMap<Association, Owned>);

impl Owners {
    pub(super) fn insert(&mut self, owner: Option<Association>, element: InSlot) {
        let Some(owner) = owner else { return };
        match self.0.entry(owner) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Owned::One(element));
            }
            btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Owned::One(one) if *one == element => {}
                Owned::One(one) => {
                    let both = Box::new(BTreeSet::from([Reverse(*one), Reverse(element)]));
                    entry.insert(Owned::More(both));
                }
                Owned::More(elements) => {
                    elements.insert(Reverse(element));
                }
            },
        }
    }

    pub(super) fn remove(&mut self, owner: Option<Association>, element: InSlot) {
        let Some(owner) = owner else { return };
        let btree_map::Entry::Occupied(mut entry) = self.0.entry(owner) else { return };
        match entry.get_mut() {
            Owned::One(one) if *one != element => {}
            Owned::One(_) => {
                entry.remove();
            }
            Owned::More(elements) => {
                elements.remove(&Reverse(element));
                if let (Some(Reverse(last)), 1) = (elements.first().copied(), elements.len()) {
                    entry.insert(Owned::One(last));
                }
            }
        }
    }

    /// In the order of their pools' slots and of their identifiers.
    pub(super) fn of(&self, owner: Association) -> impl Iterator<Item = InSlot> {
        let (one, more) = match self.0.get(&owner) {
            None => (None, None),
            Some(Owned::One(element)) => (Some(*element), None),
            Some(Owned::More(elements)) => {
                (None, Some(elements.iter().rev().map(|Reverse(element)| *element)))
            }
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    pub(super) fn count(&self, owner: Association) -> usize {
        match self.0.get(&owner) {
            None => 0,
            Some(Owned::One(_)) => 1,
            Some(Owned::More(elements)) => elements.len(),
        }
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Association, InSlot)> {
        assert!(self.0.values().all(|owned| !matches!(owned, Owned::More(keys) if keys.len() < 2)));
        self.0.keys().flat_map(|owner| self.of(*owner).map(|element| (*owner, element))).collect()
    }
}
