//! Registrars that have announced themselves (RFC 5352 §3.6). They stand behind those that are configured, and are
//! forgotten when they are not heard for T7-ENRPoutdate.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::timers::earliest;

/// The most that are kept at a time: anybody may announce anything.
pub(super) const MOST: usize = 16;

/// The most addresses that are kept of one.
const ADDRESSES: usize = 16;

#[derive(Clone, Debug)]
struct Slot {
    server: u32,
    addresses: Vec<SocketAddr>,
    /// When it is forgotten; `None`: it was.
    until: Option<Instant>,
}

/// The list. A place in it stays one registrar's as long as it is in use.
#[derive(Clone, Debug, Default)]
pub(super) struct Announced(Vec<Slot>);

impl Announced {
    /// Takes an announcement in; the place and the addresses if they are new there. Places for which `used` holds are
    /// given to no other registrar.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        t7: Duration,
        server: u32,
        mut addresses: Vec<SocketAddr>,
        used: impl Fn(usize) -> bool,
    ) -> Option<(usize, Vec<SocketAddr>)> {
        addresses.retain(|at| at.port() != 0 && !at.ip().is_unspecified() && !at.ip().is_multicast());
        addresses.truncate(ADDRESSES);
        if addresses.is_empty() {
            return None;
        }
        let until = Some(now + t7);
        if let Some((place, slot)) = self.0.iter_mut().enumerate().find(|(_, slot)| slot.server == server) {
            let is_new = slot.until.is_none() || slot.addresses != addresses;
            *slot = Slot { server, addresses: addresses.clone(), until };
            return is_new.then_some((place, addresses));
        }
        let slot = Slot { server, addresses: addresses.clone(), until };
        let free = |(place, slot): &(usize, &Slot)| slot.until.is_none() && !used(*place);
        let place = match self.0.iter().enumerate().find(free) {
            Some((place, _)) => {
                self.0[place] = slot;
                place
            }
            None if self.0.len() < MOST => {
                self.0.push(slot);
                self.0.len() - 1
            }
            None => return None,
        };
        Some((place, addresses))
    }

    /// A place whose registrar was not heard for too long.
    pub(super) fn expired(&mut self, now: Instant) -> Option<usize> {
        let late = |slot: &Slot| slot.until.is_some_and(|until| until <= now);
        let place = self.0.iter().position(late)?;
        self.0[place].until = None;
        Some(place)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.0.iter().map(|slot| slot.until))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]
mod tests {
    use super::*;

    const T7: Duration = Duration::from_secs(5);

    fn at(last: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::new([10, 9, 0, last].into(), 3863)]
    }

    #[test]
    fn a_registrar_has_its_place_as_long_as_it_is_heard_and_its_place_is_then_anothers() {
        let (mut list, now) = (Announced::default(), Instant::now());
        assert_eq!(list.heard(now, T7, 1, at(1), |_| false), Some((0, at(1))));
        assert_eq!(list.heard(now, T7, 2, at(2), |_| false), Some((1, at(2))));
        let later = now + Duration::from_secs(4);
        assert_eq!(list.heard(later, T7, 2, at(2), |_| false), None, "that is no news");
        assert_eq!(list.heard(later, T7, 2, at(3), |_| false), Some((1, at(3))), "it has moved");
        assert_eq!(list.poll_timeout(), Some(now + T7));
        assert_eq!(list.expired(now + T7), Some(0));
        assert_eq!(list.expired(now + T7), None);
        assert_eq!(list.heard(now + T7, T7, 4, at(4), |place| place == 0), Some((2, at(4))), "0 is in use");
        assert_eq!(list.heard(now + T7, T7, 5, at(5), |_| false), Some((0, at(5))));
    }

    #[test]
    fn a_flood_of_announcements_takes_little_room_and_what_is_nobodys_address_none() {
        let (mut list, now) = (Announced::default(), Instant::now());
        for server in 1..10_000 {
            list.heard(now, T7, server, at(1).repeat(100), |_| false);
        }
        assert_eq!(list.0.len(), MOST);
        assert!(list.0.iter().all(|slot| slot.addresses.len() <= ADDRESSES));
        for nobody in ["0.0.0.0:3863", "10.9.0.1:0", "224.0.1.185:3863"] {
            assert_eq!(list.heard(now, T7, 1, vec![nobody.parse().unwrap()], |_| false), None);
        }
    }
}
