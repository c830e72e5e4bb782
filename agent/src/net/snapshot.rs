//! What the kernel has: links, addresses and the routes that matter, kept by applying events.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ask::is_our_rule;
use super::event::{Address, Event, Link, MAIN_TABLE, Route, Rule};
use super::wire;

/// The tables that are ours: one for each address of the host, at most.
pub const OUR_TABLES: std::ops::Range<u32> = 7600..8600;

/// Routes kept for one interface, default routes aside. A router's full table is not needed to find a path.
const ROUTES_PER_LINK: usize = 256;
/// Foreign rules remembered; beyond, their tables are not looked into.
const RULES: usize = 1024;
/// The table called `default`, which the kernel looks up last.
const DEFAULT_TABLE: u32 = 253;

/// Links, addresses, routes and the tables in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// By interface number.
    pub links: BTreeMap<u32, Link>,
    /// By interface, address and prefix length.
    pub addresses: BTreeMap<(u32, IpAddr, u8), Address>,
    routes: BTreeMap<u32, BTreeSet<Route>>,
    rules: BTreeSet<Rule>,
}

/// What an event leaves unknown, because the kernel removes routes without a word; to be looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The IPv4 routes of an interface.
    Routes(u32),
    /// A table that a rule has just made matter.
    Table(u32),
}

impl Snapshot {
    /// Takes in one event.
    pub fn apply(&mut self, event: Event) -> Option<Doubt> {
        match event {
            Event::Link(link) => {
                // Taking a link down removes its IPv4 routes, unreported.
                if !link.up {
                    self.routes.remove(&link.ifindex);
                }
                self.links.insert(link.ifindex, link);
            }
            Event::LinkGone(ifindex) => {
                self.links.remove(&ifindex);
                self.routes.remove(&ifindex);
                self.addresses.retain(|key, _| key.0 != ifindex);
            }
            Event::Address(address) => {
                self.addresses.insert((address.ifindex, address.address, address.prefix), address);
            }
            Event::AddressGone(address) => {
                self.addresses.remove(&(address.ifindex, address.address, address.prefix));
                // So does deleting an IPv4 address: the default route through it goes, unreported.
                let loopback = self.links.get(&address.ifindex).is_some_and(|link| link.loopback);
                if address.address.is_ipv4() && !loopback {
                    return Some(Doubt::Routes(address.ifindex));
                }
            }
            Event::Routes { routes, replaces } => {
                if let (true, Some(new)) = (replaces, routes.first()) {
                    for kept in self.routes.values_mut() {
                        kept.retain(|old| !same_place(old, new));
                    }
                }
                routes.into_iter().for_each(|route| self.add_route(route));
            }
            Event::RoutesGone(routes) => {
                for route in &routes {
                    if let Some(kept) = self.routes.get_mut(&route.ifindex) {
                        kept.remove(route);
                    }
                }
            }
            Event::Rule(rule) => {
                if !is_our_rule(&rule) && self.rules.len() < RULES {
                    let known = self.follows(rule.table);
                    let table = rule.table;
                    self.rules.insert(rule);
                    return (!known && self.follows(table)).then_some(Doubt::Table(table));
                }
            }
            Event::RuleGone(rule) => {
                self.rules.remove(&rule);
                if !self.follows(rule.table) {
                    for kept in self.routes.values_mut() {
                        kept.retain(|route| route.table != rule.table);
                    }
                }
            }
        }
        None
    }

    /// Forgets the routes that `doubt` is about, before they are looked at again.
    pub fn forget(&mut self, doubt: Doubt) {
        match doubt {
            Doubt::Routes(ifindex) => {
                if let Some(kept) = self.routes.get_mut(&ifindex) {
                    kept.retain(|route| !route.destination.is_ipv4());
                }
            }
            Doubt::Table(table) => {
                self.routes.values_mut().for_each(|kept| kept.retain(|route| route.table != table));
            }
        }
    }

    /// The tables whose routes matter: main, default and those that rules of others name.
    pub fn tables(&self) -> BTreeSet<u32> {
        let named = self.rules.iter().map(|rule| rule.table);
        [MAIN_TABLE, DEFAULT_TABLE].into_iter().chain(named).filter(|&table| self.follows(table)).collect()
    }

    /// The routes of one family through an interface.
    pub fn routes(&self, ifindex: u32, family: u8) -> impl Iterator<Item = &Route> {
        let of_family = move |route: &&Route| wire::family(route.destination) == family;
        self.routes.get(&ifindex).into_iter().flatten().filter(of_family)
    }

    fn follows(&self, table: u32) -> bool {
        matches!(table, MAIN_TABLE | DEFAULT_TABLE)
            || !OUR_TABLES.contains(&table)
                && table != super::event::LOCAL_TABLE
                && self.rules.iter().any(|rule| rule.table == table)
    }

    fn add_route(&mut self, route: Route) {
        let local_only = match route.destination {
            IpAddr::V4(to) => to.is_multicast(),
            IpAddr::V6(to) => to.is_multicast() || to.is_unicast_link_local(),
        };
        if local_only || !self.follows(route.table) {
            return;
        }
        let kept = self.routes.entry(route.ifindex).or_default();
        if route.prefix == 0 || kept.len() < ROUTES_PER_LINK {
            kept.insert(route);
        }
    }
}

/// Whether a new route took the place of `old`, whatever its next hop.
fn same_place(old: &Route, new: &Route) -> bool {
    (old.table, old.destination, old.prefix, old.metric)
        == (new.table, new.destination, new.prefix, new.metric)
}

