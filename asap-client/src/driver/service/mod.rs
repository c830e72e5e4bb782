//! The element's side of sessions over kernel SCTP: see [`crate::session`] for what they are.
//!
//! [`Service::bind`] listens at one port for all users; [`Service::accept`] gives one session after another, each with
//! what it is continued from. A user's association is taken out of the listening socket into one of its own, so that
//! users who are not read from, or do not read, hold up nobody but themselves. There are no queues between the kernel and
//! the program: whatever is not received stays in the kernel, which has the user wait.

mod config;
mod core;
mod link;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sctp_sys::event::{AssocChange, EventType, Notification};
use sctp_sys::sockopt;
use sctp_sys::tokio::AsyncSocket;
use sctp_sys::{FUTURE_ASSOC, Family, Received, Socket, Style};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::core::Shared;
use self::link::Link;
use super::line::prepare;
use super::{RegistrarClient, random};
use crate::client::ElementConfig;
use crate::session::KeyRing;
use crate::session::cookie::{Refusal, SessionId};
use crate::session::service::{Counters, Event, Input, Left, Refused, Restored};
use crate::wire::{Policy, PoolElement, PoolHandle, TransportUse};

pub use config::Config;

/// Notifications that are asked for, on all sockets.
const EVENTS: [EventType; 2] = [EventType::AssocChange, EventType::Shutdown];

/// Associations that may wait to be peeled off.
const BACKLOG: i32 = 1024;

/// A message of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its number in the session, over all elements.
    pub number: u64,
    /// SCTP payload protocol identifier.
    pub ppid: u32,
    /// The octets.
    pub octets: Bytes,
}

/// Why a message was not sent: it is too long, or the session is not here any more, or does not allow it.
pub type SendError = super::SendError<Refused>;

/// An element's service. Dropped, it leaves its pool and accepts nobody any more; sessions that were accepted go on.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    sessions: mpsc::Receiver<Session>,
    listening: JoinHandle<()>,
    port: u16,
    handle: PoolHandle,
    id: u32,
    use_: TransportUse,
    joined: Option<RegistrarClient>,
}

impl Service {
    /// Listens at these addresses, all of one port; 0 is one of the kernel's choice. The wildcard stands for all that the
    /// host has, now and later.
    ///
    /// # Errors
    /// The kernel's: it has no SCTP, or the addresses cannot be had.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled, and where the system gives no random numbers.
    pub fn bind(local: &[SocketAddr], mut config: Config) -> io::Result<Self> {
        let socket = listen(local, &config)?;
        let port = socket.local_addrs(FUTURE_ASSOC)?.first().map_or(0, SocketAddr::port);
        (config.service.unique, config.service.clock) = (random(), (Instant::now(), core::wall()));
        let (handle, id) = (config.service.handle.clone(), config.service.id);
        let use_ =
            if config.service.control { TransportUse::DataPlusControl } else { TransportUse::DataOnly };
        let (ready, sessions) = mpsc::channel(config.waiting.max(1));
        let shared = Arc::new(Shared::new(&config));
        let listener = Listener {
            socket: AsyncSocket::new(socket)?,
            shared: Arc::clone(&shared),
            ready,
            first: config.first,
        };
        let listening = tokio::spawn(listener.run());
        Ok(Self { shared, sessions, listening, port, handle, id, use_, joined: None })
    }

    /// The port where it serves.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The element's identifier.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Joins its pool at the client's registrars, with all addresses of the client's host, or has them know of another
    /// policy: a load that has changed. `life`: as in [`ElementConfig::life`]. What the registrar says to it is among the
    /// client's [`Events`](super::Events).
    pub fn join(&mut self, registrar: &RegistrarClient, policy: Policy, life: Option<Duration>) {
        let Self { port, id, use_, .. } = *self;
        registrar.register(ElementConfig {
            handle: self.handle.clone(),
            id,
            port,
            use_,
            policy,
            life,
            addresses: None,
        });
        self.joined = Some(registrar.clone());
    }

    /// Leaves the pool. Who is here can stay.
    pub fn leave(&mut self) {
        if let Some(registrar) = self.joined.take() {
            registrar.deregister(self.handle.clone(), self.id);
        }
    }

    /// The next session, once its first message has come. `None`: the socket is broken.
    pub async fn accept(&mut self) -> Option<Session> {
        self.sessions.recv().await
    }

    /// From now on, users shall go to these elements after this one, in this order (RFC 5352 §3.9). Those that are here
    /// are told.
    pub fn set_card(&self, elements: Vec<PoolElement>) {
        self.shared.give(Input::Card(elements));
    }

    /// From now on these keys.
    pub fn set_keys(&self, ring: KeyRing) {
        self.shared.give(Input::Keys(ring));
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.shared.ask(|machine| machine.counters().clone())
    }

    /// Associations, with those where no session has begun yet.
    pub fn sessions(&self) -> usize {
        self.shared.ask(crate::session::Service::len)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.leave();
        self.listening.abort();
    }
}

