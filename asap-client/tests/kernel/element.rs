//! An element under a test's control.

use std::net::SocketAddr;
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use asap_client::client::Event;
use asap_client::driver::service::{Config, Service, Session};
use asap_client::session::KeyRing;
use asap_client::session::cookie::Refusal;
use asap_client::session::service::{Cookies, Left};
use asap_client::wire::{Policy, PoolElement, Transport, TransportUse};
use tokio::sync::{mpsc, oneshot, watch};

use crate::world::*;

/// Where all elements serve.
pub(crate) const PORT: u16 = 7007;

/// A first message that wants no answers.
pub(crate) const MUTE: u64 = 0;

/// What a service does with its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// Answers each request with a digest of all requests, and gives a cookie every so many requests. Whose first
    /// message is [`MUTE`] is listened to.
    Digest { cookie_every: u64 },
    /// Tells the test of what comes, once the test has it read.
    Listens,
}

/// What an element tells the test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Began { restored: bool, refused: Option<Refusal> },
    Message(u64),
    Left(Option<Left>),
}

pub(crate) struct Element {
    id: u8,
    namespace: String,
    die: Option<oneshot::Sender<()>>,
    card: watch::Sender<Vec<PoolElement>>,
    reads: watch::Sender<bool>,
    told: mpsc::UnboundedReceiver<Told>,
    thread: Option<JoinHandle<()>>,
}

/// The state of a digest.
pub(crate) fn digest(state: u64, request: u64) -> u64 {
    (state ^ request).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

pub(crate) fn key() -> KeyRing {
    KeyRing::new(1, &[0x5a; 32])
}

pub(crate) fn address(id: u8) -> SocketAddr {
    SocketAddr::from(([10, 9, 0, 100 + id], PORT))
}

/// As the registrar knows an element of this identifier.
pub(crate) fn listed(id: u8) -> PoolElement {
    let addresses = vec![address(id).ip()];
    let user =
        Transport::Sctp { port: PORT, use_: TransportUse::DataPlusControl, addresses: addresses.into() };
    PoolElement { id: id.into(), home: 1, life: 300, user, policy: Policy::RoundRobin, asap: None }
}

impl Element {
    /// Starts one at an address of its own in the registrars' network; it is in the pool when this returns.
    pub(crate) fn start(world: &World, id: u8, does: Does) -> Self {
        Self::start_with(world, id, does, key())
    }

    pub(crate) fn start_with(world: &World, id: u8, does: Does, key: KeyRing) -> Self {
        let namespace = world.registrars.clone();
        ip(&namespace, &format!("addr replace {}/32 dev lo\n", address(id).ip()));
        let (die, dies) = oneshot::channel();
        let (card, cards) = watch::channel(Vec::new());
        let (reads, may_read) = watch::channel(false);
        let (tell, told) = mpsc::unbounded_channel();
        let (ready, is_ready) = std_mpsc::channel();
        let inside = namespace.clone();
        let thread = std::thread::spawn(move || {
            enter(&inside);
            run(async {
                let serving = serve(id, does, key, cards, may_read, tell, ready);
                tokio::select! {
                    () = serving => {}
                    _ = dies => {}
                }
            });
        });
        is_ready.recv_timeout(PATIENCE).expect("the element is registered");
        Self { id, namespace, die: Some(die), card, reads, told, thread: Some(thread) }
    }

    /// As if killed: its kernel ends its associations.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let (Some(die), Some(thread)) = (self.die.take(), self.thread.take()) {
            // An error: it has ended already.
            let _ = die.send(());
            thread.join().unwrap();
        }
    }

    /// Nothing gets to it any more, and nothing comes back.
    pub(crate) fn cut_off(&self) {
        ip(&self.namespace, &format!("addr del {}/32 dev lo\n", address(self.id).ip()));
    }

    pub(crate) fn set_card(&self, elements: Vec<PoolElement>) {
        self.card.send(elements).unwrap();
    }

    /// Has an element that listens read from now on.
    pub(crate) fn read(&self) {
        self.reads.send(true).unwrap();
    }

    /// What it says next.
    pub(crate) async fn told(&mut self) -> Told {
        let told = tokio::time::timeout(PATIENCE, self.told.recv()).await;
        told.expect("the element says nothing").expect("the element lives")
    }
}

impl Drop for Element {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(
    id: u8,
    does: Does,
    key: KeyRing,
    mut cards: watch::Receiver<Vec<PoolElement>>,
    may_read: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<Told>,
    ready: std_mpsc::Sender<()>,
) {
    let (registrar, mut events) = client(&[FIRST]);
    registrar.set_local_addresses(vec![address(id).ip()]);
    let mut config = Config::new(pool("EchoPool"), Cookies::Sealed(key));
    config.service.id = id.into();
    let mut service = Service::bind(&[address(id)], config).unwrap();
    service.join(&registrar, Policy::RoundRobin, None);
    until(&mut events, |event| matches!(event, Event::Registered { .. }).then_some(())).await;
    drop(events);
    ready.send(()).unwrap();
    loop {
        tokio::select! {
            session = service.accept() => {
                let session = session.expect("the socket works");
                tokio::spawn(attend(session, does, may_read.clone(), tell.clone()));
            }
            changed = cards.changed() => {
                changed.unwrap();
                service.set_card(cards.borrow().clone());
            }
        }
    }
}

async fn attend(
    session: Session,
    does: Does,
    mut may_read: watch::Receiver<bool>,
    tell: mpsc::UnboundedSender<Told>,
) {
    // The test may have ended, whenever it is told something.
    let restored = session.restored().is_some();
    let _ = tell.send(Told::Began { restored, refused: session.refused() });
    let mut state =
        session.restored().map_or(0, |restored| u64::from_be_bytes(restored.state[..].try_into().unwrap()));
    let mut listens = does == Does::Listens;
    while let Some(message) = session.recv().await {
        let request = u64::from_be_bytes(message.octets[..8].try_into().unwrap());
        listens |= message.number == 1 && request == MUTE;
        match does {
            Does::Digest { cookie_every } if !listens => {
                state = digest(state, request);
                // Whoever is gone needs no answer.
                let _ = session.send(state.to_be_bytes().to_vec()).await;
                if message.number.is_multiple_of(cookie_every) {
                    let _ = session.cookie(state.to_be_bytes(), None).await;
                }
            }
            _ => {
                let _ = may_read.wait_for(|may| *may).await;
                let _ = tell.send(Told::Message(request));
            }
        }
    }
    let _ = tell.send(Told::Left(session.left()));
}
