//! Sockets handed over by their program through a Unix stream (SCM_RIGHTS).
//!
//! One hand-over is a header of eight octets (`SCTP`, version 1, number of sockets, length of the message
//! as a 16-bit number in network order), the message, and with the header's first octet the descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::is_sctp;
use crate::cmsg;
use crate::socket::Socket;
use crate::syscall::{message, retry};

/// Most sockets in one hand-over.
pub const MAX_SOCKETS: usize = 64;
/// Longest message of a hand-over in octets.
pub const MAX_MESSAGE: usize = u16::MAX as usize;

const MAGIC: [u8; 4] = *b"SCTP";
const VERSION: u8 = 1;
const HEADER: usize = 8;
const CONTROL: usize = cmsg::space(4 * MAX_SOCKETS);

/// Why a hand-over was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// More sockets or a longer message than allowed.
    #[error("{sockets} sockets and {message} octets are more than one hand-over may hold")]
    TooLarge {
        /// Sockets.
        sockets: usize,
        /// Octets of the message.
        message: usize,
    },
    /// The other side sent something else.
    #[error("no hand-over of sockets: {0}")]
    Malformed(&'static str),
    /// A descriptor that is no SCTP socket.
    #[error("descriptor {0} of the hand-over is no SCTP socket")]
    NotSctp(usize),
    /// The other side closed.
    #[error("the other side closed before the hand-over was whole")]
    Closed,
    /// Another error of the system.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What was handed over.
#[derive(Debug)]
pub struct HandedOver {
    /// The message.
    pub message: Vec<u8>,
    /// The sockets, duplicates of the sender's.
    pub sockets: Vec<Socket>,
}

/// Hands sockets over with a message, through a Unix stream. The sockets stay open here.
///
/// # Errors
/// See [`HandOverError`]; on a non-blocking stream `WouldBlock` may come in the middle: use
/// `tokio::send_sockets` there.
pub fn send_sockets(stream: impl AsFd, msg: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), HandOverError> {
    let mut sending = Sending::new(msg, fds)?;
    while !sending.step(stream.as_fd())? {}
    Ok(())
}

/// Takes one hand-over: its message and sockets. `None`: the other side has closed.
///
/// # Errors
/// See [`HandOverError`]; on a non-blocking stream `WouldBlock` may come in the middle: use
/// `tokio::recv_sockets` there.
pub fn recv_sockets(stream: impl AsFd) -> Result<Option<HandedOver>, HandOverError> {
    let mut receiving = Receiving::default();
    loop {
        match receiving.step(stream.as_fd())? {
            Step::More => {}
            Step::Closed => return Ok(None),
            Step::Whole => return receiving.finish().map(Some),
        }
    }
}

/// A hand-over on its way out.
pub(crate) struct Sending<'a> {
    bytes: Vec<u8>,
    sent: usize,
    fds: &'a [BorrowedFd<'a>],
}

impl<'a> Sending<'a> {
    pub(crate) fn new(msg: &[u8], fds: &'a [BorrowedFd<'a>]) -> Result<Self, HandOverError> {
        if fds.len() > MAX_SOCKETS || msg.len() > MAX_MESSAGE {
            return Err(HandOverError::TooLarge { sockets: fds.len(), message: msg.len() });
        }
        let mut bytes = Vec::with_capacity(HEADER + msg.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, fds.len() as u8]);
        bytes.extend_from_slice(&(msg.len() as u16).to_be_bytes());
        bytes.extend_from_slice(msg);
        Ok(Self { bytes, sent: 0, fds })
    }

    /// Writes as much as goes; true when all is written. The descriptors go with the first octet.
    pub(crate) fn step(&mut self, stream: BorrowedFd<'_>) -> io::Result<bool> {
        let mut control: cmsg::Buffer<CONTROL> = cmsg::Buffer::new();
        if self.sent == 0 && !self.fds.is_empty() {
            let numbers: Vec<u8> = self.fds.iter().flat_map(|fd| fd.as_raw_fd().to_ne_bytes()).collect();
            control.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, &numbers);
        }
        let rest = &self.bytes[self.sent..];
        let mut iov = libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() };
        let msg = message(&mut [], &mut iov, control.filled());
        // SAFETY: `msg` points to one vector and control data that outlive the call; `sendmsg` only reads
        // them. The descriptors in it are borrowed, so open.
        let sent =
            retry(|| unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const msg, libc::MSG_NOSIGNAL) })?;
        self.sent += sent.cast_unsigned();
        Ok(self.sent == self.bytes.len())
    }
}

/// How far a hand-over has come in.
pub(crate) enum Step {
    More,
    Whole,
    Closed,
}

/// A hand-over on its way in.
#[derive(Default)]
pub(crate) struct Receiving {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Receiving {
    /// Octets of the whole hand-over, as far as is known.
    fn expected(&self) -> Result<usize, HandOverError> {
        let Some(header) = self.bytes.first_chunk::<HEADER>() else { return Ok(HEADER) };
        if header[..4] != MAGIC || header[4] != VERSION {
            return Err(HandOverError::Malformed("it begins with something else"));
        }
        Ok(HEADER + usize::from(u16::from_be_bytes([header[6], header[7]])))
    }

