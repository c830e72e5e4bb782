//! Addresses of an endpoint and of an association, and what the peer is asked to do with them (RFC 5061).

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::{AssocId, get, get_slice, nonsense, set, set_bytes};
use crate::abi::{self, IPPROTO_SCTP, Plain};
use crate::addr;

/// Binds more addresses (RFC 6458, 9.1). Associations whose peer can take it are told by ASCONF.
///
/// # Errors
/// EINVAL: bound already, or the endpoint is bound to the wildcard, or another port than the bound one;
/// EADDRNOTAVAIL: not on this host (see [`set_freebind`](super::set_freebind)); EADDRINUSE: another
/// socket's (see [`set_reuse_port`](super::set_reuse_port)); EACCES: a port below 1024.
pub fn bindx_add(fd: BorrowedFd<'_>, addrs: &[SocketAddr]) -> io::Result<()> {
    set_bytes(fd, abi::SCTP_SOCKOPT_BINDX_ADD, &addr::pack(addrs)).map(drop)
}

/// Gives addresses up (RFC 6458, 9.1). Associations whose peer can take it are told by ASCONF.
///
/// # Errors
/// EBUSY: it is the endpoint's last address; EINVAL: not bound.
pub fn bindx_remove(fd: BorrowedFd<'_>, addrs: &[SocketAddr]) -> io::Result<()> {
    set_bytes(fd, abi::SCTP_SOCKOPT_BINDX_REM, &addr::pack(addrs)).map(drop)
}

/// The addresses of this end of an association, or with [`FUTURE_ASSOC`](super::FUTURE_ASSOC) those of
/// the endpoint (for a wildcard: all of the host), **also on one-to-one sockets**: there
/// [`status`](super::status) tells the association's number. An address being added is listed from the
/// call on, one being deleted until the peer's answer. IPv4-mapped addresses are returned as IPv4.
///
/// # Errors
/// EINVAL: no such association.
pub fn local_addrs(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
    get_addrs(fd, abi::SCTP_GET_LOCAL_ADDRS, assoc)
}

/// The peer's addresses. IPv4-mapped addresses are returned as IPv4.
///
/// # Errors
/// EINVAL: no such association.
pub fn peer_addrs(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
    get_addrs(fd, abi::SCTP_GET_PEER_ADDRS, assoc)
}

fn get_addrs(fd: BorrowedFd<'_>, option: i32, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
    const HEADER: usize = size_of::<abi::GetAddrs>();
    // The kernel allocates a buffer of the size given: begin small, grow while it says that it is too small.
    let mut room = 1 << 10;
    loop {
        let mut buffer = vec![0; HEADER + room];
        buffer[..4].copy_from_slice(&assoc.to_ne_bytes());
        // The length that the kernel names leaves out the header for one end's addresses and not for the other's;
        // the count is right for both.
        match get_slice(fd, option, &mut buffer) {
            Ok(_) => {
                let count =
                    buffer.get(4..HEADER).and_then(|b| b.first_chunk()).copied().map(u32::from_ne_bytes);
                let count = count.ok_or_else(|| nonsense("an address list without its header"))?;
                return addr::unpack(&buffer[HEADER..], count as usize).map_err(nonsense);
            }
            Err(e) if e.raw_os_error() == Some(libc::ENOMEM) && room < 1 << 20 => room *= 4,
            Err(e) => return Err(e),
        }
    }
}

/// Asks the peer to send to this own address (ASCONF Set Primary; RFC 6458, 8.3.1). May follow
/// [`bindx_add`] at once: the ASCONFs are sent in order.
///
/// # Errors
/// EPERM: Add-IP is off at the socket or the peer cannot take it; ENOTCONN: not established;
/// EADDRNOTAVAIL: the address is not the association's; EINVAL: no such association.
pub fn set_peer_primary(fd: BorrowedFd<'_>, assoc: AssocId, own: SocketAddr) -> io::Result<()> {
    let value = abi::SetPeerPrimary { assoc_id: assoc, addr: addr::to_storage(Some(own)) };
    set(fd, IPPROTO_SCTP, abi::SCTP_SET_PEER_PRIMARY_ADDR, &value)
}

/// Chooses which of the peer's addresses data goes to (RFC 6458, 8.1.9).
///
/// # Errors
/// EINVAL: no such association, or the address is not the peer's.
pub fn set_primary(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr) -> io::Result<()> {
    let value = abi::Primary { assoc_id: assoc, addr: addr::to_storage(Some(peer)) };
    set(fd, IPPROTO_SCTP, abi::SCTP_PRIMARY_ADDR, &value)
}

/// The peer's address that data goes to.
///
/// # Errors
/// EINVAL: no such association.
pub fn primary(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<SocketAddr> {
    let mut value = abi::Primary { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_PRIMARY_ADDR, &mut value)?;
    addr::from_storage(value.addr).ok_or_else(|| nonsense("a primary path without an address"))
}

/// Whether the kernel follows the host's addresses by itself (wildcard sockets only).
///
/// # Errors
/// The system's.
pub fn auto_asconf(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut value = 0i32;
    get(fd, IPPROTO_SCTP, abi::SCTP_AUTO_ASCONF, &mut value)?;
    Ok(value != 0)
}

/// Lets the kernel follow the host's addresses by itself (RFC 6458, 8.1.23). It acts up to 500 ms late.
///
/// # Errors
/// EINVAL: the endpoint is not bound to the wildcard.
pub fn set_auto_asconf(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_AUTO_ASCONF, &i32::from(on))
}
