//! Who registered what, and where: elements by the association that owns them, and by their home registrar.

use asap_client::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::iter::Peekable;
use std::ops::Bound;

use super::{ChecksumSum, ElementKey};
use crate::Association;

/// The elements of one owner. Nearly all have one, for which a set would cost more than the element.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "a set takes three words, and nearly nobody has one")]
enum Owned {
    One(ElementKey),
    More(Box<BTreeSet<ElementKey>>),
}

/// Elements by owner. Those that are registered at another registrar are not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners(BTreeMap<Association, Owned>);

impl Owners {
    pub(super) fn insert(&mut self, owner: Option<Association>, key: ElementKey) {
        let Some(owner) = owner else { return };
        match self.0.entry(owner) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Owned::One(key));
            }
            btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                Owned::One(one) if *one == key => {}
                Owned::One(one) => {
                    let both = Box::new(BTreeSet::from([*one, key]));
                    entry.insert(Owned::More(both));
                }
                Owned::More(keys) => {
                    keys.insert(key);
                }
            },
        }
    }

    pub(super) fn remove(&mut self, owner: Option<Association>, key: ElementKey) {
        let Some(owner) = owner else { return };
        let btree_map::Entry::Occupied(mut entry) = self.0.entry(owner) else { return };
        match entry.get_mut() {
            Owned::One(one) if *one != key => {}
            Owned::One(_) => {
                entry.remove();
            }
            Owned::More(keys) => {
                keys.remove(&key);
                if let (Some(last), 1) = (keys.first().copied(), keys.len()) {
                    entry.insert(Owned::One(last));
                }
            }
        }
    }

    /// In order of the keys.
    pub(super) fn of(&self, owner: Association) -> impl Iterator<Item = ElementKey> {
        let (one, more) = match self.0.get(&owner) {
            None => (None, None),
            Some(Owned::One(key)) => (Some(*key), None),
            Some(Owned::More(keys)) => (None, Some(keys.iter().copied())),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    pub(super) fn count(&self, owner: Association) -> usize {
        match self.0.get(&owner) {
            None => 0,
            Some(Owned::One(_)) => 1,
            Some(Owned::More(keys)) => keys.len(),
        }
    }

    /// All of them. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Association, ElementKey)> {
        assert!(self.0.values().all(|owned| !matches!(owned, Owned::More(keys) if keys.len() < 2)));
        self.0.keys().flat_map(|owner| self.of(*owner).map(|key| (*owner, key))).collect()
    }
}

/// The elements of one pool that have the same home, by their identifiers, and the pool's slot.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "a set takes three words, and nearly nobody has one")]
enum Part {
    One { slot: u32, id: u32 },
    More { slot: u32, ids: Box<BTreeSet<u32>> },
}

impl Part {
    fn slot(&self) -> u32 {
        let (Self::One { slot, .. } | Self::More { slot, .. }) = self;
        *slot
    }

    /// For tests.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.ids(0).count()
    }

    /// In order, from `first` on.
    fn ids(&self, first: u32) -> impl Iterator<Item = u32> {
        let (one, more) = match self {
            Self::One { id, .. } => (Some(*id).filter(|id| *id >= first), None),
            Self::More { ids, .. } => (None, Some(ids.range(first..).copied())),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    /// Whether it is new.
    fn insert(&mut self, new: u32) -> bool {
        match self {
            Self::One { id, .. } if *id == new => false,
            Self::One { slot, id } => {
                *self = Self::More { slot: *slot, ids: Box::new(BTreeSet::from([*id, new])) };
                true
            }
            Self::More { ids, .. } => ids.insert(new),
        }
    }

    /// Takes one of several out; whether it was there.
    fn remove(&mut self, id: u32) -> bool {
        let Self::More { slot, ids } = self else { return false };
        let removed = ids.remove(&id);
        if let (Some(id), 1) = (ids.first().copied(), ids.len()) {
            *self = Self::One { slot: *slot, id };
        }
        removed
    }
}

/// The elements of one home registrar.
#[derive(Clone, Debug, Default)]
struct Home {
    sum: ChecksumSum,
    pools: BTreeMap<PoolHandle, Part>,
    elements: usize,
}

/// Elements by home registrar, those of each in order of their pools' handles and their identifiers. Every pool has
/// elements, and every element a home: so all pools are here in order too.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    homes: BTreeMap<u32, Home>,
}

