//! What the kernel says of an association, read through a duplicate of its socket.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

use sctp_sys::sockopt::{self, AssocId};

use crate::handover::{Binding, Facts, PathState};

/// Reads the association's lists.
///
/// # Errors
/// The association is gone (EINVAL, ENOTCONN), or the kernel's own.
pub fn read(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Facts> {
    let status = sockopt::status(fd, assoc)?;
    // A wildcard socket's association may list addresses that no path can use; they are not the planner's business.
    let local: BTreeSet<IpAddr> = sockopt::local_addrs(fd, assoc)?
        .iter()
        .map(SocketAddr::ip)
        .filter(|address| !confined(*address))
        .collect();
    let mut peers = Vec::new();
    for peer in sockopt::peer_addrs(fd, assoc)? {
        let state = match sockopt::peer_addr_info(fd, assoc, peer).map(|info| info.state) {
            Ok(sockopt::PathState::Active | sockopt::PathState::PotentiallyFailed) => PathState::Active,
            Ok(sockopt::PathState::Unconfirmed) => PathState::Unconfirmed,
            Ok(_) | Err(_) => PathState::Inactive,
        };
        peers.push((peer.ip(), state));
    }
    let stats = sockopt::assoc_stats(fd, assoc)?;
    Ok(Facts {
        local,
        peers,
        primary: status.primary.address.map(|address| address.ip()),
        // Not `pending`: those are the peer's TSNs that are missing here.
        unacknowledged: status.unacked > 0,
        sacks: stats.sacks_in,
        gaps: stats.gap_acks_in,
    })
}

/// Whether an address is valid on this host or link alone.
fn confined(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback() || address.is_link_local(),
        IpAddr::V6(address) => address.is_loopback() || address.is_unicast_link_local(),
    }
}

/// How the socket is bound. Only a socket bound to the wildcard address takes auto-ASCONF, so it is switched on for
/// an instant; there is no other way to ask about a socket that does not listen.
///
/// # Errors
/// The kernel's, if it is not its refusal.
pub fn binding(fd: BorrowedFd<'_>) -> io::Result<Binding> {
    if sockopt::auto_asconf(fd)? {
        return Ok(Binding::Wildcard);
    }
    match sockopt::set_auto_asconf(fd, true) {
        Ok(()) => {
            sockopt::set_auto_asconf(fd, false)?;
            Ok(Binding::Wildcard)
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Binding::Explicit),
        Err(error) => Err(error),
    }
}
