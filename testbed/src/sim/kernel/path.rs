//! Paths to the peer: their states, which of them is used, and their timers.

use std::net::IpAddr;

use super::{Chunk, Kernel, LEAST_HEARTBEAT, SECOND, Time};

/// Heartbeat interval of paths that are not being probed.
const HEARTBEAT_INTERVAL: Time = 30 * SECOND;

/// How a path stands (`enum sctp_spinfo_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Works.
    Active,
    /// Missed something.
    PotentiallyFailed,
    /// Given up.
    Inactive,
    /// Added, not confirmed by a heartbeat.
    Unconfirmed,
}

impl Standing {
    /// `sctp_trans_state_to_prio_map`.
    const fn priority(self) -> u8 {
        match self {
            Self::Active => 3,
            Self::PotentiallyFailed => 1,
            Self::Inactive | Self::Unconfirmed => 0,
        }
    }
}

/// One of the peer's addresses (`struct sctp_transport`).
#[derive(Clone, Debug)]
pub struct Path {
    /// The peer's address.
    pub address: IpAddr,
    /// State.
    pub standing: Standing,
    pub(super) rto: Time,
    pub(super) errors: u32,
    pub(super) limit: u32,
    pub(super) heartbeat_sent: bool,
    pub(super) heard: Time,
    pub(super) t3: Option<Time>,
    pub(super) heartbeat: Time,
}

impl Path {
    pub(super) const fn new(address: IpAddr, standing: Standing, rto: Time) -> Self {
        Self {
            address,
            standing,
            rto,
            errors: 0,
            limit: u32::MAX,
            heartbeat_sent: false,
            heard: 0,
            t3: None,
            heartbeat: HEARTBEAT_INTERVAL,
        }
    }
}

impl Kernel {
    pub(super) fn path(&mut self, address: IpAddr) -> Option<&mut Path> {
        self.paths.iter_mut().find(|path| path.address == address)
    }

    /// Adds a peer's address, unconfirmed; one that is known is left alone (`sctp_assoc_add_peer`). Returns whether
    /// it is new.
    pub(super) fn add_peer(&mut self, now: Time, address: IpAddr) -> bool {
        if self.path(address).is_some() {
            return false;
        }
        let rto = self.rto_max;
        self.paths.push(Path::new(address, Standing::Unconfirmed, rto));
        self.restart_heartbeat(now, address);
        true
    }

    /// Removes a peer's address; what used it uses the first one left (`sctp_assoc_rm_peer`).
    pub(super) fn remove_peer(&mut self, now: Time, address: IpAddr) {
        if self.retransmit_path == address {
            self.next_retransmit_path();
        }
        self.paths.retain(|path| path.address != address);
        let first = self.paths[0].address;
        if self.primary == address {
            self.set_primary(first);
        }
        if self.active == address {
            self.active = first;
        }
        if self.retransmit_path == address {
            self.retransmit_path = first;
        }
        if self.last_data_from == Some(address) {
            self.last_data_from = Some(first);
        }
        if let Some(asconf) = self.last_asconf.as_mut().filter(|asconf| asconf.path == Some(address)) {
            asconf.path = None;
        }
        let active = self.active;
        let mut moved = false;
        for sent in self.unacknowledged.values_mut().filter(|sent| sent.path == Some(address)) {
            sent.path = Some(active);
            moved = true;
        }
        if moved {
            self.start_t3(now, active);
        }
    }

    /// The primary path; it is used at once only if it works (`sctp_assoc_set_primary`).
    pub(super) fn set_primary(&mut self, address: IpAddr) {
        self.primary = address;
        if self.path(address).is_some_and(|path| path.standing == Standing::Active) {
            self.active = address;
        }
    }

    /// Changes a path's state; one that was never confirmed does not become inactive
    /// (`sctp_assoc_control_transport`).
    fn change(&mut self, address: IpAddr, standing: Standing) {
        let Some(path) = self.path(address) else { return };
        if standing == Standing::Inactive && path.standing == Standing::Unconfirmed {
            return;
        }
        path.standing = standing;
        self.select_paths();
    }

    /// The active path is the primary one if it works, else the one heard last; without any that works it stays
    /// (`sctp_select_active_and_retran_path`).
    fn select_paths(&mut self) {
        let mut works: Vec<(Time, IpAddr)> = self
            .paths
            .iter()
            .filter(|path| path.standing == Standing::Active)
            .map(|path| (path.heard, path.address))
            .collect();
        works.sort_by_key(|&(heard, _)| std::cmp::Reverse(heard));
        let mut order: Vec<IpAddr> = works.into_iter().map(|(_, address)| address).collect();
        if let Some(at) = order.iter().position(|&address| address == self.primary) {
            order.remove(at);
            order.insert(0, self.primary);
        }
        if let Some(&first) = order.first() {
            self.active = first;
            self.retransmit_path = order.get(1).copied().unwrap_or(first);
        } else {
            let suspects = self.paths.iter().filter(|path| path.standing == Standing::PotentiallyFailed);
            let best =
                suspects.map(|path| path.address).fold(None, |best, next| Some(self.better(next, best)));
            self.active = self.better(self.active, best);
            self.retransmit_path = self.active;
        }
    }

