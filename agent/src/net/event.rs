//! What the kernel reports: links, addresses, routes and rules, understood from rtnetlink messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::wire::{self, Raw, attributes, u16_at, u32_at};

/// The main routing table.
pub const MAIN_TABLE: u32 = 254;
/// The kernel's table of local addresses, which says nothing about paths.
pub const LOCAL_TABLE: u32 = 255;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Link {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// It has carrier and may carry traffic: `IFF_LOWER_UP`, and `IFF_RUNNING` where something in user space, such as an
    /// authentication, decides about that (`IFLA_LINKMODE`). Elsewhere the kernel sets `IFF_RUNNING` up to a second
    /// after packets flow.
    pub carrier: bool,
    /// It is the loopback interface.
    pub loopback: bool,
    /// It is a port of a bridge, and so has no addresses of its own that matter.
    pub bridge_port: bool,
    /// Its kind, as `ip -details link` names it (`veth`, `bridge`, `wireguard`); empty for hardware.
    pub kind: String,
    /// Its other end is in another network namespace.
    pub elsewhere: bool,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The interface.
    pub ifindex: u32,
    /// The local address.
    pub address: IpAddr,
    /// Its prefix length in bits.
    pub prefix: u8,
    /// `IFA_F_…`.
    pub flags: u32,
    /// It carries our mark (protocol or label).
    pub ours: bool,
}

/// `IFA_F_TEMPORARY` of an IPv6 address (RFC 8981); of an IPv4 address: it is a secondary one.
pub const TEMPORARY: u32 = 0x01;
/// `IFA_F_DADFAILED`: somebody else has it.
pub const DAD_FAILED: u32 = 0x08;
/// `IFA_F_DEPRECATED`: its preferred lifetime is over.
pub const DEPRECATED: u32 = 0x20;
/// `IFA_F_TENTATIVE`: duplicate address detection is under way.
pub const TENTATIVE: u32 = 0x40;

/// One next hop of a unicast route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// The routing table.
    pub table: u32,
    /// The destination, all zeros for the default route.
    pub destination: IpAddr,
    /// The destination's prefix length in bits.
    pub prefix: u8,
    /// Its priority; lower is better.
    pub metric: u32,
    /// The next router; none when the destination is on the link. May be IPv6 for an IPv4 destination.
    pub gateway: Option<IpAddr>,
    /// The interface.
    pub ifindex: u32,
    /// Who made it (`RTPROT_…`).
    pub protocol: u8,
}

/// A rule that sends packets to a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// 4 or 6, as `AF_INET` or `AF_INET6`.
    pub family: u8,
    /// Lower comes first.
    pub priority: u32,
    /// The table looked up.
    pub table: u32,
    /// The source address and prefix length it is for; none: all.
    pub from: Option<(IpAddr, u8)>,
    /// Who made it (`RTPROT_…`).
    pub protocol: u8,
}

/// One thing that the kernel reports, by event or in a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A link appeared or changed.
    Link(Link),
    /// A link is gone, with everything on it.
    LinkGone(u32),
    /// An address appeared or changed.
    Address(Address),
    /// An address is gone.
    AddressGone(Address),
    /// A route appeared, one entry for each next hop. `replaces`: it took the place of what was there for
    /// the same table, destination and metric, of which no deletion is reported.
    Routes {
        /// The next hops.
        routes: Vec<Route>,
        /// See above.
        replaces: bool,
    },
    /// Next hops are gone.
    RoutesGone(Vec<Route>),
    /// A rule appeared.
    Rule(Rule),
    /// A rule is gone.
    RuleGone(Rule),
}

/// Understands one message; `None` for what does not concern us (other families, the local table, cached and
/// non-unicast routes, rules that do not look up a table).
pub(crate) fn understand(raw: Raw<'_>) -> Option<Event> {
    match raw.kind {
        wire::NEWLINK => link(raw.body).map(Event::Link),
        wire::DELLINK => link(raw.body).map(|link| Event::LinkGone(link.ifindex)),
        wire::NEWADDR => address(raw.body).map(Event::Address),
        wire::DELADDR => address(raw.body).map(Event::AddressGone),
        wire::NEWROUTE => {
            let replaces = raw.flags & wire::REPLACE != 0;
            route(raw.body).map(|routes| Event::Routes { routes, replaces })
        }
        wire::DELROUTE => route(raw.body).map(Event::RoutesGone),
        wire::NEWRULE => rule(raw.body).map(Event::Rule),
        wire::DELRULE => rule(raw.body).map(Event::RuleGone),
        _ => None,
    }
}

