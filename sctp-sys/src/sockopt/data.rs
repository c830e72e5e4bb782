//! How messages are sent and received.

use std::io;
use std::os::fd::BorrowedFd;

use super::auth::{assoc_value, set_assoc_value};
use super::{AssocId, FUTURE_ASSOC, get, set};
use crate::abi::{self, IPPROTO_SCTP, Plain};
use crate::event::EventType;

fn flag(fd: BorrowedFd<'_>, option: i32) -> io::Result<bool> {
    let mut v = 0i32;
    get(fd, IPPROTO_SCTP, option, &mut v)?;
    Ok(v != 0)
}

fn set_flag(fd: BorrowedFd<'_>, option: i32, on: bool) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, option, &i32::from(on))
}

/// What INIT asks for (RFC 6458, 8.1.3). Zero leaves a value as it is when set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitMsg {
    /// Streams wanted to the peer.
    pub out_streams: u16,
    /// Streams allowed from the peer.
    pub max_in_streams: u16,
    /// How often INIT is sent before giving up.
    pub max_attempts: u16,
    /// Longest time between two INITs, in milliseconds.
    pub max_timeout: u16,
}

/// Reads what INIT will ask for.
///
/// # Errors
/// The system's.
pub fn init_msg(fd: BorrowedFd<'_>) -> io::Result<InitMsg> {
    let mut v = abi::InitMsg::zeroed();
    get(fd, IPPROTO_SCTP, abi::SCTP_INITMSG, &mut v)?;
    Ok(InitMsg {
        out_streams: v.num_ostreams,
        max_in_streams: v.max_instreams,
        max_attempts: v.max_attempts,
        max_timeout: v.max_init_timeo,
    })
}

/// Sets what INIT will ask for, for future associations.
///
/// # Errors
/// The system's.
pub fn set_init_msg(fd: BorrowedFd<'_>, init: InitMsg) -> io::Result<()> {
    let v = abi::InitMsg {
        num_ostreams: init.out_streams,
        max_instreams: init.max_in_streams,
        max_attempts: init.max_attempts,
        max_init_timeo: init.max_timeout,
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_INITMSG, &v)
}

/// Whether small messages are sent at once instead of being gathered (RFC 6458, 8.1.5).
///
/// # Errors
/// The system's.
pub fn nodelay(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, abi::SCTP_NODELAY)
}

/// Sends small messages at once, or gathers them.
///
/// # Errors
/// The system's.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, abi::SCTP_NODELAY, on)
}

/// Seconds without traffic after which an association of a one-to-many socket is closed; 0: never.
///
/// # Errors
/// EOPNOTSUPP on one-to-one sockets.
pub fn autoclose(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, IPPROTO_SCTP, abi::SCTP_AUTOCLOSE, &mut v)?;
    Ok(v)
}

/// Sets [`autoclose`].
///
/// # Errors
/// EOPNOTSUPP on one-to-one sockets.
pub fn set_autoclose(fd: BorrowedFd<'_>, seconds: u32) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_AUTOCLOSE, &seconds)
}

/// Whether received messages come with their stream, PPID and association (RFC 6458, 8.1.29).
///
/// # Errors
/// The system's.
pub fn recv_rcvinfo(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, abi::SCTP_RECVRCVINFO)
}

/// Sets [`recv_rcvinfo`]. This crate's sockets have it on.
///
/// # Errors
/// The system's.
pub fn set_recv_rcvinfo(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, abi::SCTP_RECVRCVINFO, on)
}

/// The number told to peers about the layer above (RFC 5061, 4.2.6).
///
/// # Errors
/// The system's.
pub fn adaptation_layer(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, IPPROTO_SCTP, abi::SCTP_ADAPTATION_LAYER, &mut v)?;
    Ok(v)
}

/// Sets [`adaptation_layer`], for future associations.
///
/// # Errors
/// The system's.
pub fn set_adaptation_layer(fd: BorrowedFd<'_>, indication: u32) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_ADAPTATION_LAYER, &indication)
}

/// Whether IPv4 addresses are handed out IPv4-mapped on IPv6 sockets (RFC 6458, 8.1.15).
///
/// # Errors
/// The system's.
pub fn mapped_v4(fd: BorrowedFd<'_>) -> io::Result<bool> {
    flag(fd, abi::SCTP_I_WANT_MAPPED_V4_ADDR)
}

/// Sets [`mapped_v4`]. This crate reads both forms.
///
/// # Errors
/// The system's.
pub fn set_mapped_v4(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_flag(fd, abi::SCTP_I_WANT_MAPPED_V4_ADDR, on)
}

/// Largest message part put into one chunk, in octets; 0: as the path allows (RFC 6458, 8.1.16).
///
/// # Errors
/// EINVAL: no such association.
pub fn max_seg(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<u32> {
    assoc_value(fd, abi::SCTP_MAXSEG, assoc)
}

/// Sets [`max_seg`].
///
/// # Errors
/// EINVAL: no such association, or out of range.
pub fn set_max_seg(fd: BorrowedFd<'_>, assoc: AssocId, octets: u32) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_MAXSEG, assoc, octets)
}

/// How partly received messages may be delivered between others: 0, 1 or 2 (RFC 6458, 8.1.20).
///
/// # Errors
/// The system's.
pub fn fragment_interleave(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, IPPROTO_SCTP, abi::SCTP_FRAGMENT_INTERLEAVE, &mut v)?;
    Ok(v)
}

