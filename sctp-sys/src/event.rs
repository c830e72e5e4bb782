//! Notifications (RFC 6458, 6.1), parsed from bytes.
//!
//! Parsing never panics, whatever the bytes are; kinds and states that are not known are kept.

use std::mem::offset_of;
use std::net::SocketAddr;

use crate::abi;
use crate::addr::{self, AddrError};
use crate::sockopt::AssocId;

/// A kind of notification that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventType {
    /// Associations come up, are lost, restart, end.
    AssocChange,
    /// A path of the peer changes.
    PeerAddrChange,
    /// A message could not be sent (older form).
    SendFailed,
    /// The peer sent an ERROR chunk.
    RemoteError,
    /// The peer shuts the association down.
    Shutdown,
    /// A message delivered in part will not be completed.
    PartialDelivery,
    /// The peer's adaptation layer indication.
    Adaptation,
    /// Keys of AUTH.
    Authentication,
    /// Nothing left to be acknowledged.
    SenderDry,
    /// Streams were reset.
    StreamReset,
    /// An association's sequence numbers were reset.
    AssocReset,
    /// Streams were added.
    StreamChange,
    /// A message could not be sent.
    SendFailedEvent,
}

impl EventType {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::AssocChange,
        Self::PeerAddrChange,
        Self::SendFailed,
        Self::RemoteError,
        Self::Shutdown,
        Self::PartialDelivery,
        Self::Adaptation,
        Self::Authentication,
        Self::SenderDry,
        Self::StreamReset,
        Self::AssocReset,
        Self::StreamChange,
        Self::SendFailedEvent,
    ];

    /// The kernel's number.
    pub const fn to_raw(self) -> u16 {
        let raw = match self {
            Self::AssocChange => abi::SCTP_ASSOC_CHANGE,
            Self::PeerAddrChange => abi::SCTP_PEER_ADDR_CHANGE,
            Self::SendFailed => abi::SCTP_SEND_FAILED,
            Self::RemoteError => abi::SCTP_REMOTE_ERROR,
            Self::Shutdown => abi::SCTP_SHUTDOWN_EVENT,
            Self::PartialDelivery => abi::SCTP_PARTIAL_DELIVERY_EVENT,
            Self::Adaptation => abi::SCTP_ADAPTATION_INDICATION,
            Self::Authentication => abi::SCTP_AUTHENTICATION_EVENT,
            Self::SenderDry => abi::SCTP_SENDER_DRY_EVENT,
            Self::StreamReset => abi::SCTP_STREAM_RESET_EVENT,
            Self::AssocReset => abi::SCTP_ASSOC_RESET_EVENT,
            Self::StreamChange => abi::SCTP_STREAM_CHANGE_EVENT,
            Self::SendFailedEvent => abi::SCTP_SEND_FAILED_EVENT,
        };
        raw as u16
    }
}

/// What became of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssocChange {
    /// It is up.
    CommUp,
    /// It is lost: an ABORT, or too many retransmissions.
    CommLost,
    /// The peer restarted it; it may be somebody else.
    Restart,
    /// It ended in good order.
    ShutdownComplete,
    /// It could not be set up.
    CantStart,
    /// A number that is none of these.
    Other(u16),
}

/// What became of one of the peer's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathChange {
    /// Reachable again.
    Available,
    /// Given up for now.
    Unreachable,
    /// No longer the association's.
    Removed,
    /// New to the association.
    Added,
    /// Now the primary one.
    MadePrimary,
    /// Answered its first heartbeat.
    Confirmed,
    /// Losing packets.
    PotentiallyFailed,
    /// A number that is none of these.
    Other(i32),
}

