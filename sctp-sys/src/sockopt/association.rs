//! State, timers and limits of associations and paths.

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use super::{AssocId, get, get_bytes, nonsense, set};
use crate::abi::{self, IPPROTO_SCTP, Plain, Unaligned32};
use crate::addr;

/// Retransmission timeouts in milliseconds (RFC 6458, 8.1.1). Zero leaves a value as it is when set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RtoInfo {
    /// Before anything was measured.
    pub initial: u32,
    /// Upper bound.
    pub max: u32,
    /// Lower bound.
    pub min: u32,
}

/// Reads the retransmission timeouts.
///
/// # Errors
/// EINVAL: no such association.
pub fn rto_info(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<RtoInfo> {
    let mut v = abi::RtoInfo { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_RTOINFO, &mut v)?;
    Ok(RtoInfo { initial: v.initial, max: v.max, min: v.min })
}

/// Sets the retransmission timeouts. A timer that already runs keeps its time.
///
/// # Errors
/// EINVAL: no such association, or not min <= initial <= max.
pub fn set_rto_info(fd: BorrowedFd<'_>, assoc: AssocId, rto: RtoInfo) -> io::Result<()> {
    let v = abi::RtoInfo { assoc_id: assoc, initial: rto.initial, max: rto.max, min: rto.min };
    set(fd, IPPROTO_SCTP, abi::SCTP_RTOINFO, &v)
}

/// Limits of an association (RFC 6458, 8.1.2). Zero leaves a value as it is when set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AssocParams {
    /// Retransmissions in a row before the association is given up.
    pub max_retransmissions: u16,
    /// How many addresses the peer has (read only).
    pub peer_destinations: u16,
    /// The peer's receive window in octets (read only).
    pub peer_rwnd: u32,
    /// The own receive window in octets (read only).
    pub local_rwnd: u32,
    /// Life of a cookie in milliseconds.
    pub cookie_life: u32,
}

/// Reads the limits of an association.
///
/// # Errors
/// EINVAL: no such association.
pub fn assoc_params(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<AssocParams> {
    let mut v = abi::AssocParams { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_ASSOCINFO, &mut v)?;
    Ok(AssocParams {
        max_retransmissions: v.asocmaxrxt,
        peer_destinations: v.number_peer_destinations,
        peer_rwnd: v.peer_rwnd,
        local_rwnd: v.local_rwnd,
        cookie_life: v.cookie_life,
    })
}

/// Sets `max_retransmissions` and `cookie_life`.
///
/// # Errors
/// EINVAL: no such association, or with several paths more retransmissions than those of all paths
/// together (raise [`PeerAddrParams::path_max_retransmissions`] first).
pub fn set_assoc_params(fd: BorrowedFd<'_>, assoc: AssocId, params: AssocParams) -> io::Result<()> {
    let v = abi::AssocParams {
        assoc_id: assoc,
        asocmaxrxt: params.max_retransmissions,
        cookie_life: params.cookie_life,
        ..Plain::zeroed()
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_ASSOCINFO, &v)
}

/// Parameters of one path, or of all of them (RFC 6458, 8.1.12). When set, zero and `None` leave a value
/// as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerAddrParams {
    /// The peer's address; `None`: all paths of the association, or the endpoint's defaults.
    pub address: Option<SocketAddr>,
    /// Between heartbeats on an idle path, in milliseconds; the kernel rounds up to its tick.
    pub heartbeat_interval: u32,
    /// Whether idle paths are probed.
    pub heartbeats: Option<bool>,
    /// Retransmissions in a row before the path is given up.
    pub path_max_retransmissions: u16,
    /// Path MTU in octets.
    pub path_mtu: u32,
    /// Whether the path MTU is discovered.
    pub pmtu_discovery: Option<bool>,
    /// Delay of acknowledgements in milliseconds.
    pub sack_delay: u32,
}

