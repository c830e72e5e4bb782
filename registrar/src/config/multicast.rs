//! `[multicast]`: finding each other without a configured address.

use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

use super::value;

/// `[multicast]`. The groups are IANA's by default; rsplib's are 239.0.0.50:3863 (ASAP) and 239.0.0.51:9901 (ENRP).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Multicast {
    /// Whether elements and users are told where ASAP is served (SERVER_ANNOUNCE). Default: no.
    pub asap: bool,
    /// Whether other registrars are told that we are here (PRESENCE), and are found by theirs. Default: no. It needs
    /// `[enrp] listen`.
    pub enrp: bool,
    /// Groups for SERVER_ANNOUNCE. Default `224.0.1.185:3863` and `[ff05::133]:3863`.
    #[serde(deserialize_with = "value::groups")]
    pub asap_groups: Vec<SocketAddr>,
    /// Groups for PRESENCE. Default `224.0.1.185:9901` and `[ff05::133]:9901`.
    #[serde(deserialize_with = "value::groups")]
    pub enrp_groups: Vec<SocketAddr>,
    /// The interfaces, by name, on which groups are joined and announced to. Empty, the default: those of the addresses
    /// that are listened on, or for a wildcard the one to which the group's route leads.
    pub interfaces: Vec<String>,
    /// TTL of IPv4 and hop limit of IPv6, 1 to 255. Default 1: it stays on the link.
    #[serde(deserialize_with = "value::number::<_, 1, 255>")]
    pub ttl: u32,
    /// T6-Serverannounce: registrars announce themselves to a group so often, all together. 100ms to 1m. Default 1s.
    #[serde(deserialize_with = "value::duration::<_, 100, 60_000>")]
    pub t6_serverannounce: Duration,
}

impl Default for Multicast {
    fn default() -> Self {
        let groups = |port: u16| {
            vec![([224, 0, 1, 185], port).into(), ([0xff05, 0, 0, 0, 0, 0, 0, 0x133], port).into()]
        };
        Self {
            asap: false,
            enrp: false,
            asap_groups: groups(asap_client::wire::PORT),
            enrp_groups: groups(crate::enrp::wire::PORT),
            interfaces: Vec::new(),
            ttl: 1,
            t6_serverannounce: Duration::from_secs(1),
        }
    }
}
