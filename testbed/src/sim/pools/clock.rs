//! A host's own clock, which goes as it likes.

use std::time::{Duration, Instant};

use super::super::Time;

/// Nanoseconds in a microsecond of simulated time, by a rate of a million: so a rate's unit falls out.
const UNIT: u128 = 1_000;

/// A monotonic clock that began at some time of its own and is too fast or too slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    begin: Instant,
    /// How far it goes in a second, in microseconds; not 0.
    rate: u64,
}

impl Clock {
    pub(super) fn new(begin: Instant, rate: u64) -> Self {
        Self { begin, rate: rate.max(1) }
    }

    /// What it shows at this moment.
    pub(super) fn at(&self, time: Time) -> Instant {
        let nanos = u128::from(time) * u128::from(self.rate) / UNIT;
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The first moment at which it shows this, or more.
    pub(super) fn when(&self, at: Instant) -> Time {
        let nanos = at.saturating_duration_since(self.begin).as_nanos();
        u64::try_from((nanos * UNIT).div_ceil(u128::from(self.rate))).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_is_to_show_it_shows_at_that_moment_and_not_before() {
        for rate in [1, 700_000, 970_001, 1_000_000, 1_029_999, 3_000_000] {
            let clock = Clock::new(super::super::world::origin(), rate);
            for nanos in [0, 1, 2, 999, 1_000_000_007, 86_400_000_000_123] {
                let wanted = clock.begin + Duration::from_nanos(nanos);
                let time = clock.when(wanted);
                assert!(clock.at(time) >= wanted, "{rate} {nanos}");
                assert!(time == 0 || clock.at(time - 1) < wanted, "{rate} {nanos}");
            }
        }
    }
}
