//! Telling elements and users by multicast where ASAP is served: SERVER_ANNOUNCE (RFC 5352 §3.6), as a machine.
//!
//! Every registrar announces itself each (N + 1) times T6-Serverannounce, N being how many others it hears: together
//! they announce about once in T6. No more than three others are counted, against the RFC: from five registrars on
//! its T7-ENRPoutdate (5 s) would have listeners forget each of them between two announcements, and whoever can send
//! to the group could silence a registrar by inventing others.

use asap_client::random::{SplitMix64, below};
use asap_client::wire::{self, Message, Transport};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many others are counted.
const OTHERS: usize = 3;

/// For so many T6 another one counts after it was heard: T7-ENRPoutdate by the RFC's own values.
const MEMORY: u32 = 5;

/// Who announces one registrar.
#[derive(Clone, Debug)]
pub struct Announcer {
    server: u32,
    t6: Duration,
    others: BTreeMap<u32, Instant>,
    next: Instant,
    random: SplitMix64,
}

impl Announcer {
    /// The registrar `server` is announced from `now` on. `seed` spreads that in time, by an eighth either way.
    pub fn new(now: Instant, server: u32, t6: Duration, seed: u64) -> Self {
        Self { server, t6, others: BTreeMap::new(), next: now, random: SplitMix64::new(seed) }
    }

    /// A datagram came from a group. It is believed as far as the time of our next announcement.
    pub fn heard(&mut self, now: Instant, bytes: &[u8]) {
        let Ok(wire::Decoded { message: Message::ServerAnnounce { server, .. }, .. }) = wire::decode(bytes)
        else {
            return;
        };
        self.forget(now);
        if server != self.server && (self.others.contains_key(&server) || self.others.len() < OTHERS) {
            self.others.insert(server, now);
        }
    }

    /// When [`Self::announcement`] is due.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }

    /// The datagram that is due, with the addresses where ASAP is served at the moment. TCP has to come before SCTP:
    /// rsplib reads no further.
    pub fn announcement(&mut self, now: Instant, transports: Vec<Transport>) -> Vec<u8> {
        self.forget(now);
        let others = u32::try_from(self.others.len()).unwrap_or(u32::MAX);
        let mean = self.t6.saturating_mul(others.saturating_add(1));
        let eighth = mean / 8;
        let nanos = u64::try_from(eighth.as_nanos()).unwrap_or(u64::MAX).saturating_mul(2);
        self.next = now + (mean - eighth) + Duration::from_nanos(below(self.random.draw(), nanos));
        Message::ServerAnnounce { server: self.server, transports }.encode()
    }

    fn forget(&mut self, now: Instant) {
        let memory = self.t6.saturating_mul(MEMORY);
        self.others.retain(|_, heard| now.saturating_duration_since(*heard) < memory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T6: Duration = Duration::from_secs(1);

    fn announcer() -> (Announcer, Instant) {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        (Announcer::new(now, 7, T6, 1), now)
    }

    fn from(server: u32) -> Vec<u8> {
        Message::ServerAnnounce { server, transports: Vec::new() }.encode()
    }

    /// How often it announces itself in so many T6 while it hears these, each as often as itself.
    fn count(others: &[u32], cycles: u32) -> u32 {
        let (mut announcer, start) = announcer();
        let (mut now, mut count) = (start, 0);
        while now < start + T6 * cycles {
            for other in others {
                announcer.heard(now, &from(*other));
            }
            announcer.announcement(now, Vec::new());
            count += 1;
            assert!(announcer.poll_timeout() > now);
            now = announcer.poll_timeout();
        }
        count
    }

    #[test]
    fn together_registrars_announce_themselves_about_once_in_t6() {
        for (others, expected) in [(&[][..], 1200), (&[8], 600), (&[8, 9], 400), (&[8, 9, 10], 300)] {
            let count = count(others, 1200);
            assert!(count.abs_diff(expected) <= expected / 20, "{others:?}: {count}");
        }
    }

    #[test]
    fn its_own_announcements_and_what_is_none_do_not_count() {
        let (mut announcer, now) = announcer();
        announcer.heard(now, &from(7));
        announcer.heard(now, &[0xff; 100]);
        announcer.heard(now, &Message::Error(Vec::new()).encode());
        announcer.announcement(now, Vec::new());
        assert!(announcer.poll_timeout() <= now + T6 * 9 / 8);
    }

    #[test]
    fn a_flood_of_invented_registrars_neither_silences_it_nor_takes_room() {
        let (mut announcer, now) = announcer();
        for server in 100..10_000 {
            announcer.heard(now, &from(server));
        }
        assert_eq!(announcer.others.len(), OTHERS);
        announcer.announcement(now, Vec::new());
        assert!(announcer.poll_timeout() <= now + T6 * 9 / 2, "listeners forget after five T6");
    }

    #[test]
    fn a_registrar_that_is_heard_no_more_does_not_count() {
        let (mut announcer, now) = announcer();
        announcer.heard(now, &from(8));
        let later = now + T6 * 5;
        announcer.announcement(later, Vec::new());
        assert!(announcer.poll_timeout() <= later + T6 * 9 / 8);
    }

    #[test]
    fn an_announcement_names_the_registrar_and_where_it_serves() {
        let (mut announcer, now) = announcer();
        let tcp = Transport::Tcp { port: 3863, address: "10.0.0.1".parse().unwrap() };
        let bytes = announcer.announcement(now, vec![tcp.clone()]);
        let message = wire::decode(&bytes).unwrap().message;
        assert_eq!(message, Message::ServerAnnounce { server: 7, transports: vec![tcp] });
    }
}
