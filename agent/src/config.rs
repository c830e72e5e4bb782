//! The daemon's configuration: one TOML file and drop-ins beside it, every key optional. The file `agent.toml` of this
//! crate shows every key with its default.
//!
//! ```toml
//! [agent]
//! runtime_dir = "/run/roam"    # control socket, journal
//! offline = "10m"              # how long an association survives without any usable address
//!
//! [[interface]]                # what interfaces are for: primary, backup, never
//! name = "wwan*"
//! role = "backup"
//!
//! [[manage]]                   # whose associations are looked after; without any: everybody's
//! executable = "/usr/bin/socat"
//!
//! [[element]]                  # a pool element of this host
//! handle = "robot-1"
//! port = 7001
//!
//! [[peer]]                     # a pool handle under which peers are found when they moved
//! handle = "robot-2"
//!
//! [registrars]
//! static = ["10.9.0.2:3863"]   # where the handlespace is
//! groups = ["224.0.1.185:3863"] # and where registrars announce themselves
//! ```
//!
//! A mistake is reported with file, line, column, the key and what is allowed; nothing is guessed. Lists are
//! `[[interface]]`, `[[manage]]`, `[[element]]`, `[[peer]]`; durations are strings with a unit (`"250ms"`, `"1m30s"`).

mod error;
mod glob;
mod interface;
mod manage;
mod reload;
mod sources;
mod value;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use self::error::ConfigError;
pub use self::glob::Glob;
pub use self::interface::{Interface, Role, Standby, Standing};
pub use self::manage::{Manage, SocketFacts, User};
pub use self::sources::{Difference, Effective, Loaded, Origin, SHIPPED, Setting, Sources};
pub use self::value::parse_duration;

/// Where the daemon looks for its configuration when none is named.
pub const DEFAULT_FILE: &str = "/etc/roam/agent.toml";

/// What is missing where there is no way to a registrar.
const NAME_ONE: &str =
    "name one in `registrars.static`, or in `registrars.groups` where registrars announce themselves";

/// The whole configuration. [`Config::default`] is what a host without a file gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[agent]`: the daemon itself.
    pub agent: Agent,
    /// `[interfaces]`: where addresses may come from.
    pub interfaces: Interfaces,
    /// `[[interface]]`: what interfaces are for. The first entry that fits one decides.
    pub interface: Vec<Interface>,
    /// `[[manage]]`: sockets to adopt. `None` (no such table): every SCTP association of the host that the
    /// daemon may touch. `manage = []`: only what is adopted by hand or handed over. See [`Config::manages`].
    pub manage: Option<Vec<Manage>>,
    /// `[[element]]`: pool elements of this host.
    #[serde(rename = "element")]
    pub elements: Vec<Element>,
    /// `[[peer]]`: pool handles under which peers are found.
    #[serde(rename = "peer")]
    pub peers: Vec<Peer>,
    /// `[registrars]`: where the handlespace is.
    pub registrars: Registrars,
}

/// `[agent]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Absolute directory of the control socket (`ctl.sock`) and the journal. Default `/run/roam`.
    #[serde(deserialize_with = "value::absolute_path")]
    pub runtime_dir: PathBuf,
    /// How long an association must survive without any usable address; 1 s to 24 h, default 10 min.
    #[serde(deserialize_with = "value::offline")]
    pub offline: Duration,
    /// Whether the daemon switches `net.sctp.addip_enable` and `auth_enable` on at its start. Default true.
    pub enable_addip: bool,
    /// Whether the daemon keeps one rule and one routing table per address. Default true.
    pub manage_routes: bool,
    /// The nice value the daemon gives itself at its start, so that on a busy host a move does not wait for its turn;
    /// -20 (first) to 19 (last), default -15. Where it may not, it goes on as it is.
    #[serde(deserialize_with = "value::nice")]
    pub nice: i32,
    /// How often new sockets are looked for; 10 ms to 60 s, default 250 ms.
    #[serde(deserialize_with = "value::poll")]
    pub poll: Duration,
    /// How long a vanished address is waited for while another path works; 0 to 60 s, default 500 ms.
    #[serde(deserialize_with = "value::grace")]
    pub grace: Duration,
    /// For how long events are gathered while a usable path remains; 0 to 10 s, default 100 ms. Further
    /// events do not prolong it, and a stranded association does not wait for it.
    #[serde(deserialize_with = "value::window")]
    pub settle_window: Duration,
    /// How long a better interface (a primary one, or one of lower cost) has to have been usable before associations
    /// that work are moved to it; 0 to 1 h, default 3 s. Those that do not work do not wait.
    #[serde(deserialize_with = "value::return_after")]
    pub return_after: Duration,
    /// An address that is lost again and again (five times in five seconds by default) is used last, until it has been
    /// there for two of these times or more. 0: never; to 1 h, default 8 s.
    #[serde(deserialize_with = "value::flap_half_life")]
    pub flap_half_life: Duration,
    /// After how long a silence of a peer that has something to acknowledge paths are probed, and another address is
    /// used if only that reaches the peer; 0, or 100 ms to 1 min, default 1 s. An association that works moves to a new
    /// address only when a probe from there was answered. 0: nothing is probed, and a new address is believed.
    #[serde(deserialize_with = "value::silence")]
    pub silence: Duration,
    /// Room for network changes that wait to be looked at, in octets; 2304 to 67108864, default 8388608. When it runs
    /// over, everything is looked at again, once a second at most.
    #[serde(deserialize_with = "value::receive_buffer")]
    pub receive_buffer: usize,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            runtime_dir: PathBuf::from("/run/roam"),
            offline: Duration::from_secs(600),
            enable_addip: true,
            manage_routes: true,
            nice: -15,
            poll: Duration::from_millis(250),
            grace: Duration::from_millis(500),
            settle_window: Duration::from_millis(100),
            return_after: Duration::from_secs(3),
            flap_half_life: Duration::from_secs(8),
            silence: Duration::from_secs(1),
            receive_buffer: 8 << 20,
        }
    }
}

