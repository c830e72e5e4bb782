//! Questions to the kernel and changes of it, as messages: who is there, how to get there, and what is ours.

use std::net::{IpAddr, Ipv6Addr};

use super::event::{OUR_LABEL, OUR_PROTOCOL, Route, Rule};
use super::netlink::Change;
use super::wire::{self, Builder};

/// The priority of all our rules: after the local table, before the main one.
pub(crate) const OUR_PRIORITY: u32 = 7600;

const UNICAST: u8 = 1;
const SCOPE_LINK: u8 = 253;

pub(crate) fn links() -> Builder {
    const SKIP_STATISTICS: u32 = 8;
    Builder::new(wire::GETLINK, wire::REQUEST | wire::DUMP, &[0; 16]).attribute_u32(29, SKIP_STATISTICS)
}

pub(crate) fn addresses(family: u8) -> Builder {
    Builder::new(wire::GETADDR, wire::REQUEST | wire::DUMP, &[family, 0, 0, 0, 0, 0, 0, 0])
}

/// Routes of one table, and perhaps of one interface: the kernel picks them, however many others there are.
pub(crate) fn routes(family: u8, table: u32, ifindex: Option<u32>) -> Builder {
    let fixed = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let question = Builder::new(wire::GETROUTE, wire::REQUEST | wire::DUMP, &fixed).attribute_u32(15, table);
    match ifindex {
        Some(ifindex) => question.attribute_u32(4, ifindex),
        None => question,
    }
}

