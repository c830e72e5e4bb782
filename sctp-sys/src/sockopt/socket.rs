//! Options of the socket that are not SCTP's own, but that SCTP's binding obeys.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::{AssocId, get, set};
use crate::abi::{self, IPPROTO_SCTP, Plain};
use crate::addr;
use crate::socket::Family;

fn flag(fd: BorrowedFd<'_>, level: i32, option: i32) -> io::Result<bool> {
    let mut v = 0i32;
    get(fd, level, option, &mut v)?;
    Ok(v != 0)
}

/// Whether other sockets of the same user may bind the same address and port (SO_REUSEPORT).
///
/// # Errors
/// The system's.
pub fn reuse_port(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT)
}

/// Sets [`reuse_port`]. A listener and its accepted sockets share a port: all need it before one of them
/// can bind more addresses.
///
/// # Errors
/// The system's.
pub fn set_reuse_port(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEPORT, &i32::from(on))
}

/// Whether addresses are reused while old associations linger (SO_REUSEADDR).
///
/// # Errors
/// The system's.
pub fn reuse_addr(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR)
}

/// Sets [`reuse_addr`].
///
/// # Errors
/// The system's.
pub fn set_reuse_addr(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &i32::from(on))
}

/// Whether addresses may be bound that the host does not have.
///
/// # Errors
/// The system's.
pub fn freebind(fd: BorrowedFd<'_>, family: Family) -> io::Result<bool> {
    match family {
        Family::V4 => flag(fd, libc::IPPROTO_IP, libc::IP_FREEBIND),
        Family::V6 => flag(fd, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND),
    }
}

/// Sets [`freebind`] for addresses of this family: IP_FREEBIND works on IPv6 sockets too.
///
/// # Errors
/// ENOPROTOOPT or EOPNOTSUPP: IPv6's on an IPv4 socket.
pub fn set_freebind(fd: BorrowedFd<'_>, family: Family, on: bool) -> io::Result<()> {
    match family {
        Family::V4 => set(fd, libc::IPPROTO_IP, libc::IP_FREEBIND, &i32::from(on)),
        Family::V6 => set(fd, libc::IPPROTO_IPV6, libc::IPV6_FREEBIND, &i32::from(on)),
    }
}

/// Whether an IPv6 socket takes no IPv4.
///
/// # Errors
/// The system's.
pub fn v6_only(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)
}

/// Sets [`v6_only`]; before binding.
///
/// # Errors
/// EINVAL: bound already.
pub fn set_v6_only(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(fd, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &i32::from(on))
}

/// Size of the receive buffer in octets as the kernel counts (twice what was asked for).
///
/// # Errors
/// The system's.
pub fn receive_buffer(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &mut v)?;
    Ok(v)
}

/// How many messages and notifications wait to be read at a socket, at most; those that the kernel has received and not
/// yet sorted among them. Reckoned from the octets that it says they take: there are far fewer as a rule.
///
/// # Errors
/// The system's.
pub fn unread_at_most(fd: BorrowedFd<'_>) -> io::Result<u64> {
    /// What the kernel counts for a message beside its own octets (its `sk_buff`), and for a notification, at least.
    const READABLE: u64 = 160;
    /// The shortest DATA chunk.
    const CHUNK: u64 = 20;
    let info = mem_info(fd)?;
    let octets = |index| u64::from(info.of(index));
    Ok(octets(libc::SK_MEMINFO_RMEM_ALLOC).div_ceil(READABLE)
        + octets(libc::SK_MEMINFO_BACKLOG).div_ceil(CHUNK))
}

/// Octets of the send buffer that are in use, as the kernel counts: what was sent over a socket and is not acknowledged
/// yet, with what it costs to keep. It falls with every chunk that is acknowledged.
///
/// # Errors
/// The system's.
pub fn unacknowledged(fd: BorrowedFd<'_>) -> io::Result<u32> {
    mem_info(fd).map(|info| info.of(libc::SK_MEMINFO_WMEM_QUEUED))
}

fn mem_info(fd: BorrowedFd<'_>) -> io::Result<MemInfo> {
    let mut v = MemInfo([0; 9]);
    get(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, &mut v)?;
    Ok(v)
}

#[derive(Clone, Copy)]
#[repr(C)]
struct MemInfo([u32; 9]);

