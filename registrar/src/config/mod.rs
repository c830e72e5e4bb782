//! The configuration file: TOML, every key optional, every value with its bounds.
//!
//! A key that is not known, a value of another type or out of its bounds is refused with file, line and what is
//! allowed. The file `registrar.toml` beside this crate shows every key with its default.

mod enrp;
mod error;
mod multicast;
mod reload;
mod value;

use serde::Deserialize;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::asap;
pub use enrp::{Enrp, Peer};
pub use error::ConfigError;
pub use multicast::Multicast;
pub use value::{duration_between, listen_address};

/// Read if no other file is named, and if it is there.
pub const DEFAULT_FILE: &str = "/etc/roam-registrar/registrar.toml";

/// The directory of the control socket, if no other is named.
pub const DEFAULT_RUNTIME_DIR: &str = "/run/roam-registrar";

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where ASAP is served over SCTP. Addresses of one port share a socket, and with it their associations.
    #[serde(deserialize_with = "value::addresses")]
    pub listen: Vec<SocketAddr>,
    /// Where ASAP is served to pool users over TCP; by default wherever [`Self::listen`] says. Empty: nowhere.
    #[serde(deserialize_with = "value::addresses_or_none")]
    pub listen_tcp: Option<Vec<SocketAddr>>,
    /// The registrar's identifier, 1 to 4294967295; by default a random one at each start.
    #[serde(deserialize_with = "value::identifier")]
    pub identifier: Option<u32>,
    /// Where the control socket is; a path from the root.
    #[serde(deserialize_with = "value::absolute_path")]
    pub runtime_dir: PathBuf,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`, or tracing's `TARGET=LEVEL` separated by commas.
    #[serde(deserialize_with = "value::log_filter")]
    pub log: String,
    /// Times and thresholds of the ASAP service.
    pub asap: Asap,
    /// Bounds on what clients can make the registrar keep.
    pub limits: Limits,
    /// How the kernel's SCTP is set.
    pub sctp: Sctp,
    /// Other registrars.
    pub enrp: Enrp,
    /// Announcing by multicast.
    pub multicast: Multicast,
    /// The page, metrics and health checks.
    pub http: Http,
}

impl Default for Config {
    fn default() -> Self {
        let port = asap_client::wire::PORT;
        Self {
            listen: vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()],
            listen_tcp: None,
            identifier: None,
            runtime_dir: DEFAULT_RUNTIME_DIR.into(),
            log: "info".to_owned(),
            asap: Asap::default(),
            limits: Limits::default(),
            sctp: Sctp::default(),
            enrp: Enrp::default(),
            multicast: Multicast::default(),
            http: Http::default(),
        }
    }
}

/// `[asap]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asap {
    /// MAX-BAD-PE-REPORT, 0 to 1000: more reports than this remove an element. Default 3.
    #[serde(deserialize_with = "value::number::<_, 0, 1000>")]
    pub max_bad_pe_report: u32,
    /// The mean time between two ENDPOINT_KEEP_ALIVEs to an element, 100ms to 1h, or 0s for never. Default 1s.
    #[serde(deserialize_with = "value::duration_or_never::<_, 100, 3_600_000>")]
    pub keep_alive_interval: Option<Duration>,
    /// How long an element may take to answer one, 100ms to 10m. Default 1s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub keep_alive_timeout: Duration,
    /// Elements that are asked in a second, 1 to 1000000; where there are more than can be asked in time, each is asked
    /// less often. The elements of a dead registrar are asked at this pace, too, whether they follow this one. Default
    /// 5000.
    #[serde(deserialize_with = "value::number::<_, 1, 1_000_000>")]
    pub keep_alives_per_second: u32,
    /// How long an element whose registrar has died may take to answer this one, each of two times, 100ms to 10m.
    /// Default 5s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub adoption_timeout: Duration,
    /// How long the owner of an element has to answer when the element registers over a new association from other
    /// addresses, up to 1m; the newcomer is let in if it does not, and at once if the two associations come to have an
    /// address in common. 0s: the owner is not asked. Default 300ms.
    #[serde(deserialize_with = "value::duration::<_, 0, 60_000>")]
    pub move_timeout: Duration,
    /// How long an element may take to answer when another registrar says that it is its own now, 100ms to 10m.
    /// Default 1s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub verify_timeout: Duration,
    /// How long after one push to the subscribers of a pool the next one may be, 0s to 10s; 0s: every change is
    /// pushed. Default 50ms.
    #[serde(deserialize_with = "value::duration::<_, 0, 10_000>")]
    pub push_interval: Duration,
    /// Whether elements may register loopback addresses from anywhere. Default: no; over an association that is
    /// itself on loopback they always may.
    pub allow_loopback: bool,
    /// How long a client may leave all as it is that waits for it to read, when no more can be sent to it, 100ms to 10m;
    /// then it is dropped. One that reads any of it goes on. Default 5s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub unread_timeout: Duration,
    /// How long a message over TCP may take from its first octet to its last, 100ms to 10m. Default 10s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub tcp_message_timeout: Duration,
    /// How long a TCP connection without a subscription may be silent before it is ended, 100ms to 24h. Default 5m.
    #[serde(deserialize_with = "value::duration::<_, 100, 86_400_000>")]
    pub tcp_idle_timeout: Duration,
}

