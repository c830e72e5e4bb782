//! The pools in numbered slots, so that a key finds its pool without a search.

use super::Pool;
use super::ahead::{LINE, prefetch_lines};

/// Where a pool is. A slot is used again, with another generation: the place of a pool that is gone names no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// An element that is there, by its pool's slot and its identifier; in the order of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InSlot(u64);

impl InSlot {
    pub(super) fn new(slot: u32, id: u32) -> Self {
        Self(u64::from(slot) << 32 | u64::from(id))
    }

    pub(super) fn slot(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    pub(super) fn id(self) -> u32 {
        self.0 as u32
    }
}

/// Slots that lie together. Growing moves none of them.
const BLOCK: usize = 1024;

/// Two lines of the processor's cache.
#[derive(Clone, Debug, Default)]
#[repr(C, align(64))]
struct Slot {
    generation: u32,
    pool: Option<Pool>,
}

/// All pools.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Vec<Slot>>,
    free: Vec<u32>,
    pools: usize,
}

fn split(slot: u32) -> (usize, usize) {
    let slot = usize::try_from(slot).unwrap_or(usize::MAX);
    (slot / BLOCK, slot % BLOCK)
}

impl Slots {
    pub(super) fn insert(&mut self, pool: Pool) -> Place {
        let slot = self.free.pop().unwrap_or_else(|| self.grow());
        let mut generation = 0;
        if let Some(entry) = self.slot_mut(slot) {
            entry.pool = Some(pool);
            generation = entry.generation;
            self.pools += 1;
        }
        Place { slot, generation }
    }

    fn grow(&mut self) -> u32 {
        if self.blocks.last().is_none_or(|last| last.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let full = (self.blocks.len() - 1) * BLOCK;
        let slot = self.blocks.last().map_or(full, |last| full + last.len());
        if let Some(last) = self.blocks.last_mut() {
            last.push(Slot::default());
        }
        // Memory ends long before the numbers do.
        u32::try_from(slot).unwrap_or(u32::MAX)
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        let (block, at) = split(slot);
        self.blocks.get(block)?.get(at)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot> {
        let (block, at) = split(slot);
        self.blocks.get_mut(block)?.get_mut(at)
    }

    /// Asks the processor's cache for what is in this slot, without waiting for it.
    pub(super) fn prefetch(&self, slot: u32) {
        if let Some(slot) = self.slot(slot) {
            prefetch_lines(&slot.generation, size_of::<Slot>() / LINE);
        }
    }

    /// The pool that is in a slot now, and its place.
    pub(super) fn in_slot(&self, slot: u32) -> Option<(Place, &Pool)> {
        let Slot { generation, pool } = self.slot(slot)?;
        Some((Place { slot, generation: *generation }, pool.as_ref()?))
    }

    pub(super) fn get(&self, place: Place) -> Option<&Pool> {
        let slot = self.slot(place.slot)?;
        slot.pool.as_ref().filter(|_| slot.generation == place.generation)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Pool> {
        let slot = self.slot_mut(place.slot)?;
        slot.pool.as_mut().filter(|_| slot.generation == place.generation)
    }

    pub(super) fn remove(&mut self, place: Place) {
        if let Some(slot) = self.slot_mut(place.slot)
            && slot.generation == place.generation
            && slot.pool.take().is_some()
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.pools -= 1;
            self.free.push(place.slot);
        }
    }

    /// How many pools there are.
    pub(super) fn len(&self) -> usize {
        self.pools
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_resolution_needs_of_a_pool_is_in_two_lines_of_the_cache() {
        assert!(size_of::<Slot>() <= 128, "{}", size_of::<Slot>());
    }
}
