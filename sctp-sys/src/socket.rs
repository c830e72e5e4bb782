//! SCTP sockets, one-to-one and one-to-many (RFC 6458, 3 and 4).

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::abi::{self, IPPROTO_SCTP};
use crate::event::Notification;
use crate::inbox::{Inbox, Piece, Whole};
use crate::sockopt::{self, AssocId, Reliability};
use crate::syscall::{check, message, own, retry};
use crate::{addr, cmsg};

pub use crate::inbox::MessageInfo;

/// Shape of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// One association, as with TCP (SOCK_STREAM).
    OneToOne,
    /// Any number of associations (SOCK_SEQPACKET).
    OneToMany,
}

/// Address family of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 only.
    V4,
    /// IPv6, and IPv4 unless V6ONLY is set.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: SocketAddr) -> Self {
        if addr.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// How a message is to be sent. `SendInfo::default()` is stream 0, ordered, as reliable as the socket's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendInfo {
    /// Stream.
    pub stream: u16,
    /// Payload protocol identifier in host order; it is swapped for the wire here.
    pub ppid: u32,
    /// `abi::SCTP_UNORDERED` and its like; see [`SendInfo::unordered`].
    pub flags: u16,
    /// Handed back when sending fails.
    pub context: u32,
    /// The association; one-to-many sockets need it, or `to`.
    pub assoc: AssocId,
    /// The peer's address. On a one-to-many socket without such an association: sets one up. In an
    /// association: used instead of the primary with the flag `abi::SCTP_ADDR_OVER`.
    pub to: Option<SocketAddr>,
    /// For how long the kernel tries; `None`: as [`sockopt::default_reliability`] says.
    pub reliability: Option<Reliability>,
    /// The key of AUTH that it is sent with (RFC 6458, 5.3.8), where the peer wants DATA authenticated; `None`: the
    /// active one.
    pub auth_key: Option<u16>,
}

impl SendInfo {
    /// The same, unordered.
    #[must_use]
    pub const fn unordered(mut self) -> Self {
        self.flags |= abi::SCTP_UNORDERED as u16;
        self
    }
}

/// What was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A whole message; its bytes are in the buffer.
    Message(MessageInfo),
    /// A notification that was asked for with [`sockopt::set_events`].
    Notification(Notification),
    /// A message above the limit: it was read to its end and thrown away.
    TooLong {
        /// What came with it.
        info: MessageInfo,
        /// Its octets.
        length: u64,
    },
}

/// The largest message that is delivered unless [`Socket::set_message_limit`] says otherwise, in octets.
pub const DEFAULT_MESSAGE_LIMIT: usize = 1 << 20;
/// What one `recvmsg` can take.
const READ: usize = 1 << 16;

/// An SCTP socket. Closing it shuts its associations down in good order.
///
/// All calls take `&self`: sending and receiving may go on at once in several threads.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    limit: AtomicUsize,
    inbox: Mutex<Inbox>,
}

