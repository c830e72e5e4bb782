//! How often all of the host's associations are looked at: as often as configured, but never so often that looking takes more
//! than a small part of a processor. A look costs by the number of associations.

use std::time::{Duration, Instant};

/// Up to so many associations they are looked at as often as configured, whatever it takes.
const FEW: usize = 100;
/// Of more: from one look to the next so many times the processor time that the look took.
const REST: u32 = 200;
/// But not longer.
const LONGEST: Duration = Duration::from_secs(60);

/// When the next look is due.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
}

impl Pace {
    /// A look has begun, which took so much of the processor and found so many associations. `poll`: how often it is
    /// wanted.
    pub(super) fn looked(&mut self, begun: Instant, took: Duration, found: usize, poll: Duration) {
        let rest = if found <= FEW { poll } else { (took * REST).min(LONGEST).max(poll) };
        // So that looks that cost nothing come as often as configured, whatever the timer's grain.
        self.due = Some(begun + rest - rest / 50);
    }

    /// Whether it is time.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due.is_none_or(|due| due <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_as_often_as_configured_unless_they_take_long() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let ms = |ms| start + Duration::from_millis(ms);
        let poll = Duration::from_millis(250);
        assert!(pace.is_due(start));
        let looked =
            |pace: &mut Pace, at, took, found| pace.looked(ms(at), Duration::from_millis(took), found, poll);
        looked(&mut pace, 0, 1, 1_000);
        assert!(!pace.is_due(ms(200)) && pace.is_due(ms(250)));
        looked(&mut pace, 250, 8, 1_000);
        assert!(!pace.is_due(ms(1500)) && pace.is_due(ms(1850)), "8 ms of each 1600");
        looked(&mut pace, 250, 8, FEW);
        assert!(pace.is_due(ms(500)), "few associations are looked at as often as configured");
        looked(&mut pace, 2000, 500, 1_000);
        assert!(!pace.is_due(ms(60_000)) && pace.is_due(ms(62_000)), "one minute at most");
        pace.looked(ms(0), Duration::ZERO, 1_000, Duration::from_secs(90));
        assert!(!pace.is_due(ms(80_000)) && pace.is_due(ms(90_000)), "more rarely, if that is configured");
    }
}
