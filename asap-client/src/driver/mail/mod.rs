//! Messages to pools, elements and addresses over kernel SCTP: see [`crate::mail`] for what they are.
//!
//! [`Mailbox::bind`] opens one one-to-many socket, from which associations are set up as they are needed and where others
//! set theirs up. All of them share its buffers: a peer that does not read can hold up the others for as long as it takes
//! to know that ([`Config::tuning`], about a second), or, if its kernel goes on acknowledging an empty window, for ever.
//! For peers that are not trusted there are [sessions](super::session), which have a socket each.

mod core;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use sctp_sys::event::EventType;
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{FUTURE_ASSOC, Family, Socket, Style};
use tokio::task::JoinHandle;

use self::core::Shared;
use super::line::prepare;
use super::task::until;
use super::{RegistrarClient, Tuning, random};
use crate::mail::{self, Event, Failure, Options, Origin, Refused, To};
use crate::wire::{PoolElement, PoolHandle};

/// Notifications that a mailbox needs.
const EVENTS: [EventType; 5] = [
    EventType::AssocChange,
    EventType::Shutdown,
    EventType::PartialDelivery,
    EventType::SendFailedEvent,
    EventType::SenderDry,
];

/// Associations of others that may wait; on one-to-many sockets the kernel only wants it above 0.
const BACKLOG: i32 = 1024;

/// What a mailbox is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds and times. Its `seed` is chosen by the library.
    pub mail: mail::Config,
    /// What is asked of the kernel: how soon a peer that is gone is known as such. [`Tuning::session`].
    pub tuning: Tuning,
    /// The longest message, either way, in octets; at most twice `net.core.wmem_max`. A longer one that comes is thrown
    /// away. 64 KiB.
    pub longest: usize,
    /// Octets that may wait for the program to read them. While there are more, nothing is read. 1 MiB.
    pub unread: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { mail: mail::Config::default(), tuning: Tuning::session(), longest: 1 << 16, unread: 1 << 20 }
    }
}

/// A message that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// From whom.
    pub from: Origin,
    /// SCTP payload protocol identifier.
    pub ppid: u32,
    /// The octets.
    pub octets: Bytes,
}

/// A message that was not delivered, and comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Its number, as [`Mailbox::send`] gave it.
    pub number: u64,
    /// Where it was to go.
    pub to: To,
    /// The octets.
    pub octets: Bytes,
    /// Why.
    pub why: Failure,
}

/// What [`Mailbox::next`] brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// data.received (RFC 5352 §6.6).
    Message(Message),
    /// error.report (RFC 5352 §6.7).
    Returned(Returned),
}

/// Why a message was not taken: it is too long, or none for a mailbox.
pub type SendError = super::SendError<Refused>;

/// A place to send messages from, and to be sent messages at. Dropped, its socket is closed: what is under way is still
/// delivered if it can be, but what cannot be does not come back any more; [`Mailbox::sent`] waits for it.
///
/// All calls take `&self`, and every one may be dropped half-way: nothing is lost or sent in part.
#[derive(Debug)]
pub struct Mailbox {
    shared: Arc<Shared>,
    port: u16,
    task: JoinHandle<()>,
}

