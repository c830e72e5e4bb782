//! Each address that may carry an association, and the settings of its interface.

use std::net::IpAddr;

use super::{AddressFacts, Check, Daemon, Facts, InterfaceFacts};
use crate::net::Unusable;
use crate::net::snapshot::covers;

const GROUP: &str = "addresses";

pub(super) fn check(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = facts.addresses.iter().map(usable).collect();
    let any = facts.addresses.iter().any(|it| it.verdict.is_ok());
    if !any {
        let text = "no address of this host is usable: no association can be moved to it";
        checks.insert(
            0,
            Check::fail(
                GROUP,
                "any",
                text,
                "ip address; ip route  # an address, and a route out of its interface",
            ),
        );
    }
    checks.extend(facts.addresses.iter().filter_map(|it| source_route(facts, it)));
    for interface in &facts.interfaces {
        checks.extend(rp_filter(facts, interface));
        checks.extend(linkdown(interface));
        checks.extend(secondaries(facts, interface));
    }
    checks.extend(same_network(facts));
    checks.extend(behind_translation(facts));
    checks
}

fn usable(it: &AddressFacts) -> Check {
    let AddressFacts { address, interface, .. } = it;
    let Err(reason) = &it.verdict else {
        return Check::ok(GROUP, "usable", format!("{address} on {interface} is usable"));
    };
    let text = format!("{address} on {interface} is not used: {reason}");
    let warn = |mend: String| Check::warn(GROUP, "usable", &text, mend);
    match reason {
        Unusable::LinkDown => warn(format!("ip link set {interface} up")),
        Unusable::NoCarrier => warn(format!("ip link show {interface}  # plug it in, or join its network")),
        Unusable::Duplicate => warn(format!("ip -6 address del {address}/{} dev {interface}", it.prefix)),
        Unusable::NoRoute => warn(format!("ip route add default via ROUTER dev {interface}")),
        Unusable::NoSourceRoute { .. } => warn(rule(it)),
        // Wanted, or over in a moment.
        _ => Check::ok(GROUP, "usable", text),
    }
}

/// The lines that make packets from an address leave by its interface.
fn rule(it: &AddressFacts) -> String {
    let AddressFacts { address, interface, .. } = it;
    let family = if address.is_ipv6() { "-6 " } else { "" };
    let via = it.gateway.map_or_else(String::new, |gateway| format!("via {gateway} "));
    format!(
        "ip {family}rule add from {address} lookup 7000 && ip {family}route add default {via}dev {interface} table 7000"
    )
}

fn source_route(facts: &Facts, it: &AddressFacts) -> Option<Check> {
    let AddressFacts { address, interface, .. } = it;
    let leaves_by = it.leaves_by.as_ref().filter(|_| it.verdict.is_ok())?;
    let text = match leaves_by {
        Ok(by) if by == interface => {
            return Some(Check::ok(
                GROUP,
                "source-route",
                format!("packets from {address} leave by {interface}"),
            ));
        }
        Ok(by) => format!("packets from {address} leave by {by}, not by its interface {interface}"),
        Err(error) => format!("packets from {address} do not leave: {error}"),
    };
    Some(match (facts.daemon.is_running(), facts.manages_routes) {
        (true, true) => Check::fail(
            GROUP,
            "source-route",
            format!("{text}, although roamd keeps a rule for it"),
            "ip rule; systemctl restart roamd",
        ),
        (false, true) => Check::warn(
            GROUP,
            "source-route",
            format!("{text}; roamd keeps a rule for that when it runs"),
            "systemctl start roamd",
        ),
        (_, false) => Check::fail(GROUP, "source-route", text, rule(it)),
    })
}

fn rp_filter(facts: &Facts, interface: &InterfaceFacts) -> Option<Check> {
    let name = &interface.name;
    if !facts.addresses.iter().any(|it| it.interface == *name && it.address.is_ipv4()) {
        return None;
    }
    if interface.rp_filter != 1 {
        return Some(Check::ok(GROUP, "rp-filter", format!("rp_filter is not strict on {name}")));
    }
    let text = format!(
        "rp_filter is strict on {name}: what a peer sends to another address of this host by way of it is dropped, as happens while addresses move"
    );
    Some(Check::warn(
        GROUP,
        "rp-filter",
        text,
        format!("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{name}.rp_filter=2"),
    ))
}

