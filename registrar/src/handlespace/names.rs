//! Finding a pool by its handle.

use asap_client::wire::PoolHandle;
use hashbrown::HashTable;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use super::slots::{Place, Slots};

/// The slots of all pools by the hashes of their handles. The handles are in the pools alone: what has to be read to
/// find one of many is small. The hash is keyed, so that nobody can choose handles that collide; its order is never seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    table: HashTable<Name>,
    hasher: RandomState,
    /// The slot of the pool that was found last: a registration asks for the same one several times.
    last: Cell<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Name {
    hash: Hash,
    slot: u32,
}

/// What is kept of a handle's hash: enough for more pools than there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hash(u32);

impl Hash {
    /// The table looks at the lowest and at the highest bits.
    fn spread(self) -> u64 {
        u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl Names {
    fn hash(&self, handle: &PoolHandle) -> Hash {
        let [_, _, _, _, hash @ ..] = self.hasher.hash_one(handle.as_bytes()).to_le_bytes();
        Hash(u32::from_le_bytes(hash))
    }

    /// The place of the pool of this name.
    pub(super) fn find(&self, handle: &PoolHandle, slots: &Slots) -> Option<Place> {
        let last = slots.in_slot(self.last.get()).filter(|(_, pool)| pool.handle() == handle);
        if let Some((place, _)) = last {
            return Some(place);
        }
        let found = self.find_hashed(self.hash(handle), handle, slots)?;
        self.last.set(found.slot);
        Some(found)
    }

    fn find_hashed(&self, hash: Hash, handle: &PoolHandle, slots: &Slots) -> Option<Place> {
        let mut found = None;
        self.table.find(hash.spread(), |name| {
            let here = || slots.in_slot(name.slot).filter(|(_, pool)| pool.handle() == handle);
            found = (name.hash == hash).then(here).flatten().map(|(place, _)| place);
            found.is_some()
        });
        found
    }

    /// The places of all pools of these names. A processor waits for memory at one step of the way to each pool at a
    /// time, not for the whole way to each: so every step is taken for all of them before the next.
    pub(super) fn find_all(&self, handles: &[&PoolHandle], slots: &Slots) -> Vec<Option<Place>> {
        let hashes: Vec<_> = handles.iter().map(|handle| self.hash(handle)).collect();
        let likely: Vec<_> = hashes
            .iter()
            .map(|hash| {
                let slot = self.table.find(hash.spread(), |name| name.hash == *hash)?.slot;
                slots.prefetch(slot);
                Some(slot)
            })
            .collect();
        let each = handles.iter().zip(hashes).zip(likely);
        each.map(|((handle, hash), likely)| {
            let (place, pool) = slots.in_slot(likely?)?;
            // Two handles of the same hash are rare.
            if pool.handle() == *handle { Some(place) } else { self.find_hashed(hash, handle, slots) }
        })
        .collect()
    }

    /// A pool that is new, in this slot.
    pub(super) fn insert(&mut self, handle: &PoolHandle, slot: u32) {
        let hash = self.hash(handle);
        self.last.set(slot);
        self.table.insert_unique(hash.spread(), Name { hash, slot }, |name| name.hash.spread());
    }

    /// A pool that is gone from this slot.
    pub(super) fn remove(&mut self, handle: &PoolHandle, slot: u32) {
        let hash = self.hash(handle);
        if let Ok(entry) = self.table.find_entry(hash.spread(), |name| name.slot == slot) {
            entry.remove();
        }
    }

    /// How many there are. For tests.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
