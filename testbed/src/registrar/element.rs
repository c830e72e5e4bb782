//! A pool element that does what RFC 5352 asks of it, and can be asked what it was told.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use asap_client::wire::{self, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse};
use sctp_sys::event::EventType;
use sctp_sys::{AssocId, Family, Received, SendInfo, Socket, Style, sockopt};

use super::member::{Kind, Member};
use super::stage::{Stage, address};
use super::user::{Place, handle, limit};
use crate::clock::{self, Nanos};

const PORT: u16 = 7000;
/// The registration's life in seconds, and in milliseconds.
const LIFE: i32 = 300;
pub(super) const LIFE_MS: u64 = 300_000;
/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// A registrar has said that it is the home now (H).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NewHome {
    pub(super) at: Nanos,
    pub(super) server: u32,
}

#[derive(Debug, Default)]
struct Heard {
    /// Its home is at the other end of this.
    home: Option<AssocId>,
    answers: Vec<Message>,
    new_homes: Vec<NewHome>,
    keep_alives: u64,
    /// It has deregistered, and is nobody's element any more.
    has_left: bool,
}

/// The element. Dropping it ends its associations.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) pool: PoolHandle,
    pub(super) id: u32,
    host: u8,
    socket: Arc<Socket>,
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

impl Element {
    /// Registers at a registrar, over SCTP, for 300 s, Round Robin.
    ///
    /// # Errors
    /// The registrar cannot be reached, or refuses.
    pub(super) fn register(
        stage: &mut Stage,
        host: u8,
        registrar: &Member,
        pool: &str,
        id: u32,
    ) -> Result<Self> {
        let number = registrar.number;
        stage.add_host(host)?;
        let own = SocketAddr::new(address(host), PORT);
        let socket = stage.host(host)?.enter(|| {
            let socket = Socket::new(Style::OneToMany, Family::V4)?;
            sockopt::set_events(socket.as_fd(), &[EventType::AssocChange])?;
            socket.bind(own)?;
            // A registrar that takes this element over opens an association to it.
            socket.listen(8)?;
            limit(&socket, LOOK)?;
            Ok(socket)
        })?;
        let home = socket.connectx(&[SocketAddr::new(address(number), wire::PORT)])?;
        let heard = Arc::new(Mutex::new(Heard { home: Some(home), ..Heard::default() }));
        let (socket, stop) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let listener = {
            let (socket, heard, stop) = (Arc::clone(&socket), Arc::clone(&heard), Arc::clone(&stop));
            Some(thread::spawn(move || listen(&socket, &heard, &stop)))
        };
        let element = Self { pool: handle(pool)?, id, host, socket, heard, stop, listener };
        element.register_again(registrar.kind).with_context(|| format!("at registrar {number}"))?;
        stage.note(format!("element {id:#x} is registered in pool {pool} at registrar {number}"));
        Ok(element)
    }

    /// Where it serves.
    pub(super) fn place(&self) -> Place {
        (PORT, vec![address(self.host)])
    }

    /// Deregisters at its home.
    ///
    /// # Errors
    /// The registrar cannot be reached, or refuses.
    pub(super) fn deregister(&self, stage: &Stage) -> Result<()> {
        let request = Message::Deregistration { handle: self.pool.clone(), id: self.id };
        let gone = |message: &Message| matches!(message, Message::DeregistrationResponse { error: None, .. });
        self.ask(&request, gone).context("deregistering")?;
        self.heard().has_left = true;
        stage.note(format!("element {:#x} has left pool {}", self.id, self.pool));
        Ok(())
    }

    /// Registers once more at its home, as elements do from time to time.
    ///
    /// # Errors
    /// The registrar cannot be reached, or refuses.
    pub(super) fn register_again(&self, kind: Kind) -> Result<()> {
        let (port, addresses) = self.place();
        let asked = PoolElement {
            id: self.id,
            home: 0,
            // rsplib's registrar takes it for milliseconds.
            life: if kind == Kind::Rsplib { 1000 * LIFE } else { LIFE },
            user: Transport::Sctp { port, use_: TransportUse::DataOnly, addresses: addresses.into() },
            policy: Policy::RoundRobin,
            asap: None,
        };
        let request = Message::Registration { handle: self.pool.clone(), element: asked };
        let accepted = |message: &Message| {
            matches!(message, Message::RegistrationResponse { rejected: false, error: None, .. })
        };
        self.ask(&request, accepted).context("registering")
    }

    /// Registers at another registrar than before: the one that it knew is gone.
    ///
    /// # Errors
    /// The registrar cannot be reached, or refuses.
    pub(super) fn register_elsewhere(&self, stage: &Stage, registrar: &Member) -> Result<()> {
        let home = self.socket.connectx(&[SocketAddr::new(address(registrar.number), wire::PORT)])?;
        self.heard().home = Some(home);
        self.register_again(registrar.kind)?;
        stage.note(format!("element {:#x} registers at registrar {}", self.id, registrar.number));
        Ok(())
    }

    /// The registrars that have said that they are its home now, in order of time.
    pub(super) fn new_homes(&self) -> Vec<NewHome> {
        self.heard().new_homes.clone()
    }

    /// Keep-alives that it has answered.
    pub(super) fn keep_alives(&self) -> u64 {
        self.heard().keep_alives
    }

    fn ask(&self, request: &Message, wanted: impl Fn(&Message) -> bool) -> Result<()> {
        let home = self.heard().home.context("it has no registrar any more")?;
        self.heard().answers.clear();
        say(&self.socket, home, request)?;
        let answer = clock::until("an answer", super::PATIENCE, || self.heard().answers.pop())?;
        anyhow::ensure!(wanted(&answer), "it was answered {answer:?}");
        Ok(())
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn say(socket: &Socket, assoc: AssocId, message: &Message) -> std::io::Result<usize> {
    socket.send(&SendInfo { ppid: wire::PPID, assoc, ..SendInfo::default() }, &message.encode())
}

/// Takes what comes, and answers keep-alives, until it is to stop.
fn listen(socket: &Socket, heard: &Mutex<Heard>, stop: &AtomicBool) {
    let mut bytes = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        // Nothing came within the time, or an association has ended: the next may bring something.
        let Ok(Some(Received::Message(info))) = socket.recv(&mut bytes) else { continue };
        let Ok(decoded) = wire::decode(&bytes) else { continue };
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match decoded.message {
            Message::EndpointKeepAlive { .. } if heard.has_left => {}
            Message::EndpointKeepAlive { home, server, handle, id } => {
                let before = heard.home.filter(|before| home && *before != info.assoc);
                if home {
                    heard.home = Some(info.assoc);
                    heard.new_homes.push(NewHome { at: clock::now(), server });
                }
                // A registrar that does not say whom it means has only one here.
                if let Some(id) = id
                    && say(socket, info.assoc, &Message::EndpointKeepAliveAck { handle, id }).is_ok()
                {
                    heard.keep_alives += 1;
                }
                // As rsplib's elements do, and `roamd`: who was the home before has nothing to do with it any more.
                if let Some(before) = before {
                    let _ = socket.abort(before);
                }
            }
            other => heard.answers.push(other),
        }
    }
}
