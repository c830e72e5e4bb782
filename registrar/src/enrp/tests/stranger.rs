//! A peer that speaks ENRP as a test tells it to.

use std::net::SocketAddr;
use std::time::Duration;

use asap_client::wire::{PoolElement, PoolHandle, ServerInformation, Transport, TransportUse};

use super::cluster::{Cluster, ENRP, Host, pool};
use super::element::registration;
use crate::enrp::wire::{Body, Message, UpdateAction};
use crate::handlespace::ChecksumSum;

pub(super) struct Stranger {
    pub(super) number: usize,
    pub(super) id: u32,
    pub(super) link: u64,
    /// What it says that it owns.
    pub(super) checksum: u16,
    /// What it was sent, but for PRESENCEs and what is asked of every newcomer.
    pub(super) heard: Vec<Body>,
}

/// The checksum over these elements of the tests' pool.
pub(super) fn checksum(ids: &[u32]) -> u16 {
    let mut sum = ChecksumSum::default();
    for id in ids {
        sum.add(ChecksumSum::of(&pool(), *id));
    }
    sum.fold()
}

/// An element as its home announces it.
pub(super) fn announced(id: u32, home: u32, number: usize) -> PoolElement {
    let host = Host::Element(number);
    let asap =
        Transport::Sctp { port: 5000, use_: TransportUse::DataOnly, addresses: vec![host.ip()].into() };
    PoolElement { home, asap: Some(asap), ..registration(id, host) }
}

pub(super) fn update(action: UpdateAction, handle: PoolHandle, element: PoolElement) -> Body {
    Body::HandleUpdate { takeover_suggested: false, action, handle, element: Box::new(element) }
}

impl Cluster {
    /// A stranger connects to a registrar and shows itself.
    pub(super) fn stranger(&mut self, number: usize, id: u32, at: usize) -> Stranger {
        let mut stranger = self.silent_stranger(number, id, at);
        self.live(&mut stranger, Duration::from_millis(100), |_, _| None);
        stranger
    }

    /// A stranger connects to a registrar and says nothing yet.
    pub(super) fn silent_stranger(&mut self, number: usize, id: u32, at: usize) -> Stranger {
        let remote = vec![SocketAddr::new(Host::Registrar(at).ip(), ENRP)];
        let link = self.connect(Host::Stranger(number), ENRP, remote).unwrap();
        self.pass(Duration::from_millis(20));
        Stranger { number, id, link, checksum: 0xffff, heard: Vec::new() }
    }

    pub(super) fn say(&mut self, stranger: &Stranger, body: Body) {
        let message = Message { sender: stranger.id, receiver: 0, body };
        self.send(stranger.link, Host::Stranger(stranger.number), message.encode());
    }

    fn show(&mut self, stranger: &Stranger) {
        let addresses = vec![Host::Stranger(stranger.number).ip()];
        let transport =
            Transport::Sctp { port: ENRP, use_: TransportUse::DataOnly, addresses: addresses.into() };
        let server = Some(ServerInformation { server: stranger.id, transport });
        let checksum = Some(stranger.checksum);
        self.say(stranger, Body::Presence { reply_required: false, checksum, server });
    }

    /// Lets time pass while the stranger lives: it sends heartbeats, and to what it hears it answers as told.
    pub(super) fn live(
        &mut self,
        stranger: &mut Stranger,
        time: Duration,
        mut answer: impl FnMut(&mut Stranger, &Body) -> Option<Body>,
    ) {
        const STEP: Duration = Duration::from_millis(20);
        let end = self.now + time;
        let mut steps = 0;
        while self.now < end {
            if steps % 20 == 0 {
                self.show(stranger);
            }
            steps += 1;
            self.pass(STEP);
            let (its, others) =
                std::mem::take(&mut self.heard).into_iter().partition(|(link, _)| *link == stranger.link);
            self.heard = others;
            for (_, message) in its {
                match message.body {
                    Body::Presence { reply_required: true, .. } => self.show(stranger),
                    Body::Presence { .. } => {}
                    Body::ListRequest => {
                        self.say(stranger, Body::ListResponse { rejected: false, servers: Vec::new() });
                    }
                    body => {
                        if let Some(answer) = answer(stranger, &body) {
                            self.say(stranger, answer);
                        }
                        stranger.heard.push(body);
                    }
                }
            }
        }
    }
}

/// Answers a request for its elements.
pub(super) fn table(ids: &[u32], home: u32, number: usize) -> Body {
    let elements: Vec<_> = ids.iter().map(|id| announced(*id, home, number)).collect();
    let entries = match elements.is_empty() {
        true => Vec::new(),
        false => vec![crate::enrp::wire::Entry { handle: pool(), elements }],
    };
    Body::HandleTableResponse { rejected: false, more: false, entries }
}
