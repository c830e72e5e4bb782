//! What is known of the host. [`Facts::default`] is a host on which all is well, and nothing is there to be moved.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::NamespaceFacts;
use crate::control::{AssociationReport, PoolsReport, StatusReport};
use crate::net::Unusable;

/// Everything that the checks look at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// SCTP and its settings.
    pub kernel: KernelFacts,
    /// The daemon.
    pub daemon: Daemon,
    /// What is wrong with the configuration on disk.
    pub configuration: Option<String>,
    /// The configuration lets the daemon keep rules and routes.
    pub manages_routes: bool,
    /// Addresses that may carry associations, and those that cannot.
    pub addresses: Vec<AddressFacts>,
    /// The interfaces of these addresses.
    pub interfaces: Vec<InterfaceFacts>,
    /// Other network namespaces with SCTP sockets.
    pub namespaces: Vec<NamespaceFacts>,
    /// Others on the host.
    pub network: NetworkFacts,
    /// Registrars, elements, peers.
    pub pools: PoolFacts,
    /// How often the host was suspended since it was started; none: cannot be told.
    pub suspends: Option<u64>,
    /// For how long in all.
    pub suspended: Duration,
}

/// SCTP and its settings.
#[derive(Debug, Clone)]
pub struct KernelFacts {
    /// Its release, as `6.12.0`.
    pub release: String,
    /// Sockets can be made.
    pub sctp: bool,
    /// Files and lines in /etc/modprobe.d that keep the module from being loaded.
    pub blacklisted: Vec<(PathBuf, String)>,
    /// It is loaded when the host starts, or built in.
    pub loaded_at_start: bool,
    /// sock_diag tells of SCTP.
    pub diag: bool,
    /// `net.sctp.addip_enable`; none: cannot be read.
    pub addip: Option<bool>,
    /// `net.sctp.auth_enable`.
    pub auth: Option<bool>,
    /// `net.sctp.addip_noauth_enable`.
    pub addip_noauth: Option<bool>,
    /// `net.sctp.default_auto_asconf`.
    pub auto_asconf: Option<bool>,
    /// `net.sctp.addr_scope_policy`.
    pub scope_policy: Option<i64>,
    /// UDP ports of RFC 6951: that packets are taken at, and that new associations' packets are sent to; 0: none.
    pub udp: (i64, i64),
}

impl Default for KernelFacts {
    fn default() -> Self {
        Self {
            release: "6.12".into(),
            sctp: true,
            blacklisted: Vec::new(),
            loaded_at_start: true,
            diag: true,
            addip: Some(true),
            auth: Some(true),
            addip_noauth: Some(false),
            auto_asconf: Some(false),
            scope_policy: Some(1),
            udp: (0, 0),
        }
    }
}

/// The daemon, seen from here.
#[derive(Debug, Clone)]
pub enum Daemon {
    /// It answered.
    Running {
        /// What it says of itself.
        status: Box<StatusReport>,
        /// The host's associations.
        associations: Vec<AssociationReport>,
        /// Rights that it has not, by name.
        lacks: Vec<String>,
    },
    /// It did not.
    Silent {
        /// The error.
        why: String,
        /// A roamd runs in this network namespace, with another runtime directory.
        elsewhere: bool,
    },
}

impl Default for Daemon {
    fn default() -> Self {
        Self::Running { status: Box::default(), associations: Vec::new(), lacks: Vec::new() }
    }
}

impl Daemon {
    /// Whether it answered.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// An address of this host that is not on the loopback interface.
#[derive(Debug, Clone)]
pub struct AddressFacts {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length in bits.
    pub prefix: u8,
    /// Its interface.
    pub interface: String,
    /// Usable, or why not.
    pub verdict: Result<(), Unusable>,
    /// The next router out of its interface.
    pub gateway: Option<IpAddr>,
    /// The interface by which packets from it leave (to a peer, or to its router), or why they do not; none: nothing to
    /// ask about.
    pub leaves_by: Option<Result<String, String>>,
}

/// Settings of an interface, each as it takes effect (`conf/all` taken into account).
#[derive(Debug, Clone, Default)]
pub struct InterfaceFacts {
    /// Its name.
    pub name: String,
    /// It has a carrier.
    pub carrier: bool,
    /// 0 off, 1 strict, 2 loose.
    pub rp_filter: i64,
    /// ARP is answered only by the interface by which the answer would leave.
    pub arp_filter: bool,
    /// ARP is answered only for addresses of the interface (1 or more).
    pub arp_ignore: i64,
    /// Routes through an interface without carrier are not used.
    pub ignores_linkdown: bool,
    /// The other addresses of a prefix outlive its first one.
    pub promotes_secondaries: bool,
}

/// Others on the host that change addresses, routes or packets.
#[derive(Debug, Clone)]
pub struct NetworkFacts {
    /// The program `nft` is there.
    pub nft: bool,
    /// NetworkManager runs.
    pub network_manager: bool,
    /// systemd-networkd runs.
    pub networkd: bool,
    /// It leaves the rules and routes of others alone.
    pub networkd_tolerant: bool,
    /// Connections are tracked here.
    pub conntrack: bool,
    /// Lines of the packet filter that translate addresses, ours aside.
    pub translations: Vec<String>,
}

impl Default for NetworkFacts {
    fn default() -> Self {
        Self {
            nft: true,
            network_manager: false,
            networkd: false,
            networkd_tolerant: true,
            conntrack: false,
            translations: Vec::new(),
        }
    }
}

/// Registrars, elements, peers.
#[derive(Debug, Clone, Default)]
pub struct PoolFacts {
    /// Registrars or groups are configured.
    pub configured: bool,
    /// Elements or peers are configured.
    pub needed: bool,
    /// What the daemon says of them.
    pub report: Option<PoolsReport>,
    /// Without the daemon: a registrar answered; none: none was asked.
    pub answered: Option<bool>,
}
