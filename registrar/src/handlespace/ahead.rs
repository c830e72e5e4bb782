//! Asking for memory before it is needed.
//!
//! A processor that has to read what is not in its cache goes on with what does not depend on that, but only for some
//! hundred instructions. What is asked for ahead comes meanwhile, however much there is to do: nothing waits for it, and
//! nothing is read.

use prefetch_index::prefetch_index;
use std::slice;

use super::{Handlespace, Place};

/// Octets of a line of the processor's cache.
pub(super) const LINE: usize = 64;

/// How many questions before its turn the elements of a pool are asked for: memory comes within about four answers.
/// With twice as many nothing changes; with 64 it is gone again where the cache is small.
const AHEAD: usize = 8;

/// Asks for the line of the processor's cache in which this begins.
pub(super) fn prefetch<T>(of: &T) {
    prefetch_index(slice::from_ref(of), 0);
}

/// Asks for that line and those behind it, so many in all.
pub(super) fn prefetch_lines(first: &u32, lines: usize) {
    for line in 0..lines {
        prefetch_index(slice::from_ref(first), line * LINE / size_of_val(first));
    }
}

/// Places of pools that are asked one after the other. See [`Handlespace::find_all`].
#[derive(Debug)]
pub struct Places {
    places: Vec<Option<Place>>,
    /// How many have had their turn.
    done: usize,
}

impl Places {
    pub(super) fn new(places: Vec<Option<Place>>, space: &Handlespace) -> Self {
        let all = Self { places, done: 0 };
        for at in 0..AHEAD {
            all.ask_for(at, space);
        }
        all
    }

    fn ask_for(&self, at: usize, space: &Handlespace) {
        let place = self.places.get(at).copied().flatten();
        if let Some(pool) = place.and_then(|place| space.pool_at(place)) {
            pool.prefetch();
        }
    }

    /// The next place, `None` within: there is no such pool. Its elements are on their way to the processor; those of a
    /// later one are asked for.
    pub fn next(&mut self, space: &Handlespace) -> Option<Option<Place>> {
        self.ask_for(self.done + AHEAD, space);
        let next = self.places.get(self.done).copied();
        self.done += 1;
        next
    }
}