fn linkdown(interface: &InterfaceFacts) -> Option<Check> {
    if interface.carrier || interface.ignores_linkdown {
        return None;
    }
    let name = &interface.name;
    let text = format!(
        "routes through {name}, which has no carrier, are still used by other programs (roamd does not use it)"
    );
    let mend = format!("sysctl -w net.ipv4.conf.{name}.ignore_routes_with_linkdown=1");
    Some(Check::warn(GROUP, "linkdown-routes", text, mend))
}

fn secondaries(facts: &Facts, interface: &InterfaceFacts) -> Option<Check> {
    let of_interface: Vec<_> =
        facts.addresses.iter().filter(|it| it.interface == interface.name && it.address.is_ipv4()).collect();
    let shares = |(at, it): (usize, &&AddressFacts)| {
        of_interface[at + 1..]
            .iter()
            .any(|other| other.prefix == it.prefix && covers(it.address, it.prefix, other.address))
    };
    if interface.promotes_secondaries || !of_interface.iter().enumerate().any(shares) {
        return None;
    }
    let name = &interface.name;
    let text =
        format!("when the first address of a network on {name} is deleted, its others there go with it");
    let mend = format!("sysctl -w net.ipv4.conf.{name}.promote_secondaries=1");
    Some(Check::warn(GROUP, "promote-secondaries", text, mend))
}

/// Two interfaces in one network: either may answer for the other's address.
fn same_network(facts: &Facts) -> Option<Check> {
    let v4: Vec<_> = facts.addresses.iter().filter(|it| it.address.is_ipv4() && it.verdict.is_ok()).collect();
    let loose = |name: &str| {
        let interface = facts.interfaces.iter().find(|it| it.name == name);
        interface.is_some_and(|it| !it.arp_filter && it.arp_ignore == 0)
    };
    let both = v4.iter().enumerate().find_map(|(at, it)| {
        let other = v4[at + 1..]
            .iter()
            .find(|other| other.interface != it.interface && covers(it.address, it.prefix, other.address))?;
        Some((*it, *other))
    });
    let (one, other) = both.filter(|(one, other)| loose(&one.interface) || loose(&other.interface))?;
    let (a, b) = (&one.interface, &other.interface);
    let text = format!("{a} and {b} are in one network, and each answers ARP for the other's address");
    let mend = format!("sysctl -w net.ipv4.conf.{a}.arp_ignore=1 net.ipv4.conf.{b}.arp_ignore=1");
    Some(Check::warn(GROUP, "arp-filter", text, mend))
}

/// A private address whose peer has a global one.
fn behind_translation(facts: &Facts) -> Option<Check> {
    let Daemon::Running { associations, .. } = &facts.daemon else { return None };
    let global = |address: &IpAddr| match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && (64..128).contains(&address.octets()[1]);
            !(address.is_private()
                || address.is_link_local()
                || address.is_loopback()
                || address.is_documentation()
                || shared)
        }
        IpAddr::V6(_) => false,
    };
    let private = |address: &IpAddr| address.is_ipv4() && !global(address);
    let through =
        associations.iter().find(|it| it.peer.iter().any(global) && it.local.iter().any(private))?;
    let named = format!("association {}:{}-{}", through.pid, through.local_port, through.peer_port);
    if facts.kernel.udp.0 > 0 {
        let text = format!(
            "{named} goes in UDP from a private address to a global one: it moves while the NAT on the way shows the same public address; where that changes it is lost, since Linux cannot send an ASCONF with the wildcard address (RFC 5061)"
        );
        let mend = "use sessions in the program (asap-client), which outlive associations  # SOCKETS.md";
        return Some(Check::warn(GROUP, "translation", text, mend));
    }
    let text = format!(
        "{named} goes from a private address to a global one: where addresses are translated on the way, the new one in an ASCONF is of no use to the peer"
    );
    Some(Check::warn(
        GROUP,
        "translation",
        text,
        "sysctl -w net.sctp.udp_port=9899 net.sctp.encap_port=9899  # UDP encapsulation (RFC 6951), at both ends",
    ))
}