impl MemInfo {
    fn of(&self, index: i32) -> u32 {
        usize::try_from(index).ok().and_then(|index| self.0.get(index)).copied().unwrap_or(0)
    }
}

// SAFETY: nine integers.
unsafe impl Plain for MemInfo {}

/// Asks for a receive buffer of so many octets; the kernel doubles and bounds it.
///
/// # Errors
/// The system's.
pub fn set_receive_buffer(fd: BorrowedFd<'_>, octets: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &octets)
}

/// Size of the send buffer in octets as the kernel counts (twice what was asked for).
///
/// # Errors
/// The system's.
pub fn send_buffer(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &mut v)?;
    Ok(v)
}

/// Asks for a send buffer of so many octets; the kernel doubles and bounds it.
///
/// # Errors
/// The system's.
pub fn set_send_buffer(fd: BorrowedFd<'_>, octets: u32) -> io::Result<()> {
    set(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &octets)
}

/// On: close waits up to `seconds` for the shutdown; with 0 it aborts. `None`: off.
///
/// # Errors
/// The system's.
pub fn set_linger(fd: BorrowedFd<'_>, seconds: Option<u16>) -> io::Result<()> {
    let value = Linger { onoff: i32::from(seconds.is_some()), seconds: seconds.unwrap_or(0).into() };
    set(fd, libc::SOL_SOCKET, libc::SO_LINGER, &value)
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Linger {
    onoff: i32,
    seconds: i32,
}
// SAFETY: two integers.
unsafe impl Plain for Linger {}

/// The error that waits at the socket, which this takes away.
///
/// # Errors
/// The system's, when asking fails.
pub fn take_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let mut v = 0i32;
    get(fd, libc::SOL_SOCKET, libc::SO_ERROR, &mut v)?;
    Ok((v != 0).then(|| io::Error::from_raw_os_error(v)))
}

/// The protocol of a socket (SO_PROTOCOL); [`IPPROTO_SCTP`] for SCTP.
///
/// # Errors
/// ENOTSOCK: no socket.
pub fn protocol(fd: BorrowedFd<'_>) -> io::Result<i32> {
    let mut v = 0i32;
    get(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL, &mut v)?;
    Ok(v)
}

/// The type of a socket: SOCK_STREAM for one-to-one, SOCK_SEQPACKET for one-to-many.
///
/// # Errors
/// ENOTSOCK: no socket.
pub fn socket_type(fd: BorrowedFd<'_>) -> io::Result<i32> {
    let mut v = 0i32;
    get(fd, libc::SOL_SOCKET, libc::SO_TYPE, &mut v)?;
    Ok(v)
}

/// The address family of a socket.
///
/// # Errors
/// ENOTSOCK: no socket; an error of kind `InvalidData` for one that is neither IPv4 nor IPv6.
pub fn domain(fd: BorrowedFd<'_>) -> io::Result<Family> {
    let mut v = 0i32;
    get(fd, libc::SOL_SOCKET, libc::SO_DOMAIN, &mut v)?;
    match v {
        libc::AF_INET => Ok(Family::V4),
        libc::AF_INET6 => Ok(Family::V6),
        other => Err(super::nonsense(format_args!("address family {other}"))),
    }
}

/// The UDP port that packets to this peer are wrapped in; 0: not wrapped (RFC 6951, 6.1).
///
/// # Errors
/// EINVAL: no such association; ENOENT: no such address.
pub fn udp_encapsulation(fd: BorrowedFd<'_>, assoc: AssocId, peer: Option<SocketAddr>) -> io::Result<u16> {
    let mut v = abi::UdpEncaps { assoc_id: assoc, address: addr::to_storage(peer), ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_REMOTE_UDP_ENCAPS_PORT, &mut v)?;
    Ok(u16::from_be(v.port))
}

/// Sets [`udp_encapsulation`] for one address, or for all.
///
/// # Errors
/// As [`udp_encapsulation`].
pub fn set_udp_encapsulation(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    peer: Option<SocketAddr>,
    port: u16,
) -> io::Result<()> {
    let v = abi::UdpEncaps { assoc_id: assoc, address: addr::to_storage(peer), port: port.to_be() };
    set(fd, IPPROTO_SCTP, abi::SCTP_REMOTE_UDP_ENCAPS_PORT, &v)
}
