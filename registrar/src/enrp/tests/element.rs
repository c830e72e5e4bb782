//! A pool element as RFC 5352 has it: registers, registers again, answers keep-alives, follows its home.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use asap_client::wire::{self, Message, Policy, PoolElement, Transport, TransportUse};

use super::cluster::{ASAP, Cluster, ELEMENT, Host, pool};

const AGAIN: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(2);

/// What it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// To register anew.
    Renewal,
    /// To try a registrar.
    Search,
    /// A registrar's answer.
    Answer,
}

#[derive(Debug)]
pub(super) struct Element {
    pub(super) id: u32,
    pub(super) alive: bool,
    /// It does not want to be registered any more.
    pub(super) left: bool,
    /// It answers whoever asks, and stays where it registered.
    pub(super) stays: bool,
    /// Its home registrar, and the association with it.
    pub(super) home: Option<(usize, u64)>,
    trying: Option<usize>,
    wait: Option<(Instant, Wait)>,
}

impl Element {
    pub(super) fn is_wanted(&self) -> bool {
        self.alive && !self.left
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.wait.filter(|_| self.alive).map(|(at, _)| at)
    }

    pub(super) fn is_home(&self, link: u64) -> bool {
        self.home.is_some_and(|(_, home)| home == link)
    }
}

/// What an element at `host` registers.
pub(super) fn registration(id: u32, host: Host) -> PoolElement {
    let user = Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: vec![host.ip()].into() };
    PoolElement { id, home: 0, life: 300, user, policy: Policy::RoundRobin, asap: None }
}

impl Cluster {
    /// Adds an element that registers at a registrar.
    pub(super) fn element(&mut self, at: usize) -> usize {
        let number = self.elements.len();
        let id = 0xe0 + u32::try_from(number).unwrap();
        let element =
            Element { id, alive: true, left: false, stays: false, home: None, trying: None, wait: None };
        self.elements.push(element);
        self.try_registrar(number, at);
        number
    }

    /// The element looks for a home at this registrar.
    pub(super) fn try_registrar(&mut self, number: usize, at: usize) {
        let host = Host::Element(number);
        let deadline = self.now + PATIENCE;
        let element = &mut self.elements[number];
        if element.home.is_some_and(|(home, _)| home == at) {
            return;
        }
        element.trying = Some(at);
        element.wait = Some((deadline, Wait::Answer));
        self.connect(host, ELEMENT, vec![SocketAddr::new(Host::Registrar(at).ip(), ASAP)]);
    }

    /// The element is gone for ever: its kernel says so, or, `silent`, nobody does.
    pub(super) fn kill(&mut self, number: usize, silent: bool) {
        self.elements[number].alive = false;
        self.end_host(Host::Element(number), silent);
    }

    pub(super) fn deregister(&mut self, number: usize) {
        let element = &mut self.elements[number];
        (element.left, element.wait) = (true, None);
        let message = Message::Deregistration { handle: pool(), id: element.id };
        if let Some((_, link)) = element.home {
            self.send(link, Host::Element(number), message.encode());
        }
    }

    fn register(&mut self, number: usize) {
        let host = Host::Element(number);
        let deadline = self.now + PATIENCE;
        let element = &mut self.elements[number];
        let Some((_, link)) = element.home.filter(|_| !element.left) else { return };
        element.wait = Some((deadline, Wait::Answer));
        let element = registration(element.id, host);
        self.send(link, host, Message::Registration { handle: pool(), element }.encode());
    }

    pub(super) fn element_up(&mut self, number: usize, link: u64, registrar: usize) {
        let element = &mut self.elements[number];
        if element.trying == Some(registrar) {
            let before = element.home.replace((registrar, link));
            element.trying = None;
            if let Some((_, before)) = before.filter(|(_, before)| *before != link) {
                self.abort(before, Host::Element(number));
            }
            self.register(number);
        }
    }

    pub(super) fn element_down(&mut self, number: usize, link: u64) {
        let pause = Duration::from_millis(20 + self.draw(100));
        let element = &mut self.elements[number];
        if element.is_home(link) {
            element.home = None;
            element.wait = (!element.left).then_some((self.now + pause, Wait::Search));
        }
    }

    pub(super) fn element_unreachable(&mut self, number: usize) {
        let pause = Duration::from_millis(20 + self.draw(100));
        let element = &mut self.elements[number];
        if element.home.is_none() && element.trying.take().is_some() && !element.left {
            element.wait = Some((self.now + pause, Wait::Search));
        }
    }

    pub(super) fn element_wakes(&mut self, number: usize) {
        let Some((_, wait)) = self.elements[number].wait.take() else { return };
        if wait == Wait::Renewal {
            return self.register(number);
        }
        if let Some((_, link)) = self.elements[number].home.take() {
            self.abort(link, Host::Element(number));
        }
        let registrars = self.nodes.len() as u64;
        let at = usize::try_from(self.draw(registrars)).unwrap();
        self.try_registrar(number, at);
    }

    pub(super) fn element_message(&mut self, number: usize, link: u64, bytes: &[u8]) {
        let host = Host::Element(number);
        let renewal = self.now + AGAIN + Duration::from_millis(self.draw(500));
        let element = &mut self.elements[number];
        match wire::decode(bytes).unwrap().message {
            Message::RegistrationResponse { rejected, .. } => {
                assert!(!rejected, "nothing is refused here");
                if element.is_home(link) && !element.left {
                    element.wait = Some((renewal, Wait::Renewal));
                }
            }
            // Its life is over, says the registrar: it is renewed.
            Message::DeregistrationResponse { .. } if element.is_home(link) => self.register(number),
            Message::DeregistrationResponse { .. } => {}
            Message::EndpointKeepAlive { .. } if element.left => {}
            Message::EndpointKeepAlive { home, server, handle, .. } => {
                let ack = Message::EndpointKeepAliveAck { handle, id: element.id }.encode();
                if home && !element.stays && !element.is_home(link) {
                    let registrar = self.nodes.iter().position(|node| node.id == server).unwrap();
                    let before = element.home.replace((registrar, link));
                    (element.trying, element.wait) = (None, Some((renewal, Wait::Renewal)));
                    if let Some((_, before)) = before {
                        self.abort(before, host);
                    }
                }
                self.send(link, host, ack);
            }
            other => panic!("{other}"),
        }
    }
}
