//! Which rules and routes the addresses of the host ask for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::net::event::{MAIN_TABLE, Route};
use crate::net::ours::Own;
use crate::net::{LocalAddress, OUR_TABLES, Unusable, View};

/// The rules and routes for all addresses of `view` that can carry traffic now or soon, and for the held
/// ones, each with the address that took its place. `tables` keeps its numbers: an address has the same table
/// for as long as it is there.
pub(super) fn wanted(
    view: &View,
    held: &[(IpAddr, IpAddr)],
    tables: &mut BTreeMap<IpAddr, u32>,
) -> BTreeSet<Own> {
    let routed: BTreeMap<IpAddr, &LocalAddress> = view
        .addresses
        .iter()
        .filter(|local| routable(local))
        .filter(|local| view.find(local.address).is_some_and(|best| best.ifindex == local.ifindex))
        .map(|local| (local.address, local))
        .collect();
    tables.retain(|address, _| routed.contains_key(address));
    let mut wanted = BTreeSet::new();
    for (address, local) in &routed {
        let Some(table) = table_of(*address, tables) else { continue };
        wanted.insert(Own::Rule { from: *address, table });
        wanted.extend(best_routes(&local.routes).map(|route| Own::route(route, table)));
    }
    for (old, new) in held {
        // The address itself, back on an interface, has a rule of its own.
        if old.is_ipv4() == new.is_ipv4()
            && !routed.contains_key(old)
            && let Some(&table) = tables.get(new)
        {
            wanted.insert(Own::Rule { from: *old, table });
        }
    }
    wanted
}

/// Whether an address gets a table. Some do before they are usable, so that nothing is left to do when they
/// become so, and some after, since associations may still have them.
fn routable(local: &LocalAddress) -> bool {
    let never = matches!(
        local.verdict,
        Err(Unusable::Loopback
            | Unusable::Held
            | Unusable::InterfaceDenied
            | Unusable::Container
            | Unusable::Tunnel
            | Unusable::LinkLocal
            | Unusable::LinkDown
            | Unusable::Duplicate)
    );
    !never && !local.routes.is_empty()
}

fn table_of(address: IpAddr, tables: &mut BTreeMap<IpAddr, u32>) -> Option<u32> {
    if let Some(table) = tables.get(&address) {
        return Some(*table);
    }
    let used: BTreeSet<u32> = tables.values().copied().collect();
    let free = OUR_TABLES.into_iter().find(|table| !used.contains(table))?;
    tables.insert(address, free);
    Some(free)
}

