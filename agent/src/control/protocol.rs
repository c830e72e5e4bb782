//! What is said on the control socket. All of it is JSON; fields may be added, never removed or changed,
//! without a new [`SCHEMA`].

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::reports::{ConfigurationReport, CountsReport, ExplainReport, PoolsReport, ReloadReport};
use super::target::Target;
use crate::decisions::Decision;
use crate::net::{LocalAddress, Unusable};

/// The version of everything in this module.
pub const SCHEMA: u32 = 1;

/// The daemon's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `roamd` and its version.
    pub server: String,
    /// The daemon's version, as `0.1.0`.
    pub version: String,
    /// [`SCHEMA`] of the daemon.
    pub schema: u32,
}

impl Hello {
    /// This program's.
    pub fn ours() -> Self {
        Self { server: "roamd".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), schema: SCHEMA }
    }
}

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How the daemon is. Answered by [`Reply::Status`].
    Status,
    /// The associations that it looks after, and those that it cannot. Answered by [`Reply::Associations`].
    Associations,
    /// The host's addresses and why they are usable or not. Answered by [`Reply::Addresses`].
    Addresses,
    /// The host's pool elements, and where its peers are. Answered by [`Reply::Pools`].
    Pools,
    /// Look after the SCTP sockets of a process. Answered by [`Reply::Adopted`].
    Adopt {
        /// The process.
        pid: i32,
    },
    /// Leave the SCTP sockets of a process alone. Answered by [`Reply::Released`].
    Release {
        /// The process.
        pid: i32,
    },
    /// The last `recent` decisions and all that follow, until the client closes. Answered by [`StreamEvent`]s.
    Monitor {
        /// How many old ones first.
        #[serde(default)]
        recent: usize,
    },
    /// Why an address or an association is, or is not, used. Answered by [`Reply::Explained`], or
    /// [`FailureCode::NotFound`].
    Explain {
        /// An address or an association, as [`Target`] is read.
        target: Target,
        /// How many decisions at most, the last ones.
        #[serde(default = "default_last")]
        last: usize,
    },
    /// Read the configuration again and take it over. Answered by [`Reply::Reloaded`]; by
    /// [`FailureCode::Configuration`] if it has a mistake, and by [`FailureCode::WouldDrop`] if associations would be
    /// left alone that are looked after now, and `drop` is not set. Then everything stays as it is.
    Reload {
        /// Also if associations are left alone then.
        #[serde(default)]
        drop: bool,
    },
    /// The last decisions. Answered by [`Reply::Decisions`].
    Decisions {
        /// How many at most.
        last: usize,
    },
    /// The configuration that holds. Answered by [`Reply::Configuration`].
    Configuration,
    /// Sockets come along with this. Answered by [`Reply::HandedOver`]. Only as the message of a hand-over.
    Handover,
}

fn default_last() -> usize {
    20
}

/// One line from the client: a request, and a number that comes back with each answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// Any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The request.
    #[serde(flatten)]
    pub request: Request,
}

/// One line to the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The number of the request, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What a [`Response`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The answer.
    Result(Reply),
    /// There is none, because.
    Error(Failure),
    /// One of a stream of answers.
    Event(StreamEvent),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Box<StatusReport>),
    /// To [`Request::Associations`].
    Associations(Vec<AssociationReport>),
    /// To [`Request::Addresses`].
    Addresses(Vec<AddressReport>),
    /// To [`Request::Pools`].
    Pools(Box<PoolsReport>),
    /// To [`Request::Adopt`].
    Adopted(AdoptReport),
    /// To [`Request::Release`].
    Released(AdoptReport),
    /// To [`Request::Handover`].
    HandedOver(AdoptReport),
    /// To [`Request::Explain`].
    Explained(Box<ExplainReport>),
    /// To [`Request::Reload`].
    Reloaded(Box<ReloadReport>),
    /// To [`Request::Decisions`], oldest first.
    Decisions(Vec<Decision>),
    /// To [`Request::Configuration`].
    Configuration(Box<ConfigurationReport>),
}

/// One of the answers to [`Request::Monitor`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamEvent {
    /// A decision.
    Decision(Decision),
    /// The client was too slow: so many decisions are missing here.
    Missed(u64),
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub code: FailureCode,
    /// For people: what was tried, on what, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCode {
    /// The request was not understood.
    Invalid,
    /// The client may not ask for this.
    NotPermitted,
    /// There is no such process, association or address.
    NotFound,
    /// It was tried and did not work; also: the daemon may not do it.
    Failed,
    /// The daemon has too much to do, or the client too many connections.
    Busy,
    /// The configuration has a mistake; the message tells file, line and key.
    Configuration,
    /// Associations that are looked after would be left alone; the message names them.
    WouldDrop,
    /// Said by `roam`: the daemon is not running.
    NotRunning,
    /// Said by `roam`: what was waited for did not come.
    TimedOut,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The daemon's version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// How long it has been running, in milliseconds.
    pub uptime_ms: u64,
    /// Associations by state.
    pub settled: usize,
    /// Without a usable address.
    pub stranded: usize,
    /// Being moved.
    pub moving: usize,
    /// Found, but out of our hands.
    pub unmanageable: usize,
    /// Usable addresses of the host.
    pub usable_addresses: usize,
    /// All addresses of the host.
    pub addresses: usize,
    /// Addresses held on the loopback interface.
    pub held: Vec<IpAddr>,
    /// The registrar in use, as address and port.
    pub registrar: Option<String>,
    /// Own pool elements.
    pub elements: Vec<ElementReport>,
    /// How the watch of the network fares.
    pub network: NetworkReport,
    /// What has been counted since the daemon began.
    #[serde(default)]
    pub counts: CountsReport,
    /// What is wrong, each with what mends it.
    pub problems: Vec<String>,
}