    /// Reads what is there, never beyond this hand-over.
    pub(crate) fn step(&mut self, stream: BorrowedFd<'_>) -> Result<Step, HandOverError> {
        let expected = self.expected()?;
        let have = self.bytes.len();
        let mut chunk = [0; 4096];
        let want = (expected - have).min(chunk.len());
        let mut iov = libc::iovec { iov_base: chunk.as_mut_ptr().cast(), iov_len: want };
        let mut control: cmsg::Buffer<CONTROL> = cmsg::Buffer::new();
        let mut msg = message(&mut [], &mut iov, control.all());
        // SAFETY: `msg` points to one vector over `chunk` and a control buffer, valid for writes of the
        // lengths given and outliving the call.
        let read =
            retry(|| unsafe { libc::recvmsg(stream.as_raw_fd(), &raw mut msg, libc::MSG_CMSG_CLOEXEC) })?;
        let (flags, length) = (msg.msg_flags, msg.msg_controllen);
        // First own what came, so that nothing stays open when the rest is refused.
        let control = control.all();
        let length = length.min(control.len());
        for item in cmsg::items(&control[..length]) {
            if (item.level, item.type_) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                for number in item.data.as_chunks().0 {
                    // SAFETY: the kernel has just made this descriptor for us; nobody else owns it.
                    self.fds.push(unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(*number)) });
                }
            }
        }
        if flags & libc::MSG_CTRUNC != 0 || self.fds.len() > MAX_SOCKETS {
            return Err(HandOverError::Malformed("more descriptors than allowed"));
        }
        if read == 0 {
            return if have == 0 { Ok(Step::Closed) } else { Err(HandOverError::Closed) };
        }
        self.bytes.extend_from_slice(&chunk[..read.cast_unsigned().min(want)]);
        Ok(if self.bytes.len() == self.expected()? { Step::Whole } else { Step::More })
    }

    /// What came, once it is whole.
    pub(crate) fn finish(mut self) -> Result<HandedOver, HandOverError> {
        if self.bytes.get(5).is_none_or(|count| usize::from(*count) != self.fds.len()) {
            return Err(HandOverError::Malformed("not as many descriptors as it says"));
        }
        if let Some(at) = self.fds.iter().position(|fd| !is_sctp(fd)) {
            return Err(HandOverError::NotSctp(at));
        }
        self.bytes.drain(..HEADER);
        Ok(HandedOver { message: self.bytes, sockets: self.fds.into_iter().map(Socket::from).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_message_without_sockets_arrives_whole_and_alone() {
        let (a, b) = UnixStream::pair().unwrap();
        let long: Vec<u8> = (0..60_000u32).map(|n| n as u8).collect();
        let sender = std::thread::spawn(move || {
            send_sockets(&a, &long, &[]).unwrap();
            send_sockets(&a, b"next", &[]).unwrap();
            long
        });
        let first = recv_sockets(&b).unwrap().unwrap();
        assert_eq!(first.message, sender.join().unwrap());
        assert_eq!(recv_sockets(&b).unwrap().unwrap().message, b"next");
        assert!(recv_sockets(&b).unwrap().is_none());
    }

    #[test]
    fn a_descriptor_that_is_no_sctp_socket_is_refused_and_closed() {
        let (a, b) = UnixStream::pair().unwrap();
        let (inner, other) = UnixStream::pair().unwrap();
        send_sockets(&a, b"", &[inner.as_fd()]).unwrap();
        drop(inner);
        assert!(matches!(recv_sockets(&b), Err(HandOverError::NotSctp(0))));
        // All copies of `inner` are closed now, so its other end sees the end of the stream.
        let mut buf = [0];
        assert_eq!(std::io::Read::read(&mut &other, &mut buf).unwrap(), 0);
    }

    #[test]
    fn other_bytes_are_refused() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(matches!(recv_sockets(&b), Err(HandOverError::Malformed(_))));
    }

    #[test]
    fn a_count_without_descriptors_is_refused() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"SCTP\x01\x02\x00\x00").unwrap();
        assert!(matches!(recv_sockets(&b), Err(HandOverError::Malformed(_))));
    }

    #[test]
    fn an_end_in_the_middle_is_told() {
        let (mut a, b) = UnixStream::pair().unwrap();
        a.write_all(b"SCTP\x01\x00\x00\x05ab").unwrap();
        drop(a);
        assert!(matches!(recv_sockets(&b), Err(HandOverError::Closed)));
    }

    #[test]
    fn too_much_is_refused_before_anything_is_sent() {
        let (a, _b) = UnixStream::pair().unwrap();
        let fds = vec![a.as_fd(); MAX_SOCKETS + 1];
        assert!(matches!(send_sockets(&a, b"", &fds), Err(HandOverError::TooLarge { .. })));
        assert!(matches!(
            send_sockets(&a, &vec![0; MAX_MESSAGE + 1], &[]),
            Err(HandOverError::TooLarge { .. })
        ));
    }
}