/// Reads the parameters of one path (`Some`), of the association's defaults or the endpoint's (`None`).
///
/// # Errors
/// EINVAL: no such association or address.
pub fn peer_addr_params(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    address: Option<SocketAddr>,
) -> io::Result<PeerAddrParams> {
    let mut v =
        abi::PeerAddrParams { assoc_id: assoc, address: addr::to_storage(address), ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_PEER_ADDR_PARAMS, &mut v)?;
    let flags = v.flags.get() as i32;
    let switch = |on, off| match (flags & on != 0, flags & off != 0) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    Ok(PeerAddrParams {
        address,
        heartbeat_interval: v.hbinterval,
        heartbeats: switch(abi::SPP_HB_ENABLE, abi::SPP_HB_DISABLE),
        path_max_retransmissions: v.pathmaxrxt,
        path_mtu: v.pathmtu.get(),
        pmtu_discovery: switch(abi::SPP_PMTUD_ENABLE, abi::SPP_PMTUD_DISABLE),
        sack_delay: v.sackdelay.get(),
    })
}

/// Sets the parameters of one path, or of all paths.
///
/// # Errors
/// EINVAL: no such association or address, or a value out of range.
pub fn set_peer_addr_params(fd: BorrowedFd<'_>, assoc: AssocId, params: &PeerAddrParams) -> io::Result<()> {
    let switch = |value, on, off| match value {
        Some(true) => on,
        Some(false) => off,
        None => 0,
    };
    let mut flags = switch(params.heartbeats, abi::SPP_HB_ENABLE, abi::SPP_HB_DISABLE)
        | switch(params.pmtu_discovery, abi::SPP_PMTUD_ENABLE, abi::SPP_PMTUD_DISABLE);
    if params.sack_delay != 0 {
        flags |= abi::SPP_SACKDELAY_ENABLE;
    }
    let v = abi::PeerAddrParams {
        assoc_id: assoc,
        address: addr::to_storage(params.address),
        hbinterval: params.heartbeat_interval,
        pathmaxrxt: params.path_max_retransmissions,
        // The kernel takes the MTU only together with discovery switched off.
        pathmtu: Unaligned32::new(if params.pmtu_discovery == Some(false) { params.path_mtu } else { 0 }),
        sackdelay: Unaligned32::new(params.sack_delay),
        flags: Unaligned32::new(flags as u32),
        ..Plain::zeroed()
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_PEER_ADDR_PARAMS, &v)
}

/// Sends a HEARTBEAT to this address of the peer now.
///
/// # Errors
/// EINVAL: no such association or address.
pub fn heartbeat_now(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr) -> io::Result<()> {
    let v = abi::PeerAddrParams {
        assoc_id: assoc,
        address: addr::to_storage(Some(peer)),
        flags: Unaligned32::new(abi::SPP_HB_DEMAND as u32),
        ..Plain::zeroed()
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_PEER_ADDR_PARAMS, &v)
}

/// State of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathState {
    /// Given up for now; only heartbeats go there.
    Inactive,
    /// Losing packets; data goes elsewhere if it can (RFC 7829).
    PotentiallyFailed,
    /// In use.
    Active,
    /// Not yet answered a heartbeat.
    Unconfirmed,
    /// A number that is none of these.
    Other(i32),
}

impl PathState {
    /// From the kernel's number.
    pub const fn from_raw(state: i32) -> Self {
        match state {
            abi::SCTP_INACTIVE => Self::Inactive,
            abi::SCTP_PF => Self::PotentiallyFailed,
            abi::SCTP_ACTIVE => Self::Active,
            abi::SCTP_UNCONFIRMED => Self::Unconfirmed,
            other => Self::Other(other),
        }
    }
}

/// One path of an association (RFC 6458, 8.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddrInfo {
    /// The peer's address.
    pub address: Option<SocketAddr>,
    /// State of the path.
    pub state: PathState,
    /// Congestion window in octets.
    pub cwnd: u32,
    /// Smoothed round-trip time in milliseconds.
    pub srtt: u32,
    /// Retransmission timeout in milliseconds.
    pub rto: u32,
    /// Path MTU in octets.
    pub mtu: u32,
}

