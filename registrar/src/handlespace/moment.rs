//! Moments that take half the room of an [`Instant`], for orders that have one for each element.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// A moment, in nanoseconds since the first one that was told to its [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    // In halves, since what it is kept with needs no more than the alignment of these.
    high: i32,
    low: u32,
}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanoseconds().cmp(&other.nanoseconds())
    }
}

impl Moment {
    /// It never comes.
    pub(super) const NEVER: Self = Self { high: i32::MAX, low: u32::MAX };

    #[expect(clippy::cast_possible_truncation, reason = "each half is taken by itself")]
    fn new(nanoseconds: i64) -> Self {
        Self { high: (nanoseconds >> 32) as i32, low: nanoseconds.cast_unsigned() as u32 }
    }

    fn nanoseconds(self) -> i64 {
        i64::from(self.high) << 32 | i64::from(self.low)
    }

    /// The same, or up to 17 ms (2^24 ns) later: one of those moments at which all that has time so long is done
    /// together.
    pub(super) fn roughly(self) -> Self {
        Self { low: self.low | ((1 << 24) - 1), ..self }
    }
}

/// Since when moments are counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin(Option<Instant>);

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

impl Origin {
    /// `None` is never. Three hundred years are the same as never.
    pub(super) fn moment(&mut self, at: Option<Instant>) -> Moment {
        let Some(at) = at else { return Moment::NEVER };
        let origin = *self.0.get_or_insert(at);
        Moment::new(match at.checked_duration_since(origin) {
            Some(later) => nanoseconds(later),
            None => -nanoseconds(origin.saturating_duration_since(at)),
        })
    }

    /// `None`: no clock goes so far, or no moment was told yet.
    pub(super) fn instant(self, moment: Moment) -> Option<Instant> {
        let origin = self.0?;
        let distance = Duration::from_nanos(moment.nanoseconds().unsigned_abs());
        if moment.high < 0 { origin.checked_sub(distance) } else { origin.checked_add(distance) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_and_after_the_first_one_come_back_as_they_were() {
        #[expect(clippy::disallowed_methods, reason = "only differences count")]
        let (first, mut origin) = (Instant::now(), Origin::default());
        let earlier = first.checked_sub(Duration::from_millis(7)).unwrap();
        let all = [first, earlier, first + Duration::from_nanos(1), first + Duration::from_secs(1 << 30)];
        let moments = all.map(|at| origin.moment(Some(at)));
        assert_eq!(moments.map(|moment| origin.instant(moment)), all.map(Some));
        assert!(moments[1] < moments[0] && moments[0] < moments[2] && moments[3] < Moment::NEVER);
        assert_eq!(origin.moment(None), Moment::NEVER);
    }

    #[test]
    fn what_has_time_comes_at_few_moments_and_none_of_them_is_early_or_late() {
        let roughly: std::collections::BTreeSet<_> =
            (0..1_000).map(|ms| Moment::new(ms * 1_000_000)).map(|at| (at, at.roughly())).collect();
        assert!(
            roughly.iter().all(|(at, then)| at <= then && then.nanoseconds() - at.nanoseconds() < 17_000_000)
        );
        let moments: std::collections::BTreeSet<_> = roughly.iter().map(|(_, then)| then).collect();
        assert_eq!(moments.len(), 60);
        assert_eq!(Moment::NEVER.roughly(), Moment::NEVER);
    }
}
