//! The chunks of interest (RFC 9260, 3.3; RFC 5061, 4; RFC 4895, 4), decoded.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ABORT: u8 = 6;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
const AUTH: u8 = 0x0f;
const ASCONF_ACK: u8 = 0x80;
const ASCONF: u8 = 0xc1;
/// What the kernel's filter lets through. AUTH is not of interest for itself: it precedes ASCONF and its
/// answer.
pub(super) const OF_INTEREST: [u8; 6] = [AUTH, ASCONF, ASCONF_ACK, ABORT, COOKIE_ECHO, COOKIE_ACK];

const IPV4_ADDRESS: u16 = 5;
const IPV6_ADDRESS: u16 = 6;
const ADD: u16 = 0xc001;
const DELETE: u16 = 0xc002;
const ERROR: u16 = 0xc003;
const SET_PRIMARY: u16 = 0xc004;
const SUCCESS: u16 = 0xc005;

/// An error cause of an ABORT or of an answer to ASCONF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The cause's code: 0x00A0 last address, 0x00A1 resources, 0x00A2 source address, 0x00A3 answer out of
    /// turn, 0x00A4 not authorised, 0x0005 address unknown.
    pub code: u16,
    /// What it says besides.
    pub data: Vec<u8>,
}

/// What an ASCONF asks for (RFC 5061, 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsconfParam {
    /// Send to this address too.
    Add {
        /// Number by which the answer refers to it.
        correlation: u32,
        /// The address; 0.0.0.0 or ::, the packet's source.
        address: IpAddr,
    },
    /// Send to this address no more.
    Delete {
        /// Number by which the answer refers to it.
        correlation: u32,
        /// The address; 0.0.0.0 or ::, all but the packet's source.
        address: IpAddr,
    },
    /// Send to this address first.
    SetPrimary {
        /// Number by which the answer refers to it.
        correlation: u32,
        /// The address.
        address: IpAddr,
    },
    /// Something else.
    Other {
        /// The parameter's type.
        type_: u16,
        /// Its value.
        data: Vec<u8>,
    },
}

/// A chunk of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Address changes.
    Asconf {
        /// Serial number, which the answer repeats.
        serial: u32,
        /// An address by which the association is found.
        address: Option<IpAddr>,
        /// What is asked for, in order.
        params: Vec<AsconfParam>,
        /// Behind an AUTH chunk.
        authenticated: bool,
    },
    /// Their answer. Whatever is not among the errors was done.
    AsconfAck {
        /// Serial number of what is answered.
        serial: u32,
        /// What was refused: the number that it was asked with, and the first cause.
        errors: Vec<(u32, u16)>,
        /// What was expressly accepted.
        successes: Vec<u32>,
        /// Behind an AUTH chunk.
        authenticated: bool,
    },
    /// The association is ended.
    Abort {
        /// The tag is the sender's own: it knew no such association.
        reflected: bool,
        /// Why.
        causes: Vec<Cause>,
    },
    /// A peer wants an association; the next packet the other way makes it.
    CookieEcho,
    /// An association is made.
    CookieAck,
}

/// The chunks of interest among the chunks of a packet. Ends at the first that makes no sense.
pub fn walk(chunks: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut authenticated = false;
    for (kind, flags, value) in Chunks(chunks) {
        match kind {
            AUTH => authenticated = true,
            ASCONF => seen.extend(asconf(value, authenticated)),
            ASCONF_ACK => seen.extend(asconf_ack(value, authenticated)),
            ABORT => seen.push(Seen::Abort { reflected: flags & 1 != 0, causes: causes(value).collect() }),
            COOKIE_ECHO => seen.push(Seen::CookieEcho),
            COOKIE_ACK => seen.push(Seen::CookieAck),
            _ => {}
        }
    }
    seen
}

/// Type, flags and value of each chunk.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = (u8, u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header: &[u8; 4] = self.0.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((header[0], header[1], value))
    }
}

/// Type and value of each parameter or cause: both have a type and a length of 16 bits, and padding.
struct Params<'a>(&'a [u8]);

impl<'a> Iterator for Params<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header: &[u8; 4] = self.0.first_chunk()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((u16::from_be_bytes([header[0], header[1]]), value))
    }
}

fn causes(bytes: &[u8]) -> impl Iterator<Item = Cause> {
    Params(bytes).map(|(code, data)| Cause { code, data: data.to_vec() })
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// The address parameter that these bytes begin with.
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let (kind, value) = Params(bytes).next()?;
    match kind {
        IPV4_ADDRESS => Some(Ipv4Addr::from(*<&[u8; 4]>::try_from(value).ok()?).into()),
        IPV6_ADDRESS => Some(Ipv6Addr::from(*<&[u8; 16]>::try_from(value).ok()?).into()),
        _ => None,
    }
}

fn asconf(value: &[u8], authenticated: bool) -> Option<Seen> {
    let (serial, rest) = number(value)?;
    let mut list = Params(rest);
    let first = address(rest);
    if first.is_some() {
        list.next();
    }
    let params = list.map(|(type_, data)| param(type_, data)).collect();
    Some(Seen::Asconf { serial, address: first, params, authenticated })
}

fn param(type_: u16, data: &[u8]) -> AsconfParam {
    let known = number(data).and_then(|(correlation, rest)| {
        let address = address(rest)?;
        match type_ {
            ADD => Some(AsconfParam::Add { correlation, address }),
            DELETE => Some(AsconfParam::Delete { correlation, address }),
            SET_PRIMARY => Some(AsconfParam::SetPrimary { correlation, address }),
            _ => None,
        }
    });
    known.unwrap_or_else(|| AsconfParam::Other { type_, data: data.to_vec() })
}

fn asconf_ack(value: &[u8], authenticated: bool) -> Option<Seen> {
    let (serial, rest) = number(value)?;
    let (mut errors, mut successes) = (Vec::new(), Vec::new());
    for (type_, data) in Params(rest) {
        let Some((correlation, rest)) = number(data) else { continue };
        match type_ {
            ERROR => errors.push((correlation, Params(rest).next().map_or(0, |(code, _)| code))),
            SUCCESS => successes.push(correlation),
            _ => {}
        }
    }
    Some(Seen::AsconfAck { serial, errors, successes, authenticated })
}
