//! Everything the registrar knows, for people (`Display`) and for programs (`Serialize`).

mod peers;
mod stream;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use asap_client::wire::Transport;

use crate::Association;
use crate::asap::{Counters, Registrar};
use crate::enrp;
use crate::faults::Counter;
use crate::query::Row;
pub use crate::query::State;
pub use peers::{PeerDump, Peers};
pub(crate) use peers::{checksum, profile, state};
pub(crate) use stream::json;

/// The version of the JSON form. It grows when a key changes its meaning or vanishes, not when one is added.
pub const SCHEMA: u32 = 1;

/// A registrar, read slice by slice while it goes on serving: each element is as it was when its slice was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The program's version.
    pub version: String,
    /// The registrar's identifier.
    pub identifier: u32,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Whether it is in service.
    #[serde(default)]
    pub state: State,
    /// The registrars that it knows, in order of their identifiers.
    #[serde(default)]
    pub peers: Vec<PeerDump>,
    /// What happened among registrars so far, in numbers.
    #[serde(default)]
    pub enrp: enrp::Counters,
    /// The pools in order of their handles.
    pub pools: Vec<PoolDump>,
    /// The associations.
    pub associations: Vec<AssociationDump>,
    /// What happened so far, in numbers.
    pub counters: Counters,
    /// Clients dropped since they did not read what was sent to them.
    pub dropped_not_reading: u64,
    /// Resolutions dropped since more waited than can be answered.
    #[serde(default)]
    pub dropped_resolutions: u64,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolDump {
    /// Its handle; octets that are no printable text are written as `\xNN`.
    pub handle: String,
    /// Its policy's code on the wire.
    pub policy: u32,
    /// Its elements in order of their identifiers.
    pub elements: Vec<ElementDump>,
}

/// One element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementDump {
    /// Its identifier.
    pub id: u32,
    /// The registrar that owns it.
    pub home: u32,
    /// `sctp`, `tcp`, `udp`, `udp-lite`, `dccp` or `opaque`.
    pub transport: String,
    /// Its port, where the transport has one.
    pub port: Option<u16>,
    /// Where it serves.
    pub addresses: Vec<IpAddr>,
    /// The association that owns it; `null`: it is registered at another registrar.
    pub association: Option<Association>,
    /// How long its registration lasts if it does not register again, in milliseconds; `null`: for ever.
    pub life_left_ms: Option<u64>,
    /// Reports that it cannot be reached, since it was last heard from.
    pub bad_reports: u32,
    /// Its policy with its values, for people.
    #[serde(default)]
    pub policy: String,
    /// How long ago it last answered a keep-alive, in milliseconds; `null`: it never did, or was not asked.
    #[serde(default)]
    pub keep_alive_answered_ms: Option<u64>,
}

/// What ASAP is spoken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// SCTP: a pool element's association, or a pool user's.
    #[default]
    Sctp,
    /// TCP: a pool user's connection.
    Tcp,
}

/// One association.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationDump {
    /// Its number.
    pub association: Association,
    /// `sctp`, or `tcp` for a pool user's connection over TCP.
    #[serde(default)]
    pub over: Over,
    /// The peer's addresses.
    pub addresses: Vec<IpAddr>,
    /// The peer's port.
    pub port: u16,
    /// How many elements it owns.
    pub elements: usize,
    /// The pools that it subscribes to.
    pub subscriptions: Vec<String>,
    /// How long ago its last message came, in milliseconds.
    pub silent_ms: u64,
    /// Octets sent to it that it has not acknowledged, and those that wait to be sent.
    pub outstanding_octets: usize,
}

impl AssociationDump {
    /// What `registrar` knows of an association `now`, if it is there.
    pub(crate) fn new(
        registrar: &Registrar,
        association: Association,
        now: Instant,
        outstanding_octets: usize,
    ) -> Option<Self> {
        let client = registrar.client(association)?;
        Some(Self {
            association,
            over: if client.tcp { Over::Tcp } else { Over::Sctp },
            addresses: client.addresses.clone(),
            port: client.port,
            elements: registrar.handlespace().count_owned_by(association),
            subscriptions: registrar.subscriptions_of(association).map(ToString::to_string).collect(),
            silent_ms: milliseconds(now, client.heard),
            outstanding_octets,
        })
    }
}

