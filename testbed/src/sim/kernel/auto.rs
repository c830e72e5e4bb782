//! Addresses that come and go at the host, and what a wildcard socket makes of it.

use std::net::IpAddr;

use super::{Kernel, MS, Time};

/// `SCTP_ADDRESS_TICK_DELAY`.
const TICK: Time = 500 * MS;

impl Kernel {
    /// When the kernel acts on address events next.
    #[must_use]
    pub fn next_tick(&self) -> Option<Time> {
        self.tick
    }

    /// Whether the next tick deletes an address that has no copy on lo.
    #[must_use]
    pub fn is_losing_an_address(&self) -> bool {
        let lost = |(address, came): &(IpAddr, bool)| !came && !self.lo.contains(address);
        self.auto_asconf && self.events.iter().any(|event| lost(event) && self.association_has(event.0))
    }

    /// An interface gets an address; routes prefer the newest.
    pub fn address_up(&mut self, now: Time, address: IpAddr) {
        if !self.interfaces.contains(&address) {
            self.interfaces.insert(0, address);
            self.event(now, address, true);
        }
    }

    /// An interface loses an address.
    pub fn address_down(&mut self, now: Time, address: IpAddr) {
        if self.interfaces.contains(&address) {
            self.interfaces.retain(|&other| other != address);
            self.event(now, address, false);
        }
    }

    /// A copy of an address on lo; one that is there already is no event.
    pub fn copy_up(&mut self, now: Time, address: IpAddr) {
        if !self.lo.contains(&address) {
            self.lo.push(address);
            self.event(now, address, true);
        }
    }

    /// A copy of an address on lo goes. That the host has it elsewhere makes no difference to the event.
    pub fn copy_down(&mut self, now: Time, address: IpAddr) {
        if let Some(at) = self.lo.iter().position(|&copy| copy == address) {
            self.lo.swap_remove(at);
            self.event(now, address, false);
        }
    }

    /// Events wait for a tick of 500 ms; the opposite of one that waits removes it (`sctp_addr_wq_mgmt`).
    fn event(&mut self, now: Time, address: IpAddr, came: bool) {
        match self.events.iter().position(|&(waiting, _)| waiting == address) {
            Some(at) if self.events[at].1 != came => {
                self.events.remove(at);
            }
            Some(_) => {}
            None => {
                self.events.push((address, came));
                if self.tick.is_none() {
                    self.tick = Some(now + TICK);
                }
            }
        }
    }

    /// The tick: a wildcard socket with auto-ASCONF on adds and deletes (`sctp_addr_wq_timeout_handler`,
    /// `sctp_asconf_mgmt`).
    pub(super) fn address_tick(&mut self, now: Time) {
        for (address, came) in std::mem::take(&mut self.events) {
            if self.auto_asconf && self.wildcard {
                if came {
                    self.ask_to_add(now, address);
                } else {
                    self.ask_to_delete(now, address);
                }
            }
        }
    }
}
