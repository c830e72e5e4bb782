//! The network: two mobile hosts with two access networks each, a router between all, and the registrar's host.
//!
//! | host | interface | IPv4 | IPv6 |
//! |---|---|---|---|
//! | A | a1, a2 | 10.1.0.2, 10.2.0.2 | fd00:1::2, fd00:2::2 |
//! | B | b1, b2 | 10.3.0.2, 10.4.0.2 | fd00:3::2, fd00:4::2 |
//! | G | g | 10.9.0.2 | fd00:9::2 |
//!
//! The router R has .1 (::1) of each. The mobile hosts begin with no interface up: [`Network::up`].

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sctp_sys::Family;

use crate::clock::{self, Nanos};
use crate::link::{Conditions, batch};
use crate::netns::Namespace;
use crate::rtnl::{Change, Rtnl};

/// A mobile host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// The client's.
    A,
    /// The server's.
    B,
}

impl Host {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// `A` or `B`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// An address that a mobile host can have: one of its networks, and which host number it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The host.
    pub host: Host,
    /// The host's network, 1 or 2.
    pub network: u8,
    /// The address's last number, usually 2.
    pub number: u8,
}

/// A's address in its first network.
pub const A1: Place = Place { host: Host::A, network: 1, number: 2 };
/// A's second address in its first network.
pub const A1B: Place = Place { host: Host::A, network: 1, number: 3 };
/// A's address in its second network.
pub const A2: Place = Place { host: Host::A, network: 2, number: 2 };
/// B's address in its first network.
pub const B1: Place = Place { host: Host::B, network: 1, number: 2 };
/// B's address in its second network.
pub const B2: Place = Place { host: Host::B, network: 2, number: 2 };

/// The registrar's address.
pub fn registrar_address(family: Family) -> IpAddr {
    numbered(family, 9, 2)
}

fn numbered(family: Family, net: u8, number: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, net, 0, number).into(),
        Family::V6 => Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, number.into()).into(),
    }
}

impl Place {
    /// The network's number among all.
    fn net(self) -> u8 {
        self.network + if self.host == Host::A { 0 } else { 2 }
    }

    /// The address.
    pub fn address(self, family: Family) -> IpAddr {
        numbered(family, self.net(), self.number)
    }

    /// The router's address in that network.
    pub fn gateway(self, family: Family) -> IpAddr {
        numbered(family, self.net(), 1)
    }

    /// The interface's name.
    pub fn interface(self) -> String {
        format!("{}{}", self.host.name().to_lowercase(), self.network)
    }
}

