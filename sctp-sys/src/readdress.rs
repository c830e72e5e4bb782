//! Changing the addresses of an association by socket options alone (RFC 5061).
//!
//! bindx changes an endpoint and, where Add-IP is on, all of its associations: each is asked for by an ASCONF, of
//! which the kernel sends one at a time. These are the ways around what bindx alone cannot do.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::BorrowedFd;

use crate::socket::Family;
use crate::sockopt::{self, AssocId, FUTURE_ASSOC};

/// Whether the association can be changed at all: both ends had Add-IP and AUTH on when it began (RFC 5061,
/// section 4.2.7), which shows in what the peer wants authenticated.
///
/// # Errors
/// The kernel's.
pub fn is_possible(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    const ASCONF: u8 = 0xc1;
    match sockopt::peer_auth_chunks(fd, assoc) {
        Ok(chunks) => Ok(chunks.contains(&ASCONF)),
        // AUTH is off at this end: the kernel refuses to say what the peer wants.
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has an association, and the others of its endpoint, move to these addresses, the likeliest first, from whatever
/// addresses they have. Returns whether all of that is under way; else, of what was asked for, perhaps a part is.
///
/// Where one of the association's addresses stays, the others are added and removed. Where none stays, its only address
/// is [swapped](swap): the association is mute then until the peer has accepted the new one, and **two mute ends never
/// speak again**, so that this is for one end only, which both have to know. Of several addresses that are all lost
/// none can be removed.
///
/// # Errors
/// The kernel's, of the step that failed.
pub fn follow(fd: BorrowedFd<'_>, assoc: AssocId, wanted: &[IpAddr]) -> io::Result<bool> {
    if !is_possible(fd, assoc)? {
        return Ok(false);
    }
    let own = sockopt::local_addrs(fd, assoc)?;
    let Some(port) = own.first().map(SocketAddr::port) else { return Ok(false) };
    let own: Vec<IpAddr> = own.iter().map(SocketAddr::ip).collect();
    let (kept, lost): (Vec<IpAddr>, Vec<IpAddr>) = own.iter().partition(|address| wanted.contains(address));
    let mut has = own;
    if kept.is_empty() {
        let [old] = lost[..] else { return Ok(false) };
        let Some(&new) = wanted.iter().find(|new| new.is_ipv4() == old.is_ipv4()) else { return Ok(false) };
        swap(fd, assoc, old, new, port)?;
        has.push(new);
    }
    let peers = sockopt::peer_addrs(fd, assoc)?;
    let mut whole = true;
    for &address in wanted.iter().filter(|address| !has.contains(address)) {
        // A peer without the family would refuse it.
        if peers.iter().any(|peer| peer.is_ipv4() == address.is_ipv4()) {
            ask_to_add(fd, assoc, address, port)?;
        } else {
            whole = false;
        }
    }
    if !kept.is_empty() {
        for address in lost {
            ask_to_remove(fd, assoc, address, port)?;
        }
    }
    Ok(whole)
}

/// Adds an address to the endpoint, and so to its associations. One that is already there is no error.
///
/// # Errors
/// EADDRNOTAVAIL: the host does not have it; EADDRINUSE: another socket has it.
pub fn add(fd: BorrowedFd<'_>, address: IpAddr, port: u16) -> io::Result<()> {
    let wanted = SocketAddr::new(address, port);
    match sockopt::bindx_add(fd, &[wanted]) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && is_bound(fd, address)? => Ok(()),
        result => result,
    }
}

/// Removes an address from the endpoint, and so from its associations. One that is not there is no error.
///
/// # Errors
/// EBUSY: it is the only one.
pub fn remove(fd: BorrowedFd<'_>, address: IpAddr, port: u16) -> io::Result<()> {
    match sockopt::bindx_remove(fd, &[SocketAddr::new(address, port)]) {
        // EBUSY: whichever it is, the kernel looks first whether another would be left.
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBUSY))
                && !is_bound(fd, address)? =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Makes the association ask its peer for the address. One that only the endpoint has (its deletion was answered after
/// it had come back) is taken from that silently first: bindx asks for nothing that is bound already.
///
/// # Errors
/// As [`add`]; EBUSY: the endpoint has no other.
pub fn ask_to_add(fd: BorrowedFd<'_>, assoc: AssocId, address: IpAddr, port: u16) -> io::Result<()> {
    if has(fd, assoc, address)? {
        return Ok(());
    }
    if is_bound(fd, address)? {
        silently(fd, || remove(fd, address, port))?;
    }
    add(fd, address, port)
}

/// Makes the association ask its peer to forget the address. One that the endpoint no longer has (an earlier deletion
/// was refused) is given to that silently first: bindx deletes nothing that is not bound.
///
/// # Errors
/// As [`remove`].
pub fn ask_to_remove(fd: BorrowedFd<'_>, assoc: AssocId, address: IpAddr, port: u16) -> io::Result<()> {
    if !has(fd, assoc, address)? {
        return Ok(());
    }
    if !is_bound(fd, address)? {
        freely(fd, address, || silently(fd, || add(fd, address, port)))?;
    }
    remove(fd, address, port)
}

/// Break-before-make by socket options alone; the endpoint gets a spare address of
/// which the association learns nothing, so that its only address may be removed (which the kernel parks) before the
/// new one is added; the Set Primary is an ASCONF that is accepted whole and ends the muteness; the last step deletes
/// the old address for certain.
///
/// # Errors
/// The kernel's, of the step that failed; the endpoint is left with the new address if that was added.
pub fn swap(fd: BorrowedFd<'_>, assoc: AssocId, old: IpAddr, new: IpAddr, port: u16) -> io::Result<()> {
    let spare: IpAddr = match old {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    silently(fd, || add(fd, spare, port))?;
    remove(fd, old, port)?;
    let added =
        add(fd, new, port).and_then(|()| sockopt::set_peer_primary(fd, assoc, SocketAddr::new(new, port)));
    let back = freely(fd, old, || {
        silently(fd, || {
            remove(fd, spare, port)?;
            add(fd, old, port)
        })
    });
    added?;
    back?;
    remove(fd, old, port)
}

/// Puts an endpoint in order whose last change was broken off, as when the process died that made it: Add-IP is on again,
/// and the endpoint has no address that its association lacks, such as the spare one of a [swap](swap()). For a socket
/// with one association.
///
/// # Errors
/// The kernel's.
pub fn mend(fd: BorrowedFd<'_>, assoc: AssocId, port: u16) -> io::Result<()> {
    for bound in sockopt::local_addrs(fd, FUTURE_ASSOC)? {
        if !has(fd, assoc, bound.ip())? {
            match silently(fd, || remove(fd, bound.ip(), port)) {
                // It has no other: the change goes on from here.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
                result => result?,
            }
        }
    }
    if sockopt::asconf_supported(fd, FUTURE_ASSOC)? {
        return Ok(());
    }
    sockopt::set_asconf_supported(fd, FUTURE_ASSOC, true)
}

/// Changes the endpoint without a word to its associations' peers.
fn silently(fd: BorrowedFd<'_>, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    sockopt::set_asconf_supported(fd, FUTURE_ASSOC, false)?;
    let result = act();
    sockopt::set_asconf_supported(fd, FUTURE_ASSOC, true)?;
    result
}

/// Binds addresses that the host does not have.
fn freely(fd: BorrowedFd<'_>, address: IpAddr, act: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let free = sockopt::freebind(fd, family)?;
    sockopt::set_freebind(fd, family, true)?;
    let result = act();
    sockopt::set_freebind(fd, family, free)?;
    result
}

fn has(fd: BorrowedFd<'_>, assoc: AssocId, address: IpAddr) -> io::Result<bool> {
    Ok(sockopt::local_addrs(fd, assoc)?.iter().any(|own| own.ip() == address))
}

fn is_bound(fd: BorrowedFd<'_>, address: IpAddr) -> io::Result<bool> {
    Ok(sockopt::local_addrs(fd, FUTURE_ASSOC)?.iter().any(|bound| bound.ip() == address))
}
