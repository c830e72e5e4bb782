//! Where hosts are: the networks that they can be in, and their addresses there.

use std::net::{IpAddr, Ipv4Addr};

use super::network::Host;

/// The address of a host in one of the networks that it can be in.
pub(super) fn address(host: Host, place: u8) -> IpAddr {
    let number = u32::try_from(host + 1).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::from((u32::from(place) + 10) << 24 | number))
}

/// The host that has this address in some network, and which network that is.
pub(super) fn host_at(address: IpAddr) -> Option<(Host, u8)> {
    let IpAddr::V4(v4) = address else { return None };
    let [net, high, middle, low] = v4.octets();
    let number = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    Some((number.checked_sub(1)?, net.checked_sub(10)?))
}