fn listen(local: &[SocketAddr], config: &Config) -> io::Result<Socket> {
    let first = *local.first().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let family = if local.iter().any(SocketAddr::is_ipv6) { Family::V6 } else { Family::V4 };
    let socket = Socket::new(Style::OneToMany, family)?;
    // An element that is started again does not wait for what its predecessor left.
    sockopt::set_reuse_addr(socket.as_fd(), true)?;
    prepare(&socket, &config.tuning, config.longest, &EVENTS)?;
    socket.bind(first)?;
    let port = socket.local_addrs(FUTURE_ASSOC)?.first().map_or(first.port(), SocketAddr::port);
    for other in &local[1..] {
        socket.bindx_add(&[SocketAddr::new(other.ip(), port)])?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// The task that takes associations in.
struct Listener {
    socket: AsyncSocket,
    shared: Arc<Shared>,
    ready: mpsc::Sender<Session>,
    first: Duration,
}

impl Listener {
    async fn run(self) {
        let mut octets = Vec::new();
        loop {
            match self.socket.recv(&mut octets).await {
                Ok(Some(Received::Notification(Notification::AssocChange {
                    state: AssocChange::CommUp,
                    assoc,
                    ..
                }))) => match self.shared.accept(self.socket.get_ref(), assoc) {
                    Ok(link) => drop(tokio::spawn(begin(
                        Arc::clone(&self.shared),
                        link,
                        self.first,
                        self.ready.clone(),
                    ))),
                    Err(error) => {
                        tracing::debug!(%error, "a user cannot be taken in");
                        // It may have gone already.
                        let _gone = self.socket.get_ref().abort(assoc);
                    }
                },
                Ok(Some(_)) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Ok(None) => return,
                Err(error) => return tracing::warn!(%error, "the socket is broken"),
            }
        }
    }
}

/// Waits for a session to begin.
async fn begin(shared: Arc<Shared>, link: Arc<Link>, first: Duration, ready: mpsc::Sender<Session>) {
    let mut session = Session { shared, link, id: SessionId([0; 24]), restored: None, refused: None };
    if let Ok(true) = tokio::time::timeout(first, session.begun()).await {
        // Nobody accepts any more: the session ends with being dropped.
        let _unwanted = ready.send(session).await;
    }
}

/// A user's session. Dropped, it ends at once; [`Session::end`] ends it in good order.
///
/// Every call may be dropped half-way: nothing is lost. A message that [`send`](Self::send) had begun with is sent with
/// the next call.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    link: Arc<Link>,
    id: SessionId,
    restored: Option<Restored>,
    refused: Option<Refusal>,
}

impl Session {
    /// The session's name, the same at all elements.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// What it is continued from; `None` for a new one.
    pub fn restored(&self) -> Option<&Restored> {
        self.restored.as_ref()
    }

    /// Why the user's cookie was refused, if it was. The session is a new one then, and the user knows.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// The user's next message; `None` once the session is not here any more.
    pub async fn recv(&self) -> Option<Message> {
        loop {
            match self.link.next(&self.shared).await? {
                Event::Data { number, ppid, octets, .. } => return Some(Message { number, ppid, octets }),
                event => tracing::debug!(?event, "a session"),
            }
        }
    }

    /// Why the session is not here any more; `None` while it is.
    pub fn left(&self) -> Option<Left> {
        self.link.left()
    }

    /// Sends a message in order, with PPID 0.
    ///
    /// # Errors
    /// It is too long, or the session is not here any more.
    pub async fn send(&self, octets: impl Into<Bytes>) -> Result<(), SendError> {
        self.send_with(octets, 0, false).await
    }

    /// Sends a message, waiting for room: it is the kernel's then. `unordered`: it may overtake others.
    ///
    /// # Errors
    /// It is too long, has the control channel's PPID, or the session is not here any more.
    pub async fn send_with(
        &self,
        octets: impl Into<Bytes>,
        ppid: u32,
        unordered: bool,
    ) -> Result<(), SendError> {
        let (octets, link, longest) = (octets.into(), self.link.id(), self.shared.longest());
        if octets.len() > longest {
            return Err(SendError::TooLong { octets: octets.len(), longest });
        }
        Ok(self.say(Input::Send { link, ppid, octets, unordered }).await?)
    }

    /// Gives the session's state, for whichever element is the next: it includes all messages up to number `includes`, or
    /// all that were received if that is `None`.
    ///
    /// # Errors
    /// It is too long for a cookie, there is no control channel, no such message has come, or the session is not here any
    /// more.
    pub async fn cookie(&self, state: impl Into<Vec<u8>>, includes: Option<u64>) -> Result<(), Refused> {
        self.say(Input::Cookie { link: self.link.id(), state: state.into(), includes }).await
    }

    /// Ends the session once all is delivered.
    pub async fn end(self) {
        // An error: it is over already.
        if self.link.clear(&self.shared).await.is_ok() {
            self.shared.give(Input::End { link: self.link.id(), graceful: true });
        }
    }

    /// Has the machine send something once there is room, and sees it off.
    async fn say(&self, input: Input) -> Result<(), Refused> {
        self.link.clear(&self.shared).await?;
        self.shared.handle(input)?;
        self.link.clear(&self.shared).await
    }

    /// Waits for its beginning; whether there is one.
    async fn begun(&mut self) -> bool {
        while let Some(event) = self.link.next(&self.shared).await {
            match event {
                Event::Started { session, restored, .. } => {
                    (self.id, self.restored) = (session, restored);
                    return true;
                }
                Event::Refused { why, .. } => self.refused = Some(why),
                _ => {}
            }
        }
        false
    }
}

/// Ends the session at once.
impl Drop for Session {
    fn drop(&mut self) {
        self.shared.give(Input::End { link: self.link.id(), graceful: false });
    }
}
