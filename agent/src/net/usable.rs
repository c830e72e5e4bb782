//! Which addresses may carry an association, and why the others may not.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::{Address, DAD_FAILED, DEPRECATED, Link, Route, TEMPORARY, TENTATIVE};
use super::snapshot::{Snapshot, covers};
use super::wire;
use crate::config::{Config, Role, Standing};

/// Why an address carries no association. [`fmt::Display`] gives the sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unusable {
    /// It is the host's own, on the loopback interface.
    Loopback,
    /// We hold it on the loopback interface for associations that have lost it.
    Held,
    /// The configuration keeps its interface out, or it is a port of a bridge.
    InterfaceDenied,
    /// It is an interface as containers and virtual machines have them, and no default route leads out of it.
    Container,
    /// Its interface is a tunnel, whose packets leave by another one.
    Tunnel,
    /// It is valid on its link only (fe80::/10, 169.254.0.0/16).
    LinkLocal,
    /// Its interface is administratively down.
    LinkDown,
    /// Its interface has no carrier.
    NoCarrier,
    /// Somebody else on the link has it.
    Duplicate,
    /// Duplicate address detection is not over.
    Tentative,
    /// It is a temporary IPv6 address, about to be replaced by another.
    Temporary,
    /// Its preferred lifetime is over.
    Deprecated,
    /// No route leads from its interface to any peer.
    NoRoute,
    /// Packets from it leave by another interface, since the routes are not ours to manage.
    NoSourceRoute {
        /// The interface number by which they leave; none: no route at all.
        leaves_by: Option<u32>,
    },
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "it is on the loopback interface",
            Self::Held => "held for associations that have lost it",
            Self::InterfaceDenied => "the configuration keeps its interface out",
            Self::Container => "its interface is one for containers: it leads to no other network",
            Self::Tunnel => "its interface is a tunnel: name it in [[interface]] to have it used",
            Self::LinkLocal => "it is valid on its link only",
            Self::LinkDown => "its interface is down",
            Self::NoCarrier => "its interface has no carrier",
            Self::Duplicate => "somebody else on the link has it (duplicate address detection failed)",
            Self::Tentative => "duplicate address detection is not over",
            Self::Temporary => "it is a temporary address",
            Self::Deprecated => "it is deprecated",
            Self::NoRoute => "no route leads from its interface to a peer",
            Self::NoSourceRoute { leaves_by: None } => "packets from it have no route",
            Self::NoSourceRoute { leaves_by: Some(ifindex) } => {
                return write!(f, "packets from it leave by another interface (number {ifindex})");
            }
        })
    }
}

/// An address of this host, judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length in bits.
    pub prefix: u8,
    /// The name of its interface.
    pub interface: String,
    /// The number of its interface.
    pub ifindex: u32,
    /// Usable, or the reason why not.
    pub verdict: Result<(), Unusable>,
    /// The next router of the best route out of its interface (default route first); none: all is on the link.
    pub gateway: Option<IpAddr>,
    /// The metric of that route; lower is better. `u32::MAX` without one.
    pub metric: u32,
    /// The routes of its family through its interface.
    pub routes: Arc<[Route]>,
    /// What its interface is for.
    pub standing: Standing,
}

impl LocalAddress {
    /// Whether its interface has a route to `peer`.
    pub fn reaches(&self, peer: IpAddr) -> bool {
        self.routes.iter().any(|route| covers(route.destination, route.prefix, peer))
    }

    /// Whether associations may use it.
    pub fn usable(&self) -> bool {
        self.verdict.is_ok()
    }
}

/// Judges every address. `peers`: without a default route, one of these has to be within reach.
///
/// Source routes are not looked at here: see [`super::Monitor`].
pub fn judge(snapshot: &Snapshot, config: &Config, peers: &BTreeSet<IpAddr>) -> Vec<LocalAddress> {
    let mut judged = Vec::with_capacity(snapshot.addresses.len());
    let (mut shared_key, mut shared) = ((0, 0), Arc::<[Route]>::default());
    for address in snapshot.addresses.values() {
        // The link may be reported after its address in a dump that a change interrupted; its event follows.
        let Some(link) = snapshot.links.get(&address.ifindex) else { continue };
        let key = (address.ifindex, wire::family(address.address));
        if shared_key != key {
            (shared_key, shared) = (key, snapshot.routes(key.0, key.1).cloned().collect());
        }
        let routes = Arc::clone(&shared);
        let best = best_route(&routes, peers);
        let standing = config.standing(&link.name, &link.kind);
        let uplink = best.is_some_and(|route| route.prefix == 0);
        let allowed = config.interfaces.admits(&link.name) && standing.role != Role::Never;
        let verdict = verdict(address, link, allowed)
            .and_then(|()| if standing.named { Ok(()) } else { fit_kind(link, uplink) })
            .and_then(|()| best.map(|_| ()).ok_or(Unusable::NoRoute));
        judged.push(LocalAddress {
            address: address.address,
            prefix: address.prefix,
            interface: link.name.clone(),
            ifindex: link.ifindex,
            verdict,
            gateway: best.and_then(|route| route.gateway),
            metric: best.map_or(u32::MAX, |route| route.metric),
            routes,
            standing,
        });
    }
    judged
}

/// The default route of the lowest metric, or else the best one to a peer. Main table before others.
fn best_route<'a>(routes: &'a [Route], peers: &BTreeSet<IpAddr>) -> Option<&'a Route> {
    let rank = |route: &&Route| (route.table != super::event::MAIN_TABLE, route.metric);
    let default = routes.iter().filter(|route| route.prefix == 0).min_by_key(rank);
    let to_peer = |route: &&Route| peers.iter().any(|&peer| covers(route.destination, route.prefix, peer));
    default.or_else(|| routes.iter().filter(to_peer).min_by_key(rank))
}

/// Whether an interface of this kind leads to other networks. Names are not relied on: whoever makes containers names
/// their interfaces as they like. A default route tells the uplink of a host that is itself a container or has its
/// addresses on a bridge.
fn fit_kind(link: &Link, uplink: bool) -> Result<(), Unusable> {
    const TUNNELS: [&str; 14] = [
        "tun",
        "wireguard",
        "ipip",
        "sit",
        "ip6tnl",
        "gre",
        "gretap",
        "ip6gre",
        "vti",
        "vti6",
        "xfrm",
        "l2tp",
        "ovpn",
        "geneve",
    ];
    let container = match link.kind.as_str() {
        "veth" => link.elsewhere,
        kind => matches!(kind, "bridge" | "openvswitch" | "vxlan" | "nlmon" | "ifb"),
    };
    if TUNNELS.contains(&link.kind.as_str()) {
        return Err(Unusable::Tunnel);
    }
    if container && !uplink { Err(Unusable::Container) } else { Ok(()) }
}

fn verdict(address: &Address, link: &Link, allowed: bool) -> Result<(), Unusable> {
    let link_local = match address.address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let has = |flag: u32| address.flags & flag != 0;
    let reasons = [
        (link.loopback && address.ours, Unusable::Held),
        (link.loopback, Unusable::Loopback),
        (link.bridge_port || !allowed, Unusable::InterfaceDenied),
        (link_local, Unusable::LinkLocal),
        (!link.up, Unusable::LinkDown),
        (!link.carrier, Unusable::NoCarrier),
        (has(DAD_FAILED), Unusable::Duplicate),
        (has(TENTATIVE), Unusable::Tentative),
        (has(TEMPORARY) && address.address.is_ipv6(), Unusable::Temporary),
        (has(DEPRECATED), Unusable::Deprecated),
    ];
    match reasons.into_iter().find(|(applies, _)| *applies) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