/// Sets [`fragment_interleave`].
///
/// # Errors
/// The system's.
pub fn set_fragment_interleave(fd: BorrowedFd<'_>, level: u32) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_FRAGMENT_INTERLEAVE, &level)
}

/// From which size on a message is delivered before it is whole, in octets (RFC 6458, 8.1.21); 0: only
/// when the receive window demands it.
///
/// # Errors
/// The system's.
pub fn partial_delivery_point(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut v = 0u32;
    get(fd, IPPROTO_SCTP, abi::SCTP_PARTIAL_DELIVERY_POINT, &mut v)?;
    Ok(v)
}

/// Sets [`partial_delivery_point`].
///
/// # Errors
/// EINVAL: above the receive buffer.
pub fn set_partial_delivery_point(fd: BorrowedFd<'_>, octets: u32) -> io::Result<()> {
    set(fd, IPPROTO_SCTP, abi::SCTP_PARTIAL_DELIVERY_POINT, &octets)
}

/// Delayed acknowledgements (RFC 6458, 8.1.19). Zero leaves a value as it is when set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SackInfo {
    /// Longest delay in milliseconds, at most 500.
    pub delay: u32,
    /// Packets after which one is sent at once; 1 switches the delay off.
    pub frequency: u32,
}

/// Reads the delay of acknowledgements.
///
/// # Errors
/// EINVAL: no such association.
pub fn sack_info(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<SackInfo> {
    let mut v = abi::SackInfo { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_DELAYED_SACK, &mut v)?;
    Ok(SackInfo { delay: v.delay, frequency: v.freq })
}

/// Sets the delay of acknowledgements.
///
/// # Errors
/// EINVAL: no such association, or out of range.
pub fn set_sack_info(fd: BorrowedFd<'_>, assoc: AssocId, sack: SackInfo) -> io::Result<()> {
    let v = abi::SackInfo { assoc_id: assoc, delay: sack.delay, freq: sack.frequency };
    set(fd, IPPROTO_SCTP, abi::SCTP_DELAYED_SACK, &v)
}

/// What a message is sent with when nothing is said (RFC 6458, 8.1.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultSendInfo {
    /// Stream.
    pub stream: u16,
    /// Flags, as in [`SendInfo`](crate::socket::SendInfo).
    pub flags: u16,
    /// Payload protocol identifier in host order.
    pub ppid: u32,
    /// Handed back when sending fails.
    pub context: u32,
}

/// Reads what a message is sent with when nothing is said.
///
/// # Errors
/// EINVAL: no such association.
pub fn default_send_info(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<DefaultSendInfo> {
    let mut v = abi::SndInfo { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_DEFAULT_SNDINFO, &mut v)?;
    Ok(DefaultSendInfo { stream: v.sid, flags: v.flags, ppid: u32::from_be(v.ppid), context: v.context })
}

/// Sets what a message is sent with when nothing is said.
///
/// # Errors
/// EINVAL: no such association, or a flag that is not allowed here.
pub fn set_default_send_info(fd: BorrowedFd<'_>, assoc: AssocId, info: DefaultSendInfo) -> io::Result<()> {
    let v = abi::SndInfo {
        sid: info.stream,
        flags: info.flags,
        ppid: info.ppid.to_be(),
        context: info.context,
        assoc_id: assoc,
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_DEFAULT_SNDINFO, &v)
}

/// Switches one kind of notification (RFC 6458, 6.2.2).
///
/// # Errors
/// EINVAL: no such association, or a kind that the kernel does not know.
pub fn set_event(fd: BorrowedFd<'_>, assoc: AssocId, event: EventType, on: bool) -> io::Result<()> {
    let v = abi::Event { assoc_id: assoc, type_: event.to_raw(), on: on.into() };
    set(fd, IPPROTO_SCTP, abi::SCTP_EVENT, &v)
}

/// Whether a kind of notification is on.
///
/// # Errors
/// As [`set_event`].
pub fn event(fd: BorrowedFd<'_>, assoc: AssocId, event: EventType) -> io::Result<bool> {
    let mut v = abi::Event { assoc_id: assoc, type_: event.to_raw(), on: 0 };
    get(fd, IPPROTO_SCTP, abi::SCTP_EVENT, &mut v)?;
    Ok(v.on != 0)
}

/// Switches these kinds of notifications on, at the endpoint and for its future associations.
///
/// # Errors
/// As [`set_event`].
pub fn set_events(fd: BorrowedFd<'_>, events: &[EventType]) -> io::Result<()> {
    events.iter().try_for_each(|event| set_event(fd, FUTURE_ASSOC, *event, true))
}

/// Whether POTENTIALLY_FAILED paths are shown, in notifications and [`peer_addr_info`](super::peer_addr_info).
///
/// # Errors
/// EINVAL: no such association.
pub fn expose_potentially_failed(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<bool> {
    assoc_value(fd, abi::SCTP_EXPOSE_POTENTIALLY_FAILED_STATE, assoc).map(|v| v == 2)
}

/// Sets [`expose_potentially_failed`] (RFC 7829, 7.3).
///
/// # Errors
/// EINVAL: no such association.
pub fn set_expose_potentially_failed(fd: BorrowedFd<'_>, assoc: AssocId, on: bool) -> io::Result<()> {
    set_assoc_value(fd, abi::SCTP_EXPOSE_POTENTIALLY_FAILED_STATE, assoc, if on { 2 } else { 1 })
}
