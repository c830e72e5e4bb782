//! What is known of other registrars, for people and for programs.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use super::{SCHEMA, milliseconds};
use crate::enrp::wire::Profile;
use crate::enrp::{Counters, PeerState, PeerStatus, ProfileSource, Takeover};
use crate::faults::Counter;
use crate::handlespace::Handlespace;
use crate::query::State;

/// One registrar that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerDump {
    /// Its identifier.
    pub identifier: u32,
    /// Where it speaks ENRP.
    pub addresses: Vec<SocketAddr>,
    /// Whether there is an association with it.
    pub connected: bool,
    /// What is thought of it.
    pub state: PeerState,
    /// How it reads the RFCs.
    pub profile: Profile,
    /// How sure that is.
    pub profile_source: ProfileSource,
    /// How long ago it was heard last, in milliseconds; `null`: never.
    pub heard_ms: Option<u64>,
    /// How many elements it owns by our books.
    pub elements: usize,
    /// Whether the checksum that it announced last is that of our books; `null`: it has announced none.
    pub checksum_equal: Option<bool>,
    /// The takeover of this registrar that is under way, if any.
    pub takeover: Option<Takeover>,
}

impl PeerDump {
    /// What is known of a peer `now`.
    pub(crate) fn new(peer: PeerStatus, space: &Handlespace, now: Instant) -> Self {
        Self {
            identifier: peer.id,
            connected: peer.association.is_some(),
            state: peer.state,
            profile: peer.profile,
            profile_source: peer.profile_source,
            heard_ms: peer.heard.map(|at| milliseconds(now, at)),
            elements: space.count_of_home(peer.id),
            checksum_equal: peer.checksum.map(|checksum| checksum == space.checksum(peer.id)),
            takeover: peer.takeover,
            addresses: peer.addresses,
        }
    }
}

/// A registrar among its peers: what `roam-registrar peers` shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The registrar's own identifier.
    pub identifier: u32,
    /// Whether it is in service.
    pub state: State,
    /// How many elements it owns itself.
    pub elements: usize,
    /// The registrars that it knows, in order of their identifiers.
    pub peers: Vec<PeerDump>,
    /// What happened so far, in numbers.
    pub counters: Counters,
}

impl Peers {
    /// All that is known `now`. The number of peers is limited, so that this takes no more than a slice of a dump.
    pub(crate) fn new(registrar: &crate::machine::Registrar, now: Instant) -> Self {
        let (space, enrp) = (registrar.handlespace(), registrar.enrp());
        let identifier = enrp.settings().server;
        Self {
            schema: SCHEMA,
            identifier,
            state: State::of(registrar),
            elements: space.count_of_home(identifier),
            peers: enrp.peers().map(|peer| PeerDump::new(peer, space, now)).collect(),
            counters: *enrp.counters(),
        }
    }
}

/// A state in words.
pub(crate) fn state(peer: &PeerDump) -> String {
    match (peer.state, &peer.takeover) {
        (PeerState::Active, _) => "active".to_owned(),
        (PeerState::Probing, _) => "silent, asked".to_owned(),
        (PeerState::Initiating, Some(takeover)) if !takeover.waiting.is_empty() => {
            let waiting: Vec<_> = takeover.waiting.iter().map(|id| format!("{id:#010x}")).collect();
            format!("dead, to be taken over by us, waiting for {}", waiting.join(" "))
        }
        (PeerState::Initiating, _) => "dead, to be taken over by us".to_owned(),
        (PeerState::Yielded, Some(takeover)) => format!("dead, left to {:#010x}", takeover.by),
        (PeerState::Yielded, None) => "dead, left to another".to_owned(),
    }
}

/// A profile with how sure it is, in words.
pub(crate) fn profile(peer: &PeerDump) -> String {
    let profile = match peer.profile {
        Profile::Rfc => "rfc",
        Profile::Rsplib => "rsplib",
    };
    let source = match peer.profile_source {
        ProfileSource::Assumed => "assumed",
        ProfileSource::Found => "found",
        ProfileSource::Configured => "configured",
    };
    format!("{profile} ({source})")
}

/// What the comparison of checksums says.
pub(crate) fn checksum(peer: &PeerDump) -> &'static str {
    match peer.checksum_equal {
        Some(true) => "equal",
        Some(false) => "different",
        None => "unknown",
    }
}

impl fmt::Display for PeerDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        write!(f, "{:#010x}  {}  {}", self.identifier, addresses.join(","), state(self))?;
        match self.heard_ms {
            Some(ms) => write!(f, ", heard {ms} ms ago")?,
            None => write!(f, ", never heard")?,
        }
        if !self.connected {
            write!(f, ", not connected")?;
        }
        write!(f, "  elements: {}  checksum: {}", self.elements, checksum(self))?;
        write!(f, "  profile: {}", profile(self))
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "registrar {:#010x}, {}, own elements: {}", self.identifier, self.state, self.elements)?;
        list(f, &self.peers, &self.counters)
    }
}

/// The registrars, a line each, and what is counted of ENRP.
pub(super) fn list(f: &mut fmt::Formatter<'_>, peers: &[PeerDump], counters: &Counters) -> fmt::Result {
    writeln!(f, "\npeers: {}", peers.len())?;
    for peer in peers {
        writeln!(f, "  {peer}")?;
    }
    let counted = counters.named().into_iter().filter(|counter| counter.value != 0);
    for (place, Counter { name, value, .. }) in counted.enumerate() {
        let first = if place == 0 { "\n" } else { "" };
        writeln!(f, "{first}ENRP {}: {value}", name.replace('_', " "))?;
    }
    Ok(())
}
