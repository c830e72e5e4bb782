//! Every reason, and which comes first when several apply.

use super::super::event::Event;
use super::*;

const CONFIGURED: &str = "eth0";

struct Host {
    snapshot: Snapshot,
    config: Config,
    peers: BTreeSet<IpAddr>,
}

impl Host {
    /// An interface that is up, has carrier and default routes of both families.
    fn new() -> Self {
        let mut host =
            Self { snapshot: Snapshot::default(), config: Config::default(), peers: BTreeSet::new() };
        host.link(|_| {});
        host.route("0.0.0.0", 0, Some("10.0.0.1"), 0);
        host.route("::", 0, Some("fe80::1"), 1024);
        host
    }

    fn link(&mut self, change: impl Fn(&mut Link)) {
        let name = CONFIGURED.to_owned();
        let mut link = Link { ifindex: 2, name, up: true, carrier: true, ..Link::default() };
        change(&mut link);
        self.snapshot.apply(Event::Link(link));
    }

    fn route(&mut self, to: &str, prefix: u8, via: Option<&str>, metric: u32) {
        let gateway = via.map(|via| via.parse().unwrap());
        let destination = to.parse().unwrap();
        let route = Route { table: 254, destination, prefix, metric, gateway, ifindex: 2, protocol: 4 };
        self.snapshot.apply(Event::Routes { routes: vec![route], replaces: false });
    }

    fn judge(&mut self, address: &str, flags: u32) -> Result<(), Unusable> {
        let address: IpAddr = address.parse().unwrap();
        let ours = false;
        self.snapshot.apply(Event::Address(Address { ifindex: 2, address, prefix: 24, flags, ours }));
        let judged = judge(&self.snapshot, &self.config, &self.peers);
        judged.into_iter().find(|local| local.address == address).unwrap().verdict
    }
}

fn configured(text: &str) -> Config {
    Config::parse(std::path::Path::new("agent.toml"), text).unwrap()
}

#[test]
fn an_address_on_a_working_interface_with_a_default_route_is_usable() {
    assert_eq!(Host::new().judge("10.0.0.2", 0x80), Ok(()));
    assert_eq!(Host::new().judge("fd00::2", 0x80), Ok(()));
}

#[test]
fn each_reason_is_found() {
    let flags = |address: &str, flags| Host::new().judge(address, flags);
    assert_eq!(flags("fd00::2", TENTATIVE), Err(Unusable::Tentative));
    assert_eq!(flags("fd00::2", TENTATIVE | DAD_FAILED), Err(Unusable::Duplicate));
    assert_eq!(flags("fd00::2", DEPRECATED), Err(Unusable::Deprecated));
    assert_eq!(flags("fd00::2", TEMPORARY), Err(Unusable::Temporary));
    assert_eq!(flags("fe80::2", 0), Err(Unusable::LinkLocal));
    assert_eq!(flags("169.254.1.1", 0), Err(Unusable::LinkLocal));
    let link = |change: fn(&mut Link)| {
        let mut host = Host::new();
        host.link(change);
        host.judge("10.0.0.2", 0)
    };
    assert_eq!(link(|link| link.carrier = false), Err(Unusable::NoCarrier));
    assert_eq!(link(|link| (link.up, link.carrier) = (false, false)), Err(Unusable::LinkDown));
    assert_eq!(link(|link| link.bridge_port = true), Err(Unusable::InterfaceDenied));
    assert_eq!(link(|link| link.loopback = true), Err(Unusable::Loopback));
    assert_eq!(link(|link| link.name = "docker0".to_owned()), Err(Unusable::InterfaceDenied));
}

#[test]
fn a_secondary_ipv4_address_is_as_good_as_any() {
    // The flag of a temporary IPv6 address says "secondary" of an IPv4 one.
    assert_eq!(Host::new().judge("10.0.0.3", TEMPORARY | 0x80), Ok(()));
}

