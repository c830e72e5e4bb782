//! Cookies (RFC 5352 §2.2.11, §3.8): an element's state of a session, sealed by the library under the pool's key, kept
//! by the user, and opened by the next element.
//!
//! The format is private, as the RFC leaves it. All numbers are big-endian.
//!
//! | offset | octets | |
//! |---|---|---|
//! | 0 | 4 | `RSC1` |
//! | 4 | 2 | length of the whole cookie |
//! | 6 | 2 | 0 |
//! | 8 | 4 | identifier of the key |
//! | 12 | 8 | messages of the session that the state includes |
//! | 20 | 8 | messages that the element had sent |
//! | 28 | 24 | nonce |
//! | 52 | | XChaCha20-Poly1305 of the rest, with octets 0 to 27 as associated data, and its tag of 16 octets |
//!
//! Sealed are: the session (24 octets), the cookie's number in the session (8), milliseconds since 1970 when it was
//! made (8), the identifier of the element that made it (4), pool handle and user, each behind its length (2), and the
//! service's state.
//!
//! The user side reads nothing of it but the two [`Counts`], to know what need not be sent again.

use std::fmt;

use thiserror::Error;

use super::key::{KeyRing, NONCE, TAG};
use crate::wire::{PoolHandle, Reader};

const MAGIC: [u8; 4] = *b"RSC1";
const CLEAR: usize = 28;
const HEADER: usize = CLEAR + NONCE;

/// Octets of a sealed cookie beyond handle, user and state.
pub const OVERHEAD: usize = HEADER + NONCE + 8 + 8 + 4 + 2 + 2 + TAG;

/// The most octets of a cookie that fit into a message.
pub const MAX: usize = 65_527;

/// A session's name, the same at all its elements. Users do not see it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; NONCE]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How far a session has come, as its elements count: over all of them, without what a user sent to the next one
/// although an earlier one had received it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages of the user that have gone into the state.
    pub received: u64,
    /// Messages that had been sent to the user.
    pub sent: u64,
}

/// What a cookie holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The session.
    pub session: SessionId,
    /// The cookie's number in the session: 1 and more, rising.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub issued: u64,
    /// The identifier of the element that made it.
    pub issuer: u32,
    /// How far the session had come.
    pub counts: Counts,
    /// The service's own.
    pub state: Vec<u8>,
}

/// Why a cookie was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
pub enum Refusal {
    /// It does not begin as cookies of this library do: another element's or another library's.
    #[error("it is not a cookie of this library")]
    Foreign,
    /// Its length is not what it says.
    #[error("it is cut short, or something was added")]
    Truncated,
    /// It is longer than is allowed here.
    #[error("it is too long")]
    TooLong,
    /// It names a key that is not known here.
    #[error("its key is not known")]
    UnknownKey,
    /// It was not sealed by the key that it names, or changed since.
    #[error("it is forged")]
    Forged,
    /// It is for another pool.
    #[error("it is for another pool")]
    OtherPool,
    /// It is for another user.
    #[error("it is for another user")]
    OtherUser,
    /// It has been echoed before, or a newer one of the session has.
    #[error("it, or a newer one of its session, has been used before")]
    Replayed,
    /// It was made too long ago.
    #[error("it is too old")]
    Expired,
    /// It was made at a time that is still to come.
    #[error("it is from the future")]
    Future,
    /// It is so old that it is not known any more whether it has been used.
    #[error("whether it has been used is not known any more")]
    Forgotten,
    /// It was not the first message of its association.
    #[error("it did not come first")]
    Late,
}

/// How far the session had come, as the cookie says. Only whoever has the key can tell whether it is true. `None` for a
/// cookie that is not of this library.
pub fn counts(octets: &[u8]) -> Option<Counts> {
    let (_, counts) = clear(octets).ok()?;
    Some(counts)
}

fn clear(octets: &[u8]) -> Result<(u32, Counts), Refusal> {
    if octets.get(..MAGIC.len()).is_none_or(|magic| magic != MAGIC) {
        return Err(Refusal::Foreign);
    }
    if octets.len() < OVERHEAD {
        return Err(Refusal::Truncated);
    }
    let mut reader = Reader::new(&octets[MAGIC.len()..]);
    let mut read = || {
        let (length, _) = (reader.u16()?, reader.u16()?);
        let key = reader.u32()?;
        let counts = Counts { received: u64(&mut reader)?, sent: u64(&mut reader)? };
        Ok::<_, crate::wire::Problem>((usize::from(length), key, counts))
    };
    match read() {
        Ok((length, key, counts)) if length == octets.len() => Ok((key, counts)),
        _ => Err(Refusal::Truncated),
    }
}

