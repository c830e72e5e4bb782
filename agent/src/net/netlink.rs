//! The two rtnetlink sockets: one asks and is answered at once, one hears what changes.
//!
//! The kernel carries out a request inside `send`, so the answer is there when `send` returns: asking costs
//! tens of microseconds and needs no task. Nothing but this file and [`super::wire`] knows of netlink.

use std::future::poll_fn;
use std::io;
use std::os::fd::AsFd;

use netlink_sys::{AsyncSocket, Socket, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use nix::sys::socket::{setsockopt, sockopt};

use super::event::{Event, understand};
use super::wire::{self, Builder, messages};

/// Datagrams of a dump are at most 32 KiB.
const DATAGRAM: usize = 64 * 1024;

/// The kernel refused a request, or could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}{}", Detail(.detail))]
pub struct NetlinkError {
    /// What was tried, on what.
    pub what: String,
    /// The kernel's error number.
    #[source]
    pub cause: io::Error,
    /// The kernel's own explanation, where it gives one.
    pub detail: Option<String>,
}

impl NetlinkError {
    fn io(what: &str, cause: io::Error) -> Self {
        Self { what: what.to_owned(), cause, detail: None }
    }

    /// The error number, if it came from the kernel.
    pub fn errno(&self) -> i32 {
        self.cause.raw_os_error().unwrap_or(0)
    }
}

struct Detail<'a>(&'a Option<String>);

impl std::fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |detail| write!(f, " ({detail})"))
    }
}

/// One change to ask for, with words for the error message.
pub(crate) struct Change {
    pub(crate) what: String,
    pub(crate) message: Builder,
}

/// The asking socket, of the network namespace in which it was made.
#[derive(Debug)]
pub(crate) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Requests {
    /// # Errors
    /// The process may not have a netlink socket.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            socket.set_netlink_get_strict_chk(true)?;
            socket.set_ext_ack(true)?;
            Ok(Self { socket, sequence: 0, buffer: Vec::with_capacity(DATAGRAM) })
        };
        open().map_err(|cause| NetlinkError::io("cannot open a netlink socket", cause))
    }

    /// Asks for all changes in one go, in order; each has its own result. A refused one does not stop those
    /// after it.
    pub(crate) fn apply(&mut self, changes: Vec<Change>) -> Vec<Result<(), NetlinkError>> {
        // The answers have to fit the receive buffer: a few hundred octets each.
        let mut results = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            self.apply_some(changes.by_ref().take(64).collect(), &mut results);
        }
        results
    }

    fn apply_some(&mut self, changes: Vec<Change>, results: &mut Vec<Result<(), NetlinkError>>) {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::with_capacity(128 * changes.len());
        let mut words = Vec::with_capacity(changes.len());
        for change in changes {
            self.sequence = self.sequence.wrapping_add(1);
            bytes.extend(change.message.finish(self.sequence));
            words.push(change.what);
        }
        let mut answers: Vec<Option<Result<(), NetlinkError>>> = words.iter().map(|_| None).collect();
        let mut open = answers.len();
        let mut failure = self.socket.send(&bytes, 0).err();
        while open > 0 && failure.is_none() {
            self.buffer.clear();
            if let Err(cause) = self.socket.recv(&mut self.buffer, 0) {
                failure = Some(cause);
                break;
            }
            for raw in messages(&self.buffer) {
                let index = raw.sequence.wrapping_sub(first) as usize;
                let Some(slot @ None) = answers.get_mut(index) else { continue };
                if raw.kind == wire::ERROR {
                    *slot = Some(refusal(&raw, &words[index]));
                    open -= 1;
                }
            }
        }
        results.extend(answers.into_iter().zip(&words).map(|(answer, what)| {
            answer.unwrap_or_else(|| {
                let number = failure.as_ref().and_then(io::Error::raw_os_error).unwrap_or(libc::EIO);
                Err(NetlinkError::io(what, io::Error::from_raw_os_error(number)))
            })
        }));
    }

    /// Asks one question and gives what the kernel answers (several messages for a dump).
    pub(crate) fn ask(&mut self, what: &str, question: Builder) -> Result<Vec<Event>, NetlinkError> {
        let mut events = Vec::new();
        self.ask_raw(what, question, |raw| events.extend(understand(raw)))?;
        Ok(events)
    }

    /// As [`Requests::ask`], with the messages as they are.
    pub(crate) fn ask_raw(
        &mut self,
        what: &str,
        question: Builder,
        mut each: impl FnMut(wire::Raw<'_>),
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let (sequence, error) = (self.sequence, |cause| NetlinkError::io(what, cause));
        self.socket.send(&question.finish(sequence), 0).map_err(error)?;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).map_err(error)?;
            for raw in messages(&self.buffer).filter(|raw| raw.sequence == sequence) {
                match raw.kind {
                    wire::DONE => return Ok(()),
                    wire::ERROR => return refusal(&raw, what),
                    // An interrupted dump is made whole by the events that interrupted it.
                    _ => each(raw),
                }
                if raw.flags & 0x2 == 0 && raw.flags & wire::DUMP_INTERRUPTED == 0 {
                    return Ok(()); // not one of several
                }
            }
        }
    }
}

