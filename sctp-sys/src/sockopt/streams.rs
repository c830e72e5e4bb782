//! Streams: in which order they are served (RFC 8260), and their change in an association that is up (RFC 6525).

use std::io;
use std::os::fd::BorrowedFd;

use super::auth::{assoc_value, set_assoc_value};
use super::{AssocId, get, set, set_bytes};
use crate::abi::{self, IPPROTO_SCTP};

/// Which stream's message is sent next (RFC 8260, 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheduler {
    /// First come, first served.
    #[default]
    FirstCome,
    /// The one with the lowest number set by [`set_stream_weight`].
    Priority,
    /// One message of each in turn.
    RoundRobin,
    /// Each stream gets the same share (Linux 6.4 or later).
    FairCapacity,
    /// Each stream's share is what [`set_stream_weight`] says (Linux 6.4 or later).
    WeightedFair,
    /// A number that is none of these.
    Other(u32),
}

impl Scheduler {
    const KNOWN: [Self; 5] =
        [Self::FirstCome, Self::Priority, Self::RoundRobin, Self::FairCapacity, Self::WeightedFair];

    fn from_raw(raw: u32) -> Self {
        Self::KNOWN.get(raw as usize).copied().unwrap_or(Self::Other(raw))
    }

    const fn to_raw(self) -> u32 {
        match self {
            Self::FirstCome => 0,
            Self::Priority => 1,
            Self::RoundRobin => 2,
            Self::FairCapacity => 3,
            Self::WeightedFair => 4,
            Self::Other(raw) => raw,
        }
    }
}

/// Which stream's message is sent next.
///
/// # Errors
/// EINVAL: no such association.
pub fn scheduler(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Scheduler> {
    assoc_value(fd, abi::SCTP_STREAM_SCHEDULER, assoc).map(Scheduler::from_raw)
}

/// Sets [`scheduler`] (RFC 8260, 4.3.2).
///
/// # Errors
/// EINVAL: no such association, or this kernel has no such scheduler.
pub fn set_scheduler(fd: BorrowedFd<'_>, assoc: AssocId, scheduler: Scheduler) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_STREAM_SCHEDULER, assoc, scheduler.to_raw())
}

/// What the scheduler goes by: priority or weight of a stream.
///
/// # Errors
/// EINVAL: no such association or stream.
pub fn stream_weight(fd: BorrowedFd<'_>, assoc: AssocId, stream: u16) -> io::Result<u16> {
    let mut v = abi::StreamValue { assoc_id: assoc, stream_id: stream, stream_value: 0 };
    get(fd, IPPROTO_SCTP, abi::SCTP_STREAM_SCHEDULER_VALUE, &mut v)?;
    Ok(v.stream_value)
}

/// Sets [`stream_weight`] (RFC 8260, 4.3.3). Schedulers without weights ignore it.
///
/// # Errors
/// EINVAL: no such association or stream, or a weight of 0 where the scheduler shares by weight.
pub fn set_stream_weight(fd: BorrowedFd<'_>, assoc: AssocId, stream: u16, weight: u16) -> io::Result<()> {
    let v = abi::StreamValue { assoc_id: assoc, stream_id: stream, stream_value: weight };
    set(fd, IPPROTO_SCTP, abi::SCTP_STREAM_SCHEDULER_VALUE, &v)
}

/// Whether fragments of messages of different streams may alternate on the wire (I-DATA, RFC 8260): negotiated for an
/// association, or at the endpoint for future ones.
///
/// # Errors
/// EINVAL: no such association.
pub fn interleaving_supported(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_INTERLEAVING_SUPPORTED, assoc).map(|v| v != 0)
}

/// Switches it for future associations (RFC 8260, 4.3.1).
///
/// # Errors
/// EPERM: `net.sctp.intl_enable` is 0, or [`set_fragment_interleave`](super::set_fragment_interleave) is not on; EINVAL:
/// an association was named.
pub fn set_interleaving_supported(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_INTERLEAVING_SUPPORTED, super::FUTURE_ASSOC, on.into())
}

/// What a peer may ask to be changed in an association that is up (RFC 6525, 6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reconfiguration {
    /// Streams may be reset: their sequence numbers begin again.
    pub reset_streams: bool,
    /// The whole association's sequence numbers may be reset.
    pub reset_association: bool,
    /// Streams may be added.
    pub add_streams: bool,
}

