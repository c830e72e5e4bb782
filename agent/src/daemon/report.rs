//! What `roam` shows.

use std::time::Instant;

use super::Daemon;
use super::story::{CAME_TOO_EARLY, JAMMED};
use crate::associations::{Key, Managed};
use crate::config::Peer;
use crate::control::{
    AddressReport, AssociationReport, AssociationState, Binding, CountsReport, NetworkReport, PeerReport,
    PoolsReport, SCHEMA, StatusReport,
};
use crate::handover::{self, State};

impl Daemon {
    /// How the daemon is.
    pub(super) fn status(&self) -> StatusReport {
        let states: Vec<_> = self.associations.values().map(|managed| state(managed).0).collect();
        let count = |wanted| states.iter().filter(|state| **state == wanted).count();
        StatusReport {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: milliseconds(self.started),
            settled: count(AssociationState::Settled),
            stranded: count(AssociationState::Stranded),
            moving: count(AssociationState::Moving),
            unmanageable: count(AssociationState::Unmanageable) + self.unmanageable.len(),
            usable_addresses: self.view.usable().count(),
            addresses: self.view.addresses.len(),
            held: self.host.held(),
            registrar: self.locate.registrar().map(|address| address.to_string()),
            elements: self.locate.elements(),
            network: NetworkReport::new(self.monitor.counters(), self.changes),
            counts: CountsReport {
                handovers: self.tally.handovers(),
                gap: self.tally.gap(),
                delay: self.tally.delay(),
                asconf: self.tally.asconf(),
                registrations: self.locate.counts(),
                probes: self.paths.counts(),
                decisions: self.story.0.counts(),
            },
            problems: self.problems.iter().chain(&self.mistake).cloned().collect(),
        }
    }

    /// The associations that are looked after, and those that cannot be.
    pub(super) fn association_reports(&self) -> Vec<AssociationReport> {
        let managed = self.associations.values().map(report);
        managed
            .chain(self.unmanageable.iter().map(|(key, (found, why))| AssociationReport {
                pid: found.handle.pid,
                executable: found.executable.clone(),
                local_port: key.local_port,
                peer_port: key.peer_port,
                binding: None,
                local: found.local.clone(),
                peer: found.peer.clone(),
                state: AssociationState::Unmanageable,
                why: why.clone(),
                add_ip: None,
                in_state_ms: 0,
                moves: 0,
                last_move_ms: None,
            }))
            .collect()
    }

    /// The host's addresses, and why they are usable or not.
    pub(super) fn address_reports(&self) -> Vec<AddressReport> {
        let table = |address| self.host.table_of(address);
        self.view.addresses.iter().map(|local| AddressReport::new(local, table(local.address))).collect()
    }

    /// The host's pool elements, and where its peers are.
    pub(super) fn pools(&self) -> PoolsReport {
        let peer = |peer: &Peer| {
            let told = self.located.get(&peer.handle);
            PeerReport {
                handle: peer.handle.clone(),
                port: peer.port.or(told.and_then(|(_, port)| *port)),
                addresses: told.map(|(addresses, _)| addresses.clone()).unwrap_or_default(),
                known: told.is_some(),
            }
        };
        PoolsReport {
            registrar: self.locate.registrar().map(|address| address.to_string()),
            elements: self.locate.elements(),
            peers: self.config.peers.iter().map(peer).collect(),
        }
    }

    /// The associations of a process.
    pub(super) fn of_process(&self, pid: i32) -> Vec<Key> {
        self.associations
            .iter()
            .filter(|(_, managed)| managed.handle.pid == pid)
            .map(|(key, _)| *key)
            .collect()
    }
}

/// How an association stands, and why.
fn state(managed: &Managed) -> (AssociationState, &'static str) {
    match managed.planner.state() {
        _ if !managed.add_ip => (AssociationState::Unmanageable, CAME_TOO_EARLY),
        _ if managed.jam.is_certain() => (AssociationState::Unmanageable, JAMMED),
        State::Settled => (AssociationState::Settled, ""),
        State::Changing => (AssociationState::Moving, "a usable path remains and a change is under way"),
        State::Stranded => (AssociationState::Stranded, "none of its addresses is usable"),
        State::Moving => (AssociationState::Moving, "the peer has to accept the new address"),
    }
}

/// What is shown of an association.
pub(super) fn report(managed: &Managed) -> AssociationReport {
    let facts = managed.planner.facts();
    let (state, why) = state(managed);
    AssociationReport {
        pid: managed.handle.pid,
        executable: managed.executable.clone(),
        local_port: managed.local_port,
        peer_port: managed.peer_port,
        binding: Some(match managed.binding {
            handover::Binding::Explicit => Binding::Explicit,
            handover::Binding::Wildcard => Binding::Wildcard,
        }),
        local: facts.local.iter().copied().collect(),
        peer: facts.peers.iter().map(|&(peer, _)| peer).collect(),
        state,
        why: why.to_owned(),
        add_ip: Some(managed.add_ip),
        in_state_ms: milliseconds(managed.since),
        moves: managed.moves,
        last_move_ms: managed.last_move_ms,
    }
}

/// Milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