    /// `sctp_trans_elect_best`.
    fn better(&self, current: IpAddr, best: Option<IpAddr>) -> IpAddr {
        let Some(best) = best.filter(|&best| best != current) else { return current };
        let find = |address| self.paths.iter().find(|path| path.address == address);
        let (Some(one), Some(other)) = (find(current), find(best)) else {
            return if find(current).is_some() { current } else { best };
        };
        let key = |path: &Path| (path.standing.priority(), std::cmp::Reverse(path.errors), path.heard);
        if key(one) >= key(other) { current } else { best }
    }

    /// The next path for retransmissions, never an unconfirmed one (`sctp_assoc_update_retran_path`).
    pub(super) fn next_retransmit_path(&mut self) {
        if self.paths.len() == 1 {
            return;
        }
        let works = |address| {
            self.paths.iter().any(|path| path.address == address && path.standing == Standing::Active)
        };
        if self.active == self.retransmit_path && works(self.active) {
            return;
        }
        let at = self.paths.iter().position(|path| path.address == self.retransmit_path).unwrap_or(0);
        let mut best = None;
        for step in 1..=self.paths.len() {
            let path = &self.paths[(at + step) % self.paths.len()];
            if path.standing != Standing::Unconfirmed {
                let next = self.better(path.address, best);
                best = Some(next);
                if works(next) {
                    break;
                }
            }
        }
        if let Some(best) = best {
            self.retransmit_path = best;
        }
    }

    /// A timer of the path has run out, or a heartbeat is sent while another is unanswered
    /// (`sctp_do_8_2_transport_strike`).
    pub(super) fn strike(&mut self, now: Time, address: IpAddr, heartbeat: bool) {
        let rto_max = self.rto_max;
        let Some(path) = self.path(address) else { return };
        if !heartbeat || path.heartbeat_sent {
            if path.standing != Standing::Inactive {
                path.errors += 1;
            }
            path.rto = (path.rto * 2).min(rto_max);
        }
        let (errors, limit, standing) = (path.errors, path.limit, path.standing);
        if standing == Standing::Active && errors > 0 && errors < limit {
            self.change(address, Standing::PotentiallyFailed);
            self.restart_heartbeat(now, address);
        }
        if standing != Standing::Inactive && errors > limit {
            self.change(address, Standing::Inactive);
        }
    }

    /// Something authentic came back on the path (`sctp_cmd_transport_on`, and `sctp_check_transmitted` for data).
    pub(super) fn path_answers(&mut self, now: Time, address: IpAddr) {
        let rto = self.rto_max;
        let Some(path) = self.path(address) else { return };
        path.errors = 0;
        path.heartbeat_sent = false;
        path.rto = rto;
        let was = path.standing;
        if was != Standing::Active {
            self.change(address, Standing::Active);
        }
        self.restart_heartbeat(now, address);
        if matches!(was, Standing::Inactive | Standing::Unconfirmed) && self.paths.len() == 1 {
            self.retransmit_now(now, address);
        }
    }

    /// Sends a heartbeat, and counts the one before as lost if it is unanswered (`sctp_sf_sendbeat_8_3`,
    /// `sctp_sf_do_prm_requestheartbeat`).
    pub(super) fn send_heartbeat(&mut self, now: Time, address: IpAddr) {
        self.control(Chunk::Heartbeat { path: address }, Some(address));
        self.strike(now, address, true);
        if let Some(path) = self.path(address) {
            path.heartbeat_sent = true;
        }
    }

    /// `sctp_transport_reset_hb_timer`.
    pub(super) fn restart_heartbeat(&mut self, now: Time, address: IpAddr) {
        let dice = self.roll(1 << 32);
        let Some(path) = self.path(address) else { return };
        let probing = matches!(path.standing, Standing::Unconfirmed | Standing::PotentiallyFailed);
        let wait = path.rto / 2 + if probing { 0 } else { HEARTBEAT_INTERVAL };
        path.heartbeat = now + wait.max(LEAST_HEARTBEAT) + dice % path.rto.max(1);
    }

    pub(super) fn start_t3(&mut self, now: Time, address: IpAddr) {
        if let Some(path) = self.path(address)
            && path.t3.is_none()
        {
            path.t3 = Some(now + path.rto);
        }
    }

    pub(super) fn expire_paths(&mut self, now: Time) {
        let addresses: Vec<IpAddr> = self
            .paths
            .iter()
            .filter(|path| path.heartbeat <= now || path.t3.is_some_and(|at| at <= now))
            .map(|path| path.address)
            .collect();
        for address in addresses {
            let Some(path) = self.path(address) else { continue };
            let beat = path.heartbeat <= now;
            if path.t3.is_some_and(|at| at <= now) {
                path.t3 = None;
                self.expire_t3(now, address);
            }
            if beat {
                self.send_heartbeat(now, address);
                self.restart_heartbeat(now, address);
            }
        }
    }
}
