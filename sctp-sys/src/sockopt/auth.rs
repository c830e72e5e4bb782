//! What an endpoint and its peer are able to do: Add-IP (RFC 5061) and AUTH (RFC 4895).

use std::io;
use std::os::fd::BorrowedFd;

use super::{AssocId, get, get_bytes, nonsense, set};
use crate::abi::{self, IPPROTO_SCTP, Plain};

pub(super) fn assoc_value(fd: BorrowedFd<'_>, option: i32, assoc: AssocId) -> io::Result<u32> {
    let mut v = abi::AssocValue { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, option, &mut v)?;
    Ok(v.value)
}

pub(super) fn set_assoc_value(fd: BorrowedFd<'_>, option: i32, assoc: AssocId, value: u32) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, option, &abi::AssocValue { assoc_id: assoc, value })
}

/// Whether Add-IP is on: negotiated for an association, or at the endpoint for future ones.
///
/// # Errors
/// EINVAL: no such association.
pub fn asconf_supported(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_ASCONF_SUPPORTED, assoc).map(|v| v != 0)
}

/// Switches Add-IP at the endpoint, whatever association is named. While it is off, bindx changes the
/// endpoint alone and no peer is told.
///
/// # Errors
/// EINVAL: no such association.
pub fn set_asconf_supported(fd: BorrowedFd<'_>, assoc: AssocId, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_ASCONF_SUPPORTED, assoc, on.into())
}

/// Whether AUTH is on: negotiated for an association, or at the endpoint for future ones.
///
/// # Errors
/// EINVAL: no such association.
pub fn auth_supported(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_AUTH_SUPPORTED, assoc).map(|v| v != 0)
}

/// Switches AUTH at the endpoint, for future associations.
///
/// # Errors
/// EINVAL: no such association, or AUTH is in use by one.
pub fn set_auth_supported(fd: BorrowedFd<'_>, assoc: AssocId, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_AUTH_SUPPORTED, assoc, on.into())
}

/// The chunk types that the peer wants authenticated (RFC 6458, 8.2.3). ASCONF (0xC1) among them shows
/// that it speaks Add-IP.
///
/// # Errors
/// EACCES: AUTH is off at this endpoint or association; EINVAL: no such association.
pub fn peer_auth_chunks(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Vec<u8>> {
    auth_chunks(fd, abi::SCTP_PEER_AUTH_CHUNKS, assoc)
}

/// The chunk types that this end wants authenticated (RFC 6458, 8.2.4).
///
/// # Errors
/// As [`peer_auth_chunks`].
pub fn local_auth_chunks(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Vec<u8>> {
    auth_chunks(fd, abi::SCTP_LOCAL_AUTH_CHUNKS, assoc)
}

fn auth_chunks(fd: BorrowedFd<'_>, option: i32, assoc: AssocId) -> io::Result<Vec<u8>> {
    const HEADER: usize = size_of::<abi::AuthChunks>();
    // There are 256 chunk types.
    let mut buffer = vec![0; HEADER + 256];
    buffer[..4].copy_from_slice(&assoc.to_ne_bytes());
    get_bytes(fd, option, &mut buffer)?;
    let count = buffer.get(4..HEADER).and_then(|b| b.first_chunk()).copied().map(u32::from_ne_bytes);
    let count = count.ok_or_else(|| nonsense("a list of chunks without its header"))? as usize;
    Ok(buffer[HEADER..].iter().take(count).copied().collect())
}

/// Adds a chunk type that the peer shall authenticate, for future associations (RFC 6458, 8.3.2).
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: INIT, INIT-ACK, SHUTDOWN-COMPLETE or AUTH itself.
pub fn add_auth_chunk(fd: BorrowedFd<'_>, chunk: u8) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_AUTH_CHUNK, &abi::AuthChunk { chunk })
}
