//! rtnetlink messages as bytes: the four kinds that a mobility agent reads and the seven that it writes.
//!
//! Layouts are those of `linux/rtnetlink.h`, `if_link.h`, `if_addr.h`, `fib_rules.h` and `neighbour.h`, in the host's byte
//! order. Reading never panics: what is too short ends the list, what is unknown is skipped. That is all we
//! need of rtnetlink, and it spares a handover the cost of decoding interface statistics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) const NEWLINK: u16 = 16;
pub(crate) const DELLINK: u16 = 17;
pub(crate) const GETLINK: u16 = 18;
pub(crate) const NEWADDR: u16 = 20;
pub(crate) const DELADDR: u16 = 21;
pub(crate) const GETADDR: u16 = 22;
pub(crate) const NEWROUTE: u16 = 24;
pub(crate) const DELROUTE: u16 = 25;
pub(crate) const GETROUTE: u16 = 26;
pub(crate) const NEWNEIGH: u16 = 28;
pub(crate) const NEWRULE: u16 = 32;
pub(crate) const DELRULE: u16 = 33;
pub(crate) const GETRULE: u16 = 34;

pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const ACK: u16 = 0x4;
pub(crate) const DUMP_INTERRUPTED: u16 = 0x10;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const REPLACE: u16 = 0x100;
pub(crate) const EXCLUSIVE: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;

pub(crate) const ERROR: u16 = 2;
pub(crate) const DONE: u16 = 3;

pub(crate) const INET: u8 = libc::AF_INET as u8;
pub(crate) const INET6: u8 = libc::AF_INET6 as u8;

const HEADER: usize = 16;

/// The family byte of an address.
pub(crate) fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { INET } else { INET6 }
}

/// One message in the making. Lengths are filled in by [`Builder::finish`].
pub(crate) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// A message of this type and these flags, followed by its fixed part.
    pub(crate) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        Self { bytes }
    }

    /// Appends an attribute. Values are a few octets; longer than 65531 cannot occur.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    pub(crate) fn attribute_u32(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    pub(crate) fn attribute_address(self, kind: u16, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.attribute(kind, &address.octets()),
            IpAddr::V6(address) => self.attribute(kind, &address.octets()),
        }
    }

    /// The finished message with its sequence number.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// One received message, still as bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) body: &'a [u8],
}

/// The messages of one datagram; ends at the first that is not whole.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    std::iter::from_fn(move || {
        let length = u32_at(bytes, 0)? as usize;
        if length < HEADER || length > bytes.len() {
            return None;
        }
        let raw = Raw {
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
            body: &bytes[HEADER..length],
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(raw)
    })
}

/// The attributes in `bytes`: type without its flag bits, and value. Ends at the first that is not whole.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// An address of 4 or 16 octets.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()),
        _ => None,
    }
}

/// A string attribute without its terminating zero.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_is_read_back() {
        let bytes = Builder::new(NEWADDR, REQUEST | ACK, &[INET, 32, 0, 0, 1, 0, 0, 0])
            .attribute_address(2, "10.0.0.1".parse().unwrap())
            .attribute(3, b"lo:roam\0\0")
            .attribute_u32(8, 7)
            .finish(42);
        let all: Vec<_> = messages(&bytes).collect();
        assert_eq!((all.len(), all[0].kind, all[0].flags, all[0].sequence), (1, NEWADDR, 5, 42));
        let attributes: Vec<_> = attributes(&all[0].body[8..]).collect();
        assert_eq!(address(attributes[0].1), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(text(attributes[1].1), "lo:roam");
        assert_eq!(u32_at(attributes[2].1, 0), Some(7));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic_or_loop(bytes: Vec<u8>) {
            let total: usize = messages(&bytes).map(|raw| 1 + attributes(raw.body).count()).sum();
            proptest::prop_assert!(total <= bytes.len());
        }
    }
}
