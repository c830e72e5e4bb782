//! Who registered what: elements by the association that owns them.

use std::collections::{BTreeMap, BTreeSet};

use super::ElementKey;
use crate::Association;

/// Elements by owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    by_owner: BTreeMap<Association, BTreeSet<ElementKey>>,
}

impl Owners {
    pub(super) fn insert(&mut self, owner: Association, key: ElementKey) {
        self.by_owner.entry(owner).or_default().insert(key);
    }

    pub(super) fn remove(&mut self, owner: Association, key: ElementKey) {
        if let Some(keys) = self.by_owner.get_mut(&owner) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }

    pub(super) fn of(&self, owner: Association) -> impl Iterator<Item = ElementKey> {
        self.by_owner.get(&owner).into_iter().flatten().copied()
    }

    pub(super) fn count(&self, owner: Association) -> usize {
        self.by_owner.get(&owner).map_or(0, BTreeSet::len)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> BTreeSet<(Association, ElementKey)> {
        self.by_owner.iter().flat_map(|(o, keys)| keys.iter().map(move |k| (*o, *k))).collect()
    }
}