impl Reconfiguration {
    /// All of it.
    pub const ALL: Self = Self { reset_streams: true, reset_association: true, add_streams: true };

    const BITS: [i32; 3] = [
        abi::SCTP_ENABLE_RESET_STREAM_REQ,
        abi::SCTP_ENABLE_RESET_ASSOC_REQ,
        abi::SCTP_ENABLE_CHANGE_ASSOC_REQ,
    ];

    fn to_raw(self) -> u32 {
        let on = [self.reset_streams, self.reset_association, self.add_streams];
        Self::BITS.into_iter().zip(on).filter(|(_, on)| *on).map(|(bit, _)| bit.cast_unsigned()).sum()
    }

    fn from_raw(raw: u32) -> Self {
        let [reset_streams, reset_association, add_streams] =
            Self::BITS.map(|bit| raw & bit.cast_unsigned() != 0);
        Self { reset_streams, reset_association, add_streams }
    }
}

/// Whether an association's streams can be changed: negotiated, or at the endpoint for future ones.
///
/// # Errors
/// EINVAL: no such association.
pub fn reconfiguration_supported(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_RECONFIG_SUPPORTED, assoc).map(|v| v != 0)
}

/// Switches it for future associations.
///
/// # Errors
/// EINVAL: no such association.
pub fn set_reconfiguration_supported(fd: BorrowedFd<'_>, assoc: AssocId, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_RECONFIG_SUPPORTED, assoc, on.into())
}

/// What a peer may ask for.
///
/// # Errors
/// EINVAL: no such association.
pub fn reconfiguration(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Reconfiguration> {
    assoc_value(fd, abi::SCTP_ENABLE_STREAM_RESET, assoc).map(Reconfiguration::from_raw)
}

/// Sets [`reconfiguration`]; nothing is allowed by default.
///
/// # Errors
/// EINVAL: no such association.
pub fn set_reconfiguration(fd: BorrowedFd<'_>, assoc: AssocId, allowed: Reconfiguration) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_ENABLE_STREAM_RESET, assoc, allowed.to_raw())
}

/// Which direction of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer.
    Incoming,
    /// To the peer.
    Outgoing,
    /// Both.
    Both,
}

/// Asks for the sequence numbers of streams to begin again; none named: of all (RFC 6525, 6.3.2). The outcome is
/// [`Notification::StreamReset`](crate::event::Notification::StreamReset).
///
/// # Errors
/// ENOPROTOOPT: not negotiated; EPERM: this end does not allow it; EINPROGRESS: another request is under way; EAGAIN:
/// messages of these streams are not acknowledged yet; EINVAL: no such association or stream.
pub fn reset_streams(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    direction: Direction,
    streams: &[u16],
) -> io::Result<()> {
    let flags = match direction {
        Direction::Incoming => abi::SCTP_STREAM_RESET_INCOMING,
        Direction::Outgoing => abi::SCTP_STREAM_RESET_OUTGOING,
        Direction::Both => abi::SCTP_STREAM_RESET_INCOMING | abi::SCTP_STREAM_RESET_OUTGOING,
    };
    let count = u16::try_from(streams.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut bytes = assoc.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&(flags as u16).to_ne_bytes());
    bytes.extend_from_slice(&count.to_ne_bytes());
    bytes.extend(streams.iter().flat_map(|stream| stream.to_ne_bytes()));
    set_bytes(fd, abi::SCTP_RESET_STREAMS, &bytes).map(drop)
}

/// Asks for more streams (RFC 6525, 6.3.4). The outcome is
/// [`Notification::StreamChange`](crate::event::Notification::StreamChange).
///
/// # Errors
/// ENOPROTOOPT: not negotiated; EPERM: this end does not allow it; EINPROGRESS: another request is under way; EINVAL:
/// none, too many, or no such association.
pub fn add_streams(fd: BorrowedFd<'_>, assoc: AssocId, incoming: u16, outgoing: u16) -> io::Result<()> {
    let v = abi::AddStreams { assoc_id: assoc, instrms: incoming, outstrms: outgoing };
    set(fd, IPPROTO_SCTP, abi::SCTP_ADD_STREAMS, &v)
}

/// A context for all that is sent without one of its own: what fails to be sent comes back with it (RFC 6458, 8.1.22).
///
/// # Errors
/// EINVAL: no such association.
pub fn set_context(fd: BorrowedFd<'_>, assoc: AssocId, context: u32) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_CONTEXT, assoc, context)
}
