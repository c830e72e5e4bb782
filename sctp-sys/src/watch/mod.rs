//! Address changes (ASCONF, RFC 5061), their answers, and the beginnings and ends of associations, as they
//! pass on the wire: of all associations of this host, whoever owns them, on all interfaces, in both
//! directions. Nothing is received from the programs' sockets.
//!
//! A packet socket with a filter in the kernel ([`filter`]) that drops everything else, so that a busy
//! host's data never reaches this process. It stands outside of netfilter: outgoing packets are seen as
//! they leave (after translation), incoming ones as they arrive (before it). A packet may be seen more than
//! once: on a bridge and its port, on a VLAN and its parent, on both ends of a link inside one namespace,
//! on the loopback interface, or when it is sent again.

mod chunk;
mod filter;
mod packet;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime};

use crate::abi::Plain;
use crate::cmsg;
use crate::sockopt;
use crate::syscall::{check, message, own, retry};

pub use chunk::{AsconfParam, Cause, Seen, walk};
pub use filter::{Instruction, filter};
pub use packet::{Packet, dissect};

/// A packet that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Sent by this host.
    pub outgoing: bool,
    /// The interface.
    pub ifindex: u32,
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// SCTP source port.
    pub source_port: u16,
    /// SCTP destination port.
    pub destination_port: u16,
    /// Verification tag: the receiver's (with a reflected ABORT the sender's).
    pub vtag: u32,
    /// The UDP ports, source and destination, that it was wrapped in (RFC 6951).
    pub udp: Option<(u16, u16)>,
    /// When the kernel saw it.
    pub time: Option<SystemTime>,
    /// The chunks of interest in it, at least one.
    pub chunks: Vec<Seen>,
}

/// Sees the packets of interest of one network namespace: the one that the thread was in at
/// [`open`](Self::open).
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
    udp_port: Option<u16>,
    buffer: Vec<u8>,
}

/// Larger than any packet.
const READ: usize = 1 << 16;
/// Room for packets that wait to be read, in octets.
const ROOM: u32 = 1 << 20;

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// `PermissionDenied`: it takes CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        Self::open_with(None)
    }

    /// As [`open`](Self::open), and looks into UDP from or to this port too (RFC 6951; usually 9899).
    ///
    /// # Errors
    /// `PermissionDenied`: it takes CAP_NET_RAW.
    pub fn open_with(udp_port: Option<u16>) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // Without a protocol nothing is received until bind: not one packet comes before the filter.
        // SAFETY: no pointers.
        let fd = own(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }).map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => {
                io::Error::new(e.kind(), "watching packets takes CAP_NET_RAW in this network namespace")
            }
            _ => e,
        })?;
        attach_filter(fd.as_fd(), &filter(udp_port))?;
        sockopt::set(fd.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32)?;
        // Beyond the system's limit only with CAP_NET_ADMIN.
        let force = sockopt::set(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &ROOM);
        force.or_else(|_| sockopt::set_receive_buffer(fd.as_fd(), ROOM))?;
        let all = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: 0,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let len = size_of_val(&all) as libc::socklen_t;
        // SAFETY: `all` is a link-layer address of its length.
        check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const all).cast(), len) })?;
        Ok(Self { fd, udp_port, buffer: vec![0; READ] })
    }

    /// The next packet of interest. Does not wait.
    ///
    /// # Errors
    /// `WouldBlock`: none has come.
    pub fn try_next(&mut self) -> io::Result<Sighting> {
        loop {
            if let Some(sighting) = self.read()? {
                return Ok(sighting);
            }
        }
    }

    /// The next packet of interest; waits up to this long.
    ///
    /// # Errors
    /// `TimedOut`: none has come.
    pub fn next_within(&mut self, timeout: Duration) -> io::Result<Sighting> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        // Packets that turn out to be of no interest pass the kernel's filter only when made for it: each
        // may prolong the wait.
        let limit = Timespec::try_from(timeout).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        loop {
            match self.try_next() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&limit)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// How many packets were lost for lack of room since the last call: what was seen until then may be
    /// incomplete.
    ///
    /// # Errors
    /// The system's.
    pub fn lost(&self) -> io::Result<u32> {
        #[derive(Clone, Copy)]
        #[repr(C)]
        struct Statistics {
            packets: u32,
            drops: u32,
        }
        // SAFETY: two integers (tpacket_stats).
        unsafe impl Plain for Statistics {}
        let mut statistics = Statistics::zeroed();
        sockopt::get(self.fd.as_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, &mut statistics)?;
        let Statistics { packets: _, drops } = statistics;
        Ok(drops)
    }

    /// One packet; `None` when it is of no interest after all.
    fn read(&mut self) -> io::Result<Option<Sighting>> {
        // SAFETY: sockaddr_ll is integers throughout.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut control: cmsg::Buffer<{ cmsg::space(16) }> = cmsg::Buffer::new();
        let mut iov = libc::iovec { iov_base: self.buffer.as_mut_ptr().cast(), iov_len: self.buffer.len() };
        let mut msg = message(&mut [], &mut iov, control.all());
        msg.msg_name = (&raw mut from).cast();
        msg.msg_namelen = size_of_val(&from) as libc::socklen_t;
        // SAFETY: `msg` points to an address, one vector over `buffer` and a control buffer, all valid for
        // writes of the lengths given and outliving the call.
        let read = retry(|| unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut msg, 0) })?.cast_unsigned();
        let control_len = msg.msg_controllen;
        let packet = &self.buffer[..read.min(self.buffer.len())];
        let Some(packet) = dissect(packet, self.udp_port) else { return Ok(None) };
        let chunks = walk(packet.chunks);
        if chunks.is_empty() {
            return Ok(None);
        }
        let control = control.all();
        let time = cmsg::items(&control[..control_len.min(control.len())])
            .find(|item| (item.level, item.type_) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS))
            .and_then(|item| timestamp(item.data));
        Ok(Some(Sighting {
            outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
            ifindex: from.sll_ifindex.cast_unsigned(),
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            vtag: packet.vtag,
            udp: packet.udp,
            time,
            chunks,
        }))
    }
}

/// A `struct timespec` since 1970.
fn timestamp(data: &[u8]) -> Option<SystemTime> {
    const LONG: usize = size_of::<libc::c_long>();
    let (seconds, rest) = data.split_first_chunk::<LONG>()?;
    let seconds = u64::try_from(libc::c_long::from_ne_bytes(*seconds)).ok()?;
    let nanos = u32::try_from(libc::c_long::from_ne_bytes(*rest.first_chunk()?)).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
}

/// Lets a socket receive only what `program` (classic BPF) accepts, from now on.
///
/// # Errors
/// EINVAL: the kernel does not take the program, or it is longer than 4096 instructions.
pub fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
        // The kernel's sock_filter is what an `Instruction` is, field for field.
        filter: program.as_ptr().cast_mut().cast(),
    };
    let len = size_of_val(&program) as libc::socklen_t;
    // SAFETY: `program` points to as many instructions as it says, which outlive the call; the kernel copies them.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            len,
        )
    })
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests;
