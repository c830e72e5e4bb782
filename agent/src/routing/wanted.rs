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