impl Mailbox {
    /// Opens one at these addresses, all of one port; 0 is one of the kernel's choice. The wildcard stands for all that the
    /// host has, now and later; that of IPv6 for both families. Pools are resolved at the client's registrars. For others to send to it by
    /// a pool handle, register [`Mailbox::port`] there.
    ///
    /// # Errors
    /// The kernel's: it has no SCTP, or the addresses cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled, and where the system gives no random numbers.
    pub fn bind(registrar: &RegistrarClient, local: &[SocketAddr], mut config: Config) -> io::Result<Self> {
        let first = *local.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let family = if local.iter().any(SocketAddr::is_ipv6) { Family::V6 } else { Family::V4 };
        let socket = Socket::new(Style::OneToMany, family)?;
        prepare(&socket, &config.tuning, config.longest, &EVENTS)?;
        // A message that one association leaves half sent must not hold up those of others.
        sockopt::set_fragment_interleave(socket.as_fd(), 1)?;
        socket.bind(first)?;
        let port = socket.local_addrs(FUTURE_ASSOC)?.first().map_or(first.port(), SocketAddr::port);
        for other in &local[1..] {
            socket.bindx_add(&[SocketAddr::new(other.ip(), port)])?;
        }
        socket.listen(BACKLOG)?;
        config.mail.seed = u64::from_ne_bytes(random());
        let shared = Arc::new(Shared::new(AsyncSocket::new(socket)?, &config));
        let task = tokio::spawn(serve(Arc::clone(&shared), registrar.clone()));
        Ok(Self { shared, port, task })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes a message (data.send.request, RFC 5352 §6.5), once there is room: its number, by which it is named should it
    /// come back.
    ///
    /// # Errors
    /// The message cannot be taken, now or later.
    pub async fn send(&self, to: To, octets: impl Into<Bytes>, options: Options) -> Result<u64, SendError> {
        let octets = octets.into();
        loop {
            let room = self.shared.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            match self.try_send(to.clone(), octets.clone(), options) {
                Err(SendError::Refused(Refused::Full)) => room.await,
                done => return done,
            }
        }
    }

    /// Takes a message if there is room.
    ///
    /// # Errors
    /// The message cannot be taken; with [`Refused::Full`], not now.
    pub fn try_send(&self, to: To, octets: impl Into<Bytes>, options: Options) -> Result<u64, SendError> {
        self.shared.send(Instant::now(), to, octets.into(), options)
    }

    /// The next message that has come, or has come back.
    ///
    /// # Errors
    /// The socket is of no use any more.
    pub async fn next(&self) -> io::Result<Incoming> {
        loop {
            let news = self.shared.news.notified();
            let mut news = std::pin::pin!(news);
            news.as_mut().enable();
            match self.shared.take()? {
                Some(Event::Received { from, ppid, octets }) => {
                    return Ok(Incoming::Message(Message { from, ppid, octets }));
                }
                Some(Event::Failed { number, to, octets, why }) => {
                    return Ok(Incoming::Returned(Returned { number, to, octets, why }));
                }
                Some(Event::Room) => {}
                None => news.await,
            }
        }
    }

    /// Waits until nothing is under way: all that was sent is acknowledged, or has come back.
    pub async fn sent(&self) {
        loop {
            let settled = self.shared.settled.notified();
            let mut settled = std::pin::pin!(settled);
            settled.as_mut().enable();
            if self.shared.is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// Has a pool in the cache before it is needed (cache.populate.request, RFC 5352 §6.3).
    pub fn populate(&self, handle: &PoolHandle) {
        self.shared.with(|machine, now| machine.populate(now, handle));
    }

    /// Forgets what is cached of a pool (cache.purge.request, RFC 5352 §6.4).
    pub fn purge(&self, handle: &PoolHandle) {
        self.shared.with(|machine, _| machine.purge(handle));
    }

    /// Who is in a pool, as far as that is cached and fresh. [`RegistrarClient::resolve`] asks for what is not.
    pub fn cached(&self, handle: &PoolHandle) -> Option<Vec<PoolElement>> {
        self.shared.with(|machine, now| machine.cached(now, handle).map(<[_]>::to_vec))
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task of a mailbox: reads, sends what waits, asks for pools, and lets timers act.
async fn serve(shared: Arc<Shared>, registrar: RegistrarClient) {
    let mut resolving = tokio::task::JoinSet::new();
    loop {
        for (handle, fresh) in shared.wishes(&registrar) {
            let registrar = registrar.clone();
            resolving.spawn(async move { (handle.clone(), registrar.resolve(handle, fresh).await) });
        }
        let outlook = shared.outlook();
        if outlook.broken {
            return;
        }
        tokio::select! {
            // Errors come with reading and sending.
            _ = shared.socket.readable(), if outlook.reads => shared.read(),
            _ = shared.socket.writable(), if outlook.writes => shared.flush(),
            Some(answer) = resolving.join_next() => {
                if let Ok((handle, answer)) = answer {
                    shared.resolved(handle, answer);
                }
            }
            () = shared.wake.notified() => {}
            () = until(outlook.timeout) => shared.time_out(),
        }
    }
}