#[test]
fn the_routes_of_one_family_are_no_help_to_the_other() {
    let mut host = Host { snapshot: Snapshot::default(), ..Host::new() };
    host.link(|_| {});
    host.route("::", 0, Some("fe80::1"), 0);
    assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::NoRoute));
    assert_eq!(host.judge("fd00::2", 0), Ok(()));
}

#[test]
fn a_peer_on_the_link_needs_no_default_route() {
    let mut host = Host { snapshot: Snapshot::default(), ..Host::new() };
    host.link(|_| {});
    host.route("10.0.0.0", 24, None, 0);
    assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::NoRoute));
    host.peers.insert("10.0.1.7".parse().unwrap());
    assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::NoRoute));
    host.peers.insert("10.0.0.7".parse().unwrap());
    assert_eq!(host.judge("10.0.0.2", 0), Ok(()));
}

#[test]
fn the_default_route_of_the_lowest_metric_gives_the_gateway() {
    let mut host = Host::new();
    host.route("0.0.0.0", 0, Some("10.0.0.9"), 600);
    host.judge("10.0.0.2", 0).unwrap();
    let judged = judge(&host.snapshot, &host.config, &host.peers);
    assert_eq!((judged[0].gateway, judged[0].metric), (Some("10.0.0.1".parse().unwrap()), 0));
}

#[test]
fn interfaces_of_containers_are_no_paths_unless_a_default_route_or_the_configuration_says_so() {
    for (kind, elsewhere) in [("veth", true), ("bridge", false)] {
        let mut host = Host { snapshot: Snapshot::default(), ..Host::new() };
        host.link(|link| (link.kind, link.elsewhere) = (kind.to_owned(), elsewhere));
        host.peers.insert("10.0.0.7".parse().unwrap());
        assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::Container), "{kind}");
        host.route("10.0.0.0", 24, None, 0);
        assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::Container), "{kind}");
        host.config = configured("[[interface]]\nname = \"eth0\"");
        assert_eq!(host.judge("10.0.0.2", 0), Ok(()), "{kind}");
        host.config = Config::default();
        host.route("0.0.0.0", 0, Some("10.0.0.1"), 0);
        assert_eq!(host.judge("10.0.0.2", 0), Ok(()), "{kind}");
    }
}

#[test]
fn a_tunnel_is_a_path_only_if_the_configuration_says_so() {
    let mut host = Host::new();
    host.link(|link| link.kind = "wireguard".to_owned());
    assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::Tunnel));
    host.config = configured("[[interface]]\nkind = \"wireguard\"\nrole = \"backup\"");
    assert_eq!(host.judge("10.0.0.2", 0), Ok(()));
}

#[test]
fn an_interface_that_is_for_nothing_is_not_used() {
    let mut host = Host::new();
    host.config = configured("[[interface]]\nname = \"eth*\"\nrole = \"never\"");
    assert_eq!(host.judge("10.0.0.2", 0), Err(Unusable::InterfaceDenied));
}

#[test]
fn a_held_address_is_told_from_the_hosts_own() {
    let mut host = Host::new();
    host.link(|link| link.loopback = true);
    for (address, ours, expected) in
        [("10.9.9.9", true, Unusable::Held), ("10.9.9.8", false, Unusable::Loopback)]
    {
        let address: IpAddr = address.parse().unwrap();
        host.snapshot.apply(Event::Address(Address { ifindex: 2, address, prefix: 32, flags: 0, ours }));
        let judged = judge(&host.snapshot, &host.config, &host.peers);
        let local = judged.iter().find(|local| local.address == address).unwrap();
        assert_eq!(local.verdict, Err(expected));
    }
}

#[test]
fn every_reason_survives_json() {
    for reason in [Unusable::Held, Unusable::NoSourceRoute { leaves_by: Some(3) }] {
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<Unusable>(&json).unwrap(), reason, "{json}");
    }
}
