//! Associations that elements were registered over before, and what was registered over them.

use std::collections::{BTreeMap, BTreeSet};

use crate::Association;
use crate::handlespace::{Element, ElementKey};

/// One element's.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) association: Association,
    /// As it was registered over that.
    pub(super) element: Box<Element>,
}

/// One for an element at most. All associations are there still.
#[derive(Clone, Debug, Default)]
pub(super) struct Formers {
    of: BTreeMap<ElementKey, Former>,
    by_association: BTreeSet<(Association, ElementKey)>,
}

impl Formers {
    pub(super) fn insert(&mut self, key: ElementKey, former: Former) {
        self.remove(key);
        self.by_association.insert((former.association, key));
        self.of.insert(key, former);
    }

    pub(super) fn remove(&mut self, key: ElementKey) -> Option<Former> {
        let former = self.of.remove(&key)?;
        self.by_association.remove(&(former.association, key));
        Some(former)
    }

    pub(super) fn of(&self, key: ElementKey) -> Option<Association> {
        self.of.get(&key).map(|former| former.association)
    }

    /// An association has ended; whose former one it was.
    pub(super) fn ended(&mut self, association: Association) -> Vec<ElementKey> {
        let all = (association, ElementKey::MIN)..=(association, ElementKey::MAX);
        let keys: Vec<_> = self.by_association.range(all).map(|(_, key)| *key).collect();
        for key in &keys {
            self.remove(*key);
        }
        keys
    }

    /// All of them; for tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (ElementKey, Association)> {
        assert_eq!(self.of.len(), self.by_association.len());
        self.of.iter().map(|(key, former)| (*key, former.association))
    }
}
