//! The answers to what is asked seldom: explanations and configurations.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::protocol::{AddressReport, AssociationReport, ElementReport};
use crate::config::{Difference, Effective, Setting};
use crate::decisions::Decision;
use crate::tally::{Kind, Outcome};

/// The host's pool elements, and where its peers are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolsReport {
    /// The registrar in use, as address and port.
    pub registrar: Option<String>,
    /// Own pool elements.
    pub elements: Vec<ElementReport>,
    /// Pool handles under which peers are found.
    pub peers: Vec<PeerReport>,
}

/// A pool handle under which peers are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerReport {
    /// The pool handle.
    pub handle: String,
    /// The peers' port, where they have one in common.
    pub port: Option<u16>,
    /// Where the registrar says that they are; none: nobody is registered, or nothing has been heard yet.
    pub addresses: Vec<IpAddr>,
    /// The registrar has told of them.
    pub known: bool,
}

/// Why an address or an association is, or is not, used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplainReport {
    /// What was asked for.
    pub target: String,
    /// The answer in a sentence.
    pub why: String,
    /// The address, on each interface that has it; for associations: their own addresses.
    pub addresses: Vec<AddressReport>,
    /// The association, or those that have the address, as their own or as the peer's.
    pub associations: Vec<AssociationReport>,
    /// The last decisions about it, oldest first.
    pub decisions: Vec<Decision>,
}

/// What came of reading the configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// The files that were read, in this order.
    pub files: Vec<String>,
    /// What differs from what held before.
    pub changes: Vec<ChangeReport>,
    /// Associations that are left alone from now on.
    pub dropped: Vec<AssociationReport>,
}

/// A key of the configuration that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReport {
    /// As `agent.poll` or `element[0].handle`.
    pub key: String,
    /// What held, as TOML; none: nothing did.
    pub old: Option<String>,
    /// What is said now, as TOML; none: nothing is.
    pub new: Option<String>,
    /// Where it is said; none where nothing is.
    pub origin: Option<String>,
    /// It holds from now on; if not, from the next start on.
    pub applied: bool,
}

impl ChangeReport {
    /// The report of a difference.
    pub fn new(difference: Difference, applied: bool) -> Self {
        let Difference { key, old, new } = difference;
        Self {
            key,
            old: old.map(|setting| setting.value),
            origin: new.as_ref().map(|setting| setting.origin.to_string()),
            new: new.map(|setting| setting.value),
            applied,
        }
    }
}

/// The configuration that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReport {
    /// The files that were read, in this order.
    pub files: Vec<String>,
    /// Every value.
    pub settings: Vec<SettingReport>,
}

/// A value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingReport {
    /// As `agent.poll` or `element[0].handle`.
    pub key: String,
    /// As TOML.
    pub value: String,
    /// Where it was said: `default`, FILE:LINE, or an option of the command line.
    pub origin: String,
}

impl ConfigurationReport {
    /// The report of a configuration.
    pub fn new(files: Vec<String>, effective: &Effective) -> Self {
        let settings = effective.0.iter().map(|(key, Setting { value, origin })| SettingReport {
            key: key.trim_end_matches('.').to_owned(),
            value: value.clone(),
            origin: origin.to_string(),
        });
        Self { files, settings: settings.collect() }
    }
}

/// What the daemon has counted since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CountsReport {
    /// Handovers of associations by kind and outcome.
    pub handovers: Vec<HandoverReport>,
    /// From the loss of an association's last usable address until its peer had accepted another one.
    pub gap: HistogramReport,
    /// The part of it in which the host had an address that could be used.
    pub delay: HistogramReport,
    /// ASCONFs of this host (RFC 5061).
    pub asconf: AsconfReport,
    /// Registrations of own pool elements.
    pub registrations: RegistrationReport,
    /// Probes of paths.
    pub probes: ProbeReport,
    /// Decisions, by what they are about.
    pub decisions: DecisionReport,
}

/// Handovers of one kind with one outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandoverReport {
    /// What kind.
    pub kind: Kind,
    /// What came of them.
    pub outcome: Outcome,
    /// How many.
    pub count: u64,
}

/// How long things took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistogramReport {
    /// How many took so long at most, for each bound.
    pub buckets: Vec<BucketReport>,
    /// How many there were.
    pub count: u64,
    /// All of them together, in milliseconds.
    pub sum_ms: u64,
}

/// Those that took so long at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketReport {
    /// How long, in milliseconds.
    pub le_ms: u64,
    /// How many.
    pub count: u64,
}

/// What came of ASCONFs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AsconfReport {
    /// Accepted whole.
    pub accepted: u64,
    /// Refused, or parts of them, by the peer's causes.
    pub refused: Vec<CauseReport>,
    /// Not answered before the next one left, or the association ended.
    pub unanswered: u64,
}

/// Refusals with one cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseReport {
    /// Its code (RFC 5061, 4.3; RFC 9260, 3.3.10).
    pub cause: u16,
    /// How many.
    pub count: u64,
}

/// What came of registrations of own pool elements, renewals included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RegistrationReport {
    /// Confirmed by the registrar.
    pub confirmed: u64,
    /// Refused by it.
    pub refused: u64,
    /// Not answered.
    pub unanswered: u64,
    /// Run out before they were renewed.
    pub expired: u64,
}

/// Probes of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Sent.
    pub sent: u64,
    /// Not answered in time.
    pub lost: u64,
}

/// Decisions, by what they are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DecisionReport {
    /// The daemon itself.
    pub daemon: u64,
    /// Addresses of this host.
    pub address: u64,
    /// Associations and listening sockets.
    pub association: u64,
    /// Pool elements and pool handles.
    pub handle: u64,
}
