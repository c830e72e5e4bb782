//! Who registered what, and where: elements by the association that owns them, and by their home registrar.

use asap_client::wire::PoolHandle;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use super::{ChecksumSum, ElementKey};
use crate::Association;

/// Elements by owner. Those that are registered at another registrar are not in it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    /// Flat: most owners have one element, and a set for each would cost more than the element.
    elements: BTreeSet<(Association, ElementKey)>,
    counts: HashMap<Association, usize>,
}

impl Owners {
    pub(super) fn insert(&mut self, owner: Option<Association>, key: ElementKey) {
        let Some(owner) = owner else { return };
        if self.elements.insert((owner, key)) {
            *self.counts.entry(owner).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, owner: Option<Association>, key: ElementKey) {
        let Some(owner) = owner else { return };
        if self.elements.remove(&(owner, key))
            && let Some(count) = self.counts.get_mut(&owner)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&owner);
            }
        }
    }

    pub(super) fn of(&self, owner: Association) -> impl Iterator<Item = ElementKey> {
        self.elements.range((owner, ElementKey::MIN)..=(owner, ElementKey::MAX)).map(|(_, key)| *key)
    }

    pub(super) fn count(&self, owner: Association) -> usize {
        self.counts.get(&owner).copied().unwrap_or(0)
    }

    /// All of them, once the counts are known to agree. For tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> &BTreeSet<(Association, ElementKey)> {
        for (owner, count) in &self.counts {
            assert_eq!(self.of(*owner).count(), *count);
        }
        assert_eq!(self.counts.values().sum::<usize>(), self.elements.len());
        &self.elements
    }
}

/// The elements of one home registrar.
#[derive(Clone, Debug, Default)]
struct Home {
    sum: ChecksumSum,
    elements: BTreeMap<(PoolHandle, u32), ElementKey>,
}

/// Elements by home registrar, those of each in order of their pools' handles and their identifiers.
#[derive(Clone, Debug, Default)]
pub(super) struct Homes {
    homes: BTreeMap<u32, Home>,
}

impl Homes {
    /// `handle` should be the pool's own: it is kept.
    pub(super) fn insert(&mut self, home: u32, handle: &PoolHandle, key: ElementKey) {
        let home = self.homes.entry(home).or_default();
        if home.elements.insert((handle.clone(), key.id), key).is_none() {
            home.sum.add(ChecksumSum::of(handle, key.id));
        }
    }

    pub(super) fn remove(&mut self, home: u32, handle: &PoolHandle, key: ElementKey) {
        let Some(entry) = self.homes.get_mut(&home) else { return };
        if entry.elements.remove(&(handle.clone(), key.id)).is_some() {
            entry.sum.remove(ChecksumSum::of(handle, key.id));
        }
        if entry.elements.is_empty() {
            self.homes.remove(&home);
        }
    }

    pub(super) fn homes(&self) -> impl Iterator<Item = u32> {
        self.homes.keys().copied()
    }

    pub(super) fn count(&self, home: u32) -> usize {
        self.homes.get(&home).map_or(0, |home| home.elements.len())
    }

    pub(super) fn checksum(&self, home: u32) -> u16 {
        self.homes.get(&home).map_or(ChecksumSum::default(), |home| home.sum).fold()
    }

    /// The elements of a home that come after this handle and identifier; all of them, if none is given.
    pub(super) fn after(
        &self,
        home: u32,
        after: Option<(&PoolHandle, u32)>,
    ) -> impl Iterator<Item = ElementKey> {
        let start = match after {
            Some((handle, id)) => Bound::Excluded((handle.clone(), id)),
            None => Bound::Unbounded,
        };
        let elements = self.homes.get(&home).map(|home| home.elements.range((start, Bound::Unbounded)));
        elements.into_iter().flatten().map(|(_, key)| *key)
    }
}