/// `struct ifinfomsg` and attributes. Messages of a family are about a link's role there (a bridge reports
/// its ports so, even as deleted links) and not about the link.
fn link(body: &[u8]) -> Option<Link> {
    // include/uapi/linux/if.h
    const UP: u32 = 0x1;
    const LOOPBACK: u32 = 0x8;
    const RUNNING: u32 = 0x40;
    const LOWER_UP: u32 = 0x10000;
    let (family, ifindex, flags) = (*body.first()?, u32_at(body, 4)?, u32_at(body, 8)?);
    if family != 0 {
        return None;
    }
    let (mut name, mut bridge_port, mut decided_by_kernel) = (String::new(), false, true);
    let (mut link_kind, mut elsewhere) = (String::new(), false);
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            3 => name = wire::text(value),
            17 => decided_by_kernel = value.first() == Some(&0),
            18 => {
                for (kind, value) in attributes(value) {
                    match kind {
                        1 => link_kind = wire::text(value),
                        4 => bridge_port = wire::text(value) == "bridge",
                        _ => {}
                    }
                }
            }
            37 => elsewhere = true,
            _ => {}
        }
    }
    Some(Link {
        ifindex,
        name,
        up: flags & UP != 0,
        carrier: flags & LOWER_UP != 0 && (decided_by_kernel || flags & RUNNING != 0),
        loopback: flags & LOOPBACK != 0,
        bridge_port,
        kind: link_kind,
        elsewhere,
    })
}

/// `struct ifaddrmsg` and attributes.
fn address(body: &[u8]) -> Option<Address> {
    let (prefix, ifindex) = (*body.get(1)?, u32_at(body, 4)?);
    let mut flags = u32::from(*body.get(2)?);
    let (mut local, mut remote, mut ours) = (None, None, false);
    for (kind, value) in attributes(body.get(8..)?) {
        match kind {
            1 => remote = wire::address(value),
            2 => local = wire::address(value),
            3 => ours |= wire::text(value) == OUR_LABEL,
            8 => flags = u32_at(value, 0)?,
            11 => ours |= value.first() == Some(&OUR_PROTOCOL),
            _ => {}
        }
    }
    Some(Address { ifindex, address: local.or(remote)?, prefix, flags, ours })
}

/// `struct rtmsg` and attributes.
fn route(body: &[u8]) -> Option<Vec<Route>> {
    const CLONED: u32 = 0x200;
    const UNICAST: u8 = 1;
    let (family, prefix, source_prefix) = (*body.first()?, *body.get(1)?, *body.get(2)?);
    let (protocol, kind, flags) = (*body.get(5)?, *body.get(7)?, u32_at(body, 8)?);
    let mut table = u32::from(*body.get(4)?);
    let mut destination = unspecified(family)?;
    let (mut metric, mut gateway, mut ifindex, mut hops) = (0, None, None, Vec::new());
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            1 => destination = wire::address(value)?,
            4 => ifindex = u32_at(value, 0),
            5 => gateway = wire::address(value),
            6 => metric = u32_at(value, 0)?,
            9 => hops = next_hops(value),
            15 => table = u32_at(value, 0)?,
            18 => gateway = via(value),
            _ => {}
        }
    }
    if table == LOCAL_TABLE || flags & CLONED != 0 || kind != UNICAST || source_prefix != 0 {
        return None;
    }
    if let Some(ifindex) = ifindex {
        hops.push((ifindex, gateway));
    }
    let hop = |(ifindex, gateway)| Route { table, destination, prefix, metric, gateway, ifindex, protocol };
    Some(hops.into_iter().map(hop).collect())
}