pub(crate) fn rules(family: u8) -> Builder {
    Builder::new(wire::GETRULE, wire::REQUEST | wire::DUMP, &[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// How a packet with these addresses would go. No interface is named: with one the kernel answers it even
/// where no such route exists.
pub(crate) fn lookup(from: IpAddr, to: IpAddr) -> Builder {
    let bits = full_length(to);
    let fixed = [wire::family(to), bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    Builder::new(wire::GETROUTE, wire::REQUEST, &fixed).attribute_address(1, to).attribute_address(2, from)
}

/// The answer to [`lookup`]: kind of route (`RTN_…`), interface, gateway.
pub(crate) fn looked_up(body: &[u8]) -> Option<(u8, Option<u32>, Option<IpAddr>)> {
    let mut answer = (*body.get(7)?, None, None);
    for (kind, value) in wire::attributes(body.get(12..)?) {
        match kind {
            4 => answer.1 = wire::u32_at(value, 0),
            5 => answer.2 = wire::address(value),
            _ => {}
        }
    }
    Some(answer)
}

/// 32 or 128.
pub(crate) fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Has the kernel resolve the link-layer address of a neighbour now, as if a packet to it had come. What it finds
/// is an ordinary entry of its cache, which it drops by itself.
pub(crate) fn resolve(ifindex: u32, neighbour: IpAddr) -> Change {
    const USE: u8 = 0x01;
    let mut fixed = [wire::family(neighbour), 0, 0, 0, 0, 0, 0, 0, 0, 0, USE, 0];
    fixed[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    let what = format!("ip neighbour add {neighbour} interface {ifindex} use");
    let message = Builder::new(wire::NEWNEIGH, wire::REQUEST | wire::ACK | wire::CREATE, &fixed)
        .attribute_address(1, neighbour);
    Change { what, message }
}

fn rule_message(kind: u16, flags: u16, from: IpAddr, table: u32) -> Builder {
    const TO_TABLE: u8 = 1;
    let fixed = [wire::family(from), 0, full_length(from), 0, 0, 0, 0, TO_TABLE, 0, 0, 0, 0];
    Builder::new(kind, wire::REQUEST | wire::ACK | flags, &fixed)
        .attribute_address(2, from)
        .attribute_u32(6, OUR_PRIORITY)
        .attribute_u32(15, table)
        .attribute(21, &[OUR_PROTOCOL])
}

pub(crate) fn add_rule(from: IpAddr, table: u32) -> Change {
    let what = format!("ip rule add from {from} lookup {table} priority {OUR_PRIORITY}");
    Change { what, message: rule_message(wire::NEWRULE, wire::CREATE | wire::EXCLUSIVE, from, table) }
}

pub(crate) fn delete_rule(from: IpAddr, table: u32) -> Change {
    let what = format!("ip rule del from {from} lookup {table} priority {OUR_PRIORITY}");
    Change { what, message: rule_message(wire::DELRULE, 0, from, table) }
}

/// Whether a rule is one of those that [`add_rule`] makes.
pub(crate) fn is_our_rule(rule: &Rule) -> bool {
    rule.protocol == OUR_PROTOCOL && rule.priority == OUR_PRIORITY
}

fn route_message(kind: u16, flags: u16, route: &Route) -> Builder {
    const ONLINK: [u8; 4] = 4u32.to_ne_bytes();
    let on_link_v4 = route.gateway.is_none() && route.destination.is_ipv4();
    let scope = if on_link_v4 { SCOPE_LINK } else { 0 };
    let mut fixed =
        [wire::family(route.destination), route.prefix, 0, 0, 0, route.protocol, scope, UNICAST, 0, 0, 0, 0];
    if route.gateway.is_some() && kind == wire::NEWROUTE {
        fixed[8..].copy_from_slice(&ONLINK);
    }
    let mut message = Builder::new(kind, wire::REQUEST | wire::ACK | flags, &fixed)
        .attribute_u32(15, route.table)
        .attribute_u32(4, route.ifindex);
    if route.prefix > 0 {
        message = message.attribute_address(1, route.destination);
    }
    match route.gateway {
        None => message,
        Some(gateway) if gateway.is_ipv4() == route.destination.is_ipv4() => {
            message.attribute_address(5, gateway)
        }
        // An IPv4 destination behind an IPv6 router: family, then address.
        Some(IpAddr::V6(gateway)) => {
            let mut via = u16::from(wire::INET6).to_ne_bytes().to_vec();
            via.extend(gateway.octets());
            message.attribute(18, &via)
        }
        Some(IpAddr::V4(_)) => message, // IPv6 behind an IPv4 router does not exist
    }
}

fn route_words(route: &Route) -> String {
    let via = route.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let (to, prefix, ifindex, table) = (route.destination, route.prefix, route.ifindex, route.table);
    format!("{to}/{prefix}{via} interface {ifindex} table {table}")
}

/// Makes the route, in the place of one for the same destination in its table.
pub(crate) fn add_route(route: &Route) -> Change {
    let what = format!("ip route replace {}", route_words(route));
    Change { what, message: route_message(wire::NEWROUTE, wire::CREATE | wire::REPLACE, route) }
}

pub(crate) fn delete_route(route: &Route) -> Change {
    let what = format!("ip route del {}", route_words(route));
    Change { what, message: route_message(wire::DELROUTE, 0, route) }
}

/// A held address: the whole of itself on the loopback interface, marked as ours, without duplicate address
/// detection.
fn held_message(kind: u16, flags: u16, loopback: u32, address: IpAddr) -> Builder {
    const NO_DAD: u32 = 0x02;
    let mut fixed = [wire::family(address), full_length(address), 0, 0, 0, 0, 0, 0];
    fixed[4..].copy_from_slice(&loopback.to_ne_bytes());
    let message = Builder::new(kind, wire::REQUEST | wire::ACK | flags, &fixed).attribute_address(2, address);
    if kind == wire::DELADDR {
        return message;
    }
    let message = message.attribute_address(1, address).attribute(11, &[OUR_PROTOCOL]);
    if address.is_ipv6() {
        return message.attribute_u32(8, NO_DAD);
    }
    let mut label = OUR_LABEL.as_bytes().to_vec();
    label.push(0);
    message.attribute(3, &label)
}

/// The address whose coming and going starts the kernel's timer for address events, see
/// [`crate::routing::Holder::tick`]. Link-local: SCTP passes over it.
pub(crate) const TICK: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0x7463, 0x6b00, 0x726f, 0x616d));

pub(crate) fn add_held(loopback: u32, address: IpAddr) -> Change {
    let what = format!("ip address add {address}/{} dev lo", full_length(address));
    let flags = wire::CREATE | wire::EXCLUSIVE;
    Change { what, message: held_message(wire::NEWADDR, flags, loopback, address) }
}

pub(crate) fn delete_held(loopback: u32, address: IpAddr) -> Change {
    let what = format!("ip address del {address}/{} dev lo", full_length(address));
    Change { what, message: held_message(wire::DELADDR, 0, loopback, address) }
}
