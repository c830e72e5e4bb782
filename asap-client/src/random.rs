//! The only random numbers of the machines: a small generator, seeded by whoever makes the machine.

/// SplitMix64: enough to spread hosts over registrars, keep-alives over time and users over elements. Whoever knows
/// the seed knows all of it: nothing secret may come from here.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// A generator that gives the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number; all values are equally likely.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Puts the items into one of all their orders, each as likely as any other.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            let other = usize::try_from(below(self.draw(), end as u64 + 1)).unwrap_or(end);
            items.swap(end, other);
        }
    }
}

/// Brings a draw of 64 bits down to 0 to `bound` - 1; 0 if `bound` is 0.
///
/// Every value's probability is off by less than 2^-64, and one draw is always enough: a source that gives the same
/// number for ever cannot hold anything up.
pub fn below(draw: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(draw) * u128::from(bound)) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_brought_into_its_bounds_evenly() {
        assert_eq!((below(0, 10), below(u64::MAX, 10), below(u64::MAX / 2 + 1, 10)), (0, 9, 5));
        assert_eq!((below(7, 0), below(u64::MAX, 1), below(u64::MAX, u64::MAX)), (0, 0, u64::MAX - 1));
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = SplitMix64::new(0);
        assert_eq!([random.draw(), random.draw()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