/// A list of `struct rtnexthop`, each with attributes of its own.
fn next_hops(mut bytes: &[u8]) -> Vec<(u32, Option<IpAddr>)> {
    let mut hops = Vec::new();
    while let (Some(length), Some(ifindex)) = (u16_at(bytes, 0), u32_at(bytes, 4)) {
        let Some(inner) = bytes.get(8..usize::from(length)) else { break };
        let gateway = attributes(inner).find_map(|(kind, value)| match kind {
            5 => wire::address(value),
            18 => via(value),
            _ => None,
        });
        hops.push((ifindex, gateway));
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// `struct rtvia`: a family and an address.
fn via(value: &[u8]) -> Option<IpAddr> {
    wire::address(value.get(2..)?)
}

/// `struct fib_rule_hdr` and attributes.
fn rule(body: &[u8]) -> Option<Rule> {
    const TO_TABLE: u8 = 1;
    let (family, source_prefix, action) = (*body.first()?, *body.get(2)?, *body.get(7)?);
    let mut rule = Rule { family, priority: 0, table: u32::from(*body.get(4)?), from: None, protocol: 0 };
    for (kind, value) in attributes(body.get(12..)?) {
        match kind {
            2 => rule.from = wire::address(value).map(|address| (address, source_prefix)),
            6 => rule.priority = u32_at(value, 0)?,
            15 => rule.table = u32_at(value, 0)?,
            21 => rule.protocol = *value.first()?,
            _ => {}
        }
    }
    (action == TO_TABLE).then_some(rule)
}

fn unspecified(family: u8) -> Option<IpAddr> {
    match family {
        wire::INET => Some(Ipv4Addr::UNSPECIFIED.into()),
        wire::INET6 => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

/// The protocol number that marks our addresses, routes and rules (`ip route show proto 76`).
pub const OUR_PROTOCOL: u8 = 76;
/// The label of held IPv4 addresses, which kernels before 5.18 can only be told by.
pub const OUR_LABEL: &str = "lo:roam";

#[cfg(test)]
mod tests {
    use super::super::wire::messages;
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_message_body_makes_the_reader_panic(kind in 16u16..36, body: Vec<u8>) {
            let _ = understand(Raw { kind, flags: 0, sequence: 0, body: &body });
        }

        #[test]
        fn damaged_messages_never_panic(at in 0usize..56, byte: u8) {
            let mut bytes = wire::Builder::new(wire::NEWROUTE, 0, &[wire::INET, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0])
                .attribute_u32(15, 254)
                .attribute(9, &[16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1])
                .finish(1);
            bytes[at] = byte;
            let _: Vec<_> = messages(&bytes).map(understand).collect();
        }
    }

    #[test]
    fn every_next_hop_of_a_multipath_route_is_seen() {
        let hops = [16, 0, 0, 0, 3, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1, 8, 0, 0, 0, 4, 0, 0, 0];
        let bytes = wire::Builder::new(wire::NEWROUTE, 0, &[wire::INET, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0])
            .attribute(9, &hops)
            .finish(1);
        let Some(Event::Routes { routes, replaces: false }) = messages(&bytes).find_map(understand) else {
            panic!("no route");
        };
        let hops: Vec<_> = routes.iter().map(|route| (route.ifindex, route.gateway)).collect();
        assert_eq!(hops, [(3, Some("10.0.0.1".parse().unwrap())), (4, None)]);
    }

    #[test]
    fn carrier_counts_at_once_unless_user_space_decides_whether_the_link_is_operational() {
        const LOWER_UP: u32 = 0x10000;
        const RUNNING: u32 = 0x40;
        let carrier = |flags: u32, mode: u8| {
            let mut header = [0; 16];
            header[8..12].copy_from_slice(&(flags | 1).to_ne_bytes());
            let bytes = wire::Builder::new(wire::NEWLINK, 0, &header).attribute(17, &[mode]).finish(1);
            match messages(&bytes).find_map(understand) {
                Some(Event::Link(link)) => link.carrier,
                other => panic!("{other:?}"),
            }
        };
        assert!(carrier(LOWER_UP, 0), "the kernel says later that it runs");
        assert!(!carrier(LOWER_UP, 1), "not authenticated as yet");
        assert!(carrier(LOWER_UP | RUNNING, 1));
        assert!(!carrier(RUNNING, 0), "the carrier has just gone");
    }

    #[test]
    fn the_kind_of_a_link_and_where_its_other_end_is_are_seen() {
        let header = {
            let mut header = [0; 16];
            header[8..12].copy_from_slice(&1u32.to_ne_bytes());
            header
        };
        // IFLA_LINKINFO with IFLA_INFO_KIND and IFLA_INFO_SLAVE_KIND, and IFLA_LINK_NETNSID.
        let info = [
            9, 0, 1, 0, b'v', b'e', b't', b'h', 0, 0, 0, 0, 11, 0, 4, 0, b'b', b'r', b'i', b'd', b'g', b'e',
            0, 0,
        ];
        let bytes =
            wire::Builder::new(wire::NEWLINK, 0, &header).attribute(18, &info).attribute_u32(37, 0).finish(1);
        let Some(Event::Link(link)) = messages(&bytes).find_map(understand) else { panic!("no link") };
        assert_eq!((link.kind.as_str(), link.bridge_port, link.elsewhere), ("veth", true, true));
    }

    #[test]
    fn a_bridge_reporting_its_port_deleted_is_not_a_deleted_link() {
        let mut body = vec![0; 16];
        body[0] = libc::AF_BRIDGE as u8;
        assert_eq!(understand(Raw { kind: wire::DELLINK, flags: 0, sequence: 0, body: &body }), None);
    }

    #[test]
    fn the_local_table_and_cached_routes_are_not_paths() {
        let mut body = vec![wire::INET, 32, 0, 0, 255, 2, 0, 1, 0, 0, 0, 0];
        assert_eq!(understand(Raw { kind: wire::NEWROUTE, flags: 0, sequence: 0, body: &body }), None);
        body[4] = 254;
        body[8..12].copy_from_slice(&0x200u32.to_ne_bytes());
        assert_eq!(understand(Raw { kind: wire::NEWROUTE, flags: 0, sequence: 0, body: &body }), None);
    }
}