const fn prefix(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

#[derive(Debug)]
struct Mobile {
    namespace: Namespace,
    rtnl: Mutex<Rtnl>,
    /// The indices of its two interfaces.
    interfaces: [u32; 2],
}

impl Mobile {
    /// The index of the interface that an address belongs to.
    fn index(&self, place: Place) -> u32 {
        self.interfaces[usize::from(place.network) - 1]
    }
}

/// The network, until dropped.
#[derive(Debug)]
pub struct Network {
    family: Family,
    a: Mobile,
    b: Mobile,
    registrar: Namespace,
    router: Namespace,
}

impl Network {
    /// Builds it.
    ///
    /// # Errors
    /// Not root, no iproute2, no netem in the kernel, or the system's.
    pub fn build(family: Family, conditions: &Conditions) -> io::Result<Self> {
        Self::around(Namespace::create("A")?, family, conditions)
    }

    /// Builds it around a host A that is there.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn around(a: Namespace, family: Family, conditions: &Conditions) -> io::Result<Self> {
        let [router, b, registrar] = ["R", "B", "G"].map(Namespace::create);
        let (router, b, registrar) = (router?, b?, registrar?);
        for namespace in [&router, &a, &b, &registrar] {
            namespace.enter(|| {
                let set = |name: &str, value: &str| fs::write(format!("/proc/sys/net/{name}"), value);
                for which in ["all", "default"] {
                    set(&format!("ipv4/conf/{which}/rp_filter"), "0")?;
                }
                set("ipv4/ip_forward", if namespace.name() == router.name() { "1" } else { "0" })?;
                if namespace.name() == router.name() {
                    set("ipv6/conf/all/forwarding", "1")?;
                }
                Ok(())
            })?;
        }
        let ends = [(1, &a, "a1"), (2, &a, "a2"), (3, &b, "b1"), (4, &b, "b2"), (9, &registrar, "g")];
        let mut lines = vec!["link set lo up".to_owned()];
        for (net, namespace, interface) in ends {
            let outer = format!("r{interface}");
            lines
                .push(format!("link add {outer} type veth peer name {interface} netns {}", namespace.name()));
            for of in [Family::V4, Family::V6] {
                let nodad = if of == Family::V6 { " nodad" } else { "" };
                lines.push(format!("addr add {}/{} dev {outer}{nodad}", numbered(of, net, 1), prefix(of)));
            }
            lines.push(format!("link set {outer} up"));
        }
        batch(&router, "ip", &lines)?;
        let lines: Vec<_> =
            ends.iter().map(|(_, _, interface)| conditions.command(&format!("r{interface}"))).collect();
        batch(&router, "tc", &lines)?;
        let settle = |namespace: &Namespace| {
            namespace.enter(|| {
                let mut rtnl = Rtnl::open()?;
                rtnl.apply(&[Change::Link { index: 1, up: true }])?;
                Ok(rtnl)
            })
        };
        let mut at_registrar = settle(&registrar)?;
        let index = index_of(&registrar, "g")?;
        at_registrar.apply(&[Change::Link { index, up: true }])?;
        for of in [Family::V4, Family::V6] {
            let (address, gateway) = (numbered(of, 9, 2), numbered(of, 9, 1));
            at_registrar.apply(&[
                Change::Add { index, address, prefix: prefix(of), no_dad: true },
                Change::Default { index, gateway, metric: 1 },
            ])?;
        }
        let mobile = |namespace: Namespace, names: [&str; 2]| -> io::Result<Mobile> {
            let rtnl = Mutex::new(settle(&namespace)?);
            let interfaces = [index_of(&namespace, names[0])?, index_of(&namespace, names[1])?];
            Ok(Mobile { namespace, rtnl, interfaces })
        };
        Ok(Self { family, a: mobile(a, ["a1", "a2"])?, b: mobile(b, ["b1", "b2"])?, registrar, router })
    }

    /// The address family of the mobile hosts.
    pub const fn family(&self) -> Family {
        self.family
    }

    fn mobile(&self, host: Host) -> &Mobile {
        match host {
            Host::A => &self.a,
            Host::B => &self.b,
        }
    }

    /// A mobile host's namespace.
    pub fn host(&self, host: Host) -> &Namespace {
        &self.mobile(host).namespace
    }

    /// The registrar's host.
    pub const fn registrar(&self) -> &Namespace {
        &self.registrar
    }

    /// The router between all.
    pub const fn router(&self) -> &Namespace {
        &self.router
    }

    /// Brings addresses of one host up: link, address, default route. Gives when the last of them was usable,
    /// which for IPv6 is when duplicate address detection has ended. As in a real access network the link carries
    /// packets both ways before anybody gets an address there.
    ///
    /// # Errors
    /// The kernel refuses; the address is in use elsewhere; it takes longer than 15 s.
    pub fn up(&self, host: Host, places: &[Place]) -> io::Result<Nanos> {
        self.up_in(self.family, host, places)
    }

    /// As [`up`](Self::up), with addresses of this family.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub fn up_in(&self, family: Family, host: Host, places: &[Place]) -> io::Result<Nanos> {
        self.carrier(host, places)?;
        self.address_in(family, host, places)?;
        let mobile = self.mobile(host);
        if family == Family::V6 {
            mobile.namespace.enter(|| {
                for place in places {
                    let IpAddr::V6(address) = place.address(family) else { continue };
                    let what = format!("duplicate address detection of {address}");
                    clock::until(&what, Duration::from_secs(15), || {
                        fs::read_to_string("/proc/thread-self/net/if_inet6")
                            .ok()
                            .filter(|table| usable(table, address))
                    })
                    .map_err(io::Error::other)?;
                }
                Ok(())
            })?;
        }
        Ok(clock::now())
    }

    /// The links of these addresses of one host, until they carry packets both ways.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub fn carrier(&self, host: Host, places: &[Place]) -> io::Result<()> {
        let mobile = self.mobile(host);
        let links: Vec<Change> =
            places.iter().map(|place| Change::Link { index: mobile.index(*place), up: true }).collect();
        mobile.rtnl.lock().unwrap_or_else(PoisonError::into_inner).apply(&links)?;
        self.router.enter(|| {
            for place in places {
                let interface = format!("r{}", place.interface());
                clock::until(&format!("{interface}, which runs"), Duration::from_secs(15), || {
                    running(&interface)
                })
                .map_err(io::Error::other)?;
            }
            Ok(())
        })
    }

    /// Addresses of one host and their default routes, where the links are there. Gives when the kernel was asked for
    /// them; what it answers comes later.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn address(&self, host: Host, places: &[Place]) -> io::Result<Nanos> {
        self.address_in(self.family, host, places)
    }

    fn address_in(&self, family: Family, host: Host, places: &[Place]) -> io::Result<Nanos> {
        let mobile = self.mobile(host);
        let mut changes = Vec::new();
        for place in places {
            let index = mobile.index(*place);
            changes.extend([
                Change::Add { index, address: place.address(family), prefix: prefix(family), no_dad: false },
                Change::Default {
                    index,
                    gateway: place.gateway(family),
                    metric: 100 * u32::from(place.network),
                },
            ]);
        }
        let mut rtnl = mobile.rtnl.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clock::now();
        rtnl.apply(&changes)?;
        Ok(at)
    }

    /// Takes addresses of one host away: address, and link where it was the link's last. Gives when.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn down(&self, host: Host, places: &[Place]) -> io::Result<Nanos> {
        self.down_in(self.family, host, places)
    }

    /// As [`down`](Self::down), of addresses of this family.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn down_in(&self, family: Family, host: Host, places: &[Place]) -> io::Result<Nanos> {
        let mobile = self.mobile(host);
        let mut changes = Vec::new();
        // With the first IPv4 address of a network the kernel takes the others: those go before it.
        for place in places.iter().rev() {
            let index = mobile.index(*place);
            // The kernel takes IPv6 addresses away by itself when their link goes down.
            if family == Family::V4 {
                let remove = Change::Remove { index, address: place.address(family), prefix: prefix(family) };
                changes.push(remove);
            }
            let link = Change::Link { index, up: false };
            changes.retain(|change| *change != link);
            changes.insert(0, link);
        }
        let at = clock::now();
        mobile.rtnl.lock().unwrap_or_else(PoisonError::into_inner).apply(&changes)?;
        Ok(at)
    }
}

