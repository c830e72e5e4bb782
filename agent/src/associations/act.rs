//! A planner's actions as socket options. The duplicate is open for as long as one of these functions runs: while it
//! is open, the program's close would send nothing.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

pub use sctp_sys::readdress::{add, ask_to_add, ask_to_remove, mend, remove, swap};
use sctp_sys::sockopt::{self, AssocId, AssocParams, PeerAddrParams, RtoInfo};

use crate::handover::Timers;

/// RTO.max in milliseconds of an association that works: after an outage no timer is farther away than that.
const CALM_RTO_MAX: u32 = 1_000;
/// RTO.max in milliseconds while no address is usable.
const STRANDED_RTO_MAX: u32 = 200;
/// RTO.max in milliseconds while an ASCONF is under way: as soon as the peer's present address is known, the ASCONF
/// goes there.
const MOVING_RTO_MAX: u32 = 48;
/// How much more than one retransmission per RTO.max an association suffers while offline: heartbeats count, too.
const STRIKES_PER_RTO: u32 = 3;

/// What adoption found and release puts back.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// RTO in milliseconds: initial, minimum, maximum.
    pub rto: (u32, u32, u32),
    /// Association.Max.Retrans.
    pub retransmissions: u16,
    /// Path.Max.Retrans.
    pub path_retransmissions: u16,
    /// The program had auto-ASCONF on.
    pub auto_asconf: bool,
    /// The program may bind addresses that the host does not have, of its socket's family.
    #[serde(default)]
    pub free_binding: bool,
}

