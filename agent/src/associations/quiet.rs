//! Associations that wait for an acknowledgement while nothing comes from the peer: their path may have died without a
//! word.

use std::time::{Duration, Instant};

/// What is known of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet {
    received: u64,
    since: Option<Instant>,
}

impl Quiet {
    /// How the association stands now: packets received since it began, and whether something waits to be acknowledged.
    pub fn look(&mut self, now: Instant, received: u64, waits: bool) {
        if !waits || received != self.received {
            *self = Self { received, since: None };
        }
        if waits {
            self.since.get_or_insert(now);
        }
    }

    /// Whether it has been so for at least `limit`; zero: nobody minds.
    #[must_use]
    pub fn lasts(&self, now: Instant, limit: Duration) -> bool {
        !limit.is_zero() && self.since.is_some_and(|since| now.duration_since(since) >= limit)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "one clock reading is the origin of the test's own time")]
mod tests {
    use super::*;

    #[test]
    fn only_who_waits_and_hears_nothing_is_doubted() {
        let (start, mut quiet) = (Instant::now(), Quiet::default());
        let limit = Duration::from_secs(1);
        let mut look = |ms: u64, received, waits| {
            let now = start + Duration::from_millis(ms);
            quiet.look(now, received, waits);
            (quiet.lasts(now, limit), quiet.lasts(now, Duration::ZERO))
        };
        assert_eq!(look(0, 5, true), (false, false));
        assert_eq!(look(900, 6, true), (false, false), "something came");
        assert_eq!(look(1800, 6, true), (false, false));
        assert_eq!(look(1900, 6, true), (true, false));
        assert_eq!(look(2000, 6, false), (false, false), "all is acknowledged");
        assert_eq!(look(9000, 6, false), (false, false), "an idle association");
        assert_eq!(look(9100, 6, true), (false, false));
        assert_eq!(look(10_100, 6, true), (true, false));
    }
}
