//! Which association a sighting on the wire belongs to, and what it means to its planner.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use sctp_sys::watch::{AsconfParam, Seen, Sighting};

use super::Daemon;
use crate::associations::Key;
use crate::handover::{Change, Input};
use crate::translate::Rule;

impl Daemon {
    /// Tells the association that the packet belongs to.
    pub(super) fn sighted(&mut self, sighting: &Sighting) {
        if self.path_answered(sighting) {
            return;
        }
        if sighting.chunks.contains(&Seen::CookieAck) {
            // An association is made here or there: no need to wait for the next look.
            let from = SocketAddr::new(sighting.source, sighting.source_port);
            let to = SocketAddr::new(sighting.destination, sighting.destination_port);
            let ends = if sighting.outgoing { (from, to) } else { (to, from) };
            self.arrivals.seen(Instant::now(), ends);
        }
        let Some(key) = self.whose(sighting) else { return };
        for chunk in &sighting.chunks {
            if let Some(managed) = self.associations.get(&key)
                && matches!(chunk, Seen::Asconf { .. } | Seen::AsconfAck { .. })
            {
                self.story.passed_by(managed, sighting, chunk);
            }
            match chunk {
                Seen::Asconf { serial, params, .. } if sighting.outgoing => {
                    if let Some(managed) = self.associations.get_mut(&key) {
                        managed.course.asked(&mut self.tally, *serial);
                    }
                    let changes = params.iter().filter_map(change).collect();
                    self.tell(key, Input::OwnAsconf { serial: *serial, changes });
                }
                Seen::AsconfAck { serial, errors, authenticated: true, .. } if !sighting.outgoing => {
                    if let Some(managed) = self.associations.get_mut(&key) {
                        let causes = errors.iter().map(|&(_, code)| code);
                        managed.course.answered(&mut self.tally, *serial, causes);
                    }
                    self.refresh(key);
                    let answer = Input::OwnAnswer {
                        serial: *serial,
                        errors: errors.clone(),
                        from: sighting.source,
                        to: sighting.destination,
                    };
                    self.tell(key, answer);
                }
                Seen::Asconf { params, .. } if !sighting.outgoing => {
                    // The kernel has processed what entered before it woke us.
                    self.refresh(key);
                    let from = sighting.source;
                    let arrives =
                        params.iter().filter_map(change).any(|(_, change)| change == Change::Add(from));
                    self.tell(key, Input::PeerAsconf { from, arrives });
                }
                Seen::AsconfAck { .. } => {
                    self.refresh(key);
                    self.carry_out(key);
                }
                _ => {}
            }
        }
    }

    /// The association of a packet. What leaves is seen after translation, what enters before it.
    fn whose(&self, sighting: &Sighting) -> Option<Key> {
        let (local_port, peer_port, local, peer) = if sighting.outgoing {
            (sighting.source_port, sighting.destination_port, sighting.source, sighting.destination)
        } else {
            (sighting.destination_port, sighting.source_port, sighting.destination, sighting.source)
        };
        let fits: Vec<_> = self
            .associations
            .iter()
            .filter(|(key, _)| key.local_port == local_port && key.peer_port == peer_port)
            .collect();
        if let [(key, _)] = fits[..] {
            return Some(*key);
        }
        let knows = |rules: &std::collections::BTreeSet<Rule>, address: IpAddr| {
            rules.iter().any(|rule| match *rule {
                Rule::OutSource { to, .. } | Rule::OutDestination { to, .. } | Rule::AnswerTo { to, .. } => {
                    to == address
                }
                Rule::InSource { from, .. } | Rule::InDestination { from, .. } => from == address,
                _ => false,
            })
        };
        fits.into_iter()
            .map(|(key, managed)| {
                let facts = managed.planner.facts();
                let rules = managed.planner.rules();
                let score = u8::from(facts.has_peer(peer)) * 2
                    + u8::from(knows(rules, peer)) * 2
                    + u8::from(facts.local.contains(&local))
                    + u8::from(knows(rules, local));
                (score, *key)
            })
            .max_by_key(|&(score, _)| score)
            .filter(|&(score, _)| score > 0)
            .map(|(_, key)| key)
    }
}

fn change(param: &AsconfParam) -> Option<(u32, Change)> {
    match *param {
        AsconfParam::Add { correlation, address } => Some((correlation, Change::Add(address))),
        AsconfParam::Delete { correlation, address } => Some((correlation, Change::Delete(address))),
        AsconfParam::SetPrimary { correlation, address } => Some((correlation, Change::SetPrimary(address))),
        AsconfParam::Other { .. } => None,
    }
}