/// For each destination the route that the kernel would take: main table first, then the lowest metric.
fn best_routes(routes: &[Route]) -> impl Iterator<Item = &Route> {
    let rank = |route: &Route| (route.table != MAIN_TABLE, route.metric);
    let mut best: BTreeMap<(IpAddr, u8), &Route> = BTreeMap::new();
    for route in routes {
        let known = best.entry((route.destination, route.prefix)).or_insert(route);
        if rank(route) < rank(known) {
            *known = route;
        }
    }
    best.into_values()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn route(to: &str, prefix: u8, via: Option<&str>, metric: u32, table: u32) -> Route {
        let gateway = via.map(|via| via.parse().unwrap());
        Route { table, destination: to.parse().unwrap(), prefix, metric, gateway, ifindex: 2, protocol: 4 }
    }

    fn local(address: &str, verdict: Result<(), Unusable>, routes: Vec<Route>) -> LocalAddress {
        LocalAddress {
            address: address.parse().unwrap(),
            prefix: 24,
            interface: "u1".to_owned(),
            ifindex: 2,
            verdict,
            gateway: None,
            metric: 0,
            routes: routes.into(),
            standing: Default::default(),
        }
    }

    fn uplink(address: &str, verdict: Result<(), Unusable>) -> LocalAddress {
        local(address, verdict, vec![route("0.0.0.0", 0, Some("10.0.0.1"), 0, MAIN_TABLE)])
    }

    fn rules(wanted: &BTreeSet<Own>) -> Vec<(String, u32)> {
        let rule = |own: &Own| match own {
            Own::Rule { from, table } => Some((from.to_string(), *table)),
            Own::Route(_) => None,
        };
        wanted.iter().filter_map(rule).collect()
    }

    fn ask(
        addresses: Vec<LocalAddress>,
        held: &[(&str, &str)],
        tables: &mut BTreeMap<IpAddr, u32>,
    ) -> BTreeSet<Own> {
        let held: Vec<_> =
            held.iter().map(|(old, new)| (old.parse().unwrap(), new.parse().unwrap())).collect();
        wanted(&View { addresses, lost: 0 }, &held, tables)
    }

    #[test]
    fn an_address_keeps_its_table_while_others_come_and_go() {
        let mut tables = BTreeMap::new();
        let (one, two) = (uplink("10.0.0.2", Ok(())), uplink("10.0.0.3", Ok(())));
        ask(vec![one.clone(), two.clone()], &[], &mut tables);
        let kept = tables[&two.address];
        assert_eq!(rules(&ask(vec![two.clone()], &[], &mut tables)), [("10.0.0.3".to_owned(), kept)]);
        ask(vec![uplink("10.0.0.1", Ok(())), two.clone()], &[], &mut tables);
        assert_eq!(tables[&two.address], kept);
    }

    #[test]
    fn an_address_gets_its_table_before_it_is_usable_and_keeps_it_after() {
        for (reason, has_one) in [
            (Unusable::Tentative, true),
            (Unusable::NoCarrier, true),
            (Unusable::Deprecated, true),
            (Unusable::NoRoute, true),
            (Unusable::LinkDown, false),
            (Unusable::Duplicate, false),
            (Unusable::InterfaceDenied, false),
            (Unusable::LinkLocal, false),
            (Unusable::Loopback, false),
        ] {
            let asked = ask(vec![uplink("10.0.0.2", Err(reason.clone()))], &[], &mut BTreeMap::new());
            assert_eq!(!asked.is_empty(), has_one, "{reason:?}");
        }
    }

    #[test]
    fn a_table_holds_the_best_route_to_each_destination() {
        let routes = vec![
            route("0.0.0.0", 0, Some("10.0.0.9"), 600, MAIN_TABLE),
            route("0.0.0.0", 0, Some("10.0.0.1"), 100, MAIN_TABLE),
            route("0.0.0.0", 0, Some("10.0.0.8"), 0, 100),
            route("10.0.0.0", 24, None, 0, MAIN_TABLE),
        ];
        let asked = ask(vec![local("10.0.0.2", Ok(()), routes)], &[], &mut BTreeMap::new());
        let routed: Vec<_> = asked
            .iter()
            .filter_map(|own| match own {
                Own::Route(route) => Some((route.prefix, route.gateway.map(|gateway| gateway.to_string()))),
                Own::Rule { .. } => None,
            })
            .collect();
        assert_eq!(routed, [(0, Some("10.0.0.1".to_owned())), (24, None)]);
    }

    #[test]
    fn a_held_address_follows_the_one_that_took_its_place() {
        let mut tables = BTreeMap::new();
        let new = uplink("10.0.0.2", Ok(()));
        let asked = ask(vec![new.clone()], &[("10.9.9.9", "10.0.0.2")], &mut tables);
        let table = tables[&new.address];
        assert_eq!(rules(&asked), [("10.0.0.2".to_owned(), table), ("10.9.9.9".to_owned(), table)]);
    }

    #[test]
    fn a_held_address_of_another_family_or_without_a_successor_has_no_rule() {
        let new = uplink("10.0.0.2", Ok(()));
        for held in [("fd00::9", "10.0.0.2"), ("10.9.9.9", "10.0.0.77")] {
            let asked = ask(vec![new.clone()], &[held], &mut BTreeMap::new());
            assert_eq!(rules(&asked).len(), 1, "{held:?}");
        }
    }

    #[test]
    fn an_address_that_is_back_on_an_interface_has_its_own_table_although_held() {
        let mut tables = BTreeMap::new();
        let both = vec![uplink("10.0.0.2", Ok(())), uplink("10.0.0.3", Ok(()))];
        let asked = ask(both, &[("10.0.0.3", "10.0.0.2")], &mut tables);
        let own = tables[&"10.0.0.3".parse().unwrap()];
        assert_eq!(rules(&asked).last(), Some(&("10.0.0.3".to_owned(), own)));
        assert_eq!(rules(&asked).len(), 2);
    }

    #[test]
    fn an_address_on_two_interfaces_is_routed_by_the_usable_one() {
        let mut dead = uplink("10.0.0.2", Err(Unusable::NoCarrier));
        dead.ifindex = 9;
        dead.routes = Arc::from([route("0.0.0.0", 0, Some("10.0.0.99"), 0, MAIN_TABLE)]);
        let asked = ask(vec![uplink("10.0.0.2", Ok(())), dead], &[], &mut BTreeMap::new());
        let by_dead =
            |own: &Own| matches!(own, Own::Route(route) if route.gateway == "10.0.0.99".parse().ok());
        assert!(!asked.iter().any(by_dead));
    }
}