impl Default for Asap {
    fn default() -> Self {
        let defaults = asap::Settings::default();
        Self {
            max_bad_pe_report: defaults.max_bad_pe_report,
            keep_alive_interval: defaults.keep_alive_interval,
            keep_alive_timeout: defaults.keep_alive_timeout,
            keep_alives_per_second: defaults.keep_alives_per_second,
            adoption_timeout: defaults.adoption_timeout,
            move_timeout: defaults.move_timeout,
            verify_timeout: defaults.verify_timeout,
            push_interval: defaults.push_interval,
            allow_loopback: defaults.allow_loopback,
            unread_timeout: Duration::from_secs(5),
            tcp_message_timeout: Duration::from_secs(10),
            tcp_idle_timeout: Duration::from_secs(300),
        }
    }
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Associations at a time, 1 to 1000000.
    #[serde(deserialize_with = "value::count::<_, 1, 1_000_000>")]
    pub associations: usize,
    /// Pools, 1 to 10000000.
    #[serde(deserialize_with = "value::count::<_, 1, 10_000_000>")]
    pub pools: usize,
    /// Elements that are registered here, in all pools, 1 to 10000000. Those of other registrars may be as many again.
    #[serde(deserialize_with = "value::count::<_, 1, 10_000_000>")]
    pub elements: usize,
    /// Elements of one pool, 1 to 10000000.
    #[serde(deserialize_with = "value::count::<_, 1, 10_000_000>")]
    pub elements_per_pool: usize,
    /// Elements of one association, 1 to 1000000.
    #[serde(deserialize_with = "value::count::<_, 1, 1_000_000>")]
    pub elements_per_association: usize,
    /// Subscriptions of all associations, 0 to 10000000.
    #[serde(deserialize_with = "value::count::<_, 0, 10_000_000>")]
    pub subscriptions: usize,
    /// Subscriptions of one association, 0 to 1000000.
    #[serde(deserialize_with = "value::count::<_, 0, 1_000_000>")]
    pub subscriptions_per_association: usize,
    /// Other registrars, 1 to 100000.
    #[serde(deserialize_with = "value::count::<_, 1, 100_000>")]
    pub peers: usize,
    /// Elements of one other registrar, 1 to 10000000.
    #[serde(deserialize_with = "value::count::<_, 1, 10_000_000>")]
    pub elements_per_peer: usize,
    /// Updates a second that are taken from one other registrar, 1 to 1000000. What is dropped beyond is asked for later.
    #[serde(deserialize_with = "value::number::<_, 1, 1_000_000>")]
    pub updates_per_second: u32,
    /// Octets of a pool handle, 1 to 65531.
    #[serde(deserialize_with = "value::count::<_, 1, 65_531>")]
    pub pool_handle_octets: usize,
    /// Octets of all pools' handles together, and of all that are subscribed to, 65536 to 1073741824.
    #[serde(deserialize_with = "value::count::<_, 65_536, 1_073_741_824>")]
    pub pool_handles_octets: usize,
    /// Octets of an element's transport, 64 to 65535.
    #[serde(deserialize_with = "value::count::<_, 64, 65_535>")]
    pub element_octets: usize,
    /// Elements that one response names, 1 to 100000.
    #[serde(deserialize_with = "value::count::<_, 1, 100_000>")]
    pub resolution_items: usize,
    /// Octets that wait for one association to read them, 65536 to 1073741824. A client that lets more
    /// gather is dropped.
    #[serde(deserialize_with = "value::count::<_, 65_536, 1_073_741_824>")]
    pub outstanding_octets_per_association: usize,
    /// Octets that wait for all associations together, 65536 to 1073741824. Beyond it the association that
    /// lets most gather is dropped.
    #[serde(deserialize_with = "value::count::<_, 65_536, 1_073_741_824>")]
    pub outstanding_octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let defaults = asap::Limits::default();
        let peers = crate::enrp::Limits::default();
        Self {
            associations: defaults.associations,
            pools: defaults.pools,
            elements: defaults.elements,
            elements_per_pool: defaults.elements_per_pool,
            elements_per_association: defaults.elements_per_association,
            subscriptions: defaults.subscriptions,
            subscriptions_per_association: defaults.subscriptions_per_association,
            peers: peers.peers,
            elements_per_peer: peers.elements_per_peer,
            updates_per_second: peers.updates_per_second,
            pool_handle_octets: defaults.pool_handle_octets,
            pool_handles_octets: defaults.pool_handles_octets,
            element_octets: defaults.element_octets,
            resolution_items: defaults.resolution_items,
            outstanding_octets_per_association: 1 << 20,
            outstanding_octets: 64 << 20,
        }
    }
}

