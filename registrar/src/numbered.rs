//! Tables by numbers that the registrar or its kernel gives out one after the other. Nobody else chooses them, so that a
//! hasher which withstands chosen ones would be time lost with each message.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such numbers.
pub(crate) type Numbered<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;

/// Spreads numbers by a multiplication.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // The golden ratio's odd multiplier (Knuth): neighbours differ in their highest bits and in their lowest.
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(u64::from(number.cast_unsigned()));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Association;
    use std::collections::HashSet;
    use std::hash::{BuildHasher, Hash};

    fn hash(what: impl Hash) -> u64 {
        BuildHasherDefault::<Mixer>::default().hash_one(what)
    }

    #[test]
    fn numbers_in_a_row_fill_a_table_evenly() {
        // A table of 1024 places goes by the lowest bits, and looks first at those whose highest seven are the same.
        let hashes: Vec<u64> = (1..=1024).map(|number| hash(Association(number))).collect();
        let places: HashSet<u64> = hashes.iter().map(|hash| hash % 1024).collect();
        assert!(places.len() > 600, "{}", places.len());
        let tags: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!(tags.len(), 128);
    }

    #[test]
    fn both_parts_of_a_pair_count() {
        let all: HashSet<u64> =
            (0..8usize).flat_map(|socket| (1..1000i32).map(move |assoc| hash((socket, assoc)))).collect();
        assert_eq!(all.len(), 8 * 999);
    }
}
