//! `[enrp]`: other registrars of the same handlespace.

use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

use super::value;
use crate::enrp;
use crate::enrp::wire::Profile;

/// `[enrp]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrp {
    /// Where ENRP is spoken over SCTP; addresses of one port. By default nowhere: the registrar is alone.
    #[serde(deserialize_with = "value::one_or_more_addresses")]
    pub listen: Vec<SocketAddr>,
    /// The registrars that are known beforehand, mentors in order of preference.
    pub peer: Vec<Peer>,
    /// PEER-HEARTBEAT-CYCLE, 100ms to 1h. Default 500ms (RFC 5353: 30s).
    #[serde(deserialize_with = "value::duration::<_, 100, 3_600_000>")]
    pub peer_heartbeat_cycle: Duration,
    /// MAX-TIME-LAST-HEARD, 200ms to 3h, more than two heartbeat cycles. Default 1250ms (RFC 5353: 61s).
    #[serde(deserialize_with = "value::duration::<_, 200, 10_800_000>")]
    pub max_time_last_heard: Duration,
    /// MAX-TIME-NO-RESPONSE, 100ms to 10m. Default 750ms (RFC 5353: 5s).
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub max_time_no_response: Duration,
    /// How long a mentor is looked for at the start, 100ms to 10m. Default 2s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub mentor_discovery: Duration,
    /// How long acknowledgements of a takeover are waited for before they are asked for again, 100ms to 10m.
    /// Default 500ms.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub takeover_timeout: Duration,
    /// How soon a mentor that is itself starting is asked again, 50ms to 10m. Default 300ms.
    #[serde(deserialize_with = "value::duration::<_, 50, 600_000>")]
    pub mentor_retry: Duration,
    /// How soon a peer without an association is tried again, 50ms to 10m. Default 500ms.
    #[serde(deserialize_with = "value::duration::<_, 50, 600_000>")]
    pub reconnect: Duration,
    /// How often one of the peers is asked which registrars it knows, 100ms to 1h. Default 5s.
    #[serde(deserialize_with = "value::duration::<_, 100, 3_600_000>")]
    pub list_cycle: Duration,
    /// The least time between two resynchronisations with one peer, 100ms to 1m; doubled, up to 10 s, while they
    /// bring no agreement. Default 1s.
    #[serde(deserialize_with = "value::duration::<_, 100, 60_000>")]
    pub resync_spacing: Duration,
    /// How long a place in the handle table is kept for a peer that does not ask for the next part, 100ms to 10m.
    /// Default 5s.
    #[serde(deserialize_with = "value::duration::<_, 100, 600_000>")]
    pub table_session: Duration,
    /// Whether peers are told when they would be the better home of an element, so that the elements spread evenly.
    /// Default: no.
    pub suggest_takeovers: bool,
    /// Whether what peers suggest in this way is followed; they cannot hand over their elements before they stop if it
    /// is not. Default: yes.
    pub accept_takeover_suggestions: bool,
}

/// `[[enrp.peer]]`: one registrar.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Where it speaks ENRP; several addresses of one port are one registrar's.
    #[serde(deserialize_with = "value::one_or_more_addresses")]
    pub address: Vec<SocketAddr>,
    /// How it reads the RFCs, `"rfc"` or `"rsplib"`; by default found out from what it does.
    #[serde(default)]
    pub profile: Option<Profile>,
}

impl Default for Enrp {
    fn default() -> Self {
        let defaults = enrp::Settings::default();
        Self {
            listen: Vec::new(),
            peer: Vec::new(),
            peer_heartbeat_cycle: defaults.peer_heartbeat_cycle,
            max_time_last_heard: defaults.max_time_last_heard,
            max_time_no_response: defaults.max_time_no_response,
            mentor_discovery: defaults.mentor_discovery,
            takeover_timeout: defaults.takeover_timeout,
            mentor_retry: defaults.mentor_retry,
            reconnect: defaults.reconnect,
            list_cycle: defaults.list_cycle,
            resync_spacing: defaults.resync_spacing,
            table_session: defaults.table_session,
            suggest_takeovers: defaults.suggest_takeovers,
            accept_takeover_suggestions: defaults.accept_takeover_suggestions,
        }
    }
}

impl Enrp {
    /// What cannot be, if anything.
    pub(super) fn check(&self) -> Result<(), String> {
        let ports =
            |addresses: &[SocketAddr]| addresses.windows(2).any(|pair| pair[0].port() != pair[1].port());
        if ports(&self.listen) || self.peer.iter().any(|peer| ports(&peer.address)) {
            return Err("ENRP addresses of one registrar; allowed: one port".to_owned());
        }
        if self.listen.is_empty() && !self.peer.is_empty() {
            return Err("[[enrp.peer]] without [enrp] listen; allowed: both".to_owned());
        }
        if self.max_time_last_heard <= 2 * self.peer_heartbeat_cycle {
            return Err(format!(
                "max_time_last_heard {:?}, peer_heartbeat_cycle {:?}; allowed: more than two cycles",
                self.max_time_last_heard, self.peer_heartbeat_cycle
            ));
        }
        Ok(())
    }

    /// The settings of the machine of the registrar with this identifier.
    pub(super) fn settings(&self, server: u32) -> enrp::Settings {
        let contact = |peer: &Peer| enrp::Contact { addresses: peer.address.clone(), profile: peer.profile };
        enrp::Settings {
            server,
            peers: self.peer.iter().map(contact).collect(),
            peer_heartbeat_cycle: self.peer_heartbeat_cycle,
            max_time_last_heard: self.max_time_last_heard,
            max_time_no_response: self.max_time_no_response,
            mentor_discovery: self.mentor_discovery,
            takeover_timeout: self.takeover_timeout,
            mentor_retry: self.mentor_retry,
            reconnect: self.reconnect,
            list_cycle: self.list_cycle,
            resync_spacing: self.resync_spacing,
            table_session: self.table_session,
            suggest_takeovers: self.suggest_takeovers,
            accept_takeover_suggestions: self.accept_takeover_suggestions,
            ..enrp::Settings::default()
        }
    }
}
