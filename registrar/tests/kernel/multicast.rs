//! Registrars that find each other by multicast, and are found.

use super::world::*;
use asap_client::client::{ElementConfig, Event};
use asap_client::driver::{self, RegistrarClient};
use asap_client::wire::{self, Message, Policy, Transport, TransportUse};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt};
use roam_registrar::dump::Dump;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Registrar `own` at this prefix; its identifier is the same number. Elements are not asked whether they are alive.
fn config(prefix: &str, own: u32, multicast: &str) -> String {
    let ip = format!("{prefix}{own}");
    let ip = if ip.contains(':') { format!("[{ip}]") } else { ip };
    format!(
        "listen = [\"{ip}:3863\"]\nidentifier = {own}\n[asap]\nkeep_alive_interval = \"0s\"\n\
         [enrp]\nlisten = \"{ip}:9901\"\n[multicast]\nenrp = true\n{multicast}\n"
    )
}

fn home(dump: &Dump, id: u32) -> Option<u32> {
    let mut elements = dump.pools.iter().flat_map(|pool| &pool.elements);
    elements.find(|element| element.id == id).map(|element| element.home)
}

#[test]
fn two_registrars_find_each_other_by_multicast_over_ipv4() {
    let first = World::new(&config("10.0.0.", 1, ""));
    let mut early = Client::connect("10.0.0.5");
    early.register("p", 1, "10.0.0.5");
    let second = World::beside(&config("10.0.0.", 2, ""));
    second.until(|dump| home(dump, 1) == Some(1));
    let mut late = Client::connect_to("10.0.0.6", "10.0.0.2:3863");
    late.register("p", 2, "10.0.0.6");
    first.until(|dump| home(dump, 2) == Some(2));
}

#[test]
fn two_registrars_find_each_other_by_multicast_over_ipv6() {
    let first = World::new(&config("fd00::", 1, ""));
    let mut early = Client::connect_to("fd00::5", "[fd00::1]:3863");
    early.register("p", 1, "fd00::5");
    let second = World::beside(&config("fd00::", 2, ""));
    second.until(|dump| home(dump, 1) == Some(1));
    let mut late = Client::connect_to("fd00::6", "[fd00::2]:3863");
    late.register("p", 2, "fd00::6");
    first.until(|dump| home(dump, 2) == Some(2));
}

/// A socket beside the registrar's own.
fn member(group: &str) -> UdpSocket {
    let fd = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
    bind(fd.as_raw_fd(), &group.parse::<SockaddrIn>().unwrap()).unwrap();
    fd.into()
}

/// The next announcement in IANA's group: from where, who, and where it serves.
fn announcement() -> (SocketAddr, u32, Vec<Transport>) {
    let listener = member("224.0.1.185:3863");
    listener.join_multicast_v4(&Ipv4Addr::new(224, 0, 1, 185), &Ipv4Addr::new(10, 0, 0, 9)).unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut buffer = [0; 2048];
    let (length, from) = listener.recv_from(&mut buffer).unwrap();
    let Message::ServerAnnounce { server, transports } = wire::decode(&buffer[..length]).unwrap().message
    else {
        panic!("no announcement");
    };
    (from, server, transports)
}

#[test]
fn what_serves_asap_is_announced_to_the_group_with_its_addresses() {
    let _world = World::new("listen = [\"10.0.0.1:3863\"]\nidentifier = 7\n[multicast]\nasap = true\n");
    let (from, server, transports) = announcement();
    assert_eq!(from, REGISTRAR.parse::<SocketAddr>().unwrap(), "rsplib takes it from here");
    assert_eq!(server, 7);
    let address = from.ip();
    let sctp = Transport::Sctp { port: 3863, use_: TransportUse::DataOnly, addresses: vec![address].into() };
    assert_eq!(transports, [Transport::Tcp { port: 3863, address }, sctp]);
}

