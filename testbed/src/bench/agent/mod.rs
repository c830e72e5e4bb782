//! The agent: how soon it reacts, beside the kernel's auto-ASCONF and mptcpd; and what many associations cost.

mod crowd;
mod reaction;
mod sample;
mod site;
mod wire;

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;

use super::registrar::Tell;

/// MPTCP's daemon and its plugin, and their packages.
pub(super) const MPTCPD: (&str, &str) = ("/usr/libexec/mptcpd", "mptcpd");
/// The plugin that has the kernel make a subflow from each address that comes.
pub(super) const MPTCPD_PLUGIN: (&str, &str) =
    ("/usr/lib/x86_64-linux-gnu/mptcpd/addr_adv.so", "mptcpd-plugins");

/// How soon the new address of a stranded host is told to the peer.
pub(super) fn reaction(tell: Tell<'_>) -> Result<()> {
    reaction::measure(tell)
}

/// What many associations cost.
pub(super) fn crowd(tell: Tell<'_>) -> Result<()> {
    crowd::measure(tell)
}

/// Holds so many associations with a server, until it is killed.
///
/// # Errors
/// An association cannot be had.
pub fn hold(local: IpAddr, server: SocketAddr, count: usize) -> Result<()> {
    crowd::hold(local, server, count)
}
