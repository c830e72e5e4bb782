//! The host's addresses as the rest of the daemon sees them.

use std::net::IpAddr;

use super::usable::LocalAddress;

/// All addresses of the host, judged. Two views are equal if there is nothing to react to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// By interface, then address.
    pub addresses: Vec<LocalAddress>,
    /// How often rules or routes that we want were taken away by others or by the kernel. A change asks for
    /// [`crate::routing::Routing::reconcile`], which puts them back.
    pub lost: u64,
}

impl View {
    /// The usable addresses.
    pub fn usable(&self) -> impl Iterator<Item = &LocalAddress> {
        self.addresses.iter().filter(|local| local.usable())
    }

    /// The entry of an address: the usable one if several interfaces have it.
    pub fn find(&self, address: IpAddr) -> Option<&LocalAddress> {
        let entries = || self.addresses.iter().filter(|local| local.address == address);
        entries().find(|local| local.usable()).or_else(|| entries().next())
    }

    /// Whether associations may use `address`.
    pub fn is_usable(&self, address: IpAddr) -> bool {
        self.find(address).is_some_and(LocalAddress::usable)
    }
}