/// Whether the interface of this name, of this thread's namespace, is ready to send.
fn running(interface: &str) -> Option<()> {
    nix::ifaddrs::getifaddrs().ok()?.find(|found| {
        found.interface_name == interface && found.flags.contains(nix::net::if_::InterfaceFlags::IFF_RUNNING)
    })?;
    Some(())
}

fn index_of(namespace: &Namespace, interface: &str) -> io::Result<u32> {
    namespace.enter(|| Ok(nix::net::if_::if_nametoindex(interface)?))
}

/// Whether `/proc/net/if_inet6` has the address, and neither tentative nor a duplicate.
fn usable(table: &str, address: Ipv6Addr) -> bool {
    const TENTATIVE_OR_FAILED: u32 = 0x40 | 0x08;
    let wanted: String = address.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    table.lines().any(|line| {
        let mut columns = line.split_ascii_whitespace();
        columns.next() == Some(&wanted)
            && columns
                .nth(3)
                .and_then(|flags| u32::from_str_radix(flags, 16).ok())
                .is_some_and(|flags| flags & TENTATIVE_OR_FAILED == 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_its_own_address_in_the_network_of_its_router() {
        assert_eq!(A1.address(Family::V4).to_string(), "10.1.0.2");
        assert_eq!(A1B.address(Family::V4).to_string(), "10.1.0.3");
        assert_eq!(B2.address(Family::V4).to_string(), "10.4.0.2");
        assert_eq!(B1.address(Family::V6).to_string(), "fd00:3::2");
        assert_eq!(B2.gateway(Family::V6).to_string(), "fd00:4::1");
        assert_eq!(B2.interface(), "b2");
    }

    #[test]
    fn a_tentative_or_duplicate_address_is_not_usable() {
        let address = "fd00:1::2".parse().unwrap();
        let line = |flags: &str| format!("fd000001000000000000000000000002 05 40 00 {flags}       a1\n");
        assert!(usable(&line("80"), address));
        assert!(!usable(&line("c0"), address));
        assert!(!usable(&line("88"), address));
        assert!(!usable("", address));
    }
}
