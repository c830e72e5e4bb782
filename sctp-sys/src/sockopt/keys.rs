//! Shared keys of AUTH (RFC 4895; RFC 6458, 8.1.17, 8.3): which one authenticates what an end sends.
//!
//! Both ends set the same key under the same number, then one end begins to send with it. Key 0 is there always; empty
//! at first, it is the one that ASCONF is sent with where nobody sets another.

use std::io;
use std::os::fd::BorrowedFd;

use super::{AssocId, get, get_bytes, nonsense, set, set_bytes};
use crate::abi::{self, IPPROTO_SCTP, Plain};

/// How chunks are authenticated (RFC 4895, 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hmac {
    /// HMAC with SHA-1. Each end has to offer it.
    Sha1,
    /// HMAC with SHA-256.
    Sha256,
    /// A number that is none of these.
    Other(u16),
}

impl Hmac {
    const fn from_raw(raw: u16) -> Self {
        match raw as i32 {
            abi::SCTP_AUTH_HMAC_ID_SHA1 => Self::Sha1,
            abi::SCTP_AUTH_HMAC_ID_SHA256 => Self::Sha256,
            _ => Self::Other(raw),
        }
    }

    const fn to_raw(self) -> u16 {
        match self {
            Self::Sha1 => abi::SCTP_AUTH_HMAC_ID_SHA1 as u16,
            Self::Sha256 => abi::SCTP_AUTH_HMAC_ID_SHA256 as u16,
            Self::Other(raw) => raw,
        }
    }
}

/// Sets the key of this number, at the endpoint and for its future associations, or for one association.
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: no such association, or a key of more than 65,535 octets.
pub fn set_auth_key(fd: BorrowedFd<'_>, assoc: AssocId, number: u16, key: &[u8]) -> io::Result<()> {
    let length = u16::try_from(key.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut bytes = Vec::with_capacity(size_of::<abi::AuthKey>() + key.len().max(1));
    bytes.extend_from_slice(&assoc.to_ne_bytes());
    bytes.extend_from_slice(&number.to_ne_bytes());
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(key);
    if key.is_empty() {
        // The kernel takes no header alone, even where the length in it says that nothing follows.
        bytes.push(0);
    }
    set_bytes(fd, abi::SCTP_AUTH_KEY, &bytes).map(drop)
}

/// The key that is sent with.
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: no such association.
pub fn active_auth_key(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<u16> {
    let mut v = abi::AuthKeyId { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_AUTH_ACTIVE_KEY, &mut v)?;
    Ok(v.keynumber)
}

/// Sends with the key of this number from now on.
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: no such association, or no such key.
pub fn set_active_auth_key(fd: BorrowedFd<'_>, assoc: AssocId, number: u16) -> io::Result<()> {
    key_option(fd, abi::SCTP_AUTH_ACTIVE_KEY, assoc, number)
}

/// Gives a key up for what is still to be sent: once all that was sent with it is acknowledged, SCTP_AUTH_FREE_KEY is
/// notified, and it can be deleted (RFC 6458, 8.3.4).
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: no such association or key, or the active one.
pub fn deactivate_auth_key(fd: BorrowedFd<'_>, assoc: AssocId, number: u16) -> io::Result<()> {
    key_option(fd, abi::SCTP_AUTH_DEACTIVATE_KEY, assoc, number)
}

/// Deletes a key.
///
/// # Errors
/// As [`deactivate_auth_key`].
pub fn delete_auth_key(fd: BorrowedFd<'_>, assoc: AssocId, number: u16) -> io::Result<()> {
    key_option(fd, abi::SCTP_AUTH_DELETE_KEY, assoc, number)
}

fn key_option(fd: BorrowedFd<'_>, option: i32, assoc: AssocId, number: u16) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, option, &abi::AuthKeyId { assoc_id: assoc, keynumber: number })
}

/// The algorithms that this endpoint takes, its favourite first (RFC 6458, 8.1.17).
///
/// # Errors
/// EACCES: AUTH is off.
pub fn hmac_algorithms(fd: BorrowedFd<'_>) -> io::Result<Vec<Hmac>> {
    const HEADER: usize = size_of::<abi::HmacAlgo>();
    // RFC 4895 has two, and numbers up to 65,535; the kernel has four places.
    let mut bytes = vec![0; HEADER + 2 * 16];
    get_bytes(fd, abi::SCTP_HMAC_IDENT, &mut bytes)?;
    let (count, idents) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or_else(|| nonsense("a list of algorithms without its header"))?;
    let idents = idents.chunks_exact(2).take(u32::from_ne_bytes(*count) as usize);
    Ok(idents.map(|raw| Hmac::from_raw(u16::from_ne_bytes([raw[0], raw[1]]))).collect())
}

/// Sets which algorithms this endpoint takes in future associations, its favourite first. SHA-1 has to be one of them.
///
/// # Errors
/// EACCES: AUTH is off; EINVAL: none, unknown ones, or no SHA-1; EOPNOTSUPP: SHA-1 is missing.
pub fn set_hmac_algorithms(fd: BorrowedFd<'_>, algorithms: &[Hmac]) -> io::Result<()> {
    let count = u32::try_from(algorithms.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut bytes = count.to_ne_bytes().to_vec();
    bytes.extend(algorithms.iter().flat_map(|algorithm| algorithm.to_raw().to_ne_bytes()));
    set_bytes(fd, abi::SCTP_HMAC_IDENT, &bytes).map(drop)
}
