//! ASCONF: sent one at a time, repeated until answered, answered in order.

use std::net::IpAddr;

use roam_agent::handover::Change;

use super::{AddressState, Asconf, Chunk, Kernel, Time};

/// "Request to Delete Last Remaining IP Address".
pub const DELETE_LAST: u16 = 0x00a0;
/// "Request to Delete Source IP Address".
pub const DELETE_SOURCE: u16 = 0x00a2;
/// "Request Refused - No Authorization".
pub const REFUSED: u16 = 0x00a4;
/// "Unresolvable Address".
pub const UNRESOLVABLE: u16 = 0x0005;

impl Kernel {
    /// Sends an ASCONF, or queues it behind the one that waits for its answer (`sctp_send_asconf`).
    pub(super) fn ask(&mut self, now: Time, address: IpAddr, changes: Vec<Change>) {
        let asconf = Asconf { serial: self.next_serial, address, changes, path: None };
        self.next_serial += 1;
        if self.last_asconf.is_some() {
            self.asconfs.push_back(asconf);
        } else {
            self.last_asconf = Some(asconf);
            self.send_asconf(now);
        }
    }

    /// Picks the path and starts T4: the active path first, the path for retransmissions after that
    /// (`sctp_cmd_setup_t4`, `sctp_assoc_choose_alter_transport`).
    fn send_asconf(&mut self, now: Time) {
        let Some(asconf) = self.last_asconf.clone() else { return };
        let path = match asconf.path {
            None => self.active,
            Some(last) => {
                if last == self.retransmit_path {
                    self.next_retransmit_path();
                }
                self.retransmit_path
            }
        };
        let rto = self.path(path).map_or(0, |path| path.rto);
        self.t4 = Some(now + rto);
        if let Some(last) = self.last_asconf.as_mut() {
            last.path = Some(path);
        }
        let chunk = Chunk::Asconf {
            serial: asconf.serial,
            address: asconf.address,
            changes: asconf.changes,
            authentic: true,
        };
        self.control(chunk, Some(path));
    }

    /// T4 has run out (`sctp_sf_t4_timer_expire`).
    pub(super) fn repeat_asconf(&mut self, now: Time) {
        self.t4 = None;
        if let Some(path) = self.last_asconf.as_ref().and_then(|asconf| asconf.path) {
            self.strike(now, path, false);
        }
        self.send_asconf(now);
    }

    /// An ASCONF came in from `source`, on the path by which the association was found (`sctp_sf_do_asconf`): the
    /// next one is processed, the last one answered again, any other ignored. The answer goes to the packet's
    /// source; if that is no path of the association, to the active one.
    pub(super) fn asconf(
        &mut self,
        now: Time,
        source: IpAddr,
        found_by: IpAddr,
        serial: u32,
        changes: &[Change],
    ) {
        let mut new = None;
        if serial == self.peer_serial + 1 {
            let mut errors = Vec::new();
            for (correlation, &change) in (0..).zip(changes) {
                if let Some(cause) = self.process(now, source, found_by, change, &mut new) {
                    errors.push((correlation, cause));
                }
            }
            self.peer_serial = serial;
            self.answer = Some((serial, errors));
        }
        let Some((_, errors)) = self.answer.clone().filter(|&(answered, _)| answered == serial) else {
            return;
        };
        let known = self.path(source).is_some().then_some(source);
        self.control(Chunk::AsconfAck { serial, errors, authentic: true }, known);
        if let Some(address) = new {
            // Like `sctp_sf_heartbeat`: not counted as one that is unanswered.
            self.control(Chunk::Heartbeat { path: address }, Some(address));
        }
    }

    /// One change that the peer asks for; why it is refused (`sctp_process_asconf_param`).
    fn process(
        &mut self,
        now: Time,
        source: IpAddr,
        found_by: IpAddr,
        change: Change,
        new: &mut Option<IpAddr>,
    ) -> Option<u16> {
        match change {
            Change::Add(address) => {
                self.add_peer(now, address);
                *new = Some(address);
                None
            }
            Change::Delete(_) if self.paths.len() == 1 => Some(DELETE_LAST),
            Change::Delete(address) if address == source => Some(DELETE_SOURCE),
            Change::Delete(address) if self.path(address).is_none() => Some(UNRESOLVABLE),
            Change::Delete(address) if address == found_by => Some(REFUSED),
            Change::Delete(address) => {
                self.remove_peer(now, address);
                None
            }
            Change::SetPrimary(address) if self.path(address).is_none() => Some(UNRESOLVABLE),
            Change::SetPrimary(address) => {
                self.set_primary(address);
                None
            }
        }
    }

    /// An answer came in (`sctp_sf_do_asconf_ack`, `sctp_process_asconf_ack`, `sctp_asconf_param_success`). An
    /// accepted address becomes a source, a deleted one goes; a refused deletion leaves its address marked as being
    /// deleted. Only an answer without any refusal ends muteness.
    pub(super) fn asconf_answer(&mut self, now: Time, serial: u32, errors: &[(u32, u16)]) {
        let Some(asconf) = self.last_asconf.take_if(|asconf| asconf.serial == serial) else { return };
        self.t4 = None;
        for (correlation, &change) in (0u32..).zip(&asconf.changes) {
            if errors.iter().any(|&(refused, _)| refused == correlation) {
                continue;
            }
            match change {
                Change::Add(address) => {
                    for (_, state) in self.bound.iter_mut().filter(|(bound, _)| *bound == address) {
                        *state = AddressState::Source;
                    }
                }
                Change::Delete(address) => {
                    self.bound.retain(|&(bound, _)| bound != address);
                    self.delete_pending.take_if(|pending| *pending == address);
                }
                Change::SetPrimary(_) => {}
            }
        }
        if errors.is_empty() && self.mute {
            self.mute = false;
            for (chunk, destination) in std::mem::take(&mut self.kept_back) {
                self.control(chunk, destination);
            }
            self.retransmit_now(now, self.primary);
            self.flush(now);
        }
        if let Some(next) = self.asconfs.pop_front() {
            self.last_asconf = Some(next);
            self.send_asconf(now);
        }
    }
}
