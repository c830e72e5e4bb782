//! Address events, made with netlink: one datagram each, so that the moment at which they happen is known.
//! The kernel carries a request out inside `send`; layouts are those of `linux/rtnetlink.h` and its like.

use std::io;
use std::net::IpAddr;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

const NEWLINK: u16 = 16;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const NEWROUTE: u16 = 24;
const ERROR: u16 = 2;
/// REQUEST | ACK.
const PLAIN: u16 = 0x5;
/// CREATE | REPLACE.
const PUT: u16 = 0x500;
const NO_DAD: u8 = 0x02;

/// A change of links, addresses or routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `ip link set up` or `down` of the interface with this index.
    Link {
        /// The interface.
        index: u32,
        /// Up or down.
        up: bool,
    },
    /// `ip addr replace`.
    Add {
        /// The interface.
        index: u32,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// IPv6: without duplicate address detection.
        no_dad: bool,
    },
    /// `ip addr del`.
    Remove {
        /// The interface.
        index: u32,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// `ip route replace default via GATEWAY`.
    Default {
        /// The interface.
        index: u32,
        /// The router.
        gateway: IpAddr,
        /// Lower is preferred.
        metric: u32,
    },
}

/// A netlink socket of the namespace in which it was opened.
#[derive(Debug)]
pub struct Rtnl {
    socket: Socket,
    sequence: u32,
}

impl Rtnl {
    /// Opens one for the namespace of the calling thread.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Carries out the changes in order; a refused one does not stop those after it.
    ///
    /// # Errors
    /// The first refusal.
    pub fn apply(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for &change in changes {
            self.sequence += 1;
            bytes.extend(message(change, self.sequence));
        }
        self.socket.send(&bytes, 0)?;
        let mut outcome = Ok(());
        let mut open = changes.len();
        let mut buffer = Vec::with_capacity(16 * 1024);
        while open > 0 {
            buffer.clear();
            self.socket.recv(&mut buffer, 0)?;
            for (sequence, errno) in answers(&buffer) {
                open -= 1;
                if errno != 0 && outcome.is_ok() {
                    let index = changes.len() - 1 - (self.sequence - sequence) as usize;
                    let cause = io::Error::from_raw_os_error(-errno);
                    outcome = Err(io::Error::new(cause.kind(), format!("{:?}: {cause}", changes[index])));
                }
            }
        }
        outcome
    }
}

fn message(change: Change, sequence: u32) -> Vec<u8> {
    match change {
        Change::Link { index, up } => {
            // struct ifinfomsg: family, type, index, flags (IFF_UP), mask
            let mut fixed = vec![0; 16];
            fixed[4..8].copy_from_slice(&index.to_ne_bytes());
            fixed[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
            fixed[12..16].copy_from_slice(&1u32.to_ne_bytes());
            finish(NEWLINK, PLAIN, sequence, &fixed)
        }
        Change::Add { index, address, prefix, no_dad } => {
            let flags = if no_dad { NO_DAD } else { 0 };
            let fixed = about_address(index, address, prefix, flags);
            finish(NEWADDR, PLAIN | PUT, sequence, &fixed)
        }
        Change::Remove { index, address, prefix } => {
            finish(DELADDR, PLAIN, sequence, &about_address(index, address, prefix, 0))
        }
        Change::Default { index, gateway, metric } => {
            const MAIN: u8 = 254;
            const STATIC: u8 = 4;
            const UNICAST: u8 = 1;
            // struct rtmsg
            let mut body = vec![family(gateway), 0, 0, 0, MAIN, STATIC, 0, UNICAST, 0, 0, 0, 0];
            attribute(&mut body, 5, &octets(gateway));
            attribute(&mut body, 4, &index.to_ne_bytes());
            attribute(&mut body, 6, &metric.to_ne_bytes());
            finish(NEWROUTE, PLAIN | PUT, sequence, &body)
        }
    }
}

/// struct ifaddrmsg and its attributes.
fn about_address(index: u32, address: IpAddr, prefix: u8, flags: u8) -> Vec<u8> {
    let mut body = vec![family(address), prefix, flags, 0];
    body.extend(index.to_ne_bytes());
    attribute(&mut body, 2, &octets(address));
    attribute(&mut body, 1, &octets(address));
    body
}

fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    body.extend((4 + value.len() as u16).to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn finish(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend((16 + body.len() as u32).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Sequence number and error number (negative, 0 for done) of each answer in a datagram.
fn answers(mut bytes: &[u8]) -> Vec<(u32, i32)> {
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_ne_bytes)
    };
    let mut found = Vec::new();
    while let (Some(length), Some(sequence), Some(error)) = (word(bytes, 0), word(bytes, 8), word(bytes, 16))
    {
        if u16::from_ne_bytes([bytes[4], bytes[5]]) == ERROR {
            found.push((sequence, error.cast_signed()));
        }
        bytes = bytes.get((length.max(16) as usize).next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_its_own_length_and_pads_its_attributes() {
        let change = Change::Default { index: 3, gateway: "fd00:1::1".parse().unwrap(), metric: 7 };
        let bytes = message(change, 9);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len());
        assert_eq!(bytes.len(), 16 + 12 + 20 + 8 + 8);
    }

    #[test]
    fn a_refusal_is_told_from_a_success() {
        let mut bytes = finish(ERROR, 0, 4, &0i32.to_ne_bytes());
        bytes.extend(finish(ERROR, 0, 5, &(-17i32).to_ne_bytes()));
        assert_eq!(answers(&bytes), [(4, 0), (5, -17)]);
        assert_eq!(answers(&bytes[..30]), [(4, 0)]);
    }
}
