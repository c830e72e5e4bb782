//! The client's machine over kernel SCTP, or TCP, and tokio.
//!
//! [`RegistrarClient`] is a host's RSerPool client: a handle to a task that owns the machine and its sockets.
//! What happens comes out of [`Events`]. With it, [`session::Session`] is a program's session with a pool, and
//! [`service::Service`] serves the sessions of a pool's users. [`mail::Mailbox`] sends messages to pools, elements and
//! addresses without sessions. Pools that compute have [`computing`] on top of that.
//!
#![doc = include_str!("tutorial.md")]
#![expect(clippy::disallowed_methods, reason = "the driver owns the clock")]

pub mod computing;
mod endpoint;
mod groups;
mod line;
pub mod mail;
mod port;
pub mod service;
pub mod session;
mod streams;
mod task;
mod tuning;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::client::{self, ElementConfig, Event, Input};
use crate::pool_user::Answer;
use crate::timers::Timers;
use crate::wire::PoolHandle;

pub use groups::known as known_groups;
pub use tuning::Tuning;

/// What ASAP is spoken over (RFC 5352 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// SCTP: for elements and users.
    #[default]
    Sctp,
    /// TCP: for users alone, who need no SCTP in the kernel then. Elements are refused.
    Tcp,
}

/// What a client is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// SCTP or TCP.
    pub over: Over,
    /// Multicast groups where registrars announce themselves, to be found without being listed, as [`known_groups`].
    /// Whoever can send there can become our registrar.
    pub groups: Vec<SocketAddr>,
    /// The registrars, each with its addresses and ports, of either family.
    pub registrars: Vec<Vec<SocketAddr>>,
    /// Timers and thresholds.
    pub timers: Timers,
    /// What is asked of the kernel.
    pub tuning: Tuning,
    /// Random, for the order in which registrars are tried; `None` tries them in the list's order.
    pub seed: Option<u64>,
}

impl Config {
    /// For a host whose addresses change.
    pub fn mobile(registrars: Vec<Vec<SocketAddr>>, seed: Option<u64>) -> Self {
        Self {
            over: Over::Sctp,
            groups: Vec::new(),
            registrars,
            timers: Timers::mobile(),
            tuning: Tuning::default(),
            seed,
        }
    }
}

/// Why a pool could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ResolveError {
    /// No registrar answered.
    #[error("no registrar has answered")]
    Unanswered,
    /// The client has been closed.
    #[error("the client is closed")]
    Closed,
}

enum Command {
    Input(Input),
    Resolve { handle: PoolHandle, fresh: Duration, reply: oneshot::Sender<Result<Answer, ResolveError>> },
    Close { patience: Duration, done: oneshot::Sender<()> },
}

/// A host's RSerPool client. Cheap to clone; when the last clone is dropped, its sockets are closed and the registrar
/// drops its elements.
#[derive(Clone, Debug)]
pub struct RegistrarClient {
    commands: mpsc::UnboundedSender<Command>,
    /// Sessions that were begun: they take turns.
    turns: Arc<AtomicUsize>,
}

/// What happens to a [`RegistrarClient`]. Read it, or drop it: when too much is unread, the client waits.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<Event>);

impl Events {
    /// The next event; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

impl RegistrarClient {
    /// Starts a client without addresses, elements or pools as yet.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled.
    pub fn spawn(config: Config) -> (Self, Events) {
        let (commands, commanded) = mpsc::unbounded_channel();
        let (events, happened) = mpsc::channel(256);
        let machine = client::Client::new(client::Config {
            registrars: config.registrars,
            timers: config.timers,
            seed: config.seed,
        });
        tokio::spawn(
            task::Task::new(machine, config.over, config.groups, config.tuning, events).run(commanded),
        );
        (Self { commands, turns: Arc::default() }, Events(happened))
    }

    /// How many sessions were begun before.
    fn next_turn(&self) -> usize {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }

    fn command(&self, command: Command) {
        // A closed client needs nothing any more.
        let _closed = self.commands.send(command);
    }

    fn input(&self, input: Input) {
        self.command(Command::Input(input));
    }

    /// The host's usable addresses are now these: a new association from them, everything registered and subscribed
    /// to over it, at once. None means offline: all rests.
    pub fn set_local_addresses(&self, local: Vec<IpAddr>) {
        self.input(Input::Local(local));
    }

    /// Keeps an element registered; one of the same handle and identifier is replaced. Over TCP it is rejected with
    /// cause 0xa.
    pub fn register(&self, element: ElementConfig) {
        self.input(Input::Register(element));
    }

    /// Takes an element out of its pool.
    pub fn deregister(&self, handle: PoolHandle, id: u32) {
        self.input(Input::Deregister { handle, id });
    }

    /// Keeps the user informed about a pool, with [`Event::Pool`].
    pub fn subscribe(&self, handle: PoolHandle) {
        self.input(Input::Subscribe(handle));
    }

    /// No more.
    pub fn unsubscribe(&self, handle: PoolHandle) {
        self.input(Input::Unsubscribe(handle));
    }

    /// Somebody waits for a subscribed pool to change, or no more: while somebody does, a registrar that does not
    /// push changes is asked again and again.
    pub fn urge(&self, handle: PoolHandle, on: bool) {
        self.input(Input::Urge { handle, on });
    }

    /// Tells the registrar of an element that could not be reached.
    pub fn unreachable(&self, handle: PoolHandle, id: u32) {
        self.input(Input::Unreachable { handle, id });
    }

    /// Who is in the pool? An answer no older than `fresh` will do; zero asks for a new one. Waits while there is no
    /// registrar.
    ///
    /// # Errors
    /// The registrar did not answer, or the client is closed. An unknown pool is an answer, with an error inside.
    pub async fn resolve(&self, handle: PoolHandle, fresh: Duration) -> Result<Answer, ResolveError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Resolve { handle, fresh, reply });
        answer.await.unwrap_or(Err(ResolveError::Closed))
    }

    /// Takes all elements out of their pools, waiting for the registrar no longer than `patience`, and ends.
    pub async fn close(self, patience: Duration) {
        let (done, closed) = oneshot::channel();
        self.command(Command::Close { patience, done });
        // An error means the same: the task is gone.
        let _gone = closed.await;
    }
}

/// Why a message of a session was not taken, at either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError<R> {
    /// It is longer than the session's configuration allows.
    #[error("a message of {octets} octets, where {longest} are allowed")]
    TooLong {
        /// Its octets.
        octets: usize,
        /// How many there may be.
        longest: usize,
    },
    /// The machine does not take it.
    #[error(transparent)]
    Refused(#[from] R),
}

/// Octets from the system's source of random numbers.
///
/// # Panics
/// The system has none.
fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut octets[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the system gives no random numbers: {error}"),
        }
    }
    octets
}
