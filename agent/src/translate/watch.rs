//! Hears when others change the table: a firewall that is loaded anew flushes everything, ours included.

use std::future::poll_fn;
use std::io;

use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};

/// `1 << (NFNLGRP_NFTABLES - 1)`.
const GROUP: u32 = 1 << 6;
const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
/// `NFT_MSG_DEL…` of a table, chain, rule, set, element, and their forms for what may be gone already.
const DELETIONS: [u8; 10] = [2, 5, 8, 11, 14, 26, 27, 28, 29, 30];
const FAMILY_INET: u8 = 1; // NFPROTO_INET
const HEADER: usize = 16; // struct nlmsghdr
const FIXED: usize = 4; // struct nfgenmsg

/// A subscription to changes of nftables.
pub struct TableWatch {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl TableWatch {
    /// Begins to watch.
    ///
    /// # Errors
    /// The kernel has no nf_tables, or the process may not.
    pub fn open() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUP))?;
        Ok(Self { socket, buffer: Vec::with_capacity(1 << 16) })
    }

    /// Waits until something of the table may have been deleted by another than `own`, the port of the socket by which
    /// we change it. Nothing is lost when this is dropped while it waits.
    ///
    /// # Errors
    /// The socket's.
    pub async fn deleted(&mut self, own: u32) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            match poll_fn(|cx| socket.poll_recv_from(cx, buffer)).await {
                Ok(_) if concerns_us(&self.buffer, own) => return Ok(()),
                Ok(_) => {}
                // Events are missing: it may have been.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets what has been heard up to now, which was our own doing.
    pub fn forget(&mut self) {
        loop {
            self.buffer.clear();
            if self.socket.socket_ref().recv_from(&mut self.buffer, 0).is_err() {
                return;
            }
        }
    }
}

/// Whether a datagram tells of a deletion in the table `inet roam` by another than `own`.
fn concerns_us(mut datagram: &[u8], own: u32) -> bool {
    let number = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes)
    };
    while let (Some(length), Some(port)) = (number(datagram, 0), number(datagram, 12)) {
        let length = length as usize;
        let Some(message) = datagram.get(..length).filter(|_| length >= HEADER + FIXED) else { return false };
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let deletes = kind >> 8 == SUBSYSTEM && DELETIONS.contains(&(kind as u8));
        if deletes && port != own && message[HEADER] == FAMILY_INET && names_table(&message[HEADER + FIXED..])
        {
            return true;
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

/// Whether the first attribute, which is the table's name in all these messages, is ours.
fn names_table(mut attributes: &[u8]) -> bool {
    const NAME: u16 = 1;
    while let [low, high, kind_low, kind_high, ..] = *attributes {
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let Some(value) = attributes.get(4..length) else { return false };
        if u16::from_ne_bytes([kind_low, kind_high]) & 0x3fff == NAME {
            return value == b"roam\0";
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, port: u32, family: u8, table: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let attribute = 4 + table.len();
        bytes.extend(((HEADER + FIXED + attribute) as u32).to_ne_bytes());
        bytes.extend((SUBSYSTEM << 8 | u16::from(kind)).to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(port.to_ne_bytes());
        bytes.extend([family, 0, 0, 0]);
        bytes.extend((attribute as u16).to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(table);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn only_what_others_delete_of_our_table_concerns_us() {
        assert!(concerns_us(&message(2, 77, FAMILY_INET, b"roam\0"), 5));
        assert!(concerns_us(&[message(0, 77, 1, b"x\0"), message(8, 77, 1, b"roam\0")].concat(), 5));
        assert!(!concerns_us(&message(2, 5, FAMILY_INET, b"roam\0"), 5), "we did it");
        assert!(!concerns_us(&message(2, 77, FAMILY_INET, b"filter\0"), 5));
        assert!(!concerns_us(&message(2, 77, 2, b"roam\0"), 5), "of another family");
        assert!(!concerns_us(&message(0, 77, FAMILY_INET, b"roam\0"), 5), "an addition");
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..128))| { concerns_us(&bytes, 1); });
    }
}
