//! The first hop's link-layer address, asked for the moment an address can be used.
//!
//! Nothing leaves a new link before its router has answered ARP or neighbour discovery, a round trip of the link.
//! Asked for at once, it goes on while the move is still being prepared, and not only after it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::event::TENTATIVE;
use super::snapshot::{Snapshot, covers};
use super::usable::LocalAddress;
use super::view::View;

/// Peers on the link itself that are asked for, at most.
const ON_LINK: usize = 16;

/// The neighbours, with their interface, through which `peers` are reached from addresses that are usable in `new`
/// and were not in `old`.
pub(crate) fn first_hops(
    old: &View,
    new: &[LocalAddress],
    snapshot: &Snapshot,
    peers: &BTreeSet<IpAddr>,
) -> BTreeSet<(u32, IpAddr)> {
    let mut hops = BTreeSet::new();
    for local in new.iter().filter(|local| local.usable() && can_ask(snapshot, local)) {
        let before = old.find(local.address);
        if before.is_some_and(|before| before.usable() && before.ifindex == local.ifindex) {
            continue;
        }
        let near = |peer: &&IpAddr| peer.is_ipv4() == local.address.is_ipv4();
        let on_link = |peer: &IpAddr| covers(local.address, local.prefix, *peer);
        let peers = || peers.iter().filter(near);
        hops.extend(peers().filter(|peer| on_link(peer)).take(ON_LINK).map(|peer| (local.ifindex, *peer)));
        if peers().any(|peer| !on_link(peer)) {
            hops.extend(local.gateway.map(|gateway| (local.ifindex, gateway)));
        }
    }
    hops
}

/// Whether the kernel has an address to ask from. An IPv6 link whose link-local address is still tentative has none:
/// the first question would be lost, and the second comes a second later.
fn can_ask(snapshot: &Snapshot, local: &LocalAddress) -> bool {
    let link_local = |address: IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    local.address.is_ipv4()
        || snapshot.addresses.values().any(|other| {
            other.ifindex == local.ifindex && link_local(other.address) && other.flags & TENTATIVE == 0
        })
}

#[cfg(test)]
#[path = "neighbours/tests.rs"]
mod tests;
