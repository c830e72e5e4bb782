//! From the network header to the first chunk.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SCTP: u8 = 132;
const UDP: u8 = 17;
/// Length of the SCTP common header.
const COMMON: usize = 12;

/// An SCTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Source port.
    pub source_port: u16,
    /// Destination port.
    pub destination_port: u16,
    /// Verification tag.
    pub vtag: u32,
    /// The UDP ports that it is wrapped in.
    pub udp: Option<(u16, u16)>,
    /// The chunks.
    pub chunks: &'a [u8],
}

/// Takes a packet apart that begins with its IPv4 or IPv6 header. `None`: not SCTP, a later fragment, or
/// broken. With a port, UDP from or to it is looked into.
pub fn dissect(bytes: &[u8], udp_port: Option<u16>) -> Option<Packet<'_>> {
    let (source, destination, protocol, body) = match bytes.first()? >> 4 {
        4 => ipv4(bytes)?,
        6 => ipv6(bytes)?,
        _ => return None,
    };
    let (udp, body) = match (protocol, udp_port) {
        (SCTP, _) => (None, body),
        (UDP, Some(port)) => {
            let header: &[u8; 8] = body.first_chunk()?;
            let ports = (u16_at(header, 0), u16_at(header, 2));
            if ports.0 != port && ports.1 != port {
                return None;
            }
            let length = usize::from(u16_at(header, 4)).min(body.len());
            (Some(ports), body.get(8..length)?)
        }
        _ => return None,
    };
    let (header, chunks) = body.split_first_chunk::<COMMON>()?;
    Some(Packet {
        source,
        destination,
        source_port: u16_at(header, 0),
        destination_port: u16_at(header, 2),
        vtag: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        udp,
        chunks,
    })
}

type Layers<'a> = (IpAddr, IpAddr, u8, &'a [u8]);

fn ipv4(bytes: &[u8]) -> Option<Layers<'_>> {
    let header: &[u8; 20] = bytes.first_chunk()?;
    if u16_at(header, 6) & 0x1fff != 0 {
        return None;
    }
    let start = usize::from(header[0] & 0xf) * 4;
    // What follows the packet is the link's padding. A length of zero is that of a large packet that the
    // interface will cut.
    let end = match usize::from(u16_at(header, 2)) {
        0 => bytes.len(),
        total => total.min(bytes.len()),
    };
    let ip =
        |at: usize| IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]));
    if start < header.len() {
        return None;
    }
    Some((ip(12), ip(16), header[9], bytes.get(start..end)?))
}

fn ipv6(bytes: &[u8]) -> Option<Layers<'_>> {
    let (header, body) = bytes.split_first_chunk::<40>()?;
    let ip = |at: usize| -> Option<IpAddr> {
        Some(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?).into())
    };
    let mut body = match usize::from(u16_at(header, 4)) {
        0 => body,
        length => &body[..length.min(body.len())],
    };
    let mut next = header[6];
    loop {
        match next {
            // Hop-by-hop options, routing, destination options.
            0 | 43 | 60 => {
                let length = (usize::from(*body.get(1)?) + 1) * 8;
                next = *body.first()?;
                body = body.get(length..)?;
            }
            _ => return Some((ip(8)?, ip(24)?, next, body)),
        }
    }
}

/// A number in network order at an offset inside a slice whose length was proved.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