impl StatusReport {
    /// Whether nothing is wrong: no problem, no association that is stranded or out of our hands, and every element whose
    /// program listens is registered.
    pub fn healthy(&self) -> bool {
        let idle = |element: &ElementReport| !element.registered && element.why != NOBODY_LISTENS;
        self.problems.is_empty()
            && self.stranded == 0
            && self.unmanageable == 0
            && !self.elements.iter().any(idle)
    }
}

/// Why an element is not registered while its program does not run: nothing is wrong then.
pub const NOBODY_LISTENS: &str = "no program listens";

/// How the watch of the network fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Changes heard of.
    pub events: u64,
    /// Of those, bundles that did not matter.
    pub ignored: u64,
    /// How often the kernel's receive buffer ran over.
    pub overruns: u64,
    /// How often everything was looked at.
    pub resyncs: u64,
    /// Links, addresses, rules and routes that the kernel listed for that.
    #[serde(default)]
    pub listed: u64,
    /// Changes of what associations may use; all else does not get to them.
    #[serde(default)]
    pub changes: u64,
}

impl NetworkReport {
    /// With what the watch and the daemon have counted.
    pub fn new(counters: crate::net::Counters, changes: u64) -> Self {
        let crate::net::Counters { events, ignored, overruns, resyncs, listed } = counters;
        Self { events, ignored, overruns, resyncs, listed, changes }
    }
}

/// A pool element of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElementReport {
    /// Its pool handle.
    pub handle: String,
    /// Its identifier.
    pub id: u32,
    /// The port of its program.
    pub port: u16,
    /// A registrar has confirmed it.
    pub registered: bool,
    /// The addresses that it is registered with.
    pub addresses: Vec<IpAddr>,
    /// How long ago the registrar confirmed it the last time, in milliseconds; none while it is not registered.
    #[serde(default)]
    pub confirmed_ms: Option<u64>,
    /// For how long a registration holds, in milliseconds; it is renewed before.
    #[serde(default)]
    pub life_ms: u64,
    /// Why it is not registered, or what is under way.
    pub why: String,
}

/// How a socket is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// To addresses that its program named.
    Explicit,
    /// To all addresses of the host.
    Wildcard,
}

/// The state of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssociationState {
    /// All is well.
    Settled,
    /// None of its addresses is usable; it waits for one.
    Stranded,
    /// It is being moved.
    Moving,
    /// We can do nothing for it; `why` says why.
    Unmanageable,
}

impl std::fmt::Display for AssociationState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Settled => "settled",
            Self::Stranded => "stranded",
            Self::Moving => "moving",
            Self::Unmanageable => "unmanageable",
        })
    }
}

/// An association of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssociationReport {
    /// The process that has it.
    pub pid: i32,
    /// Its program, where that can be told.
    pub executable: Option<PathBuf>,
    /// Its own port.
    pub local_port: u16,
    /// The peer's port.
    pub peer_port: u16,
    /// How its socket is bound; none: not known.
    pub binding: Option<Binding>,
    /// Its own addresses, as the kernel lists them.
    pub local: Vec<IpAddr>,
    /// The peer's addresses, as the kernel lists them.
    pub peer: Vec<IpAddr>,
    /// How it stands.
    pub state: AssociationState,
    /// Why, in a sentence; may be empty.
    pub why: String,
    /// Add-IP was negotiated; none: not known.
    pub add_ip: Option<bool>,
    /// How long it has been in this state, in milliseconds.
    pub in_state_ms: u64,
    /// How often it was moved.
    pub moves: u64,
    /// How long the last move took from its first action to the end, in milliseconds.
    pub last_move_ms: Option<u64>,
}

/// An address of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length in bits.
    pub prefix: u8,
    /// Its interface.
    pub interface: String,
    /// Associations may use it.
    pub usable: bool,
    /// Why not, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Unusable>,
    /// Why, or why not, in a sentence.
    pub why: String,
    /// The next router out of its interface.
    pub gateway: Option<IpAddr>,
    /// Our routing table for it, if there is one.
    pub table: Option<u32>,
}

impl AddressReport {
    /// The report of an address with its routing table.
    pub fn new(local: &LocalAddress, table: Option<u32>) -> Self {
        let why = match (&local.verdict, local.gateway) {
            (Err(reason), _) => reason.to_string(),
            (Ok(()), Some(gateway)) => format!("by way of {gateway}"),
            (Ok(()), None) => "peers are on its link".to_owned(),
        };
        Self {
            address: local.address,
            prefix: local.prefix,
            interface: local.interface.clone(),
            usable: local.usable(),
            reason: local.verdict.clone().err(),
            why,
            gateway: local.gateway,
            table,
        }
    }
}

/// What came of adopting or releasing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptReport {
    /// The process.
    pub pid: i32,
    /// Its SCTP sockets that this concerns.
    pub sockets: usize,
    /// Sockets that were left out, each with the reason.
    pub left_out: Vec<String>,
}
