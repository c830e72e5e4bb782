//! The association with the present element.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use bytes::Bytes;
use sctp_sys::event::EventType;
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{Family, SendInfo, Socket, Style};

use super::super::Tuning;
use super::super::line::{Line, prepare};
use crate::session::user::{Exchange, Outgoing};
use crate::wire::{PPID, PoolElement, Transport};

/// How associations are made.
#[derive(Debug)]
pub(super) struct Means {
    pub(super) tuning: Tuning,
    pub(super) local: Vec<IpAddr>,
    pub(super) longest: usize,
    pub(super) exchange: Exchange,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) line: Line,
    /// What the kernel may still give back: it says which message, and, of a long one, only a part.
    kept: Option<Kept>,
}

/// The last messages given to the kernel, as many as its buffer can hold.
#[derive(Debug)]
struct Kept {
    messages: VecDeque<Outgoing>,
    octets: usize,
    buffer: usize,
}

impl Link {
    /// Begins to set up an association with an element.
    pub(super) fn open(id: u64, element: &PoolElement, means: &Means) -> io::Result<Self> {
        let Transport::Sctp { port, addresses, .. } = &element.user else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let remote: Vec<SocketAddr> = addresses.iter().map(|ip| SocketAddr::new(*ip, *port)).collect();
        let six = remote.iter().any(SocketAddr::is_ipv6);
        let socket = Socket::new(Style::OneToMany, if six { Family::V6 } else { Family::V4 })?;
        let gives_back = means.exchange == Exchange::Stream;
        let mut events = vec![EventType::AssocChange, EventType::Shutdown, EventType::PeerAddrChange];
        events.extend(gives_back.then_some(EventType::SendFailedEvent));
        prepare(&socket, &means.tuning, means.longest, &events)?;
        let own = means.local.iter().filter(|ip| six || ip.is_ipv4());
        let own: Vec<SocketAddr> = own.map(|ip| SocketAddr::new(*ip, 0)).collect();
        bind(&socket, &own)?;
        let buffer = usize::try_from(sockopt::send_buffer(socket.as_fd())?).unwrap_or(usize::MAX);
        let socket = AsyncSocket::new(socket)?;
        let assoc = socket.get_ref().connectx(&remote)?;
        let kept = gives_back.then(|| Kept { messages: VecDeque::new(), octets: 0, buffer });
        Ok(Self { id, line: Line::new(socket, assoc), kept })
    }

    pub(super) fn control(&mut self, octets: Vec<u8>) {
        self.line.push(SendInfo { ppid: PPID, ..SendInfo::default() }, octets.into());
        self.line.flush();
    }

    pub(super) fn send(&mut self, message: Outgoing) {
        let info = SendInfo { ppid: message.ppid, context: context(message.number), ..SendInfo::default() };
        let info = if message.unordered { info.unordered() } else { info };
        self.line.push(info, message.octets.clone());
        if let Some(kept) = &mut self.kept {
            kept.push(message);
        }
        self.line.flush();
    }

    /// The message that the kernel gives back; `None` for the other parts of one that was given back before.
    pub(super) fn given_back(&mut self, context: u32) -> Option<Outgoing> {
        self.kept.as_mut()?.take(context)
    }

    /// What the kernel has not even got.
    pub(super) fn unsent(&mut self) -> Vec<Outgoing> {
        let Some(kept) = &mut self.kept else { return Vec::new() };
        let data = self.line.unsent().filter(|info| info.ppid != PPID);
        data.filter_map(|info| kept.take(info.context)).collect()
    }
}

/// The first address with a port of the kernel's choice, the others with the same.
fn bind(socket: &Socket, own: &[SocketAddr]) -> io::Result<()> {
    let Some((first, others)) = own.split_first() else { return Ok(()) };
    socket.bind(*first)?;
    let port = socket.local_addrs(sctp_sys::FUTURE_ASSOC)?.first().map_or(0, SocketAddr::port);
    for other in others {
        socket.bindx_add(&[SocketAddr::new(other.ip(), port)])?;
    }
    Ok(())
}

/// What the kernel knows a message by.
fn context(number: u64) -> u32 {
    (number & u64::from(u32::MAX)) as u32
}

impl Kept {
    fn push(&mut self, message: Outgoing) {
        self.octets += size(&message.octets);
        self.messages.push_back(message);
        // The kernel takes one more as long as there is any room, and none that is longer than its buffer: what has more
        // than two buffers full behind it is acknowledged.
        while let Some(first) = self.messages.front()
            && self.octets - size(&first.octets) > 2 * self.buffer
        {
            self.octets -= size(&first.octets);
            self.messages.pop_front();
        }
    }

    fn take(&mut self, context_: u32) -> Option<Outgoing> {
        let at = self.messages.iter().position(|message| context(message.number) == context_)?;
        let message = self.messages.remove(at)?;
        self.octets -= size(&message.octets);
        Some(message)
    }
}

/// What a message takes of the kernel's buffer, at least: what it needs to manage it counts too.
fn size(octets: &Bytes) -> usize {
    octets.len() + 256
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, octets: usize) -> Outgoing {
        let octets = vec![0; octets].into();
        Outgoing { number, octets, ppid: 0, unordered: false, failover: true }
    }

    #[test]
    fn as_much_is_kept_as_the_kernel_can_give_back() {
        let mut kept = Kept { messages: VecDeque::new(), octets: 0, buffer: 1000 };
        for number in 1..=100 {
            kept.push(message(number, 99));
        }
        assert_eq!(kept.messages.len(), 6, "of 355 octets each, in twice 1000");
        assert_eq!(kept.take(100).map(|message| message.number), Some(100));
        assert_eq!(kept.take(100), None, "the second part of the same message");
        assert_eq!(kept.take(1), None, "acknowledged long ago");
        let sum: usize = kept.messages.iter().map(|message| size(&message.octets)).sum();
        assert_eq!(kept.octets, sum);
    }

    #[test]
    fn a_message_is_found_by_the_lower_half_of_its_number() {
        let mut kept = Kept { messages: VecDeque::new(), octets: 0, buffer: 1000 };
        kept.push(message(u64::from(u32::MAX) + 3, 5));
        assert_eq!(kept.take(2).map(|message| message.number), Some(u64::from(u32::MAX) + 3));
    }
}
