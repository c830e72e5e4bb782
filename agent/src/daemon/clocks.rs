//! Notices that time has passed in which the daemon did nothing: the host slept, or somebody stopped the daemon.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// So much later than it ought to be, a look is late.
const LATE: Duration = Duration::from_secs(3);
/// So much sleep counts.
const ASLEEP: Duration = Duration::from_secs(1);

/// What the clocks said last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clocks {
    last: Option<(Instant, Duration)>,
}

impl Clocks {
    /// Compares two looks that are `interval` apart. `asleep`: how long the host has slept since it was started. Gives
    /// how long nothing was done, if that was for long.
    pub(super) fn look(&mut self, now: Instant, asleep: Duration, interval: Duration) -> Option<Duration> {
        let (then, before) = self.last.replace((now, asleep))?;
        let awake = now.duration_since(then).saturating_sub(interval);
        let slept = asleep.saturating_sub(before);
        (awake >= LATE || slept >= ASLEEP).then_some(awake + slept)
    }
}

/// Now, and how long the host has slept since it was started: the boot clock counts that, the monotonic one does not.
pub(super) fn now_and_asleep() -> (Instant, Duration) {
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    let awake = read(ClockId::CLOCK_MONOTONIC);
    (Instant::now(), read(ClockId::CLOCK_BOOTTIME).saturating_sub(awake))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_and_standstill_are_noticed_and_a_little_lateness_is_not() {
        let (start, mut clocks) = (Instant::now(), Clocks::default());
        let ms = Duration::from_millis;
        let mut look = |at: u64, asleep: u64| clocks.look(start + ms(at), ms(asleep), ms(250));
        assert_eq!(look(0, 70_000), None, "what was before the start is no news");
        assert_eq!(look(250, 70_000), None);
        assert_eq!(look(3000, 70_001), None, "a busy host");
        assert_eq!(look(33_250, 70_001), Some(ms(30_000)), "stopped");
        assert_eq!(look(33_500, 3_670_001), Some(ms(3_600_000)), "asleep");
        assert_eq!(look(33_750, 3_670_001), None, "said once");
    }
}
