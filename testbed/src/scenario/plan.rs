//! What the daemons of a round are told.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::topology::Host;

/// How a program's sockets are told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sockets {
    /// By their own ports.
    Ports(Vec<u16>),
    /// By the program that holds them; its port is not known beforehand.
    Executable(PathBuf),
}

/// What the two daemons are told of the programs.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Client's and server's sockets.
    pub(super) sockets: [Sockets; 2],
    /// Whose programs are pool elements.
    pub(super) registered: Vec<Host>,
    /// The programs need the registrar for themselves, too.
    pub(super) registrar: bool,
    /// Where the daemons do not find the program `nft`.
    pub(super) without_nftables: Vec<Host>,
    /// The daemons have the user and the rights of their unit.
    pub(super) as_service: bool,
    /// The daemons know the registrar by an address of each family, not of the network's alone.
    pub(super) registrar_by_both_families: bool,
}

impl Plan {
    /// Whether the daemons have a registrar: not where nobody would be registered at it.
    pub(super) fn pools(&self) -> bool {
        !self.registered.is_empty()
    }
}

/// The configuration of one host's daemon.
pub(super) fn configuration(plan: &Plan, host: Host, runtime: &Path, registrars: &[SocketAddr]) -> String {
    let mut text = format!("[agent]\nruntime_dir = {:?}\n", runtime.display().to_string());
    let [own, other] = match host {
        Host::A => [(Host::A, &plan.sockets[0]), (Host::B, &plan.sockets[1])],
        Host::B => [(Host::B, &plan.sockets[1]), (Host::A, &plan.sockets[0])],
    };
    for (key, _) in keys(own.1) {
        let _ = write!(text, "\n[[manage]]\n{key}\n");
    }
    if plan.registered.contains(&own.0) {
        for (index, (key, _)) in keys(own.1).into_iter().enumerate() {
            let _ = write!(text, "\n[[element]]\nhandle = {:?}\n{key}\n", handle(own.0, index));
        }
    }
    if !plan.pools() {
        return text;
    }
    for (index, (_, port)) in keys(other.1).into_iter().enumerate() {
        let _ = write!(text, "\n[[peer]]\nhandle = {:?}\n", handle(other.0, index));
        if let Some(port) = port {
            let _ = writeln!(text, "port = {port}");
        }
    }
    let registrars: Vec<_> = registrars.iter().map(SocketAddr::to_string).collect();
    let _ = write!(text, "\n[registrars]\nstatic = {registrars:?}\n");
    text
}

fn keys(sockets: &Sockets) -> Vec<(String, Option<u16>)> {
    match sockets {
        Sockets::Ports(ports) => ports.iter().map(|port| (format!("port = {port}"), Some(*port))).collect(),
        Sockets::Executable(path) => vec![(format!("executable = {:?}", path.display().to_string()), None)],
    }
}

fn handle(host: Host, index: usize) -> String {
    let name = format!("host-{}", host.name().to_lowercase());
    if index == 0 { name } else { format!("{name}-{index}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::registrar_address;
    use roam_agent::config::Config;
    use sctp_sys::Family;

    fn plan() -> Plan {
        Plan {
            sockets: [Sockets::Ports(vec![7001, 7002]), Sockets::Ports(vec![7000])],
            registered: Host::ALL.to_vec(),
            registrar: false,
            without_nftables: Vec::new(),
            as_service: false,
            registrar_by_both_families: false,
        }
    }

    fn parsed(plan: &Plan, host: Host) -> Config {
        let registrar = SocketAddr::new(registrar_address(Family::V6), asap_client::wire::PORT);
        let text = configuration(plan, host, Path::new("/tmp/x/roamd"), &[registrar]);
        Config::parse(Path::new("roamd.toml"), &text).unwrap()
    }

    #[test]
    fn the_daemon_takes_the_configuration_that_is_written_for_it() {
        let config = parsed(&plan(), Host::A);
        assert_eq!(config.manage.map(|manage| manage.len()), Some(2));
        assert_eq!(config.elements.len(), 2);
        assert_eq!(config.peers[0].handle, "host-b");
        assert_eq!(config.registrars.fixed[0].to_string(), "[fd00:9::2]:3863");
    }

    #[test]
    fn what_is_one_hosts_element_is_the_others_peer() {
        let (a, b) = (parsed(&plan(), Host::A), parsed(&plan(), Host::B));
        let elements: Vec<_> = a.elements.iter().map(|element| (&element.handle, element.port)).collect();
        let peers: Vec<_> = b.peers.iter().map(|peer| (&peer.handle, peer.port)).collect();
        assert_eq!(elements, peers);
    }

    #[test]
    fn where_nobody_is_registered_the_daemons_have_no_registrar() {
        let config = parsed(&Plan { registered: Vec::new(), ..plan() }, Host::A);
        assert!(config.registrars.fixed.is_empty() && config.peers.is_empty() && config.elements.is_empty());
        assert_eq!(config.manage.map(|manage| manage.len()), Some(2));
    }

    #[test]
    fn a_host_that_is_not_registered_still_looks_for_its_peer() {
        let config = parsed(&Plan { registered: vec![Host::B], ..plan() }, Host::A);
        assert_eq!((config.elements.len(), config.peers.len()), (0, 1));
    }

    #[test]
    fn a_program_whose_port_is_not_known_is_told_by_its_executable() {
        let client = Sockets::Executable("/usr/bin/socat".into());
        let plan = Plan { sockets: [client, Sockets::Ports(vec![7000])], ..plan() };
        assert_eq!(parsed(&plan, Host::A).elements[0].executable, Some("/usr/bin/socat".into()));
        assert_eq!(parsed(&plan, Host::B).peers[0].port, None);
    }
}
