//! Which cookies have been used: what keeps an old one from being used again (RFC 5352 §3.8 leaves it open).
//!
//! Of each session whose cookie was opened here the newest number is kept, as long as that cookie could be too young to
//! be refused for its age alone. If there are more sessions than there is room for, the one with the oldest cookie is
//! forgotten, and with it everything that is as old and not known: nothing is ever accepted twice for want of room.
//!
//! A window knows what its own element has seen. What another element has opened, or this one before it was started
//! anew, only the age limits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::cookie::{Cookie, Refusal, SessionId};

/// How fresh a cookie has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The longest time from a cookie's making to its use, and with it the longest pause that a session survives. 1 h.
    pub life: Duration,
    /// How far the clocks of two elements may be apart. 30 s.
    pub skew: Duration,
    /// How long after its first use the same cookie may be used again: a user whose association broke before the next
    /// cookie reached it has no other. Zero for never. 10 s.
    pub again: Duration,
    /// Sessions to remember: some 150 octets each. 65536.
    pub sessions: usize,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            life: Duration::from_secs(3600),
            skew: Duration::from_secs(30),
            again: Duration::from_secs(10),
            sessions: 65_536,
        }
    }
}

#[derive(Debug)]
struct Seen {
    sequence: u64,
    issued: u64,
    first: Instant,
}

