//! Asks whether packets get from an address of this host to a peer, and back: by a HEARTBEAT that belongs to no
//! association, which every SCTP stack answers with an ABORT (RFC 9260, section 8.4, rule 8). It needs nothing of the peer
//! but its kernel, makes nothing there, and no program hears of it. The answer reflects our verification tag, so that
//! nobody answers who has not seen the question.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, ipproto, sendto, socket_with};
use sctp_sys::checksum::crc32c;
use sctp_sys::watch::{Seen, Sighting};

/// Asks. The answers are seen by [`sctp_sys::watch`].
#[derive(Debug)]
pub struct Prober {
    tag: u32,
    port: u16,
}

impl Prober {
    /// With a tag and a port of its own.
    ///
    /// # Errors
    /// `PermissionDenied`: it takes CAP_NET_RAW. The kernel gives no random numbers.
    pub fn open() -> io::Result<Self> {
        raw_socket(AddressFamily::INET)?;
        let mut random = [0; 6];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let [a, b, c, d, e, f] = random;
        // A tag of zero belongs to an INIT; ports from 49152 on are nobody's.
        Ok(Self { tag: u32::from_be_bytes([a, b, c, d]).max(1), port: u16::from_be_bytes([e, f]) | 0xc000 })
    }

    /// Asks from an address of this host.
    ///
    /// # Errors
    /// The kernel cannot send it: it has no route, or has lost the address.
    pub fn ask(&self, from: IpAddr, to: SocketAddr) -> io::Result<()> {
        let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = raw_socket(family)?;
        bind(&socket, &SocketAddr::new(from, 0))?;
        // The port is in the packet; a raw socket takes none.
        sendto(&socket, &self.question(to.port()), SendFlags::empty(), &SocketAddr::new(to.ip(), 0))?;
        Ok(())
    }

    /// The path that a sighting proves, if it is an answer: own address and peer's.
    #[must_use]
    pub fn answer(&self, sighting: &Sighting) -> Option<(IpAddr, IpAddr)> {
        let aborts = sighting.chunks.iter().any(|chunk| matches!(chunk, Seen::Abort { .. }));
        let ours = !sighting.outgoing && sighting.destination_port == self.port && sighting.vtag == self.tag;
        (aborts && ours).then_some((sighting.destination, sighting.source))
    }

    fn question(&self, port: u16) -> Vec<u8> {
        const HEARTBEAT: u8 = 4;
        const INFO: u8 = 1;
        let mut packet = Vec::with_capacity(24);
        packet.extend(self.port.to_be_bytes());
        packet.extend(port.to_be_bytes());
        packet.extend(self.tag.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend([HEARTBEAT, 0, 0, 12, 0, INFO, 0, 8]);
        packet.extend(b"roam");
        let sum = crc32c(&packet);
        packet[8..12].copy_from_slice(&sum.to_le_bytes());
        packet
    }
}

fn raw_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(family, SocketType::RAW, flags, Some(ipproto::SCTP))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober() -> Prober {
        Prober { tag: 0x0102_0304, port: 50_000 }
    }

    fn sighting() -> Sighting {
        Sighting {
            outgoing: false,
            ifindex: 2,
            source: [10, 3, 0, 2].into(),
            destination: [10, 1, 0, 2].into(),
            source_port: 7000,
            destination_port: 50_000,
            vtag: 0x0102_0304,
            udp: None,
            time: None,
            chunks: vec![Seen::Abort { reflected: true, causes: Vec::new() }],
        }
    }

    #[test]
    fn only_the_answer_to_our_own_question_proves_a_path() {
        let prober = prober();
        assert_eq!(prober.answer(&sighting()), Some(([10, 1, 0, 2].into(), [10, 3, 0, 2].into())));
        assert_eq!(prober.answer(&Sighting { vtag: 7, ..sighting() }), None);
        assert_eq!(prober.answer(&Sighting { destination_port: 7001, ..sighting() }), None);
        assert_eq!(prober.answer(&Sighting { outgoing: true, ..sighting() }), None);
        assert_eq!(prober.answer(&Sighting { chunks: vec![Seen::CookieAck], ..sighting() }), None);
    }

    #[test]
    fn the_question_is_a_whole_sctp_packet_with_its_checksum() {
        let mut packet = prober().question(7000);
        assert_eq!(packet.len(), 24);
        let sum = packet[8..12].to_vec();
        packet[8..12].fill(0);
        assert_eq!(sum, crc32c(&packet).to_le_bytes());
    }
}