/// A message that could not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedMessage {
    /// Stream.
    pub stream: u16,
    /// Payload protocol identifier in host order.
    pub ppid: u32,
    /// Flags that it was sent with.
    pub flags: u16,
    /// Context that it was sent with.
    pub context: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notification {
    /// An association changed (RFC 6458, 6.1.1).
    AssocChange {
        /// How.
        state: AssocChange,
        /// The cause of the ABORT, 0 if none.
        error: u16,
        /// Streams to the peer.
        out_streams: u16,
        /// Streams from the peer.
        in_streams: u16,
        /// The association.
        assoc: AssocId,
        /// The ABORT chunk, or the peer's abilities.
        info: Vec<u8>,
    },
    /// A path changed (6.1.2).
    PeerAddrChange {
        /// The peer's address.
        address: SocketAddr,
        /// How.
        state: PathChange,
        /// Why (the kernel's `sctp_sn_error`): 0 too many errors, 1 a SACK came, 2 a heartbeat was answered.
        error: i32,
        /// The association.
        assoc: AssocId,
    },
    /// A message could not be sent (6.1.4 and 6.1.11; both forms).
    SendFailed {
        /// Whether it was given to the network at least once.
        sent: bool,
        /// The cause of the ABORT that ended the association, 0 if none.
        error: u16,
        /// The association.
        assoc: AssocId,
        /// What was to be sent.
        message: FailedMessage,
    },
    /// An ERROR chunk of the peer (6.1.3).
    RemoteError {
        /// The first cause's code.
        error: u16,
        /// The association.
        assoc: AssocId,
        /// The causes as received.
        data: Vec<u8>,
    },
    /// The peer shuts down (6.1.5).
    Shutdown {
        /// The association.
        assoc: AssocId,
    },
    /// The rest of a message delivered in part will not come (6.1.7).
    PartialDelivery {
        /// 0: aborted.
        indication: u32,
        /// The association.
        assoc: AssocId,
        /// Stream.
        stream: u32,
        /// Stream sequence number.
        sequence: u32,
    },
    /// Adaptation layer indication (6.1.6).
    Adaptation {
        /// The peer's number.
        indication: u32,
        /// The association.
        assoc: AssocId,
    },
    /// A key of AUTH (6.1.8).
    Authentication {
        /// Key number.
        key: u16,
        /// Alternate key number.
        alternate: u16,
        /// 0: new key, 1: key free, 2: peer without AUTH.
        indication: u32,
        /// The association.
        assoc: AssocId,
    },
    /// All that was sent is acknowledged (6.1.9).
    SenderDry {
        /// The association.
        assoc: AssocId,
    },
    /// Streams were reset (RFC 6525, 6.1.1).
    StreamReset {
        /// Bits: 1 incoming, 2 outgoing, 4 denied, 8 failed.
        flags: u16,
        /// The association.
        assoc: AssocId,
        /// The streams; none: all.
        streams: Vec<u16>,
    },
    /// Sequence numbers were reset (RFC 6525, 6.1.2).
    AssocReset {
        /// Bits: 4 denied, 8 failed.
        flags: u16,
        /// The association.
        assoc: AssocId,
        /// First number from here.
        local_tsn: u32,
        /// First number from the peer.
        remote_tsn: u32,
    },
    /// Streams were added (RFC 6525, 6.1.3).
    StreamChange {
        /// Bits: 4 denied, 8 failed.
        flags: u16,
        /// The association.
        assoc: AssocId,
        /// Streams from the peer.
        in_streams: u16,
        /// Streams to the peer.
        out_streams: u16,
    },
    /// A kind that is none of these.
    Unknown {
        /// Its number.
        type_: u16,
        /// All of it, header included.
        bytes: Vec<u8>,
    },
}

/// Why bytes are no notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than its kind is, or than it says itself.
    #[error("notification {type_:#06x} of {have} octets needs {need}")]
    Truncated {
        /// The kind; 0 if not even that was there.
        type_: u16,
        /// Octets needed.
        need: usize,
        /// Octets there.
        have: usize,
    },
    /// A bad address inside.
    #[error("notification with a bad address: {0}")]
    Address(#[from] AddrError),
}

