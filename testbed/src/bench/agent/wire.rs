//! What leaves a host first: an ASCONF, or the first packet of a subflow of MPTCP. Everything that passes is looked at;
//! when it passed is what the kernel noted.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, SystemTime};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimestampns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket,
};
use nix::sys::time::TimeSpec;
use sctp_sys::watch::{Seen, dissect, walk};

use crate::capture::on_our_clock;
use crate::clock::{self, Nanos, Waited};

/// Larger than any packet.
const READ: usize = 1 << 16;
/// Room for packets that wait to be read, in octets.
const ROOM: usize = 4 << 20;
const TCP: u8 = 6;
/// TCP's option of MPTCP, and the kind of it that joins a subflow to a connection (RFC 8684, 3.2).
const MPTCP: u8 = 30;
const MP_JOIN: u8 = 1;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// An SCTP packet with an ASCONF (RFC 5061).
    Asconf,
    /// A SYN of TCP with MP_JOIN (RFC 8684).
    Subflow,
    /// An SCTP packet with a COOKIE-ACK, to the address: an association is there.
    Begun,
}

/// Sees all packets of one network namespace: the one that the thread was in at [`open`](Self::open).
#[derive(Debug)]
pub(super) struct Wire {
    fd: OwnedFd,
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        setsockopt(&fd, ReceiveTimestampns, &true)?;
        setsockopt(&fd, RcvBufForce, &ROOM)?;
        Ok(Self { fd, buffer: vec![0; READ] })
    }

    /// Forgets what has passed so far.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        while self.read()?.is_some() {}
        Ok(())
    }

    /// When the first one passed, on the testbed's clock; none: not within `limit`.
    pub(super) fn first(
        &mut self,
        sign: Sign,
        address: IpAddr,
        limit: Duration,
    ) -> anyhow::Result<Option<Nanos>> {
        let found = clock::until("a packet", limit, || {
            loop {
                match self.read() {
                    Ok(None) => return None,
                    Ok(Some((length, time))) if fits(sign, address, &self.buffer[..length]) => {
                        return Some(Ok(time));
                    }
                    Ok(Some(_)) => {}
                    Err(error) => return Some(Err(error)),
                }
            }
        });
        match found {
            Ok(time) => Ok(Some(on_our_clock(time?))),
            Err(Waited::TooLong { .. }) => Ok(None),
            Err(interrupted) => Err(interrupted.into()),
        }
    }

    /// The next packet's length, and when it passed.
    fn read(&mut self) -> io::Result<Option<(usize, SystemTime)>> {
        loop {
            let mut control = cmsg_space!(TimeSpec);
            let mut vectors = [IoSliceMut::new(&mut self.buffer)];
            let read =
                recvmsg::<()>(self.fd.as_raw_fd(), &mut vectors, Some(&mut control), MsgFlags::empty());
            let message = match read {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                // An interface went down: the kernel says so once.
                Err(Errno::ENETDOWN | Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let length = message.bytes;
            let time = message.cmsgs()?.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
                _ => None,
            });
            if let Some(time) = time {
                return Ok(Some((length, SystemTime::UNIX_EPOCH + time)));
            }
        }
    }
}

/// Whether a packet, from its IP header on, is what is waited for, from this address (for [`Sign::Begun`]: to it).
fn fits(sign: Sign, address: IpAddr, packet: &[u8]) -> bool {
    let sctp = |is: fn(&Seen) -> bool| {
        dissect(packet, None).is_some_and(|it| {
            let at = if sign == Sign::Begun { it.destination } else { it.source };
            at == address && walk(it.chunks).iter().any(is)
        })
    };
    match sign {
        Sign::Asconf => sctp(|chunk| matches!(chunk, Seen::Asconf { .. })),
        Sign::Begun => sctp(|chunk| matches!(chunk, Seen::CookieAck)),
        Sign::Subflow => joins(packet).is_some_and(|source| source == address),
    }
}

/// The source of a packet that joins a subflow to a connection of MPTCP over IPv4.
fn joins(packet: &[u8]) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    if packet.first()? >> 4 != 4 || *packet.get(9)? != TCP {
        return None;
    }
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let tcp = packet.get(header..)?;
    let options = usize::from(tcp.get(12)? >> 4) * 4;
    // SYN, and not ACK.
    if tcp.get(13)? & 0x12 != 0x02 {
        return None;
    }
    let mut options = tcp.get(20..options)?;
    while let [kind, rest @ ..] = options {
        options = match (*kind, rest) {
            (0, _) => return None,
            (1, rest) => rest,
            (MPTCP, [_, subtype, ..]) if subtype >> 4 == MP_JOIN => return Some(source.into()),
            (_, [length, ..]) => options.get(usize::from((*length).max(2))..)?,
            (_, []) => return None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 packet from 10.2.0.2 with these TCP flags and options.
    fn tcp(flags: u8, options: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, TCP, 0, 0, 10, 2, 0, 2, 10, 3, 0, 2];
        let words = 5 + options.len() / 4;
        let mut header = vec![0; 20];
        header[12] = (words as u8) << 4;
        header[13] = flags;
        packet.extend(header);
        packet.extend(options);
        packet
    }

    #[test]
    fn the_first_packet_of_a_subflow_is_told_from_other_packets() {
        let source = Ipv4Addr::new(10, 2, 0, 2);
        let join = [2, 4, 5, 180, 1, 1, MPTCP, 12, MP_JOIN << 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert_eq!(joins(&tcp(0x02, &join)), Some(source));
        assert!(fits(Sign::Subflow, source.into(), &tcp(0x02, &join)));
        assert!(!fits(Sign::Subflow, Ipv4Addr::LOCALHOST.into(), &tcp(0x02, &join)));
        assert_eq!(joins(&tcp(0x12, &join)), None, "the answer");
        let capable = [MPTCP, 4, 0, 1];
        assert_eq!(joins(&tcp(0x02, &capable)), None, "a connection's own first packet");
        assert_eq!(joins(&tcp(0x02, &[])), None);
    }

    #[test]
    fn cut_packets_are_none() {
        let whole = tcp(0x02, &[2, 4, 5, 180, MPTCP, 12, MP_JOIN << 4, 1]);
        for length in 0..whole.len() - 8 {
            assert_eq!(joins(&whole[..length]), None);
        }
        assert_eq!(joins(&tcp(0x02, &[2, 0, 0, 0])), None);
    }
}
