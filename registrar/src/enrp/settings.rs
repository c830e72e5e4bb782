//! What can be set about ENRP, by the names of RFC 5353 §4 where it has them.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::Profile;
use crate::handlespace::Bounds;

/// A peer that is known beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Where it speaks ENRP; all addresses of one registrar, of one port.
    pub addresses: Vec<SocketAddr>,
    /// How it reads the RFCs; `None`: found out from what it does.
    pub profile: Option<Profile>,
}

/// Times, thresholds and limits of ENRP.
///
/// The defaults have the elements of a dead registrar taken over within three seconds of its death:
/// MAX-TIME-LAST-HEARD and MAX-TIME-NO-RESPONSE together, and one round trip for the acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Our own identifier; not 0.
    pub server: u32,
    /// The peers that are known beforehand, mentors in order of preference.
    pub peers: Vec<Contact>,
    /// Whether PRESENCE is also announced to the multicast group, and peers are found by it.
    pub multicast: bool,
    /// PEER-HEARTBEAT-CYCLE: the time between two PRESENCEs to a peer, spread by an eighth either way. 500 ms.
    pub peer_heartbeat_cycle: Duration,
    /// MAX-TIME-LAST-HEARD: a peer that is silent for longer is asked. More than two heartbeat cycles. 1.25 s.
    pub max_time_last_heard: Duration,
    /// MAX-TIME-NO-RESPONSE: how long it may take to answer. 750 ms.
    pub max_time_no_response: Duration,
    /// How long a mentor is looked for before the registrar starts without one. 2 s.
    pub mentor_discovery: Duration,
    /// How soon a mentor that is itself starting is asked again. 300 ms.
    pub mentor_retry: Duration,
    /// How long acknowledgements of INIT_TAKEOVER are waited for before those that are missing are asked for again,
    /// spread by half of it either way. 500 ms.
    pub takeover_timeout: Duration,
    /// How soon a peer that has no association is tried again. 500 ms.
    pub reconnect: Duration,
    /// How often one of the peers, any one, is asked which registrars it knows, spread by half of it either way: so
    /// everybody knows everybody in the end. 5 s.
    pub list_cycle: Duration,
    /// The least time between two resynchronisations with one peer; doubled, up to 10 s, as long as they do not
    /// bring agreement. 1 s.
    pub resync_spacing: Duration,
    /// How long a place in the table is kept for a peer that does not ask for the next part. 5 s.
    pub table_session: Duration,
    /// Whether other registrars are told when they would be the better home (the T flag of HANDLE_UPDATE,
    /// draft-dreibholz-rserpool-enrp-takeover), so that the elements spread evenly. Off.
    pub suggest_takeovers: bool,
    /// Whether such a suggestion is followed. On.
    pub accept_takeover_suggestions: bool,
    /// Bounds on what peers can make us keep and do.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: 0,
            peers: Vec::new(),
            multicast: false,
            peer_heartbeat_cycle: Duration::from_millis(500),
            max_time_last_heard: Duration::from_millis(1250),
            max_time_no_response: Duration::from_millis(750),
            mentor_discovery: Duration::from_secs(2),
            mentor_retry: Duration::from_millis(300),
            takeover_timeout: Duration::from_millis(500),
            reconnect: Duration::from_millis(500),
            list_cycle: Duration::from_secs(5),
            resync_spacing: Duration::from_secs(1),
            table_session: Duration::from_secs(5),
            suggest_takeovers: false,
            accept_takeover_suggestions: true,
            limits: Limits::default(),
        }
    }
}

/// Bounds on what peers can make the registrar keep and do. Every one is reached without harm to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Registrars that are known at a time.
    pub peers: usize,
    /// Associations at a time; a newcomer beyond is refused.
    pub associations: usize,
    /// Elements that one peer may own.
    pub elements_per_peer: usize,
    /// Pools, ours included. Less than what our own elements may fill, so that no peer can take all.
    pub pools: usize,
    /// Elements of one pool.
    pub elements_per_pool: usize,
    /// Elements in all pools, ours included.
    pub elements: usize,
    /// Octets of the longest pool handle that is taken from a peer.
    pub pool_handle_octets: usize,
    /// Octets of all pools' handles together; less than what our own elements may fill.
    pub pool_handles_octets: usize,
    /// Octets of the largest element that is taken from a peer.
    pub element_octets: usize,
    /// Handle tables that are served at a time; other requests are rejected.
    pub table_sessions: usize,
    /// Elements in one HANDLE_TABLE_RESPONSE, and its octets. An rsplib peer gets no more than rsplib sends.
    pub table_elements: usize,
    /// See [`Limits::table_elements`].
    pub table_octets: usize,
    /// HANDLE_UPDATEs per second that are taken from one peer, and as many at once. What is dropped beyond is made
    /// up for by a resynchronisation.
    pub updates_per_second: u32,
    /// Elements that two registrars claim, at a time.
    pub claims: usize,
}

impl Limits {
    /// Those of the handlespace as a whole.
    pub fn space(&self) -> Bounds {
        Bounds {
            pools: self.pools,
            elements_per_pool: self.elements_per_pool,
            handle_octets: self.pool_handles_octets,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 256,
            associations: 1024,
            elements_per_peer: 100_000,
            pools: 75_000,
            elements_per_pool: 100_000,
            elements: 200_000,
            pool_handle_octets: 61_440,
            pool_handles_octets: 48 << 20,
            element_octets: 4096,
            table_sessions: 16,
            table_elements: 2048,
            table_octets: 60_000,
            updates_per_second: 5000,
            claims: 10_000,
        }
    }
}
