//! Socket addresses as the kernel's SCTP reads and writes them: packed lists and `sockaddr_storage`.
//!
//! A packed list is `sockaddr_in` (16 octets) and `sockaddr_in6` (28 octets) back to back. IPv4-mapped
//! IPv6 addresses are IPv4 to SCTP; both directions treat them so ([`canonical`]).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::sockaddr_storage;

const V4_LEN: usize = 16;
const V6_LEN: usize = 28;
pub(crate) const STORAGE_LEN: usize = 128;

/// Why bytes are no address or no list of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddrError {
    /// The bytes end inside an address.
    #[error("address list ends inside an address, {have} octets where {need} are needed")]
    Truncated {
        /// Octets needed.
        need: usize,
        /// Octets there.
        have: usize,
    },
    /// Neither AF_INET nor AF_INET6.
    #[error("address family {0} is neither IPv4 nor IPv6")]
    Family(u16),
}

/// An address in the one form in which it can be compared: an IPv4-mapped IPv6 address turned into the IPv4
/// address that it stands for, without flow label, and with an interface only if it is link-local (the
/// kernel gives the same address now with, now without).
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => {
                let scope = if v6.ip().is_unicast_link_local() { v6.scope_id() } else { 0 };
                SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope).into()
            }
        },
        SocketAddr::V4(_) => addr,
    }
}

/// A packed list for bindx and connectx.
pub fn pack(addrs: &[SocketAddr]) -> Vec<u8> {
    let mut out = Vec::with_capacity(addrs.len() * V6_LEN);
    for addr in addrs {
        push(&mut out, *addr);
    }
    out
}

/// Reads `count` addresses of a packed list. Octets after them are ignored.
///
/// # Errors
/// When the bytes end early or a family is unknown.
pub fn unpack(bytes: &[u8], count: usize) -> Result<Vec<SocketAddr>, AddrError> {
    // Every address takes at least 16 octets: a count beyond that is found out before anything is reserved.
    let mut out = Vec::with_capacity(count.min(bytes.len() / V4_LEN));
    let mut rest = bytes;
    for _ in 0..count {
        let (addr, len) = read(rest)?;
        out.push(addr);
        rest = &rest[len..];
    }
    Ok(out)
}

/// Reads one `sockaddr_in` or `sockaddr_in6`, such as a `sockaddr_storage` holds; says its length.
///
/// # Errors
/// As [`unpack`].
pub fn read(bytes: &[u8]) -> Result<(SocketAddr, usize), AddrError> {
    let truncated = |need| AddrError::Truncated { need, have: bytes.len() };
    let family = u16::from_ne_bytes(*bytes.first_chunk().ok_or(truncated(2))?);
    match i32::from(family) {
        libc::AF_INET => {
            let b: &[u8; V4_LEN] = bytes.first_chunk().ok_or(truncated(V4_LEN))?;
            let ip = Ipv4Addr::new(b[4], b[5], b[6], b[7]);
            Ok((SocketAddrV4::new(ip, u16::from_be_bytes([b[2], b[3]])).into(), V4_LEN))
        }
        libc::AF_INET6 => {
            let b: &[u8; V6_LEN] = bytes.first_chunk().ok_or(truncated(V6_LEN))?;
            let mut ip = [0; 16];
            ip.copy_from_slice(&b[8..24]);
            let scope = u32::from_ne_bytes([b[24], b[25], b[26], b[27]]);
            let port = u16::from_be_bytes([b[2], b[3]]);
            let addr = SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope);
            Ok((canonical(addr.into()), V6_LEN))
        }
        _ => Err(AddrError::Family(family)),
    }
}

