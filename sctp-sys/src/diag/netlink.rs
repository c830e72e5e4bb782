//! sock_diag (`<linux/inet_diag.h>`) for SCTP: the request built, the answers parsed from bytes.
//!
//! Associations and sockets come in one dump; the former alone have the attribute PEERS.

use std::io;
use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::{AssociationEntry, Detail, EndpointEntry, Kind, Snapshot, Source};
use crate::abi::{IPPROTO_SCTP, Info};
use crate::addr::{self, STORAGE_LEN};
use crate::socket::Family;
use crate::sockopt::{AssocState, PathState};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_LOCALS: u16 = 12;
const INET_DIAG_PEERS: u16 = 13;
const HEADER: usize = 16;
const REQUEST: usize = 56;
const MESSAGE: usize = 72;
/// Larger than any datagram of a dump (32 KiB).
const DATAGRAM: usize = 1 << 16;
/// `sk_state` of a listening socket.
const LISTENING: u8 = 10;

/// Why an answer of sock_diag is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiagError {
    /// The kernel refused.
    #[error("sock_diag: {0}")]
    Refused(io::Error),
    /// The answer's lengths do not add up.
    #[error("sock_diag's answer ends early")]
    Truncated,
}

impl From<DiagError> for io::Error {
    fn from(error: DiagError) -> Self {
        match error {
            DiagError::Refused(error) => error,
            DiagError::Truncated => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

pub(super) fn snapshot() -> io::Result<Snapshot> {
    dump(u32::MAX)
}

/// The sockets that listen. With this state alone the kernel does not walk the associations.
pub(super) fn listening() -> io::Result<Vec<EndpointEntry>> {
    let mut endpoints = dump(1 << LISTENING)?.endpoints;
    endpoints.retain(|endpoint| endpoint.listening);
    Ok(endpoints)
}

/// All that is in one of these states: a bit for each value of `sk_state`.
fn dump(states: u32) -> io::Result<Snapshot> {
    let mut socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    let mut snapshot = Snapshot::default();
    let mut buffer = Vec::with_capacity(DATAGRAM);
    for (sequence, family) in [(1, libc::AF_INET), (2, libc::AF_INET6)] {
        socket.send_to(&request(family as u8, sequence, states), &netlink_sys::SocketAddr::new(0, 0), 0)?;
        loop {
            buffer.clear();
            let (_, from) = match socket.recv_from(&mut buffer, 0) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                done => done?,
            };
            // Other processes can write to this socket too.
            if from.port_number() == 0 && parse_datagram(&buffer, sequence, &mut snapshot)? {
                break;
            }
        }
    }
    snapshot.unique();
    Ok(snapshot)
}

pub(super) fn one(local: SocketAddr, peer: SocketAddr) -> io::Result<Option<AssociationEntry>> {
    let mut socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.send_to(&request_one(local, peer), &netlink_sys::SocketAddr::new(0, 0), 0)?;
    let mut buffer = Vec::with_capacity(DATAGRAM);
    loop {
        buffer.clear();
        let (_, from) = match socket.recv_from(&mut buffer, 0) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        };
        if from.port_number() != 0 {
            continue;
        }
        let mut snapshot = Snapshot::default();
        match parse_datagram(&buffer, ONE, &mut snapshot) {
            Ok(_) => return Ok(snapshot.associations.pop()),
            Err(DiagError::Refused(error)) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The sequence number of a request for one association: there is but one on its socket.
const ONE: u32 = 1;

/// A request for the association between two addresses.
fn request_one(local: SocketAddr, peer: SocketAddr) -> [u8; HEADER + REQUEST] {
    let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut out = request_with(family as u8, ONE, NLM_F_REQUEST);
    let body = &mut out[HEADER..];
    // struct inet_diag_sockid: ports, then two addresses of 16 octets.
    for (end, port, address) in [(local, 8, 12), (peer, 10, 28)] {
        body[port..port + 2].copy_from_slice(&end.port().to_be_bytes());
        match end.ip() {
            IpAddr::V4(ip) => body[address..address + 4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => body[address..address + 16].copy_from_slice(&ip.octets()),
        }
    }
    out
}

/// A dump of one family with INFO.
fn request(family: u8, sequence: u32, states: u32) -> [u8; HEADER + REQUEST] {
    let mut out = request_with(family, sequence, NLM_F_REQUEST | NLM_F_DUMP);
    out[HEADER + 4..HEADER + 8].copy_from_slice(&states.to_ne_bytes());
    out
}

fn request_with(family: u8, sequence: u32, flags: u16) -> [u8; HEADER + REQUEST] {
    let mut out = [0; HEADER + REQUEST];
    out[..4].copy_from_slice(&((HEADER + REQUEST) as u32).to_ne_bytes());
    out[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out[6..8].copy_from_slice(&flags.to_ne_bytes());
    out[8..12].copy_from_slice(&sequence.to_ne_bytes());
    let body = &mut out[HEADER..];
    body[0] = family;
    body[1] = IPPROTO_SCTP as u8;
    body[2] = 1 << (INET_DIAG_INFO - 1);
    body[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    // The cookie: any socket.
    body[48..56].copy_from_slice(&[0xff; 8]);
    out
}

/// Adds the entries of one datagram that answers the request `sequence`; true when it was the last.
///
/// # Errors
/// When the kernel refused, or the lengths do not add up.
pub fn parse_datagram(bytes: &[u8], sequence: u32, snapshot: &mut Snapshot) -> Result<bool, DiagError> {
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk::<HEADER>() {
        let length = u32_at(header, 0) as usize;
        let message = rest.get(HEADER..length).ok_or(DiagError::Truncated)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        if u32_at(header, 8) != sequence {
            continue;
        }
        match u16::from_ne_bytes([header[4], header[5]]) {
            // Either may carry an error, as a negative number.
            kind @ (NLMSG_DONE | NLMSG_ERROR) => {
                let error = message.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
                if error < 0 {
                    return Err(DiagError::Refused(io::Error::from_raw_os_error(error.saturating_neg())));
                }
                if kind == NLMSG_DONE {
                    return Ok(true);
                }
            }
            SOCK_DIAG_BY_FAMILY => parse_entry(message, snapshot)?,
            _ => {}
        }
    }
    Ok(false)
}

fn parse_entry(message: &[u8], snapshot: &mut Snapshot) -> Result<(), DiagError> {
    let (head, mut rest) = message.split_first_chunk::<MESSAGE>().ok_or(DiagError::Truncated)?;
    let (mut info, mut locals, mut peers) = (None, Vec::new(), None);
    while let Some(attribute) = rest.first_chunk::<4>() {
        let length = usize::from(u16::from_ne_bytes([attribute[0], attribute[1]]));
        let data = rest.get(4..length).ok_or(DiagError::Truncated)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        // The two high bits are flags.
        match u16::from_ne_bytes([attribute[2], attribute[3]]) & 0x3fff {
            INET_DIAG_INFO => info = data.first_chunk::<{ size_of::<Info>() }>(),
            INET_DIAG_LOCALS => locals = addresses(data),
            INET_DIAG_PEERS => peers = Some(addresses(data)),
            _ => {}
        }
    }
    let family = match i32::from(head[0]) {
        libc::AF_INET => Some(Family::V4),
        libc::AF_INET6 => Some(Family::V6),
        _ => None,
    };
    let kind = info.and_then(|info| Kind::from_raw(u32_at(info, offset_of!(Info, s_type))));
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let (inode, uid) = (u64::from(u32_at(head, 68)), u32_at(head, 64));
    let Some(peer) = peers else {
        snapshot.endpoints.push(EndpointEntry {
            inode,
            uid,
            local_port: port(4),
            wildcard: locals.iter().any(IpAddr::is_unspecified),
            local: locals,
            listening: head[1] == LISTENING,
            kind,
            family,
            source: Source::SockDiag,
        });
        return Ok(());
    };
    let primary = match info {
        Some(info) => {
            let at = offset_of!(Info, p_address);
            addr::read(&info[at..at + STORAGE_LEN]).ok().map(|(addr, _)| addr.ip())
        }
        // On IPv6 sockets the header's address makes no sense for an IPv4 path.
        None if family == Some(Family::V4) => {
            Some(Ipv4Addr::new(head[24], head[25], head[26], head[27]).into())
        }
        None => None,
    };
    snapshot.associations.push(AssociationEntry {
        inode,
        uid,
        state: AssocState::from_kernel(head[1].into()),
        local_port: port(4),
        peer_port: port(6),
        local: locals,
        peer,
        primary,
        assoc_id: None,
        my_tag: info.map(|info| u32_at(info, offset_of!(Info, tag))),
        peer_tag: info.map(|info| u32_at(info, offset_of!(Info, peer_tag))),
        // An association's INFO leaves the socket's part empty.
        kind: None,
        family,
        detail: info.map(detail),
        source: Source::SockDiag,
    });
    Ok(())
}

fn detail(info: &[u8; size_of::<Info>()]) -> Detail {
    let u16_at = |at: usize| u16::from_ne_bytes([info[at], info[at + 1]]);
    let u64_at = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&info[at..at + 8]);
        u64::from_ne_bytes(bytes)
    };
    // Bits, from the lowest: AUTH, partial reliability, ASCONF.
    let capable = info[offset_of!(Info, peer_capable)];
    Detail {
        addip: capable & 4 != 0,
        auth: capable & 1 != 0,
        unacked: u16_at(offset_of!(Info, unackdata)),
        out_queue: u32_at(info, offset_of!(Info, outqueue)),
        in_queue: u32_at(info, offset_of!(Info, inqueue)),
        peer_rwnd: u32_at(info, offset_of!(Info, peer_rwnd)),
        overall_errors: u32_at(info, offset_of!(Info, overall_error)),
        retransmitted: u64_at(offset_of!(Info, rtxchunks)),
        packets_out: u64_at(offset_of!(Info, opackets)),
        packets_in: u64_at(offset_of!(Info, ipackets)),
        primary_state: PathState::from_raw(u32_at(info, offset_of!(Info, p_state)).cast_signed()),
        srtt: u32_at(info, offset_of!(Info, p_srtt)),
        rto: u32_at(info, offset_of!(Info, p_rto)),
        primary_errors: u16_at(offset_of!(Info, p_error)),
    }
}

/// An array of sockaddr_storage; those of other families are left out.
fn addresses(data: &[u8]) -> Vec<IpAddr> {
    data.as_chunks::<STORAGE_LEN>()
        .0
        .iter()
        .filter_map(|one| addr::read(one).ok())
        .map(|(addr, _)| addr.ip())
        .collect()
}

/// A number in the machine's order, at an offset inside a slice whose length was proved.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
