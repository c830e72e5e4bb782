//! The pools in numbered slots, so that a key finds its pool without a search.

use super::Pool;

/// Where a pool is. A slot is used again, with another generation: the place of a pool that is gone names no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    generation: u32,
    pool: Option<Pool>,
}

/// All pools.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

impl Slots {
    pub(super) fn insert(&mut self, pool: Pool) -> Place {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            // Memory ends long before the numbers do.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let mut generation = 0;
        if let Some(entry) = self.slots.get_mut(index(slot)) {
            entry.pool = Some(pool);
            generation = entry.generation;
        }
        Place { slot, generation }
    }

    pub(super) fn get(&self, place: Place) -> Option<&Pool> {
        let slot = self.slots.get(index(place.slot))?;
        slot.pool.as_ref().filter(|_| slot.generation == place.generation)
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Pool> {
        let slot = self.slots.get_mut(index(place.slot))?;
        slot.pool.as_mut().filter(|_| slot.generation == place.generation)
    }

    pub(super) fn remove(&mut self, place: Place) {
        if let Some(slot) = self.slots.get_mut(index(place.slot))
            && slot.generation == place.generation
            && slot.pool.take().is_some()
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(place.slot);
        }
    }

    /// How many pools there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