impl Homes {
    /// `handle` should be the pool's own: it is kept.
    pub(super) fn insert(&mut self, home: u32, handle: &PoolHandle, key: ElementKey) {
        let home = self.homes.entry(home).or_default();
        let new = match home.pools.entry(handle.clone()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Part::One { slot: key.pool.slot, id: key.id });
                true
            }
            btree_map::Entry::Occupied(mut entry) => entry.get_mut().insert(key.id),
        };
        if new {
            home.elements += 1;
            home.sum.add(ChecksumSum::of(handle, key.id));
        }
    }

    pub(super) fn remove(&mut self, home: u32, handle: &PoolHandle, key: ElementKey) {
        let Some(entry) = self.homes.get_mut(&home) else { return };
        let removed = match entry.pools.get_mut(handle) {
            None => false,
            Some(Part::One { id, .. }) => *id == key.id && entry.pools.remove(handle).is_some(),
            Some(part) => part.remove(key.id),
        };
        if removed {
            entry.elements -= 1;
            entry.sum.remove(ChecksumSum::of(handle, key.id));
        }
        if entry.pools.is_empty() {
            self.homes.remove(&home);
        }
    }

    pub(super) fn homes(&self) -> impl Iterator<Item = u32> {
        self.homes.keys().copied()
    }

    pub(super) fn count(&self, home: u32) -> usize {
        self.homes.get(&home).map_or(0, |home| home.elements)
    }

    pub(super) fn checksum(&self, home: u32) -> u16 {
        self.homes.get(&home).map_or(ChecksumSum::default(), |home| home.sum).fold()
    }

    /// The elements of a home that come after this handle and identifier; all of them, if none is given. Each with the
    /// slot of its pool.
    pub(super) fn after(
        &self,
        home: u32,
        after: Option<(&PoolHandle, u32)>,
    ) -> impl Iterator<Item = (u32, u32)> {
        let home = self.homes.get(&home);
        // The rest of the pool of `after` itself; the identifiers may be at their end.
        let rest = home
            .zip(after)
            .and_then(|(home, (handle, id))| Some((home.pools.get(handle)?, id.checked_add(1)?)));
        let pools = home.into_iter().flat_map(move |home| {
            let start = after.map_or(Bound::Unbounded, |(handle, _)| Bound::Excluded(handle));
            home.pools.range::<PoolHandle, _>((start, Bound::Unbounded))
        });
        let parts = rest.into_iter().chain(pools.map(|(_, part)| (part, 0)));
        parts.flat_map(|(part, first)| part.ids(first).map(|id| (part.slot(), id)))
    }

    /// All pools in order of their handles, from this one on; `None`: from the first. Each with its slot.
    pub(super) fn pools(&self, from: Option<&PoolHandle>) -> Pools<'_> {
        let start = from.map_or(Bound::Unbounded, Bound::Included);
        let homes = self.homes.values();
        Pools(
            homes
                .map(|home| home.pools.range::<PoolHandle, _>((start, Bound::Unbounded)).peekable())
                .collect(),
        )
    }

    /// The sums and numbers are those of what is there. For tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        for home in self.homes.values() {
            assert_eq!(home.pools.values().map(Part::len).sum::<usize>(), home.elements);
            assert!(home.pools.values().all(|part| !matches!(part, Part::More { ids, .. } if ids.len() < 2)));
        }
    }
}

/// Pools in order. What is next costs a comparison for each home.
#[derive(Debug)]
pub(super) struct Pools<'a>(Vec<Peekable<btree_map::Range<'a, PoolHandle, Part>>>);

impl<'a> Iterator for Pools<'a> {
    type Item = (&'a PoolHandle, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let heads = self.0.iter_mut().filter_map(Peekable::peek);
        let (handle, slot) =
            heads.map(|(handle, part)| (*handle, part.slot())).min_by_key(|(handle, _)| *handle)?;
        for home in &mut self.0 {
            home.next_if(|(other, _)| *other == handle);
        }
        Some((handle, slot))
    }
}