impl Limits {
    /// What holds for other registrars. A quarter of the handlespace is kept for our own elements, and an element comes
    /// from a peer with where it speaks ASAP.
    fn for_peers(&self) -> crate::enrp::Limits {
        let part = |all: usize| all - all / 4;
        crate::enrp::Limits {
            peers: self.peers,
            pools: part(self.pools),
            elements: self.elements.saturating_mul(2),
            elements_per_pool: self.elements_per_pool,
            elements_per_peer: self.elements_per_peer,
            pool_handle_octets: self.pool_handle_octets,
            pool_handles_octets: part(self.pool_handles_octets),
            element_octets: self.element_octets.saturating_add(2048),
            updates_per_second: self.updates_per_second,
            ..crate::enrp::Limits::default()
        }
    }
}

/// `[sctp]`: peers are mobile, so that timers are far shorter than the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sctp {
    /// RTO.Initial, 10ms to 60s. Default 500ms.
    #[serde(deserialize_with = "value::duration::<_, 10, 60_000>")]
    pub rto_initial: Duration,
    /// RTO.Min, 10ms to 60s, not above `rto_initial`. Default 200ms.
    #[serde(deserialize_with = "value::duration::<_, 10, 60_000>")]
    pub rto_min: Duration,
    /// RTO.Max, 10ms to 60s, not below `rto_initial`. Default 1s.
    #[serde(deserialize_with = "value::duration::<_, 10, 60_000>")]
    pub rto_max: Duration,
    /// Association.Max.Retrans, 1 to 1000. Default 10.
    #[serde(deserialize_with = "value::small::<_, 1, 1000>")]
    pub association_max_retransmissions: u16,
    /// Path.Max.Retrans, 1 to 1000. Default 5.
    #[serde(deserialize_with = "value::small::<_, 1, 1000>")]
    pub path_max_retransmissions: u16,
    /// HB.interval, 100ms to 1h. Default 5s.
    #[serde(deserialize_with = "value::duration::<_, 100, 3_600_000>")]
    pub heartbeat_interval: Duration,
}

impl Default for Sctp {
    fn default() -> Self {
        Self {
            rto_initial: Duration::from_millis(500),
            rto_min: Duration::from_millis(200),
            rto_max: Duration::from_secs(1),
            association_max_retransmissions: 10,
            path_max_retransmissions: 5,
            heartbeat_interval: Duration::from_secs(5),
        }
    }
}

