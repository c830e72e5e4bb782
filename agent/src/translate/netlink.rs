//! The little of nfnetlink that changes a set's elements: `NFT_MSG_NEWSETELEM` and `NFT_MSG_DELSETELEM` in a batch.

use std::io;

use netlink_sys::{Socket as NetlinkSocket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::element::Element;

const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const ERROR: u16 = 2; // NLMSG_ERROR
const REQUEST: u16 = 0x001;
const ACK: u16 = 0x004;
const CREATE: u16 = 0x400;
const FAMILY_INET: u8 = 1; // NFPROTO_INET
const NESTED: u16 = 0x8000;
/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// A transaction: all of it takes effect, or nothing.
pub(super) struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    /// Where its last message begins.
    last: usize,
}

impl Batch {
    /// An empty one.
    pub(super) fn new() -> Self {
        let mut batch = Self { bytes: Vec::with_capacity(512), sequence: 0, last: 0 };
        batch.message(BATCH_BEGIN, REQUEST, 0, SUBSYSTEM, |_| {});
        batch
    }

    /// Whether it would change nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.last == 0
    }

    /// Adds or deletes an element.
    pub(super) fn element(&mut self, add: bool, element: &Element) {
        let (kind, flags) = if add { (NEW_ELEMENT, REQUEST | CREATE) } else { (DELETE_ELEMENT, REQUEST) };
        self.message(kind, flags, FAMILY_INET, 0, |bytes| {
            attribute(bytes, 1, |bytes| bytes.extend_from_slice(b"roam\0"));
            attribute(bytes, 2, |bytes| {
                bytes.extend_from_slice(element.set.as_bytes());
                bytes.push(0);
            });
            attribute(bytes, 3 | NESTED, |bytes| {
                attribute(bytes, 1 | NESTED, |bytes| {
                    value(bytes, 1, &element.key);
                    if let Some(data) = &element.data {
                        value(bytes, 2, data);
                    }
                });
            });
        });
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.last = start;
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&flags.to_ne_bytes());
        self.bytes.extend_from_slice(&self.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.sequence += 1;
        self.bytes.extend_from_slice(&[family, 0]);
        self.bytes.extend_from_slice(&resource.to_be_bytes());
        body(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// The whole batch, and the sequence number of its last change, which alone is acknowledged where nothing is
    /// refused: as many acknowledgements as there may be changes would not fit into the socket's memory.
    fn finish(mut self) -> (Vec<u8>, u32) {
        let last = self.sequence - 1;
        if let Some(flags) = self.bytes.get_mut(self.last + 6..self.last + 8) {
            let with = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
            flags.copy_from_slice(&with.to_ne_bytes());
        }
        self.message(BATCH_END, REQUEST, 0, SUBSYSTEM, |_| {});
        (self.bytes, last)
    }
}

/// An attribute, padded to four octets.
fn attribute(bytes: &mut Vec<u8>, kind: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&kind.to_ne_bytes());
    body(bytes);
    let length = u16::try_from(bytes.len() - start).unwrap_or(u16::MAX);
    bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A data attribute that holds a value.
fn value(bytes: &mut Vec<u8>, kind: u16, data: &[u8]) {
    attribute(bytes, kind | NESTED, |bytes| attribute(bytes, 1, |bytes| bytes.extend_from_slice(data)));
}

/// A netfilter netlink socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: NetlinkSocket,
    /// The number by which the kernel knows it.
    pub(super) port: u32,
}

impl Socket {
    /// Opens one.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = NetlinkSocket::new(NETLINK_NETFILTER)?;
        let port = socket.bind_auto()?.port_number();
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel answers before the call that sends returns: an answer that is not there then was lost.
        socket.set_non_blocking(true)?;
        Ok(Self { socket, port })
    }

    /// Sends a batch and reads the kernel's word on it: on each change that it refuses, and on the last one.
    pub(super) fn commit(&mut self, batch: Batch) -> io::Result<()> {
        let (bytes, last) = batch.finish();
        // What is still there is of an earlier batch that was refused as a whole.
        while self.socket.recv_from_full().is_ok() {}
        self.socket.send(&bytes, 0)?;
        let mut failure = None;
        loop {
            let answer = match self.socket.recv_from_full() {
                Ok((answer, _)) => answer,
                // So many changes were refused that not all of that could be said.
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            for (sequence, code) in acknowledgements(&answer) {
                if code != 0 && failure.is_none() {
                    failure = Some(io::Error::from_raw_os_error(-code));
                }
                // A batch that is refused as a whole is answered once, for its beginning.
                if sequence == 0 || sequence == last {
                    return failure.map_or(Ok(()), Err);
                }
            }
        }
    }
}

/// Sequence numbers and error codes (0 or negative) of the acknowledgements in a datagram.
fn acknowledgements(mut datagram: &[u8]) -> Vec<(u32, i32)> {
    let number = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes)
    };
    let mut found = Vec::new();
    while let Some(length) = number(datagram, 0).map(|length| length as usize) {
        if length < HEADER || length > datagram.len() {
            break;
        }
        let kind = u16::from_ne_bytes([datagram[4], datagram[5]]);
        if let (true, Some(sequence), Some(code)) =
            (kind == ERROR, number(datagram, 8), number(datagram, HEADER))
        {
            found.push((sequence, code.cast_signed()));
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::element::Wrapped;
    use super::*;
    use crate::translate::{Pair, Rule};

    #[test]
    fn an_added_element_is_encoded_as_nft_encodes_it() {
        let pair = Pair { local_port: 7002, peer_port: 7000 };
        let rule = Rule::OutSource { pair, from: [10, 1, 0, 2].into(), to: [10, 2, 0, 2].into() };
        let mut batch = Batch::new();
        batch.element(true, &Element::of(&rule, Wrapped::InIp).unwrap());
        let (bytes, last) = batch.finish();
        assert_eq!(last, 1);
        let list = &bytes[20 + 20 + 12 + 16..bytes.len() - 20];
        // Captured from nft 1.0.6.
        let nft = b"\x28\x00\x03\x80\x24\x00\x01\x80\x14\x00\x01\x80\x10\x00\x01\x00\x1b\x5a\x00\x00\x1b\x58\x00\x00\
                    \x0a\x01\x00\x02\x0c\x00\x02\x80\x08\x00\x01\x00\x0a\x02\x00\x02";
        assert_eq!(list, nft);
    }

    #[test]
    fn acknowledgements_of_any_bytes_never_panic() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..256))| { acknowledgements(&bytes); });
    }
}