/// An acknowledgement: error number, the head of what was asked, and perhaps words.
fn refusal(raw: &wire::Raw<'_>, what: &str) -> Result<(), NetlinkError> {
    const CAPPED: u16 = 0x100;
    let number = wire::u32_at(raw.body, 0).map_or(0, |number| (number as i32).wrapping_neg());
    if number == 0 {
        return Ok(());
    }
    let asked = wire::u32_at(raw.body, 4).unwrap_or(16) as usize;
    let skip = if raw.flags & CAPPED != 0 { 20 } else { (4 + asked).next_multiple_of(4) };
    let detail = wire::attributes(raw.body.get(skip..).unwrap_or_default())
        .find_map(|(kind, value)| (kind == 1).then(|| wire::text(value)));
    Err(NetlinkError { what: what.to_owned(), cause: io::Error::from_raw_os_error(number), detail })
}

/// What one look at the event socket brought.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// In the kernel's order.
    pub(crate) events: Vec<Event>,
    /// The receive buffer ran over: events are missing, look at everything again.
    pub(crate) overrun: bool,
}

/// The hearing socket, subscribed to links, addresses, routes and rules of both families.
pub(crate) struct Events {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

/// `RTMGRP_…` as bits: links; addresses, routes and rules of IPv4 and IPv6.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000;

impl Events {
    /// Subscribes. `receive_buffer` in octets.
    ///
    /// # Errors
    /// No netlink socket, or no tokio reactor.
    pub(crate) fn open(receive_buffer: usize) -> Result<Self, NetlinkError> {
        let open = || {
            let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
            // Beyond the limit of the host where we may, within it where not.
            let inner = socket.socket_mut();
            if setsockopt(&inner.as_fd(), sockopt::RcvBufForce, &receive_buffer).is_err() {
                setsockopt(&inner.as_fd(), sockopt::RcvBuf, &receive_buffer)?;
            }
            inner.bind(&SocketAddr::new(0, GROUPS))?;
            Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM) })
        };
        open().map_err(|cause| NetlinkError::io("cannot subscribe to network changes", cause))
    }

    /// Waits until there is something and takes all there is.
    ///
    /// # Errors
    /// The socket failed otherwise than by running over.
    pub(crate) async fn hear(&mut self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        self.buffer.clear();
        let (socket, buffer) = (&self.socket, &mut self.buffer);
        // Nothing is lost if this is dropped while it waits: all that is read is handed out below.
        let first = poll_fn(|cx| socket.poll_recv_from(cx, buffer)).await;
        heard.take(first, &self.buffer)?;
        // A flood must not keep what is known already from being acted upon. After an overrun nothing more is
        // kept, but reading on to the end makes the kernel report again.
        while heard.events.len() < 4096 || heard.overrun {
            self.buffer.clear();
            let next = self.socket.socket_ref().recv_from(&mut self.buffer, 0);
            if next.as_ref().is_err_and(|cause| cause.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            heard.take(next.map(|(_, sender)| sender), &self.buffer)?;
        }
        Ok(heard)
    }
}

impl Heard {
    fn take(&mut self, received: io::Result<SocketAddr>, datagram: &[u8]) -> io::Result<()> {
        match received {
            // From the kernel, and worth keeping?
            Ok(sender) if sender.port_number() == 0 && !self.overrun => {
                self.events.extend(messages(datagram).filter_map(understand));
            }
            Ok(_) => {}
            Err(cause) if cause.raw_os_error() == Some(libc::ENOBUFS) => self.overrun = true,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
        Ok(())
    }
}