/// Whether `address` lies within `network`/`prefix`.
pub fn covers(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    let (network, address, bits) = match (network, address) {
        (IpAddr::V4(n), IpAddr::V4(a)) => (u128::from(n.to_bits()), u128::from(a.to_bits()), 32),
        (IpAddr::V6(n), IpAddr::V6(a)) => (n.to_bits(), a.to_bits(), 128),
        _ => return false,
    };
    let ignored = bits - u32::from(prefix).min(bits);
    (network ^ address).checked_shr(ignored).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::super::wire::INET;
    use super::*;

    fn link(ifindex: u32, up: bool) -> Event {
        let name = format!("eth{ifindex}");
        Event::Link(Link { ifindex, name, up, carrier: up, ..Link::default() })
    }

    fn route(to: &str, prefix: u8, via: Option<&str>, ifindex: u32) -> Route {
        Route {
            table: MAIN_TABLE,
            destination: to.parse().unwrap(),
            prefix,
            metric: 0,
            gateway: via.map(|via| via.parse().unwrap()),
            ifindex,
            protocol: 4,
        }
    }

    fn added(route: Route) -> Event {
        Event::Routes { routes: vec![route], replaces: false }
    }

    fn count(snapshot: &Snapshot, ifindex: u32) -> usize {
        snapshot.routes(ifindex, INET).count()
    }

    #[test]
    fn a_link_taken_down_loses_its_routes_without_an_event() {
        let mut snapshot = Snapshot::default();
        snapshot.apply(link(2, true));
        snapshot.apply(added(route("0.0.0.0", 0, Some("10.0.0.1"), 2)));
        snapshot.apply(link(2, false));
        assert_eq!(count(&snapshot, 2), 0);
    }

    #[test]
    fn a_deleted_ipv4_address_puts_the_routes_of_its_interface_in_doubt() {
        let mut snapshot = Snapshot::default();
        snapshot.apply(link(2, true));
        let address =
            Address { ifindex: 2, address: [10, 0, 0, 2].into(), prefix: 24, flags: 0x80, ours: false };
        snapshot.apply(Event::Address(address.clone()));
        assert_eq!(snapshot.apply(Event::AddressGone(address)), Some(Doubt::Routes(2)));
        snapshot.apply(added(route("0.0.0.0", 0, Some("10.0.0.1"), 2)));
        snapshot.forget(Doubt::Routes(2));
        assert_eq!(count(&snapshot, 2), 0);
    }

    #[test]
    fn a_replaced_route_is_gone_although_nobody_says_so() {
        let mut snapshot = Snapshot::default();
        snapshot.apply(added(route("0.0.0.0", 0, Some("10.0.0.1"), 2)));
        let routes = vec![route("0.0.0.0", 0, Some("10.1.0.1"), 3)];
        snapshot.apply(Event::Routes { routes, replaces: true });
        assert_eq!((count(&snapshot, 2), count(&snapshot, 3)), (0, 1));
    }

    #[test]
    fn a_million_routes_do_not_fill_the_memory_and_never_hide_a_default_route() {
        let mut snapshot = Snapshot::default();
        for n in 0..10_000u32 {
            let mut route = route("0.0.0.0", 24, Some("10.0.0.1"), 2);
            route.destination = IpAddr::V4((0x1400_0000 + n * 256).into());
            snapshot.apply(added(route));
        }
        snapshot.apply(added(route("0.0.0.0", 0, Some("10.0.0.1"), 2)));
        assert_eq!(count(&snapshot, 2), ROUTES_PER_LINK + 1);
    }

    #[test]
    fn a_table_matters_while_a_rule_names_it() {
        let mut snapshot = Snapshot::default();
        let foreign = Route { table: 100, ..route("0.0.0.0", 0, Some("10.0.0.1"), 2) };
        snapshot.apply(added(foreign.clone()));
        assert_eq!(count(&snapshot, 2), 0);
        let rule = Rule { family: INET, priority: 5, table: 100, from: None, protocol: 4 };
        assert_eq!(snapshot.apply(Event::Rule(rule.clone())), Some(Doubt::Table(100)));
        snapshot.apply(added(foreign));
        assert_eq!(count(&snapshot, 2), 1);
        snapshot.apply(Event::RuleGone(rule));
        assert_eq!(count(&snapshot, 2), 0);
    }

    #[test]
    fn a_link_moved_elsewhere_takes_its_addresses_along() {
        let mut snapshot = Snapshot::default();
        snapshot.apply(link(2, true));
        let address =
            Address { ifindex: 2, address: [10, 0, 0, 2].into(), prefix: 24, flags: 0, ours: false };
        snapshot.apply(Event::Address(address));
        snapshot.apply(added(route("10.0.0.0", 24, None, 2)));
        snapshot.apply(Event::LinkGone(2));
        assert_eq!(snapshot, Snapshot { routes: snapshot.routes.clone(), ..Snapshot::default() });
        assert_eq!(count(&snapshot, 2), 0);
    }

    #[test]
    fn prefixes_cover_what_they_should() {
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(covers(at("0.0.0.0"), 0, at("203.0.113.9")));
        assert!(covers(at("10.1.0.0"), 16, at("10.1.255.1")));
        assert!(!covers(at("10.1.0.0"), 16, at("10.2.0.1")));
        assert!(covers(at("10.1.0.7"), 32, at("10.1.0.7")));
        assert!(covers(at("::"), 0, at("fd00::1")));
        assert!(!covers(at("::"), 0, at("10.0.0.1")));
        assert!(!covers(at("fd00::"), 64, at("fd00:0:0:1::1")));
    }
}