fn u64(reader: &mut Reader<'_>) -> Result<u64, crate::wire::Problem> {
    Ok(u64::from(reader.u32()?) << 32 | u64::from(reader.u32()?))
}

/// Whom a cookie is for.
#[derive(Clone, Copy, Debug)]
pub struct Bound<'a> {
    /// The pool.
    pub handle: &'a PoolHandle,
    /// What the service knows of its user and the next element will know as well, such as a name that it has proved;
    /// empty where it knows nothing.
    pub user: &'a [u8],
}

/// How many octets a cookie of this state has.
pub fn size(bound: Bound<'_>, state: &[u8]) -> usize {
    OVERHEAD + bound.handle.as_bytes().len() + bound.user.len() + state.len()
}

/// Makes a cookie. `nonce` must never be used twice under the same key, by any element of the pool. `None` if it would
/// have more octets than [`MAX`].
pub fn seal(ring: &KeyRing, bound: Bound<'_>, cookie: &Cookie, nonce: [u8; NONCE]) -> Option<Vec<u8>> {
    let size = size(bound, &cookie.state);
    let length = u16::try_from(size).ok().filter(|_| size <= MAX)?;
    let handle = bound.handle.as_bytes();
    let mut octets = Vec::with_capacity(size);
    octets.extend_from_slice(&MAGIC);
    octets.extend_from_slice(&length.to_be_bytes());
    octets.extend_from_slice(&[0, 0]);
    octets.extend_from_slice(&ring.sealing().to_be_bytes());
    octets.extend_from_slice(&cookie.counts.received.to_be_bytes());
    octets.extend_from_slice(&cookie.counts.sent.to_be_bytes());
    let mut plain = Vec::with_capacity(size - HEADER);
    plain.extend_from_slice(&cookie.session.0);
    plain.extend_from_slice(&cookie.sequence.to_be_bytes());
    plain.extend_from_slice(&cookie.issued.to_be_bytes());
    plain.extend_from_slice(&cookie.issuer.to_be_bytes());
    for part in [handle, bound.user] {
        plain.extend_from_slice(&u16::try_from(part.len()).ok()?.to_be_bytes());
        plain.extend_from_slice(part);
    }
    plain.extend_from_slice(&cookie.state);
    let sealed = ring.seal(nonce, &octets, &plain)?;
    octets.extend_from_slice(&nonce);
    octets.extend_from_slice(&sealed);
    Some(octets)
}

/// Opens a cookie. Whether it is fresh is another question.
///
/// # Errors
/// It is not a whole cookie of this library, not sealed by a key of the ring, or for another pool or user.
pub fn open(ring: &KeyRing, bound: Bound<'_>, octets: &[u8]) -> Result<Cookie, Refusal> {
    let (key, counts) = clear(octets)?;
    if !ring.knows(key) {
        return Err(Refusal::UnknownKey);
    }
    let nonce = octets[CLEAR..HEADER].try_into().map_err(|_| Refusal::Truncated)?;
    let plain = ring.open(key, nonce, &octets[..CLEAR], &octets[HEADER..]).ok_or(Refusal::Forged)?;
    // Whoever has the key has made this: what does not fit is another version's.
    let parts = parts(&plain).map_err(|_| Refusal::Foreign)?;
    if parts.handle != bound.handle.as_bytes() {
        return Err(Refusal::OtherPool);
    }
    if parts.user != bound.user {
        return Err(Refusal::OtherUser);
    }
    let Parts { session, sequence, issued, issuer, state, .. } = parts;
    Ok(Cookie { session, sequence, issued, issuer, counts, state: state.to_vec() })
}

struct Parts<'a> {
    session: SessionId,
    sequence: u64,
    issued: u64,
    issuer: u32,
    handle: &'a [u8],
    user: &'a [u8],
    state: &'a [u8],
}

fn parts(plain: &[u8]) -> Result<Parts<'_>, crate::wire::Problem> {
    let mut reader = Reader::new(plain);
    let mut session = [0; NONCE];
    session.copy_from_slice(reader.bytes(NONCE)?);
    let (sequence, issued, issuer) = (u64(&mut reader)?, u64(&mut reader)?, reader.u32()?);
    let length = usize::from(reader.u16()?);
    let handle = reader.bytes(length)?;
    let length = usize::from(reader.u16()?);
    let user = reader.bytes(length)?;
    Ok(Parts { session: SessionId(session), sequence, issued, issuer, handle, user, state: reader.rest() })
}

#[cfg(test)]
mod tests;