/// An address in a `sockaddr_storage`; `None` is the unset one (family 0), which options take as "all".
pub fn to_storage(addr: Option<SocketAddr>) -> sockaddr_storage {
    let mut bytes = Vec::with_capacity(V6_LEN);
    if let Some(addr) = addr {
        push(&mut bytes, addr);
    }
    let mut all = [0; STORAGE_LEN];
    all[..bytes.len()].copy_from_slice(&bytes);
    // SAFETY: sockaddr_storage is 128 octets of integers, for which all bits are values.
    unsafe { std::mem::transmute::<[u8; STORAGE_LEN], sockaddr_storage>(all) }
}

/// The address in a `sockaddr_storage`; `None` when its family is none that SCTP uses.
pub fn from_storage(storage: sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: sockaddr_storage is 128 octets of integers without padding between them.
    let bytes = unsafe { std::mem::transmute::<sockaddr_storage, [u8; STORAGE_LEN]>(storage) };
    read(&bytes).ok().map(|(addr, _)| addr)
}

fn push(out: &mut Vec<u8>, addr: SocketAddr) {
    match canonical(addr) {
        SocketAddr::V4(v4) => {
            out.extend_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            out.extend_from_slice(&v4.port().to_be_bytes());
            out.extend_from_slice(&v4.ip().octets());
            out.extend_from_slice(&[0; 8]);
        }
        SocketAddr::V6(v6) => {
            out.extend_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            out.extend_from_slice(&v6.port().to_be_bytes());
            out.extend_from_slice(&v6.flowinfo().to_ne_bytes());
            out.extend_from_slice(&v6.ip().octets());
            out.extend_from_slice(&v6.scope_id().to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = SocketAddr> {
        prop_oneof![
            (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip.into(), port)),
            (any::<[u8; 16]>(), any::<u16>(), any::<u32>(), any::<u32>()).prop_map(
                |(ip, port, flow, scope)| {
                    canonical(SocketAddrV6::new(ip.into(), port, flow, scope).into())
                }
            ),
        ]
    }

    #[test]
    fn a_list_is_packed_without_gaps() {
        let list = ["192.0.2.1:7".parse().unwrap(), "[2001:db8::1]:7".parse().unwrap()];
        let bytes = pack(&list);
        assert_eq!(bytes.len(), 16 + 28);
        assert_eq!(&bytes[..8], [2, 0, 0, 7, 192, 0, 2, 1]);
        assert_eq!(&bytes[16..20], [10, 0, 0, 7]);
        assert_eq!(unpack(&bytes, 2).unwrap(), list);
    }

    #[test]
    fn a_mapped_address_is_an_ipv4_address() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:9".parse().unwrap();
        assert_eq!(pack(&[mapped]).len(), 16);
        let mut bytes = vec![10, 0, 0, 9, 0, 0, 0, 0];
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, 0, 0, 0, 0]);
        assert_eq!(unpack(&bytes, 1).unwrap(), ["192.0.2.1:9".parse().unwrap()]);
    }

    #[test]
    fn an_address_is_the_same_from_whatever_interface_unless_link_local() {
        assert_eq!(canonical("[2001:db8::1%3]:5".parse().unwrap()), "[2001:db8::1]:5".parse().unwrap());
        let local = "[fe80::1%3]:5".parse().unwrap();
        assert_eq!(canonical(local), local);
        assert_eq!(unpack(&pack(&[local]), 1).unwrap(), [local]);
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_anything_is_reserved() {
        assert_eq!(unpack(&[], usize::MAX), Err(AddrError::Truncated { need: 2, have: 0 }));
        assert_eq!(unpack(&[7, 0], 1), Err(AddrError::Family(7)));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(list in proptest::collection::vec(address(), 0..20)) {
            prop_assert_eq!(unpack(&pack(&list), list.len()).unwrap(), list);
        }

        #[test]
        fn an_address_survives_a_storage(addr in address()) {
            prop_assert_eq!(from_storage(to_storage(Some(addr))), Some(addr));
        }

        #[test]
        fn any_bytes_are_unpacked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), count: usize) {
            let _ = unpack(&bytes, count);
            let _ = unpack(&bytes, count % 8);
        }
    }
}