impl From<&abi::PeerAddrInfo> for PeerAddrInfo {
    fn from(v: &abi::PeerAddrInfo) -> Self {
        Self {
            address: addr::from_storage(v.address),
            state: PathState::from_raw(v.state),
            cwnd: v.cwnd,
            srtt: v.srtt,
            rto: v.rto,
            mtu: v.mtu,
        }
    }
}

/// What the kernel knows of one path.
///
/// # Errors
/// EINVAL: no such association or address.
pub fn peer_addr_info(fd: BorrowedFd<'_>, assoc: AssocId, peer: SocketAddr) -> io::Result<PeerAddrInfo> {
    let mut v =
        abi::PeerAddrInfo { assoc_id: assoc, address: addr::to_storage(Some(peer)), ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_GET_PEER_ADDR_INFO, &mut v)?;
    Ok((&v).into())
}

/// State of an association (RFC 9260, 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssocState {
    /// Nothing.
    Empty,
    /// Closed.
    Closed,
    /// INIT sent.
    CookieWait,
    /// COOKIE-ECHO sent.
    CookieEchoed,
    /// Established.
    Established,
    /// Closing: own data still outstanding.
    ShutdownPending,
    /// SHUTDOWN sent.
    ShutdownSent,
    /// SHUTDOWN received.
    ShutdownReceived,
    /// SHUTDOWN-ACK sent.
    ShutdownAckSent,
    /// A number that is none of these.
    Other(i32),
}

impl AssocState {
    /// From SCTP_STATUS' number.
    pub const fn from_status(state: i32) -> Self {
        match state {
            0 => Self::Empty,
            1 => Self::Closed,
            2 => Self::CookieWait,
            3 => Self::CookieEchoed,
            4 => Self::Established,
            5 => Self::ShutdownPending,
            6 => Self::ShutdownSent,
            7 => Self::ShutdownReceived,
            8 => Self::ShutdownAckSent,
            other => Self::Other(other),
        }
    }

    /// From the number in /proc and sock_diag, which is one less.
    pub const fn from_kernel(state: i32) -> Self {
        Self::from_status(state.saturating_add(1))
    }
}

/// State of an association (RFC 6458, 8.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The association.
    pub assoc: AssocId,
    /// Its state.
    pub state: AssocState,
    /// The peer's receive window in octets.
    pub rwnd: u32,
    /// DATA chunks sent and not acknowledged.
    pub unacked: u16,
    /// DATA chunks received and not yet read by the program.
    pub pending: u16,
    /// Streams from the peer.
    pub in_streams: u16,
    /// Streams to the peer.
    pub out_streams: u16,
    /// Messages larger than this are fragmented, in octets.
    pub fragmentation_point: u32,
    /// The primary path.
    pub primary: PeerAddrInfo,
}

