//! Hears when others change the table: a firewall that is loaded anew flushes everything, ours included.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;

use netlink_sys::{AsyncSocket, SocketAddr, TokioSocket, protocols::NETLINK_NETFILTER};
use sctp_sys::watch::{Instruction, attach_filter};

/// `1 << (NFNLGRP_NFTABLES - 1)`.
const GROUP: u32 = 1 << 6;
const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
/// `NFT_MSG_DEL…` of a table, chain, rule, set, element, and their forms for what may be gone already.
const DELETIONS: [u8; 10] = [2, 5, 8, 11, 14, 26, 27, 28, 29, 30];
const FAMILY_INET: u8 = 1; // NFPROTO_INET
const HEADER: usize = 16; // struct nlmsghdr
const PORT: usize = 12; // nlmsg_pid in it
const FIXED: usize = 4; // struct nfgenmsg

/// What may have happened to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Somebody has deleted it, or something of it.
    Deleted,
    /// Others changed so much of nftables at once that some of it was not heard.
    Unheard,
}

/// A subscription to what others change of nftables.
pub struct TableWatch {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl TableWatch {
    /// Begins to watch. What the socket with the port `own` changes is not heard: it is ours, and with hundreds of
    /// associations that move there is so much of it that the rest would not find room.
    ///
    /// # Errors
    /// The kernel has no nf_tables, or the process may not.
    pub fn open(own: u32) -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        attach_filter(socket.socket_ref().as_fd(), &all_but(own))?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUP))?;
        Ok(Self { socket, buffer: Vec::with_capacity(1 << 16) })
    }

    /// Waits until something of the table may have been deleted by others. Nothing is lost when this is dropped while it
    /// waits.
    ///
    /// # Errors
    /// The socket's.
    pub async fn loss(&mut self) -> io::Result<Loss> {
        loop {
            self.buffer.clear();
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            match poll_fn(|cx| socket.poll_recv_from(cx, buffer)).await {
                Ok(_) if concerns_us(&self.buffer) => return Ok(Loss::Deleted),
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(Loss::Unheard),
                Err(error) => return Err(error),
            }
        }
    }

    /// Forgets what has been heard up to now: what it told of is mended.
    pub fn forget(&mut self) {
        loop {
            self.buffer.clear();
            if self.socket.socket_ref().recv_from(&mut self.buffer, 0).is_err() {
                return;
            }
        }
    }
}

/// A filter that lets datagrams through whose first message is not the doing of the socket with the port `own`. All messages
/// of one are about one transaction.
fn all_but(own: u32) -> [Instruction; 4] {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let then = |code, jt, jf, k| Instruction { code, jt, jf, k };
    // The kernel loads words as the network's, and the header is in its own order.
    let own = u32::from_be_bytes(own.to_ne_bytes());
    [
        then(LOAD, 0, 0, PORT as u32),
        then(EQUAL, 0, 1, own),
        then(RETURN, 0, 0, 0),
        then(RETURN, 0, 0, u32::MAX),
    ]
}

/// Whether a datagram tells of a deletion in the table `inet roam`.
fn concerns_us(mut datagram: &[u8]) -> bool {
    let number = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 4).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes)
    };
    while let Some(length) = number(datagram, 0) {
        let length = length as usize;
        let Some(message) = datagram.get(..length).filter(|_| length >= HEADER + FIXED) else { return false };
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let deletes = kind >> 8 == SUBSYSTEM && DELETIONS.contains(&(kind as u8));
        if deletes && message[HEADER] == FAMILY_INET && names_table(&message[HEADER + FIXED..]) {
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

    fn message(kind: u8, family: u8, table: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let attribute = 4 + table.len();
        bytes.extend(((HEADER + FIXED + attribute) as u32).to_ne_bytes());
        bytes.extend((SUBSYSTEM << 8 | u16::from(kind)).to_ne_bytes());
        bytes.extend([0; 6]);
        bytes.extend(77u32.to_ne_bytes());
        bytes.extend([family, 0, 0, 0]);
        bytes.extend((attribute as u16).to_ne_bytes());
        bytes.extend(1u16.to_ne_bytes());
        bytes.extend(table);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn only_what_is_deleted_of_our_table_concerns_us() {
        assert!(concerns_us(&message(2, FAMILY_INET, b"roam\0")));
        assert!(concerns_us(&[message(0, 1, b"x\0"), message(8, 1, b"roam\0")].concat()));
        assert!(!concerns_us(&message(2, FAMILY_INET, b"filter\0")));
        assert!(!concerns_us(&message(2, 2, b"roam\0")), "of another family");
        assert!(!concerns_us(&message(0, FAMILY_INET, b"roam\0")), "an addition");
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        use proptest::prelude::*;
        proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..128))| { concerns_us(&bytes); });
    }
}