/// The transport's name.
fn transport(transport: &Transport) -> &'static str {
    match transport {
        Transport::Sctp { .. } => "sctp",
        Transport::Tcp { .. } => "tcp",
        Transport::Udp { .. } => "udp",
        Transport::UdpLite { .. } => "udp-lite",
        Transport::Dccp { .. } => "dccp",
        Transport::Opaque(_) => "opaque",
    }
}

impl ElementDump {
    /// What is known of an element `now`.
    pub(crate) fn new(row: &Row, now: Instant) -> Self {
        let element = &row.element;
        Self {
            id: element.id,
            home: element.home,
            transport: transport(&element.user).to_owned(),
            port: element.user.port(),
            addresses: element.user.addresses().to_vec(),
            association: element.owner,
            life_left_ms: element.expires.map(|at| milliseconds(at, now)),
            bad_reports: element.bad_reports,
            policy: element.policy.to_string(),
            keep_alive_answered_ms: row.answered.map(|at| milliseconds(now, at)),
        }
    }
}

fn milliseconds(later: Instant, earlier: Instant) -> u64 {
    later.saturating_duration_since(earlier).as_millis().try_into().unwrap_or(u64::MAX)
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "registrar {:#010x}, {}, version {}, listening on {}",
            self.identifier,
            self.state,
            self.version,
            self.listening.join(", ")
        )?;
        writeln!(f, "\npools: {}", self.pools.len())?;
        for pool in &self.pools {
            writeln!(f, "  {}  policy {:#x}, elements: {}", pool.handle, pool.policy, pool.elements.len())?;
            for element in &pool.elements {
                writeln!(f, "    {element}")?;
            }
        }
        writeln!(f, "\nassociations: {}", self.associations.len())?;
        for association in &self.associations {
            writeln!(f, "  {association}")?;
        }
        peers::list(f, &self.peers, &self.enrp)?;
        writeln!(f, "\nclients dropped for not reading: {}", self.dropped_not_reading)?;
        if self.dropped_resolutions != 0 {
            writeln!(f, "resolutions dropped: {}", self.dropped_resolutions)?;
        }
        for Counter { name, value, .. } in self.counters.named() {
            if value != 0 {
                writeln!(f, "{}: {value}", name.replace('_', " "))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for ElementDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}  {}", self.id, self.transport)?;
        if let Some(port) = self.port {
            write!(f, " {} port {port}", list(&self.addresses))?;
        }
        match self.association {
            Some(association) => write!(f, "  association {association}")?,
            None => write!(f, "  registered at {:#010x}", self.home)?,
        }
        if !self.policy.is_empty() {
            write!(f, "  {}", self.policy)?;
        }
        match self.life_left_ms {
            Some(ms) => write!(f, "  life left {}.{} s", ms / 1000, ms % 1000 / 100)?,
            None => write!(f, "  life without end")?,
        }
        if self.bad_reports > 0 {
            write!(f, "  reported unreachable {} times", self.bad_reports)?;
        }
        Ok(())
    }
}

impl fmt::Display for AssociationDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {} port {}", self.association, list(&self.addresses), self.port)?;
        if self.over == Over::Tcp {
            write!(f, " over TCP")?;
        }
        write!(f, "  elements: {}", self.elements)?;
        if !self.subscriptions.is_empty() {
            write!(f, "  subscribes to {}", self.subscriptions.join(" "))?;
        }
        write!(f, "  silent for {} ms", self.silent_ms)?;
        if self.outstanding_octets > 0 {
            write!(f, "  {} octets outstanding", self.outstanding_octets)?;
        }
        Ok(())
    }
}
