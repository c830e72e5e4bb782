//! How often a registrar's claims to an element were refuted, and for how long it is not believed then.
//!
//! That is counted for each element by itself: an element that keeps two registrars, both of which are right to call it
//! their own, or an honest registrar whose claims a liar refutes, costs neither of them its word for other elements.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::claims::MEMORY;
use crate::handlespace::ElementKey;

/// So many refutations are forgiven, for hosts come and go between two registrars; the next has the claimant disbelieved
/// for a second, and each further one twice as long, up to 16 s.
const FORGIVEN: u32 = 3;
const LONGEST: u32 = 4;

/// Refutations that are counted for a registrar as a whole count once in this time: two parts of a network that come
/// together may each have taken hundreds of elements of the other over in good faith, and all that is refuted at once.
const ROUND: Duration = Duration::from_secs(1);

/// How often a claimant was refuted.
#[derive(Clone, Copy, Debug)]
struct Dispute {
    refutations: u32,
    last: Instant,
    disbelieved_until: Option<Instant>,
}

impl Dispute {
    fn new(now: Instant) -> Self {
        Self { refutations: 0, last: now, disbelieved_until: None }
    }

    fn again(&mut self, now: Instant) {
        self.refutations = self.refutations.saturating_add(1);
        self.last = now;
        if let Some(beyond) = self.refutations.checked_sub(FORGIVEN + 1) {
            self.disbelieved_until = Some(now + Duration::from_secs(1 << beyond.min(LONGEST)));
        }
    }

    fn is_disbelieved(&self, now: Instant) -> bool {
        self.disbelieved_until.is_some_and(|until| now < until)
    }
}

/// The claims that were refuted of late.
#[derive(Clone, Debug, Default)]
pub(super) struct Disputes {
    about: BTreeMap<(ElementKey, u32), Dispute>,
    /// Where there was no room to keep them one by one: by claimant.
    others: BTreeMap<u32, Dispute>,
}

impl Disputes {
    /// Forgets what is old.
    pub(super) fn age(&mut self, now: Instant) {
        let is_recent = |dispute: &Dispute| now - dispute.last < 2 * MEMORY;
        self.about.retain(|_, dispute| is_recent(dispute));
        self.others.retain(|_, dispute| is_recent(dispute));
    }

    /// `claimant`, a peer, had claimed an element, wrongly. No more than `room` elements are counted one by one.
    pub(super) fn refuted(&mut self, now: Instant, claimant: u32, key: ElementKey, room: usize) {
        let new = Dispute::new(now);
        if self.about.len() < room || self.about.contains_key(&(key, claimant)) {
            return self.about.entry((key, claimant)).or_insert(new).again(now);
        }
        let whole = self.others.entry(claimant).or_insert(new);
        if whole.refutations == 0 || now - whole.last >= ROUND {
            whole.again(now);
        }
    }

    /// Whether `claimant` is not to be believed when it says that the element is its own.
    pub(super) fn is_disbelieved(&self, now: Instant, claimant: u32, key: ElementKey) -> bool {
        let both = [self.about.get(&(key, claimant)), self.others.get(&claimant)];
        both.into_iter().flatten().any(|dispute| dispute.is_disbelieved(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        Instant::now()
    }

    #[test]
    fn who_is_refuted_again_and_again_is_disbelieved_about_that_element_for_longer_and_longer() {
        let (now, [key, other]) = (start(), [ElementKey::MIN, ElementKey::MAX]);
        let mut disputes = Disputes::default();
        let mut times = Vec::new();
        for _ in 0..10 {
            disputes.refuted(now, 1, key, 100);
            times.push((0..100).take_while(|s| disputes.is_disbelieved(now + *s * SECOND, 1, key)).count());
            assert!(!disputes.is_disbelieved(now, 1, other) && !disputes.is_disbelieved(now, 2, key));
        }
        assert_eq!(times, [0, 0, 0, 1, 2, 4, 8, 16, 16, 16]);
        disputes.age(now + 2 * MEMORY);
        assert!(disputes.about.is_empty());
    }

    #[test]
    fn who_is_refuted_about_more_elements_than_there_is_room_for_is_disbelieved_as_a_whole_but_not_for_one_meeting()
     {
        let (now, [key, other]) = (start(), [ElementKey::MIN, ElementKey::MAX]);
        let mut disputes = Disputes::default();
        disputes.refuted(now, 2, key, 1);
        for _ in 0..1000 {
            disputes.refuted(now, 1, other, 1);
        }
        assert!(!disputes.is_disbelieved(now, 1, other), "all in one second");
        for second in 1..4 {
            disputes.refuted(now + second * SECOND, 1, other, 1);
        }
        assert!(disputes.is_disbelieved(now + 3 * SECOND, 1, key), "about all");
        assert!(!disputes.is_disbelieved(now + 3 * SECOND, 2, key), "nobody else");
        disputes.age(now + 4 * MEMORY);
        assert!(disputes.about.is_empty() && disputes.others.is_empty());
    }
}
