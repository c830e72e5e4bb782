//! How often a user may ask. The daemon has one loop: whoever keeps it busy with questions keeps it from its work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// From one question of a user to the next, in the long run.
const INTERVAL: Duration = Duration::from_millis(20);
/// So many may come at once.
const BURST: u32 = 50;
/// Users remembered before those are forgotten that have been quiet.
const USERS: usize = 64;

/// Counts the questions of users.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the next question of a user would be due if they came evenly.
    due: HashMap<u32, Instant>,
}

impl Pace {
    /// A question of a user; how long it has to wait.
    pub(super) fn ask(&mut self, uid: u32, now: Instant) -> Duration {
        if self.due.len() > USERS {
            self.due.retain(|_, due| *due > now);
        }
        let due = self.due.entry(uid).or_insert(now);
        *due = (*due).max(now) + INTERVAL;
        due.duration_since(now).saturating_sub(INTERVAL * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_what_follows_is_spread_for_each_user_by_himself() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!((0..BURST).all(|_| pace.ask(1, start).is_zero()));
        assert_eq!(pace.ask(1, start), INTERVAL);
        assert_eq!(pace.ask(1, start), 2 * INTERVAL);
        assert!(pace.ask(2, start).is_zero());
        let later = start + (BURST + 2) * INTERVAL;
        assert!((0..BURST).all(|_| pace.ask(1, later).is_zero()));
        assert!(!pace.ask(1, later).is_zero());
    }

    #[test]
    fn users_without_number_are_not_remembered_for_ever() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let mut pace = Pace::default();
        for n in 0..10_000 {
            pace.ask(n, start + n * INTERVAL * 2);
        }
        assert!(pace.due.len() <= USERS + 1);
    }
}