/// `[http]`: where the registrar can be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where HTTP is served over TCP; by default nowhere. Whoever reaches it may read everything.
    #[serde(deserialize_with = "value::one_or_more_addresses")]
    pub listen: Vec<SocketAddr>,
    /// Connections at a time, 2 to 10000; half of them may be event streams. Default 64.
    #[serde(deserialize_with = "value::count::<_, 2, 10_000>")]
    pub connections: usize,
    /// The host names, without a port, under which it may be asked for, besides `localhost` and addresses: what
    /// names another host is refused. Default: none.
    #[serde(deserialize_with = "value::host_names")]
    pub hosts: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: Vec::new(), connections: 64, hosts: Vec::new() }
    }
}

impl Config {
    /// Reads the file that was named, else the default file if it is there, else takes the defaults.
    ///
    /// # Errors
    /// The named file cannot be read, or a value in it is not allowed.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let (file, optional) = named.map_or((Path::new(DEFAULT_FILE), true), |file| (file, false));
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse(file, &text),
            Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError::unreadable(file, &error)),
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// A key is not known, or a value is not allowed.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)
            .map_err(|error| ConfigError::at(file, text, error.span(), error.message()))?;
        config.check().map_err(|what| ConfigError::at(file, text, span_of(text, "rto_"), &what))?;
        config.enrp.check().map_err(|what| ConfigError::at(file, text, span_of(text, "enrp"), &what))?;
        if config.multicast.enrp && config.enrp.listen.is_empty() {
            let what = "[multicast] enrp without [enrp] listen; allowed: both";
            return Err(ConfigError::at(file, text, span_of(text, "enrp"), what));
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let Sctp { rto_min, rto_initial, rto_max, .. } = self.sctp;
        if rto_min > rto_initial || rto_initial > rto_max {
            return Err(format!(
                "rto_min {rto_min:?}, rto_initial {rto_initial:?}, rto_max {rto_max:?}; \
                 allowed: rto_min <= rto_initial <= rto_max"
            ));
        }
        Ok(())
    }

    /// Where ASAP is served over TCP.
    pub fn tcp_addresses(&self) -> &[SocketAddr] {
        self.listen_tcp.as_deref().unwrap_or(&self.listen)
    }

    /// The settings of ENRP. `identifier` is used where the file names none.
    pub fn enrp_settings(&self, identifier: u32) -> crate::enrp::Settings {
        let limits = self.limits.for_peers();
        let settings = self.enrp.settings(self.identifier.unwrap_or(identifier));
        crate::enrp::Settings { limits, multicast: self.multicast.enrp, ..settings }
    }

    /// The settings of the ASAP service. `identifier` is used where the file names none.
    pub fn settings(&self, identifier: u32) -> asap::Settings {
        let Limits {
            associations,
            pools,
            elements,
            elements_per_pool,
            elements_per_association,
            subscriptions,
            subscriptions_per_association,
            pool_handle_octets,
            pool_handles_octets,
            element_octets,
            resolution_items,
            ..
        } = self.limits;
        asap::Settings {
            server: self.identifier.unwrap_or(identifier),
            max_bad_pe_report: self.asap.max_bad_pe_report,
            keep_alive_interval: self.asap.keep_alive_interval,
            keep_alive_timeout: self.asap.keep_alive_timeout,
            keep_alives_per_second: self.asap.keep_alives_per_second,
            adoption_timeout: self.asap.adoption_timeout,
            move_timeout: self.asap.move_timeout,
            push_interval: self.asap.push_interval,
            allow_loopback: self.asap.allow_loopback,
            verify_timeout: self.asap.verify_timeout,
            limits: asap::Limits {
                associations,
                pools,
                elements,
                elements_per_pool,
                elements_per_association,
                subscriptions,
                subscriptions_per_association,
                pool_handle_octets,
                pool_handles_octets,
                element_octets,
                resolution_items,
            },
        }
    }
}

/// Where the first of the keys stands whose names begin so.
fn span_of(text: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(at) = line.find(key).filter(|at| !line[..*at].contains('#')) {
            return Some(start + at..start + at + 1);
        }
        start += line.len();
    }
    None
}

#[cfg(test)]
mod tests;