impl Notification {
    /// Parses what `recvmsg` gave with MSG_NOTIFICATION.
    ///
    /// # Errors
    /// When the bytes end before the notification does.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        use abi::{
            Adaptation as Ad, AssocChange as Ac, AssocReset as Ar, Authentication as Au,
            PartialDelivery as Pd, PeerAddrChange as Pc, RemoteError as Re, SendFailed as Sf,
            SendFailedEvent as Se, SndInfo as Si, SndRcvInfo as Sr, StreamChange as Sc, StreamReset as St,
        };
        // Type, flags, length; the length is the kernel's and may be less than what was read.
        let header: &[u8; 8] =
            bytes.first_chunk().ok_or(ParseError::Truncated { type_: 0, need: 8, have: bytes.len() })?;
        let type_ = u16::from_ne_bytes([header[0], header[1]]);
        let flags = u16::from_ne_bytes([header[2], header[3]]);
        let length = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let truncated = |need| ParseError::Truncated { type_, need, have: bytes.len() };
        let all = bytes.get(..length.max(8)).ok_or(truncated(length))?;
        // A kind that is shorter than it should be is truncated whatever it says of itself.
        let fixed = |size: usize| {
            if all.len() < size {
                return Err(ParseError::Truncated { type_, need: size, have: all.len() });
            }
            Ok((Fields(&all[..size]), &all[size..]))
        };
        Ok(match i32::from(type_) {
            abi::SCTP_ASSOC_CHANGE => {
                let (f, info) = fixed(size_of::<Ac>())?;
                Self::AssocChange {
                    state: match i32::from(f.u16(offset_of!(Ac, state))) {
                        abi::SCTP_COMM_UP => AssocChange::CommUp,
                        abi::SCTP_COMM_LOST => AssocChange::CommLost,
                        abi::SCTP_RESTART => AssocChange::Restart,
                        abi::SCTP_SHUTDOWN_COMP => AssocChange::ShutdownComplete,
                        abi::SCTP_CANT_STR_ASSOC => AssocChange::CantStart,
                        _ => AssocChange::Other(f.u16(offset_of!(Ac, state))),
                    },
                    // The kernel leaves an ABORT's cause as it came.
                    error: u16::from_be(f.u16(offset_of!(Ac, error))),
                    out_streams: f.u16(offset_of!(Ac, outbound_streams)),
                    in_streams: f.u16(offset_of!(Ac, inbound_streams)),
                    assoc: f.i32(offset_of!(Ac, assoc_id)),
                    info: info.to_vec(),
                }
            }
            abi::SCTP_PEER_ADDR_CHANGE => {
                let (f, _) = fixed(size_of::<Pc>())?;
                let at = offset_of!(Pc, aaddr);
                let (address, _) = addr::read(&f.0[at..at + addr::STORAGE_LEN])?;
                Self::PeerAddrChange {
                    address,
                    state: match f.i32(offset_of!(Pc, state)) {
                        abi::SCTP_ADDR_AVAILABLE => PathChange::Available,
                        abi::SCTP_ADDR_UNREACHABLE => PathChange::Unreachable,
                        abi::SCTP_ADDR_REMOVED => PathChange::Removed,
                        abi::SCTP_ADDR_ADDED => PathChange::Added,
                        abi::SCTP_ADDR_MADE_PRIM => PathChange::MadePrimary,
                        abi::SCTP_ADDR_CONFIRMED => PathChange::Confirmed,
                        abi::SCTP_ADDR_POTENTIALLY_FAILED => PathChange::PotentiallyFailed,
                        other => PathChange::Other(other),
                    },
                    error: f.i32(offset_of!(Pc, error)),
                    assoc: f.i32(offset_of!(Pc, assoc_id)),
                }
            }
            abi::SCTP_SEND_FAILED => {
                let (f, data) = fixed(size_of::<Sf>())?;
                let at = offset_of!(Sf, info);
                let message = FailedMessage {
                    stream: f.u16(at + offset_of!(Sr, stream)),
                    ppid: u32::from_be(f.u32(at + offset_of!(Sr, ppid))),
                    flags: f.u16(at + offset_of!(Sr, flags)),
                    context: f.u32(at + offset_of!(Sr, context)),
                    data: data.to_vec(),
                };
                let (error, assoc) = (cause(f.u32(offset_of!(Sf, error))), f.i32(offset_of!(Sf, assoc_id)));
                Self::SendFailed { sent: flags & 1 != 0, error, assoc, message }
            }
            abi::SCTP_SEND_FAILED_EVENT => {
                let (f, data) = fixed(size_of::<Se>())?;
                let at = offset_of!(Se, info);
                let message = FailedMessage {
                    stream: f.u16(at + offset_of!(Si, sid)),
                    ppid: u32::from_be(f.u32(at + offset_of!(Si, ppid))),
                    flags: f.u16(at + offset_of!(Si, flags)),
                    context: f.u32(at + offset_of!(Si, context)),
                    data: data.to_vec(),
                };
                let (error, assoc) = (cause(f.u32(offset_of!(Se, error))), f.i32(offset_of!(Se, assoc_id)));
                Self::SendFailed { sent: flags & 1 != 0, error, assoc, message }
            }
            abi::SCTP_REMOTE_ERROR => {
                let (f, data) = fixed(size_of::<Re>())?;
                Self::RemoteError {
                    error: u16::from_be(f.u16(offset_of!(Re, error))),
                    assoc: f.i32(offset_of!(Re, assoc_id)),
                    data: data.to_vec(),
                }
            }
            abi::SCTP_SHUTDOWN_EVENT => {
                let (f, _) = fixed(size_of::<abi::Shutdown>())?;
                Self::Shutdown { assoc: f.i32(offset_of!(abi::Shutdown, assoc_id)) }
            }
            abi::SCTP_PARTIAL_DELIVERY_EVENT => {
                let (f, _) = fixed(size_of::<Pd>())?;
                Self::PartialDelivery {
                    indication: f.u32(offset_of!(Pd, indication)),
                    assoc: f.i32(offset_of!(Pd, assoc_id)),
                    stream: f.u32(offset_of!(Pd, stream)),
                    sequence: f.u32(offset_of!(Pd, seq)),
                }
            }
            abi::SCTP_ADAPTATION_INDICATION => {
                let (f, _) = fixed(size_of::<Ad>())?;
                Self::Adaptation {
                    indication: f.u32(offset_of!(Ad, indication)),
                    assoc: f.i32(offset_of!(Ad, assoc_id)),
                }
            }
            abi::SCTP_AUTHENTICATION_EVENT => {
                let (f, _) = fixed(size_of::<Au>())?;
                Self::Authentication {
                    key: f.u16(offset_of!(Au, keynumber)),
                    alternate: f.u16(offset_of!(Au, altkeynumber)),
                    indication: f.u32(offset_of!(Au, indication)),
                    assoc: f.i32(offset_of!(Au, assoc_id)),
                }
            }
            abi::SCTP_SENDER_DRY_EVENT => {
                let (f, _) = fixed(size_of::<abi::SenderDry>())?;
                Self::SenderDry { assoc: f.i32(offset_of!(abi::SenderDry, assoc_id)) }
            }
            abi::SCTP_STREAM_RESET_EVENT => {
                let (f, list) = fixed(size_of::<St>())?;
                Self::StreamReset {
                    flags,
                    assoc: f.i32(offset_of!(St, assoc_id)),
                    streams: list.as_chunks().0.iter().map(|s| u16::from_ne_bytes(*s)).collect(),
                }
            }
            abi::SCTP_ASSOC_RESET_EVENT => {
                let (f, _) = fixed(size_of::<Ar>())?;
                Self::AssocReset {
                    flags,
                    assoc: f.i32(offset_of!(Ar, assoc_id)),
                    local_tsn: f.u32(offset_of!(Ar, local_tsn)),
                    remote_tsn: f.u32(offset_of!(Ar, remote_tsn)),
                }
            }
            abi::SCTP_STREAM_CHANGE_EVENT => {
                let (f, _) = fixed(size_of::<Sc>())?;
                Self::StreamChange {
                    flags,
                    assoc: f.i32(offset_of!(Sc, assoc_id)),
                    in_streams: f.u16(offset_of!(Sc, instrms)),
                    out_streams: f.u16(offset_of!(Sc, outstrms)),
                }
            }
            _ => Self::Unknown { type_, bytes: all.to_vec() },
        })
    }

    /// The association that it is about; `None` when the kind is not known.
    pub fn assoc(&self) -> Option<AssocId> {
        match self {
            Self::AssocChange { assoc, .. }
            | Self::PeerAddrChange { assoc, .. }
            | Self::SendFailed { assoc, .. }
            | Self::RemoteError { assoc, .. }
            | Self::Shutdown { assoc }
            | Self::PartialDelivery { assoc, .. }
            | Self::Adaptation { assoc, .. }
            | Self::Authentication { assoc, .. }
            | Self::SenderDry { assoc }
            | Self::StreamReset { assoc, .. }
            | Self::AssocReset { assoc, .. }
            | Self::StreamChange { assoc, .. } => Some(*assoc),
            Self::Unknown { .. } => None,
        }
    }
}

/// A cause that the kernel leaves in network order inside a number in the machine's.
const fn cause(error: u32) -> u16 {
    u16::from_be(error as u16)
}

/// Numbers in the machine's order at offsets inside a slice whose length was proved.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn i32(&self, at: usize) -> i32 {
        self.u32(at).cast_signed()
    }
}

#[cfg(test)]
mod tests;