impl Socket {
    /// Makes a socket, closed on exec, that tells stream and PPID of messages (RECVRCVINFO).
    ///
    /// # Errors
    /// EPROTONOSUPPORT or ESOCKTNOSUPPORT: the kernel has no SCTP (`modprobe sctp`).
    pub fn new(style: Style, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::V4 => libc::AF_INET,
            Family::V6 => libc::AF_INET6,
        };
        let type_ = match style {
            Style::OneToOne => libc::SOCK_STREAM,
            Style::OneToMany => libc::SOCK_SEQPACKET,
        };
        // SAFETY: no pointers.
        let fd = unsafe { libc::socket(domain, type_ | libc::SOCK_CLOEXEC, IPPROTO_SCTP) };
        Self::ours(own(fd)?)
    }

    /// A socket that this process made: it shall tell stream and PPID.
    fn ours(fd: OwnedFd) -> io::Result<Self> {
        sockopt::set_recv_rcvinfo(fd.as_fd(), true)?;
        Ok(fd.into())
    }

    /// The largest message that [`recv`](Self::recv) delivers, in octets.
    pub fn set_message_limit(&self, octets: usize) {
        self.limit.store(octets, Ordering::Relaxed);
    }

    /// Makes calls return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        let mut on = libc::c_int::from(on);
        // SAFETY: FIONBIO reads one int, which lives during the call.
        match unsafe { libc::ioctl(self.fd.as_raw_fd(), libc::FIONBIO, &raw mut on) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The socket's shape.
    ///
    /// # Errors
    /// The system's.
    pub fn style(&self) -> io::Result<Style> {
        Ok(match sockopt::socket_type(self.as_fd())? {
            libc::SOCK_STREAM => Style::OneToOne,
            _ => Style::OneToMany,
        })
    }

    /// Binds the first address; the wildcard binds all, present and future.
    ///
    /// # Errors
    /// EADDRINUSE, EADDRNOTAVAIL, EACCES (a port below 1024), EINVAL (bound already).
    pub fn bind(&self, addr: SocketAddr) -> io::Result<()> {
        let packed = addr::pack(&[addr]);
        // SAFETY: `packed` is one socket address of its length.
        check(unsafe {
            libc::bind(self.fd.as_raw_fd(), packed.as_ptr().cast(), packed.len() as libc::socklen_t)
        })
    }

    /// Binds more addresses; see [`sockopt::bindx_add`]. On an unbound socket the first binds it.
    ///
    /// # Errors
    /// See there.
    pub fn bindx_add(&self, addrs: &[SocketAddr]) -> io::Result<()> {
        sockopt::bindx_add(self.as_fd(), addrs)
    }

    /// Gives addresses up; see [`sockopt::bindx_remove`].
    ///
    /// # Errors
    /// See there.
    pub fn bindx_remove(&self, addrs: &[SocketAddr]) -> io::Result<()> {
        sockopt::bindx_remove(self.as_fd(), addrs)
    }

    /// Sets up an association. A non-blocking socket returns at once: it is up when a one-to-one socket
    /// becomes writable without an error, or with [`AssocChange::CommUp`](crate::event::AssocChange).
    ///
    /// # Errors
    /// ECONNREFUSED, ETIMEDOUT, EISCONN, ENETUNREACH and their like.
    pub fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        let packed = addr::pack(&[peer]);
        // SAFETY: `packed` is one socket address of its length.
        let done = check(unsafe {
            libc::connect(self.fd.as_raw_fd(), packed.as_ptr().cast(), packed.len() as libc::socklen_t)
        });
        match done {
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
            other => other,
        }
    }

    /// Sets up an association with a peer of which several addresses are known (RFC 6458, 9.9): they are
    /// tried in turn. Waits, or not, like [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect); EINVAL: no address, or different ports.
    pub fn connectx(&self, peers: &[SocketAddr]) -> io::Result<AssocId> {
        let packed = addr::pack(peers);
        let octets = i32::try_from(packed.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut arg = abi::GetAddrsOld { assoc_id: 0, addr_num: octets, addrs: packed.as_ptr().cast() };
        let mut len = size_of::<abi::GetAddrsOld>() as libc::socklen_t;
        // SAFETY: `arg` is valid for reads and writes of `len` octets, and points to a packed list of
        // `addr_num` octets that outlives the call; the kernel writes the association into it.
        let done = check(unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                IPPROTO_SCTP,
                abi::SCTP_SOCKOPT_CONNECTX3,
                (&raw mut arg).cast(),
                &raw mut len,
            )
        });
        match done {
            Ok(()) => Ok(arg.assoc_id),
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(arg.assoc_id),
            Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => {
                sockopt::set_bytes(self.as_fd(), abi::SCTP_SOCKOPT_CONNECTX, &packed)
            }
            Err(e) => Err(e),
        }
    }

    /// Lets peers set up associations; 0 stops it.
    ///
    /// # Errors
    /// The system's.
    pub fn listen(&self, backlog: i32) -> io::Result<()> {
        // SAFETY: no pointers.
        check(unsafe { libc::listen(self.fd.as_raw_fd(), backlog) })
    }

    /// Takes an association that a peer has set up, and the peer's primary address (one-to-one sockets).
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is none.
    pub fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        let mut name = [0u8; addr::STORAGE_LEN];
        let mut len = name.len() as libc::socklen_t;
        // SAFETY: `name` is valid for writes of `len` octets.
        let fd = retry(|| unsafe {
            libc::accept4(self.fd.as_raw_fd(), name.as_mut_ptr().cast(), &raw mut len, libc::SOCK_CLOEXEC)
        })?;
        let fd = own(fd)?;
        let from = read_name(&name, len);
        Ok((Self::ours(fd)?, from))
    }

    /// Takes one association out of a one-to-many socket into a socket of its own (RFC 6458, 9.2), with all that is to
    /// be read of it, the limit for messages, and the options of this socket. The association keeps its number. The
    /// new socket waits until it is told not to.
    ///
    /// # Errors
    /// EINVAL: no such association, or a one-to-one socket. EMFILE, ENFILE: no descriptor is left.
    pub fn peel_off(&self, assoc: AssocId) -> io::Result<Self> {
        // Nobody reads meanwhile: what the kernel hands over next of a message that has begun comes to the new socket.
        let mut inbox = self.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut arg = abi::PeelOffFlags {
            arg: abi::PeelOff { assoc_id: assoc, sd: -1 },
            flags: libc::SOCK_CLOEXEC as u32,
        };
        sockopt::get(self.as_fd(), IPPROTO_SCTP, abi::SCTP_SOCKOPT_PEELOFF_FLAGS, &mut arg)?;
        let mut peeled = Self::ours(own(arg.arg.sd)?)?;
        peeled.limit = AtomicUsize::new(self.limit.load(Ordering::Relaxed));
        peeled.inbox = Mutex::new(inbox.split_off(assoc));
        Ok(peeled)
    }

    /// Ends the association of a one-to-one socket once all is sent; what the peer still sends can be read.
    ///
    /// # Errors
    /// ENOTCONN; EOPNOTSUPP on one-to-many sockets, see [`shutdown_assoc`](Self::shutdown_assoc).
    pub fn shutdown(&self) -> io::Result<()> {
        // SAFETY: no pointers.
        check(unsafe { libc::shutdown(self.fd.as_raw_fd(), libc::SHUT_WR) })
    }

    /// Ends an association once all is sent (RFC 6458, 5.3.4, SCTP_EOF). On a one-to-one socket the same as
    /// [`shutdown`](Self::shutdown).
    ///
    /// # Errors
    /// EPIPE or EINVAL: no such association.
    pub fn shutdown_assoc(&self, assoc: AssocId) -> io::Result<()> {
        match self.style()? {
            Style::OneToOne => self.shutdown(),
            Style::OneToMany => self
                .send(&SendInfo { assoc, flags: abi::SCTP_EOF as u16, ..SendInfo::default() }, &[])
                .map(drop),
        }
    }

    /// Ends an association at once (ABORT). The kernel does so on one-to-many and peeled-off sockets; a
    /// one-to-one socket is set to abort when its last descriptor is closed instead (SO_LINGER 0).
    ///
    /// # Errors
    /// EPIPE or EINVAL: no such association.
    pub fn abort(&self, assoc: AssocId) -> io::Result<()> {
        match self.style()? {
            Style::OneToOne => sockopt::set_linger(self.as_fd(), Some(0)),
            Style::OneToMany => self
                .send(&SendInfo { assoc, flags: abi::SCTP_ABORT as u16, ..SendInfo::default() }, &[])
                .map(drop),
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// `WouldBlock`: no room; EMSGSIZE: above the send buffer, or above the fragmentation point when
    /// fragmenting is off; EINVAL: no such stream or association; EPIPE, ECONNRESET: gone. No SIGPIPE.
    pub fn send(&self, info: &SendInfo, data: &[u8]) -> io::Result<usize> {
        self.send_with(libc::MSG_NOSIGNAL, info, data)
    }

    /// As [`send`](Self::send), but never waits, also on a socket that does otherwise.
    ///
    /// # Errors
    /// See there.
    pub fn send_now(&self, info: &SendInfo, data: &[u8]) -> io::Result<usize> {
        self.send_with(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT, info, data)
    }

    fn send_with(&self, flags: libc::c_int, info: &SendInfo, data: &[u8]) -> io::Result<usize> {
        let mut control: cmsg::Buffer<
            {
                cmsg::space(size_of::<abi::SndInfo>())
                    + cmsg::space(size_of::<abi::PrInfo>())
                    + cmsg::space(size_of::<abi::AuthInfo>())
            },
        > = cmsg::Buffer::new();
        let mut snd = [0; size_of::<abi::SndInfo>()];
        snd[..2].copy_from_slice(&info.stream.to_ne_bytes());
        snd[2..4].copy_from_slice(&info.flags.to_ne_bytes());
        snd[4..8].copy_from_slice(&info.ppid.to_be_bytes());
        snd[8..12].copy_from_slice(&info.context.to_ne_bytes());
        snd[12..].copy_from_slice(&info.assoc.to_ne_bytes());
        control.push(IPPROTO_SCTP, abi::SCTP_SNDINFO, &snd);
        if let Some(reliability) = info.reliability {
            let (policy, value) = reliability.to_raw();
            let mut pr = [0; size_of::<abi::PrInfo>()];
            pr[..2].copy_from_slice(&policy.to_ne_bytes());
            pr[4..].copy_from_slice(&value.to_ne_bytes());
            control.push(IPPROTO_SCTP, abi::SCTP_PRINFO, &pr);
        }
        if let Some(number) = info.auth_key {
            control.push(IPPROTO_SCTP, abi::SCTP_AUTHINFO, &number.to_ne_bytes());
        }
        let mut name = info.to.map(|to| addr::pack(&[to])).unwrap_or_default();
        let mut iov = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
        let msg = message(&mut name, &mut iov, control.filled());
        // SAFETY: `msg` points to a name, one vector and control data that outlive the call; `sendmsg`
        // only reads them.
        let sent = retry(|| unsafe { libc::sendmsg(self.fd.as_raw_fd(), &raw const msg, flags) })?;
        Ok(sent.cast_unsigned())
    }

    /// Receives one whole message into `buf` (whose contents are replaced), or a notification. `None`: the
    /// association of a one-to-one socket has ended.
    ///
    /// Not for duplicates of another program's socket: what is read here is lost there.
    ///
    /// # Errors
    /// `WouldBlock`; ECONNRESET and its like when the association was aborted; `InvalidData` for a
    /// notification that cannot be parsed.
    pub fn recv(&self, buf: &mut Vec<u8>) -> io::Result<Option<Received>> {
        self.recv_with(0, buf)
    }

    /// As [`recv`](Self::recv), but never waits, also on a socket that does otherwise.
    ///
    /// # Errors
    /// See there.
    pub fn recv_now(&self, buf: &mut Vec<u8>) -> io::Result<Option<Received>> {
        self.recv_with(libc::MSG_DONTWAIT, buf)
    }

    fn recv_with(&self, flags: libc::c_int, buf: &mut Vec<u8>) -> io::Result<Option<Received>> {
        let mut inbox = self.inbox.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        loop {
            let Some(piece) = self.recv_piece(flags, buf)? else { return Ok(None) };
            let limit = self.limit.load(Ordering::Relaxed);
            match inbox.take(&piece, buf, limit) {
                None => {}
                Some(Whole::Message(info)) => return Ok(Some(Received::Message(info))),
                Some(Whole::TooLong { info, length }) => {
                    return Ok(Some(Received::TooLong { info, length }));
                }
                Some(Whole::Notification) => {
                    let parsed = Notification::parse(buf);
                    buf.clear();
                    let notification = parsed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
                    inbox.note(&notification);
                    return Ok(Some(Received::Notification(notification)));
                }
            }
        }
    }

    /// One `recvmsg`, its bytes in `buf`.
    fn recv_piece(&self, flags: libc::c_int, buf: &mut Vec<u8>) -> io::Result<Option<Piece>> {
        buf.clear();
        buf.reserve(READ);
        let mut name = [0u8; addr::STORAGE_LEN];
        // Room for more than RCVINFO: an adopted socket's program may have asked for other items too.
        let mut control: cmsg::Buffer<256> = cmsg::Buffer::new();
        let room: &mut [MaybeUninit<u8>] = &mut buf.spare_capacity_mut()[..READ];
        let mut iov = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let mut msg = message(&mut name, &mut iov, control.all());
        // SAFETY: `msg` points to a name, one vector over spare capacity of `buf` and a control buffer, all
        // valid for writes of the lengths given and outliving the call.
        let read =
            retry(|| unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut msg, flags) })?.cast_unsigned();
        let (flags, name_len, control_len) = (msg.msg_flags, msg.msg_namelen, msg.msg_controllen);
        // SAFETY: the kernel has written `read` octets, no more than the vector holds, at the beginning of
        // the spare capacity of `buf`, which was empty.
        unsafe { buf.set_len(read.min(READ)) };
        let notification = flags & abi::MSG_NOTIFICATION != 0;
        if read == 0 && !notification && flags & libc::MSG_EOR == 0 {
            return Ok(None);
        }
        let mut info = MessageInfo {
            stream: 0,
            ppid: 0,
            ssn: 0,
            tsn: 0,
            assoc: 0,
            from: read_name(&name, name_len),
            unordered: false,
            context: 0,
        };
        let control = control.all();
        let control = &control[..control_len.min(control.len())];
        for item in cmsg::items(control) {
            if (item.level, item.type_) == (IPPROTO_SCTP, abi::SCTP_RCVINFO) {
                read_rcvinfo(item.data, &mut info);
            }
        }
        Ok(Some(Piece { info, notification, end: flags & libc::MSG_EOR != 0 }))
    }

    /// The inode that /proc and sock_diag know this socket by.
    ///
    /// # Errors
    /// The system's.
    pub fn inode(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_ino)
    }

    /// The addresses of this end; see [`sockopt::local_addrs`] (0: the endpoint's).
    ///
    /// # Errors
    /// See there.
    pub fn local_addrs(&self, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
        sockopt::local_addrs(self.as_fd(), assoc)
    }

    /// The peer's addresses; see [`sockopt::peer_addrs`].
    ///
    /// # Errors
    /// See there.
    pub fn peer_addrs(&self, assoc: AssocId) -> io::Result<Vec<SocketAddr>> {
        sockopt::peer_addrs(self.as_fd(), assoc)
    }

    /// Whether the association of a one-to-one socket is up.
    ///
    /// # Errors
    /// The system's.
    pub fn is_connected(&self) -> io::Result<bool> {
        let mut name = [0u8; addr::STORAGE_LEN];
        let mut len = name.len() as libc::socklen_t;
        // SAFETY: `name` is valid for writes of `len` octets.
        let done = unsafe { libc::getpeername(self.fd.as_raw_fd(), name.as_mut_ptr().cast(), &raw mut len) };
        match check(done) {
            Ok(()) => Ok(true),
            Err(e) if e.raw_os_error() == Some(libc::ENOTCONN) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// `sctp_rcvinfo` from bytes; too short an item changes nothing.
fn read_rcvinfo(data: &[u8], info: &mut MessageInfo) {
    use abi::RcvInfo as R;
    use std::mem::offset_of;
    if data.len() < size_of::<R>() {
        return;
    }
    let u16_at = |at: usize| u16::from_ne_bytes([data[at], data[at + 1]]);
    let u32_at = |at: usize| u32::from_ne_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    info.stream = u16_at(offset_of!(R, sid));
    info.ssn = u16_at(offset_of!(R, ssn));
    info.unordered = i32::from(u16_at(offset_of!(R, flags))) & abi::SCTP_UNORDERED != 0;
    info.ppid = u32::from_be(u32_at(offset_of!(R, ppid)));
    info.tsn = u32_at(offset_of!(R, tsn));
    info.context = u32_at(offset_of!(R, context));
    info.assoc = u32_at(offset_of!(R, assoc_id)).cast_signed();
}

/// An address that the kernel wrote; 0.0.0.0:0 when it wrote none.
fn read_name(name: &[u8], len: libc::socklen_t) -> SocketAddr {
    let name = &name[..(len as usize).min(name.len())];
    addr::read(name).map_or_else(|_| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), |(addr, _)| addr)
}

impl From<OwnedFd> for Socket {
    /// Takes a descriptor as it is; nothing of it is changed.
    fn from(fd: OwnedFd) -> Self {
        Self { fd, limit: AtomicUsize::new(DEFAULT_MESSAGE_LIMIT), inbox: Mutex::default() }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl IntoRawFd for Socket {
    fn into_raw_fd(self) -> RawFd {
        self.fd.into_raw_fd()
    }
}
