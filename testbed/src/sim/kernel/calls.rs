//! What programs and agents ask the kernel for: socket options.

use std::net::IpAddr;

use roam_agent::handover::Change;

use super::{AddressState, Kernel, MS, SECOND, Time};

/// Why a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// EINVAL.
    Invalid,
    /// EADDRNOTAVAIL.
    NotAvailable,
    /// EBUSY.
    Busy,
}

impl Kernel {
    /// `SCTP_ASCONF_SUPPORTED` of the endpoint: while off, bindx changes the endpoint alone.
    pub fn set_asconf(&mut self, on: bool) {
        self.asconf_enable = on;
    }

    /// `SCTP_AUTO_ASCONF`: for wildcard sockets only.
    ///
    /// # Errors
    /// EINVAL.
    pub fn set_auto_asconf(&mut self, on: bool) -> Result<(), Refusal> {
        if !self.wildcard {
            return Err(Refusal::Invalid);
        }
        self.auto_asconf = on;
        Ok(())
    }

    /// Whether auto-ASCONF is on.
    #[must_use]
    pub fn reacts_to_events(&self) -> bool {
        self.auto_asconf
    }

    /// Whether the endpoint is bound to the address.
    #[must_use]
    pub fn endpoint_has(&self, address: IpAddr) -> bool {
        self.endpoint.contains(&address)
    }

    /// Whether the association has the address, in whatever state.
    #[must_use]
    pub fn association_has(&self, address: IpAddr) -> bool {
        self.bound.iter().any(|&(bound, _)| bound == address)
    }

    /// `SCTP_SOCKOPT_BINDX_ADD` (`sctp_bindx_add`, `sctp_do_bind`). `free`: with `IP_FREEBIND`.
    ///
    /// # Errors
    /// EINVAL: bound already; EADDRNOTAVAIL: the host does not have it.
    pub fn bindx_add(&mut self, now: Time, address: IpAddr, free: bool) -> Result<(), Refusal> {
        if self.wildcard || self.endpoint_has(address) {
            return Err(Refusal::Invalid);
        }
        if !free && !self.is_local(address) && !address.is_loopback() {
            return Err(Refusal::NotAvailable);
        }
        self.endpoint.push(address);
        self.ask_to_add(now, address);
        Ok(())
    }

    /// `SCTP_SOCKOPT_BINDX_REM` (`sctp_bindx_rem`).
    ///
    /// # Errors
    /// EBUSY: the endpoint has no other; EINVAL: it does not have this one.
    pub fn bindx_remove(&mut self, now: Time, address: IpAddr) -> Result<(), Refusal> {
        if self.wildcard || self.endpoint.len() <= 1 {
            return Err(Refusal::Busy);
        }
        if !self.endpoint_has(address) {
            return Err(Refusal::Invalid);
        }
        self.endpoint.retain(|&bound| bound != address);
        self.ask_to_delete(now, address);
        Ok(())
    }

    /// Asks the peer to add an address that the association does not have yet. The address parameter is the
    /// association's first address; a deletion that is pending goes with it (`sctp_send_asconf_add_ip`,
    /// `sctp_make_asconf_update_ip`).
    pub(super) fn ask_to_add(&mut self, now: Time, address: IpAddr) {
        if !self.asconf_enable || self.association_has(address) {
            return;
        }
        let first = self.bound[0].0;
        let mut changes = vec![Change::Add(address)];
        changes.extend(self.delete_pending.map(Change::Delete));
        self.bound.push((address, AddressState::New));
        if self.mute {
            for path in &mut self.paths {
                path.rto = SECOND.min(self.rto_max);
            }
        }
        self.ask(now, first, changes);
    }

    /// Asks the peer to delete an address. The address parameter is another one; without another the deletion waits
    /// for the next addition, and the association sends nothing but ASCONF, from whatever address
    /// (`sctp_send_asconf_del_ip`).
    pub(super) fn ask_to_delete(&mut self, now: Time, address: IpAddr) {
        if !self.asconf_enable || !self.association_has(address) {
            return;
        }
        let other = self.bound.iter().map(|&(bound, _)| bound).find(|&bound| bound != address);
        if other.is_none() {
            if self.delete_pending.is_some() {
                return;
            }
            self.delete_pending = Some(address);
            self.mute = true;
        }
        for (_, state) in self.bound.iter_mut().filter(|(bound, _)| *bound == address) {
            *state = AddressState::Deleting;
        }
        if let Some(other) = other {
            self.ask(now, other, vec![Change::Delete(address)]);
        }
    }

    /// `SCTP_SET_PEER_PRIMARY_ADDR`.
    ///
    /// # Errors
    /// EADDRNOTAVAIL: the association does not have it.
    pub fn set_peer_primary(&mut self, now: Time, address: IpAddr) -> Result<(), Refusal> {
        if !self.association_has(address) {
            return Err(Refusal::NotAvailable);
        }
        self.ask(now, address, vec![Change::SetPrimary(address)]);
        Ok(())
    }

    /// `SCTP_PEER_ADDR_PARAMS` with `SPP_HB_DEMAND`.
    pub fn heartbeat_now(&mut self, now: Time, address: IpAddr) {
        if self.path(address).is_some() {
            self.send_heartbeat(now, address);
        }
    }

    /// `SCTP_RTOINFO`: what runs is not shortened.
    pub fn set_rto_max(&mut self, milliseconds: u64) {
        self.rto_max = milliseconds * MS;
    }

    /// Gives all paths up, by three heartbeats at a limit of one.
    pub fn mark_down(&mut self, now: Time, address: IpAddr) {
        let Some(path) = self.path(address) else { return };
        let before = std::mem::replace(&mut path.limit, 1);
        for _ in 0..3 {
            self.send_heartbeat(now, address);
        }
        if let Some(path) = self.path(address) {
            path.limit = before;
        }
    }

    /// `SCTP_PRIMARY_ADDR`.
    pub fn send_to(&mut self, address: IpAddr) {
        self.set_primary(address);
    }

    /// The peer's addresses.
    #[must_use]
    pub fn peers(&self) -> Vec<IpAddr> {
        self.paths.iter().map(|path| path.address).collect()
    }
}
