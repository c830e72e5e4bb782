//! Which association reaches a place: to find the one with an element without looking at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::Association;

/// The associations by each of their peers' addresses and ports.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(BTreeMap<SocketAddr, BTreeSet<Association>>);

impl Places {
    /// The peer of an association is at these addresses.
    pub(super) fn add(&mut self, association: Association, port: u16, addresses: &[IpAddr]) {
        for address in addresses {
            self.0.entry(SocketAddr::new(*address, port)).or_default().insert(association);
        }
    }

    /// It is there no more.
    pub(super) fn remove(&mut self, association: Association, port: u16, addresses: &[IpAddr]) {
        for address in addresses {
            let at = SocketAddr::new(*address, port);
            if let Some(here) = self.0.get_mut(&at) {
                here.remove(&association);
                if here.is_empty() {
                    self.0.remove(&at);
                }
            }
        }
    }

    /// An association whose peer is at one of these places.
    pub(super) fn at(&self, remote: &[SocketAddr]) -> Option<Association> {
        remote.iter().find_map(|at| self.0.get(at)?.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_associations_whose_peer_is_there_and_no_others() {
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let at = |ip, port| [SocketAddr::new(ip, port)];
        let mut places = Places::default();
        places.add(Association(1), 7, &[one, other]);
        places.add(Association(2), 7, &[other]);
        assert_eq!(places.at(&at(one, 7)), Some(Association(1)));
        assert_eq!(places.at(&at(one, 8)), None);
        places.remove(Association(1), 7, &[one, other]);
        assert_eq!(places.at(&[SocketAddr::new(one, 7), SocketAddr::new(other, 7)]), Some(Association(2)));
        places.remove(Association(2), 7, &[other]);
        assert!(places.0.is_empty());
    }
}