/// `[interfaces]`: patterns with `*` and `?`. An interface takes part if it matches `allow` and not `deny`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interfaces {
    /// Names that may take part. Default: all.
    pub allow: Vec<Glob>,
    /// Names that may not, even if allowed above. Default: what containers and virtual machines create.
    pub deny: Vec<Glob>,
}

impl Default for Interfaces {
    fn default() -> Self {
        let globs = |patterns: &[&str]| patterns.iter().map(|p| Glob::new(p)).collect();
        Self {
            allow: globs(&["*"]),
            deny: globs(&[
                "docker*",
                "br-*",
                "virbr*",
                "vnet*",
                "veth-*",
                "veth???????",
                "lxcbr*",
                "lxdbr*",
                "cni*",
                "flannel*",
                "cali*",
                "podman*",
            ]),
        }
    }
}

impl Interfaces {
    /// Whether the addresses of the interface of this name may be used.
    pub fn admits(&self, name: &str) -> bool {
        self.allow.iter().any(|glob| glob.matches(name)) && !self.deny.iter().any(|glob| glob.matches(name))
    }
}

/// `[[element]]`: a pool element of this host, registered while a program listens that fits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// The pool handle under which it is found; 1 to 65531 octets.
    #[serde(deserialize_with = "value::handle")]
    pub handle: String,
    /// The SCTP port of the listening program. Needed unless `executable` is given.
    #[serde(default, deserialize_with = "value::port")]
    pub port: Option<u16>,
    /// The program that listens, as an absolute path; with `port`, both must fit.
    #[serde(default, deserialize_with = "value::executable")]
    pub executable: Option<PathBuf>,
    /// The registration life offered to the registrar; 1 s to 24 h, default 5 min.
    #[serde(default = "value::default_life", deserialize_with = "value::life")]
    pub life: Duration,
    /// The member selection policy of the pool. Default `"round-robin"`.
    #[serde(default)]
    pub policy: ElementPolicy,
    /// What the transport carries. Default `"data"`.
    #[serde(default)]
    pub transport_use: TransportUse,
}

/// Member selection policy of a configured pool element (RFC 5356).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ElementPolicy {
    /// Round Robin (RFC 5356, section 4.1).
    #[default]
    RoundRobin,
}

/// Transport use of a configured pool element (RFC 5354, section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportUse {
    /// The transport carries data only.
    #[default]
    Data,
    /// The transport carries data and the session's control channel.
    Control,
}

/// `[[peer]]`: a pool handle under which peers of this host are found after they moved.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The peer's pool handle; 1 to 65531 octets.
    #[serde(deserialize_with = "value::handle")]
    pub handle: String,
    /// The peer's SCTP port; without it, any.
    #[serde(default, deserialize_with = "value::port")]
    pub port: Option<u16>,
}

/// `[registrars]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registrars {
    /// ASAP over SCTP addresses of registrars, in order of preference: `"10.9.0.2:3863"`, `"[fd00::1]:3863"`.
    #[serde(rename = "static", deserialize_with = "value::registrars")]
    pub fixed: Vec<SocketAddr>,
    /// Multicast groups where registrars announce themselves (RFC 5352 §3.6), 16 at most; default none. Registrars that
    /// are heard come after those of `static`, and are forgotten when they are silent. Whoever can send there can
    /// become this host's registrar. IANA's groups are `"224.0.1.185:3863"` and `"[ff05::133]:3863"`, rsplib's is
    /// `"239.0.0.50:3863"`.
    #[serde(deserialize_with = "value::groups")]
    pub groups: Vec<SocketAddr>,
}

impl Registrars {
    /// Whether there is no way to a registrar.
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.groups.is_empty()
    }
}

impl Config {
    /// Understands `text` alone; `path` is for messages only.
    ///
    /// # Errors
    /// An unknown key, a wrong type or an impossible value.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Ok(sources::merge(&[(path.to_owned(), text.to_owned())])?.config)
    }

    /// What no single value shows. The error is a list entry, as `element[0]`, and what is wrong with it.
    fn check(&self) -> Result<(), (String, String)> {
        for (index, interface) in self.interface.iter().enumerate() {
            if interface.name.is_none() && interface.kind.is_none() {
                let what = "an interface needs `name`, `kind` or both: which ones are meant?";
                return Err((format!("interface[{index}]"), what.to_owned()));
            }
        }
        for (index, element) in self.elements.iter().enumerate() {
            let refuse = |what: String| Err((format!("element[{index}]"), what));
            if element.port.is_none() && element.executable.is_none() {
                let what = "a pool element needs `port`, `executable` or both: which program is it?";
                return refuse(what.to_owned());
            }
            if self.registrars.is_empty() {
                return refuse(format!("a pool element needs a registrar: {NAME_ONE}"));
            }
        }
        if !self.peers.is_empty() && self.registrars.is_empty() {
            return Err(("peer[0]".to_owned(), format!("peers are found through a registrar: {NAME_ONE}")));
        }
        Ok(())
    }

    /// Whether the daemon is to adopt a socket of these properties by itself.
    pub fn manages(&self, socket: &SocketFacts<'_>) -> bool {
        self.manage.as_ref().is_none_or(|entries| entries.iter().any(|entry| entry.matches(socket)))
    }
}

#[cfg(test)]
mod tests;
