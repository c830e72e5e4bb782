//! A packet comes in: whose is it?

use std::net::IpAddr;

use super::{Chunk, Kernel, Packet, Time};

impl Kernel {
    /// Takes a packet that IP delivers to this host.
    ///
    /// The association is found by both addresses, or by an ASCONF's address parameter, which must be authentic to be
    /// of use. Any other packet is out of the blue and answered with ABORT (`__sctp_rcv_lookup`,
    /// `__sctp_rcv_asconf_lookup`, `sctp_sf_ootb`).
    pub fn receive(&mut self, now: Time, packet: &Packet) {
        let to_us = self.association_has(packet.destination) && self.dead.is_none();
        let mut found = (to_us && self.path(packet.source).is_some()).then_some(packet.source);
        if found.is_none() && to_us {
            let named = packet.chunks.iter().find_map(|chunk| match chunk {
                Chunk::Asconf { address, .. } => Some(*address),
                _ => None,
            });
            found = named.filter(|&address| self.path(address).is_some());
        }
        let Some(path) = found else {
            if !packet.has_abort() {
                self.out.push(Packet {
                    source: packet.destination,
                    destination: packet.source,
                    chunks: vec![Chunk::Abort],
                });
            }
            return;
        };
        if let Some(path) = self.path(path) {
            path.heard = now;
        }
        let mut data = false;
        for chunk in &packet.chunks {
            data |= matches!(chunk, Chunk::Data { .. });
            self.chunk(now, packet.source, path, chunk);
        }
        if data {
            self.acknowledge();
        }
    }

    fn chunk(&mut self, now: Time, source: IpAddr, path: IpAddr, chunk: &Chunk) {
        match chunk {
            Chunk::Data { tsn, message } => {
                self.last_data_from = Some(path);
                self.data(*tsn, *message);
            }
            Chunk::Sack { cumulative, gaps } => self.acknowledged(now, path, *cumulative, gaps),
            Chunk::Heartbeat { path: probed } => {
                self.control(Chunk::HeartbeatAck { path: *probed }, Some(path));
            }
            Chunk::HeartbeatAck { path } => self.path_answers(now, *path),
            Chunk::Asconf { serial, changes, authentic: true, .. } => {
                self.asconf(now, source, path, *serial, changes);
            }
            Chunk::AsconfAck { serial, errors, authentic: true } => self.asconf_answer(now, *serial, errors),
            // `sctp_sf_do_asconf`, `sctp_sf_do_asconf_ack`: without authentication, discarded.
            Chunk::Asconf { .. } | Chunk::AsconfAck { .. } => {}
            Chunk::Abort => self.dead = Some(format!("ABORT from {source}")),
        }
    }
}
