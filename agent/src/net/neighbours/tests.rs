use super::super::event::{Address, Event, Link, Route};
use super::super::usable::judge;
use super::*;
use crate::config::Config;

struct Host {
    snapshot: Snapshot,
    peers: BTreeSet<IpAddr>,
    view: View,
}

impl Host {
    /// An interface with default routes of both families, and peers elsewhere.
    fn new() -> Self {
        let peers = ["10.3.0.2", "fd00:3::2"].map(ip).into();
        let mut host = Self { snapshot: Snapshot::default(), peers, view: View::default() };
        let name = "eth0".to_owned();
        let link = Link { ifindex: 2, name, up: true, carrier: true, ..Link::default() };
        host.snapshot.apply(Event::Link(link));
        for (to, via) in [("0.0.0.0", "10.1.0.1"), ("::", "fe80::1")] {
            let (destination, gateway) = (ip(to), Some(ip(via)));
            let route =
                Route { table: 254, destination, prefix: 0, metric: 0, gateway, ifindex: 2, protocol: 4 };
            host.snapshot.apply(Event::Routes { routes: vec![route], replaces: false });
        }
        host
    }

    /// Gives it an address; what is asked for then.
    fn address(&mut self, address: &str, flags: u32) -> Vec<IpAddr> {
        let (address, prefix) = (ip(address), if address.contains(':') { 64 } else { 24 });
        self.snapshot.apply(Event::Address(Address { ifindex: 2, address, prefix, flags, ours: false }));
        let addresses = judge(&self.snapshot, &Config::default(), &self.peers);
        let hops = first_hops(&self.view, &addresses, &self.snapshot, &self.peers);
        self.view = View { addresses, lost: 0 };
        hops.into_iter().map(|(_, hop)| hop).collect()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_router_of_an_address_is_asked_for_once_when_it_becomes_usable() {
    let mut host = Host::new();
    assert_eq!(host.address("10.1.0.2", 0x80), [ip("10.1.0.1")]);
    assert!(host.address("10.1.0.2", 0x80).is_empty());
}

#[test]
fn a_peer_on_the_link_is_asked_for_itself() {
    let mut host = Host::new();
    host.peers = [ip("10.1.0.9")].into();
    assert_eq!(host.address("10.1.0.2", 0x80), [ip("10.1.0.9")]);
}

#[test]
fn nobody_is_asked_for_where_there_is_no_peer() {
    let mut host = Host::new();
    host.peers.clear();
    assert!(host.address("10.1.0.2", 0x80).is_empty());
}

#[test]
fn an_ipv6_router_is_asked_for_only_where_there_is_an_address_to_ask_from() {
    let mut host = Host::new();
    assert!(host.address("fe80::2", TENTATIVE).is_empty());
    assert!(host.address("fd00:1::2", 0x80).is_empty());
    let mut host = Host::new();
    host.address("fe80::2", 0x80);
    assert_eq!(host.address("fd00:1::2", 0x80), [ip("fe80::1")]);
}