/// State of an association.
///
/// # Errors
/// EINVAL: no such association.
pub fn status(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<Status> {
    let mut v = abi::Status { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_STATUS, &mut v)?;
    Ok(Status {
        assoc: v.assoc_id,
        state: AssocState::from_status(v.state),
        rwnd: v.rwnd,
        unacked: v.unackdata,
        pending: v.penddata,
        in_streams: v.instrms,
        out_streams: v.outstrms,
        fragmentation_point: v.fragmentation_point,
        primary: (&v.primary).into(),
    })
}

/// The associations of a one-to-many socket (RFC 6458, 8.2.6).
///
/// # Errors
/// EOPNOTSUPP on one-to-one sockets.
pub fn assoc_ids(fd: BorrowedFd<'_>) -> io::Result<Vec<AssocId>> {
    let mut room = 64;
    loop {
        let mut buffer = vec![0; 4 + 4 * room];
        match get_bytes(fd, abi::SCTP_GET_ASSOC_ID_LIST, &mut buffer) {
            Ok(()) => {
                let (count, ids) = buffer
                    .split_first_chunk()
                    .ok_or_else(|| nonsense("a list of associations without its count"))?;
                let count = u32::from_ne_bytes(*count) as usize;
                return Ok(ids
                    .as_chunks()
                    .0
                    .iter()
                    .take(count)
                    .map(|id| AssocId::from_ne_bytes(*id))
                    .collect());
            }
            // The kernel says EINVAL when the buffer is too small.
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && room < 1 << 20 => room *= 8,
            Err(e) => return Err(e),
        }
    }
}

/// Counters of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "one counter each, named in full")]
pub struct AssocStats {
    /// The path with the largest retransmission timeout since the last reading.
    pub max_rto_address: Option<SocketAddr>,
    /// That timeout in milliseconds.
    pub max_rto: u64,
    pub sacks_in: u64,
    pub sacks_out: u64,
    pub packets_out: u64,
    pub packets_in: u64,
    pub retransmitted_chunks: u64,
    pub out_of_sequence: u64,
    pub duplicate_chunks_in: u64,
    pub gap_acks_in: u64,
    pub unordered_chunks_out: u64,
    pub unordered_chunks_in: u64,
    pub ordered_chunks_out: u64,
    pub ordered_chunks_in: u64,
    pub control_chunks_out: u64,
    pub control_chunks_in: u64,
}

/// Reads the counters. Reading starts a new period for `max_rto`, also for other readers.
///
/// # Errors
/// EINVAL: no such association.
pub fn assoc_stats(fd: BorrowedFd<'_>, assoc: AssocId) -> io::Result<AssocStats> {
    let mut v = abi::AssocStats { assoc_id: assoc, ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_GET_ASSOC_STATS, &mut v)?;
    Ok(AssocStats {
        max_rto_address: addr::from_storage(v.obs_rto_ipaddr),
        max_rto: v.maxrto,
        sacks_in: v.isacks,
        sacks_out: v.osacks,
        packets_out: v.opackets,
        packets_in: v.ipackets,
        retransmitted_chunks: v.rtxchunks,
        out_of_sequence: v.outofseqtsns,
        duplicate_chunks_in: v.idupchunks,
        gap_acks_in: v.gapcnt,
        unordered_chunks_out: v.ouodchunks,
        unordered_chunks_in: v.iuodchunks,
        ordered_chunks_out: v.oodchunks,
        ordered_chunks_in: v.iodchunks,
        control_chunks_out: v.octrlchunks,
        control_chunks_in: v.ictrlchunks,
    })
}

/// Thresholds of a path (RFC 7829, 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Errors in a row until the path is inactive.
    pub path_max_retransmissions: u16,
    /// Errors in a row until it is potentially failed.
    pub potentially_failed: u16,
    /// Errors in a row until the primary path is moved for good; 0xffff: never.
    pub primary_switchover: u16,
}

/// Reads the thresholds of one path, or the defaults of the association or endpoint.
///
/// # Errors
/// EINVAL: no such association; ENOENT: no such address.
pub fn thresholds(fd: BorrowedFd<'_>, assoc: AssocId, peer: Option<SocketAddr>) -> io::Result<Thresholds> {
    let mut v =
        abi::PeerAddrThresholds { assoc_id: assoc, address: addr::to_storage(peer), ..Plain::zeroed() };
    get(fd, IPPROTO_SCTP, abi::SCTP_PEER_ADDR_THLDS_V2, &mut v)?;
    Ok(Thresholds {
        path_max_retransmissions: v.pathmaxrxt,
        potentially_failed: v.pathpfthld,
        primary_switchover: v.pathcpthld,
    })
}

/// Sets the thresholds of one path, or of all paths.
///
/// # Errors
/// EINVAL: no such association, or a switchover before potential failure; ENOENT: no such address.
pub fn set_thresholds(
    fd: BorrowedFd<'_>,
    assoc: AssocId,
    peer: Option<SocketAddr>,
    thresholds: Thresholds,
) -> io::Result<()> {
    let v = abi::PeerAddrThresholds {
        assoc_id: assoc,
        address: addr::to_storage(peer),
        pathmaxrxt: thresholds.path_max_retransmissions,
        pathpfthld: thresholds.potentially_failed,
        pathcpthld: thresholds.primary_switchover,
    };
    set(fd, IPPROTO_SCTP, abi::SCTP_PEER_ADDR_THLDS_V2, &v)
}