/// The newest cookie of each session that was opened here.
#[derive(Debug)]
pub(super) struct Window {
    freshness: Freshness,
    seen: BTreeMap<SessionId, Seen>,
    by_age: BTreeSet<(u64, SessionId)>,
    /// Of what was made no later than this, something has been forgotten.
    horizon: Option<u64>,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Window {
    pub(super) fn new(freshness: Freshness) -> Self {
        Self { freshness, seen: BTreeMap::new(), by_age: BTreeSet::new(), horizon: None }
    }

    /// Sessions that are remembered.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Is this cookie fresh? If so, it has been used now. `wall`: milliseconds since 1970, at `now`.
    pub(super) fn admit(&mut self, now: Instant, wall: u64, cookie: &Cookie) -> Result<(), Refusal> {
        let (life, skew) = (millis(self.freshness.life), millis(self.freshness.skew));
        if cookie.issued > wall.saturating_add(skew) {
            return Err(Refusal::Future);
        }
        if wall.saturating_sub(cookie.issued) > life {
            return Err(Refusal::Expired);
        }
        // A session's older cookie may be of an element whose clock is ahead.
        self.forget_until(wall.saturating_sub(life.saturating_add(skew.saturating_mul(2))));
        let first = match self.seen.get(&cookie.session) {
            Some(seen) if cookie.sequence < seen.sequence => return Err(Refusal::Replayed),
            Some(seen) if cookie.sequence == seen.sequence => {
                let since = now.saturating_duration_since(seen.first);
                if self.freshness.again.is_zero() || since > self.freshness.again {
                    return Err(Refusal::Replayed);
                }
                seen.first
            }
            None if self.horizon.is_some_and(|horizon| cookie.issued <= horizon) => {
                return Err(Refusal::Forgotten);
            }
            _ => now,
        };
        let seen = Seen { sequence: cookie.sequence, issued: cookie.issued, first };
        if let Some(before) = self.seen.insert(cookie.session, seen) {
            self.by_age.remove(&(before.issued, cookie.session));
        }
        self.by_age.insert((cookie.issued, cookie.session));
        while self.seen.len() > self.freshness.sessions {
            let Some((issued, session)) = self.by_age.pop_first() else { break };
            self.seen.remove(&session);
            let horizon = issued.saturating_add(skew.saturating_mul(2));
            self.horizon = self.horizon.max(Some(horizon));
        }
        Ok(())
    }

    fn forget_until(&mut self, old: u64) {
        while let Some(&(issued, session)) = self.by_age.first()
            && issued < old
        {
            self.by_age.pop_first();
            self.seen.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

    use super::*;
    use crate::session::cookie::Counts;

    const WALL: u64 = 1_795_000_000_000;

    struct World {
        window: Window,
        start: Instant,
        wall: u64,
    }

    impl World {
        fn new(sessions: usize) -> Self {
            let freshness = Freshness { sessions, ..Freshness::default() };
            Self { window: Window::new(freshness), start: Instant::now(), wall: WALL }
        }

        fn wait(&mut self, seconds: u64) {
            self.wall += seconds * 1000;
        }

        fn admit(&mut self, session: u8, sequence: u64, issued: u64) -> Result<(), Refusal> {
            let now = self.start + Duration::from_millis(self.wall - WALL);
            let session = SessionId([session; 24]);
            let (counts, state) = (Counts::default(), Vec::new());
            let cookie = Cookie { session, sequence, issued, issuer: 1, counts, state };
            self.window.admit(now, self.wall, &cookie)
        }
    }

    #[test]
    fn an_older_cookie_than_the_last_used_of_its_session_is_a_replay() {
        let mut world = World::new(10);
        assert_eq!(world.admit(1, 5, WALL), Ok(()));
        assert_eq!(world.admit(1, 4, WALL), Err(Refusal::Replayed));
        assert_eq!(world.admit(1, 6, WALL), Ok(()));
        assert_eq!(world.admit(2, 4, WALL), Ok(()), "another session's");
    }

    #[test]
    fn the_same_cookie_is_good_again_only_for_a_moment_which_its_use_does_not_prolong() {
        let mut world = World::new(10);
        assert_eq!(world.admit(1, 5, WALL), Ok(()));
        world.wait(6);
        assert_eq!(world.admit(1, 5, WALL), Ok(()));
        world.wait(6);
        assert_eq!(world.admit(1, 5, WALL), Err(Refusal::Replayed));
    }

    #[test]
    fn with_no_such_moment_a_cookie_is_good_once() {
        let mut world = World::new(10);
        world.window.freshness.again = Duration::ZERO;
        assert_eq!(world.admit(1, 5, WALL), Ok(()));
        assert_eq!(world.admit(1, 5, WALL), Err(Refusal::Replayed));
    }

    #[test]
    fn a_cookie_that_is_too_old_or_from_the_future_is_refused() {
        let mut world = World::new(10);
        assert_eq!(world.admit(1, 1, WALL - 3_600_001), Err(Refusal::Expired));
        assert_eq!(world.admit(1, 1, WALL - 3_600_000), Ok(()));
        assert_eq!(world.admit(1, 2, WALL + 30_001), Err(Refusal::Future));
        assert_eq!(world.admit(1, 2, WALL + 30_000), Ok(()));
    }

    #[test]
    fn what_was_forgotten_for_want_of_room_is_not_accepted_again() {
        let mut world = World::new(2);
        for session in 1..=3 {
            assert_eq!(world.admit(session, 1, WALL + u64::from(session)), Ok(()));
        }
        assert_eq!(world.window.len(), 2);
        assert_eq!(world.admit(1, 1, WALL + 1), Err(Refusal::Forgotten));
        assert_eq!(world.admit(1, 2, WALL + 2), Err(Refusal::Forgotten), "the session is not known any more");
        world.wait(120);
        assert_eq!(world.admit(1, 3, world.wall), Ok(()), "this one has been made since");
    }

    #[test]
    fn what_is_too_old_anyway_takes_no_room() {
        let mut world = World::new(10);
        assert_eq!(world.admit(1, 1, WALL), Ok(()));
        world.wait(3600 + 61);
        assert_eq!(world.admit(2, 1, world.wall), Ok(()));
        assert_eq!(world.window.len(), 1);
        assert_eq!(world.admit(1, 1, WALL), Err(Refusal::Expired));
        assert_eq!(world.window.by_age.len(), world.window.seen.len());
    }

    proptest::proptest! {
        /// Whatever comes in whatever order: nothing is accepted again once its moment has passed, nor anything older.
        #[test]
        fn nothing_is_accepted_twice_however_little_room_there_is(
            cookies in proptest::collection::vec((0..6_u8, 1..6_u64, 0..100_u64), 1..120),
            sessions in 1..4_usize,
        ) {
            let mut world = World::new(sessions);
            let mut newest = BTreeMap::new();
            for (session, sequence, wait) in cookies {
                world.wait(wait);
                // The number rises with the time of making, by ten minutes.
                let issued = WALL + sequence * 600_000;
                if issued <= world.wall && world.admit(session, sequence, issued).is_ok() {
                    if let Some(&(last, at)) = newest.get(&session) {
                        proptest::prop_assert!(sequence >= last);
                        if sequence == last {
                            proptest::prop_assert!(world.wall - at <= 10_000);
                            continue;
                        }
                    }
                    newest.insert(session, (sequence, world.wall));
                }
                proptest::prop_assert!(world.window.len() <= sessions);
            }
        }
    }
}