#[test]
fn a_registrar_at_every_address_announces_those_of_its_host_on_the_interfaces_that_are_named() {
    let _world = World::new("identifier = 7\n[multicast]\nasap = true\ninterfaces = [\"d0\"]\n");
    let (from, server, transports) = announcement();
    assert_eq!((from.port(), server), (3863, 7));
    let (sctp, tcp) = transports.split_last().unwrap();
    assert!(matches!(sctp, Transport::Sctp { port: 3863, .. }));
    for address in [from.ip(), "10.0.0.2".parse().unwrap()] {
        assert!(sctp.addresses().contains(&address), "{transports:?}");
        assert!(tcp.contains(&Transport::Tcp { port: 3863, address }), "{transports:?}");
    }
}

#[test]
fn an_element_that_knows_no_registrar_finds_one_by_its_announcements() {
    let world = World::new(&config("10.0.0.", 1, "asap = true\n"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let config =
        driver::Config { groups: driver::known_groups(), ..driver::Config::mobile(Vec::new(), None) };
    let (client, mut events) = RegistrarClient::spawn(config);
    client.register(ElementConfig {
        handle: handle("EchoPool"),
        id: 9,
        port: 7,
        use_: TransportUse::DataOnly,
        policy: Policy::RoundRobin,
        life: None,
        addresses: None,
    });
    client.set_local_addresses(vec!["10.0.0.5".parse().unwrap()]);
    let registered = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Registered { id: 9, .. }) {
                return;
            }
        }
        panic!("the client has ended");
    };
    let patience = Duration::from_secs(60);
    runtime.block_on(async { tokio::time::timeout(patience, registered).await }).expect("it is found");
    assert_eq!(home(&world.dump(), 9), Some(1));
}

/// A program of rsplib that ends with the test.
struct Program(Child);

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let child = Command::new(name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{name} (apt install rsplib-all): {error}")))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const RSPLIBS: &str =
    "enrp_groups = [\"239.0.0.51:9901\"]\nasap = true\nasap_groups = [\"239.0.0.50:3863\"]\n";

#[test]
fn ours_and_rsplibs_registrar_find_each_other_by_multicast() {
    let first = World::new(&config("10.0.0.", 1, RSPLIBS));
    sh("ip route add 224.0.0.0/4 dev d0");
    let _theirs = Program::start(
        "rspregistrar",
        &[
            "-identifier=0x33333333",
            "-asap=10.0.0.3:3863",
            "-enrp=10.0.0.3:9901",
            "-asapannounce=off",
            "-enrpannounce=239.0.0.51:9901",
            "-logcolor=off",
        ],
    );
    let mut here = Client::connect("10.0.0.5");
    here.register("p", 1, "10.0.0.5");
    let mut there = loop {
        // It is there when it listens.
        if let Some(client) = Client::try_connect("10.0.0.6", "10.0.0.3:3863") {
            break client;
        }
        std::thread::yield_now();
    };
    there.register("p", 2, "10.0.0.6");
    first.until(|dump| home(dump, 2) == Some(0x3333_3333));
    let mut user = Client::connect_to("10.0.0.7", "10.0.0.3:3863");
    loop {
        let message = Message::HandleResolution { subscribe: false, handle: handle("p"), items: Some(10) };
        if let Message::HandleResolutionResponse { elements, .. } = user.ask(&message)
            && elements.len() == 2
        {
            break;
        }
    }
}

#[test]
fn rsplibs_echo_service_finds_our_registrar_by_its_announcements() {
    let world = World::new(&config("10.0.0.", 1, RSPLIBS));
    sh("ip route add 224.0.0.0/4 dev d0");
    let _server = Program::start(
        "rspserver",
        &[
            "-echo",
            "-poolhandle=EchoPool",
            "-identifier=0xe1",
            "-asapannounce=239.0.0.50:3863",
            "-logcolor=off",
        ],
    );
    let dump = world.until(|dump| !dump.pools.is_empty());
    assert_eq!((dump.pools[0].handle.as_str(), dump.pools[0].elements[0].id), ("EchoPool", 0xe1));
}
