//! What is known of other registrars, for people.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Instant;

use super::machine::Enrp;
use super::peers::State;
use super::wire::Profile;
use crate::Association;

/// What is thought of a peer, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerState {
    /// It lives.
    Active,
    /// It was silent and has been asked.
    Probing,
    /// We are taking it over.
    Initiating,
    /// Another registrar is taking it over.
    Yielded,
}

/// How sure it is how a peer reads the RFCs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProfileSource {
    /// Nothing has shown it yet.
    #[default]
    Assumed,
    /// What the peer did has shown it.
    Found,
    /// It is configured.
    Configured,
}

/// A takeover that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// The registrar that takes over.
    pub by: u32,
    /// Whose acknowledgements are missing, as far as it is for us to know.
    pub waiting: Vec<u32>,
}

/// A peer, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its identifier.
    pub id: u32,
    /// What is thought of it.
    pub state: PeerState,
    /// Its association, if there is one.
    pub association: Option<Association>,
    /// Where it speaks ENRP.
    pub addresses: Vec<SocketAddr>,
    /// When it was heard last; `None`: never.
    pub heard: Option<Instant>,
    /// The checksum that it announced last.
    pub checksum: Option<u16>,
    /// How it reads the RFCs, as far as we know.
    pub profile: Profile,
    /// How sure that is.
    pub profile_source: ProfileSource,
    /// The takeover of this registrar that is under way, if any.
    pub takeover: Option<Takeover>,
}

impl Enrp {
    /// The registrars that are known, in order of their identifiers.
    pub fn peers(&self) -> impl Iterator<Item = PeerStatus> {
        self.peers.iter().map(|(id, peer)| PeerStatus {
            id: *id,
            state: match peer.state {
                State::Active => PeerState::Active,
                State::Probing { .. } => PeerState::Probing,
                State::Initiating { .. } => PeerState::Initiating,
                State::Yielded { .. } => PeerState::Yielded,
            },
            association: peer.association,
            addresses: peer.addresses.clone(),
            heard: peer.heard,
            checksum: peer.checksum,
            profile: peer.profile,
            profile_source: peer.profile_source,
            takeover: match &peer.state {
                State::Initiating { waiting, .. } => {
                    Some(Takeover { by: self.settings.server, waiting: waiting.iter().copied().collect() })
                }
                State::Yielded { to } => Some(Takeover { by: *to, waiting: Vec::new() }),
                State::Active | State::Probing { .. } => None,
            },
        })
    }
}