/// Reads what adoption is going to change.
///
/// # Errors
/// The kernel's.
pub fn found(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Found> {
    let rto = sockopt::rto_info(fd, assoc)?;
    Ok(Found {
        rto: (rto.initial, rto.min, rto.max),
        retransmissions: sockopt::assoc_params(fd, assoc)?.max_retransmissions,
        path_retransmissions: sockopt::peer_addr_params(fd, assoc, None)?.path_max_retransmissions,
        auto_asconf: sockopt::auto_asconf(fd)?,
        free_binding: sockopt::freebind(fd, sockopt::domain(fd)?)?,
    })
}

/// Makes an association survive `offline_seconds` without a usable address.
///
/// # Errors
/// The kernel's.
pub fn tune(fd: BorrowedFd<'_>, assoc: AssocId, found: &Found, offline_seconds: u64) -> io::Result<()> {
    let strikes =
        offline_seconds.saturating_mul(1_000) / u64::from(CALM_RTO_MAX) * u64::from(STRIKES_PER_RTO);
    retransmissions(fd, assoc, u16::try_from(strikes).unwrap_or(u16::MAX).max(found.retransmissions))?;
    timers(fd, assoc, found, Timers::Calm, offline_seconds)
}

/// Puts back what [`found`] read.
///
/// # Errors
/// The kernel's.
pub fn restore(fd: BorrowedFd<'_>, assoc: AssocId, found: &Found) -> io::Result<()> {
    let (initial, min, max) = found.rto;
    sockopt::set_rto_info(fd, assoc, RtoInfo { initial, min, max })?;
    sockopt::set_assoc_params(
        fd,
        assoc,
        AssocParams { max_retransmissions: found.retransmissions, ..Default::default() },
    )?;
    let path = PeerAddrParams { path_max_retransmissions: found.path_retransmissions, ..Default::default() };
    sockopt::set_peer_addr_params(fd, assoc, &path)?;
    if sockopt::auto_asconf(fd)? != found.auto_asconf {
        sockopt::set_auto_asconf(fd, found.auto_asconf)?;
    }
    let family = sockopt::domain(fd)?;
    if sockopt::freebind(fd, family)? != found.free_binding {
        sockopt::set_freebind(fd, family, found.free_binding)?;
    }
    Ok(())
}

/// Sets the timers and, while the path is down, makes the kernel know it: a path that is down is retransmitted on
/// at once when it answers again, one that is merely late waits for its timer.
///
/// # Errors
/// The kernel's.
pub fn timers(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    found: &Found,
    timers: Timers,
    offline_seconds: u64,
) -> io::Result<()> {
    let max = match timers {
        Timers::Calm => CALM_RTO_MAX,
        Timers::Stranded => STRANDED_RTO_MAX,
        Timers::Moving => MOVING_RTO_MAX,
    };
    let (initial, min, program_max) = found.rto;
    let max = max.min(program_max);
    sockopt::set_rto_info(fd, assoc, RtoInfo { initial: initial.min(max.max(1)), min: min.min(max), max })?;
    let strikes = offline_seconds.saturating_mul(1_000) / u64::from(max.max(1)) * u64::from(STRIKES_PER_RTO);
    retransmissions(fd, assoc, u16::try_from(strikes).unwrap_or(u16::MAX).max(found.retransmissions))?;
    if timers != Timers::Calm {
        for peer in sockopt::peer_addrs(fd, assoc)? {
            mark_down(fd, assoc, peer)?;
        }
    }
    Ok(())
}

/// The limits, path first: with several paths the kernel refuses a limit of the association above the sum of the paths'.
fn retransmissions(fd: BorrowedFd<'_>, assoc: AssocId, limit: u16) -> io::Result<()> {
    let path = PeerAddrParams { path_max_retransmissions: limit, ..Default::default() };
    sockopt::set_peer_addr_params(fd, assoc, &path)?;
    sockopt::set_assoc_params(fd, assoc, AssocParams { max_retransmissions: limit, ..Default::default() })
}

/// Gives a path up by unanswered heartbeats: the first marks one as outstanding, each further one is a strike.
fn mark_down(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr) -> io::Result<()> {
    let before = sockopt::peer_addr_params(fd, assoc, Some(peer))?.path_max_retransmissions;
    let limit =
        |value| PeerAddrParams { address: Some(peer), path_max_retransmissions: value, ..Default::default() };
    sockopt::set_peer_addr_params(fd, assoc, &limit(1))?;
    for _ in 0..3 {
        sockopt::heartbeat_now(fd, assoc, peer)?;
    }
    sockopt::set_peer_addr_params(fd, assoc, &limit(before.max(1)))
}

/// Asks the peer to send to this own address (set primary, RFC 5061, section 4.2.4), without crashing the kernel.
///
/// When it looks at address events (Linux up to 6.12 at least, `sctp_addr_wq_timeout_handler`), it does not ask whether
/// a process is in the middle of a call on the socket: the ASCONF that it makes then goes into the packet in which the
/// one made here has not quite left, whose AUTH chunk is freed already. The two together are a use of freed memory, with
/// fifty associations every few hundred moves. So the socket does not look meanwhile; an event that it misses is asked for
/// again.
///
/// # Errors
/// The kernel's.
pub fn ask_to_prefer(fd: BorrowedFd<'_>, assoc: AssocId, own: SocketAddr) -> io::Result<()> {
    if !sockopt::auto_asconf(fd)? {
        return sockopt::set_peer_primary(fd, assoc, own);
    }
    sockopt::set_auto_asconf(fd, false)?;
    let asked = sockopt::set_peer_primary(fd, assoc, own);
    sockopt::set_auto_asconf(fd, true)?;
    asked
}

/// Makes the kernel send what waits for a distant timer to `peer`, where the peer is now.
///
/// If that is its only path, the path counts as down until the next heartbeat is answered, and then everything is
/// retransmitted at once. Else the other paths are given up if the peer has `left` them, or if they have already timed
/// out (their congestion window has fallen to one packet), so that retransmissions take this one; and this one is made primary once more: where
/// the primary has just changed with data under way, the kernel takes no missing report for what was sent to the old
/// one (the changeover-aware congestion control of SFR-CACC), until the same address is set again.
///
/// # Errors
/// The kernel's.
pub fn nudge(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr, left: bool) -> io::Result<()> {
    let mut others = sockopt::peer_addrs(fd, assoc)?;
    others.retain(|other| *other != peer);
    if others.is_empty() {
        return mark_down(fd, assoc, peer);
    }
    let mut given_up = false;
    for other in others {
        let info = sockopt::peer_addr_info(fd, assoc, other)?;
        if left || info.cwnd <= info.mtu {
            mark_down(fd, assoc, other)?;
            given_up = true;
        }
    }
    if given_up { sockopt::set_primary(fd, assoc, peer) } else { Ok(()) }
}

/// Makes `peer` the primary path. Where the paths of the other family lead nowhere (`alone`), they are given up, so that what
/// waits is sent again to `peer`, and at once: set a second time, the primary path is no changeover any more (see
/// [`nudge`]).
///
/// # Errors
/// The kernel's.
pub fn send_to(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr, alone: bool) -> io::Result<()> {
    sockopt::set_primary(fd, assoc, peer)?;
    if !alone {
        return Ok(());
    }
    for other in sockopt::peer_addrs(fd, assoc)? {
        if other.is_ipv6() != peer.is_ipv6() {
            mark_down(fd, assoc, other)?;
        }
    }
    sockopt::set_primary(fd, assoc, peer)
}
