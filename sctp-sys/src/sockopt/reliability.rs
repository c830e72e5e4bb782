//! Partial reliability (RFC 3758, RFC 7496): messages that may be given up.

use std::io;
use std::os::fd::BorrowedFd;

use super::auth::{assoc_value, set_assoc_value};
use super::{AssocId, get, set};
use crate::abi::{self, IPPROTO_SCTP, Plain};

/// For how long the kernel tries to bring a message to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reliability {
    /// As long as the association lives.
    #[default]
    Full,
    /// So many milliseconds (RFC 7496, 4.1; RFC 3758, 4.1).
    Lifetime(u32),
    /// Until it has been retransmitted so many times (RFC 7496, 4.2).
    Retransmissions(u32),
    /// Until a message of a higher priority (a lower number) needs its place in the send buffer (RFC 7496, 4.3).
    Priority(u32),
}

impl Reliability {
    /// Policy and value as the kernel has them.
    pub(crate) const fn to_raw(self) -> (u16, u32) {
        match self {
            Self::Full => (abi::SCTP_PR_SCTP_NONE as u16, 0),
            Self::Lifetime(ms) => (abi::SCTP_PR_SCTP_TTL as u16, ms),
            Self::Retransmissions(times) => (abi::SCTP_PR_SCTP_RTX as u16, times),
            Self::Priority(number) => (abi::SCTP_PR_SCTP_PRIO as u16, number),
        }
    }

    const fn from_raw(policy: u16, value: u32) -> Self {
        match policy as i32 {
            abi::SCTP_PR_SCTP_TTL => Self::Lifetime(value),
            abi::SCTP_PR_SCTP_RTX => Self::Retransmissions(value),
            abi::SCTP_PR_SCTP_PRIO => Self::Priority(value),
            _ => Self::Full,
        }
    }
}

/// Whether messages can be given up: negotiated for an association, or at the endpoint for future ones.
///
/// # Errors
/// EINVAL: no such association.
pub fn partial_reliability_supported(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_PR_SUPPORTED, assoc).map(|v| v != 0)
}

/// Switches it for future associations (RFC 7496, 4.5).
///
/// # Errors
/// EINVAL: no such association.
pub fn set_partial_reliability_supported(fd: BorrowedFd<'_>, assoc: AssocId, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_PR_SUPPORTED, assoc, on.into())
}

/// What messages are sent with that say nothing of it.
///
/// # Errors
/// EINVAL: no such association.
pub fn default_reliability(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Reliability> {
    let mut v = abi::DefaultPrInfo { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_DEFAULT_PRINFO, &mut v)?;
    Ok(Reliability::from_raw(v.policy, v.value))
}

/// Sets [`default_reliability`] (RFC 6458, 8.1.32).
///
/// # Errors
/// EINVAL: no such association.
pub fn set_default_reliability(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    reliability: Reliability,
) -> io::Result<()> {
    let (policy, value) = reliability.to_raw();
    set(fd, IPPROTO_SCTP, abi::SCTP_DEFAULT_PRINFO, &abi::DefaultPrInfo { assoc_id: assoc, value, policy })
}

/// How many messages were given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abandoned {
    /// Before anything of them was sent.
    pub unsent: u64,
    /// After something of them was sent.
    pub sent: u64,
}

/// How many messages of a policy an association has given up (RFC 7496, 4.4): those of one stream, or all. Of
/// `kind` only which one it is counts, not its value.
///
/// # Errors
/// EINVAL: no such association, no such stream, or [`Reliability::Full`].
pub fn abandoned(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    stream: Option<u16>,
    kind: Reliability,
) -> io::Result<Abandoned> {
    let option = if stream.is_some() { abi::SCTP_PR_STREAM_STATUS } else { abi::SCTP_PR_ASSOC_STATUS };
    let (policy, _) = kind.to_raw();
    let mut v = abi::PrStatus { assoc_id: assoc, sid: stream.unwrap_or_default(), policy, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, option, &mut v)?;
    Ok(Abandoned { unsent: v.abandoned_unsent, sent: v.abandoned_sent })
}
