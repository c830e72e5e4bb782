//! Elements by their home registrar.

use asap_client::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::iter::Peekable;
use std::ops::Bound;

use super::ChecksumSum;
use super::slots::InSlot;

/// The elements of one pool that have the same home, and the pool's slot.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "a set takes three words, and nearly nobody has one")]
pub(super) enum Part {
    /// All that the pool has.
    Whole {
        slot: u32,
    },
    One {
        slot: u32,
        id: u32,
    },
    More {
        slot: u32,
        ids: Box<BTreeSet<u32>>,
    },
}

impl Part {
    /// Of these identifiers; `None` without any.
    fn of(slot: u32, ids: impl Iterator<Item = u32>) -> Option<Self> {
        let ids: BTreeSet<u32> = ids.collect();
        let first = *ids.first()?;
        Some(match ids.len() {
            1 => Self::One { slot, id: first },
            _ => Self::More { slot, ids: Box::new(ids) },
        })
    }

    pub(super) fn slot(&self) -> u32 {
        let (Self::Whole { slot } | Self::One { slot, .. } | Self::More { slot, .. }) = self;
        *slot
    }

    /// Whether it is all that the pool has: then it has no list of its own.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }

    /// Those that are listed here, in order, from `first` on.
    pub(super) fn ids(&self, first: u32) -> impl Iterator<Item = u32> {
        let (one, more) = match self {
            Self::Whole { .. } => (None, None),
            Self::One { id, .. } => (Some(*id).filter(|id| *id >= first), None),
            Self::More { ids, .. } => (None, Some(ids.range(first..).copied())),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    /// Whether it is new.
    fn insert(&mut self, new: u32) -> bool {
        match self {
            Self::Whole { .. } => false,
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

impl Home {
    fn add(&mut self, handle: &PoolHandle, id: u32) {
        self.elements += 1;
        self.sum.add(ChecksumSum::of(handle, id));
    }

    fn subtract(&mut self, handle: &PoolHandle, id: u32) {
        self.elements -= 1;
        self.sum.remove(ChecksumSum::of(handle, id));
    }

    /// Whether it is new.
    fn list(&mut self, handle: &PoolHandle, element: InSlot) -> bool {
        let (slot, id) = (element.slot(), element.id());
        match self.pools.entry(handle.clone()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(Part::One { slot, id });
                true
            }
            btree_map::Entry::Occupied(mut entry) => entry.get_mut().insert(id),
        }
    }
}

/// Whose elements a pool has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Whose {
    #[default]
    Nobodys,
    /// One home's, as of nearly all pools: nothing needs to be listed that the pool itself lists.
    One(u32),
    /// Those of several homes, or it had them once: who is whose is listed until the pool ends.
    Several,
}

/// Elements by home registrar, those of each in order of their pools' handles and their identifiers. Every pool has
/// elements, and every element a home: so all pools are here in order too.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    homes: BTreeMap<u32, Home>,
    /// By the slots of the pools.
    whose: Vec<Whose>,
}

impl Homes {
    fn whose(&mut self, slot: u32) -> &mut Whose {
        let slot = usize::try_from(slot).unwrap_or(usize::MAX);
        if slot >= self.whose.len() {
            self.whose.resize(slot + 1, Whose::Nobodys);
        }
        &mut self.whose[slot]
    }

    /// Takes an element in that was not this home's before. `handle` should be the pool's own: it is kept. `others` gives
    /// the identifiers of the elements of the pool that had a home before, this one included if it had.
    pub(super) fn insert<I: Iterator<Item = u32>>(
        &mut self,
        home: u32,
        handle: &PoolHandle,
        element: InSlot,
        others: impl FnOnce() -> I,
    ) {
        let slot = element.slot();
        let whose = *self.whose(slot);
        match whose {
            Whose::One(one) if one == home => {}
            Whose::Nobodys => {
                self.homes.entry(home).or_default().pools.insert(handle.clone(), Part::Whole { slot });
                *self.whose(slot) = Whose::One(home);
            }
            Whose::One(one) => {
                *self.whose(slot) = Whose::Several;
                if let (Some(part), Some(one)) = (Part::of(slot, others()), self.homes.get_mut(&one)) {
                    one.pools.insert(handle.clone(), part);
                }
                self.homes.entry(home).or_default().list(handle, element);
            }
            Whose::Several => {
                if !self.homes.entry(home).or_default().list(handle, element) {
                    return;
                }
            }
        }
        if let Some(home) = self.homes.get_mut(&home) {
            home.add(handle, element.id());
        }
    }

    /// Takes an element out; `last`: the pool ends with it.
    pub(super) fn remove(&mut self, home: u32, handle: &PoolHandle, element: InSlot, last: bool) {
        let whose = *self.whose(element.slot());
        let Some(entry) = self.homes.get_mut(&home) else { return };
        let removed = match whose {
            Whose::One(one) if one == home => !last || entry.pools.remove(handle).is_some(),
            _ => match entry.pools.get_mut(handle) {
                None | Some(Part::Whole { .. }) => false,
                Some(Part::One { id, .. }) => *id == element.id() && entry.pools.remove(handle).is_some(),
                Some(part) => part.remove(element.id()),
            },
        };
        if removed {
            entry.subtract(handle, element.id());
        }
        if entry.pools.is_empty() {
            self.homes.remove(&home);
        }
        if last {
            *self.whose(element.slot()) = Whose::Nobodys;
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

    /// The pools of a home, in order, from that of `after` on, or all; each with the first identifier that comes after.
    pub(super) fn after(
        &self,
        home: u32,
        after: Option<(&PoolHandle, u32)>,
    ) -> impl Iterator<Item = (&Part, u32)> {
        let home = self.homes.get(&home);
        // The rest of the pool of `after` itself; the identifiers may be at their end.
        let rest = home
            .zip(after)
            .and_then(|(home, (handle, id))| Some((home.pools.get(handle)?, id.checked_add(1)?)));
        let pools = home.into_iter().flat_map(move |home| {
            let start = after.map_or(Bound::Unbounded, |(handle, _)| Bound::Excluded(handle));
            home.pools.range::<PoolHandle, _>((start, Bound::Unbounded))
        });
        rest.into_iter().chain(pools.map(|(_, part)| (part, 0)))
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

    /// What is listed is listed as it should be; `lengths` are those of the pools by their slots. For tests.
    #[cfg(test)]
    pub(super) fn check(&self, lengths: &BTreeMap<u32, usize>) {
        for (id, home) in &self.homes {
            let mut elements = 0;
            for part in home.pools.values() {
                let slot = usize::try_from(part.slot()).unwrap();
                assert_eq!(part.is_whole(), self.whose[slot] == Whose::One(*id));
                assert!(!matches!(part, Part::More { ids, .. } if ids.len() < 2));
                elements += if part.is_whole() { lengths[&part.slot()] } else { part.ids(0).count() };
            }
            assert_eq!(elements, home.elements);
        }
        let here = self.whose.iter().filter(|whose| **whose != Whose::Nobodys);
        assert_eq!(here.count(), lengths.len());
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
