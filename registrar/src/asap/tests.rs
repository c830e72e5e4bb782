//! What the machine promises, one promise a test, on a clock of its own.

mod adoption;
mod bad_input;
mod elsewhere;
mod fuzz;
mod keepalive;
mod limits;
mod moving;
mod policies;
mod properties;
mod push;
mod registration;
mod resolution;
mod robustness;
mod tcp;

use asap_client::wire::{self, Message, Policy, PoolElement, PoolHandle, Transport, TransportUse};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Event, Input, Limits, Output, Reason, Registrar, Settings};
use crate::Association;

/// A registrar, a clock, and what it sent to whom.
struct World {
    now: Instant,
    registrar: Registrar,
    sent: BTreeMap<Association, Vec<Message>>,
    events: Vec<Event>,
    aborted: Vec<(Association, Reason)>,
    /// Whether everything is checked after every step; off only where there is very much of it.
    checked: bool,
}

const A: Association = Association(1);
const B: Association = Association(2);
const C: Association = Association(3);

fn handle(name: &str) -> PoolHandle {
    PoolHandle::new(name).unwrap()
}

fn sctp(port: u16, addresses: &[&str]) -> Transport {
    let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    Transport::Sctp { port, use_: TransportUse::DataPlusControl, addresses }
}

fn element(id: u32, address: &str) -> PoolElement {
    PoolElement {
        id,
        home: 0,
        life: 300,
        user: sctp(7000, &[address]),
        policy: Policy::RoundRobin,
        asap: None,
    }
}

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl World {
    /// Without periodic keep-alives and with every change pushed, so that only what a test does happens.
    fn new() -> Self {
        Self::with(Settings {
            server: 0x1111,
            keep_alive_interval: None,
            push_interval: Duration::ZERO,
            ..Settings::default()
        })
    }

    fn with(settings: Settings) -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        let registrar = Registrar::new(settings, 7);
        Self { now, registrar, sent: BTreeMap::new(), events: Vec::new(), aborted: Vec::new(), checked: true }
    }

    fn with_limits(limits: Limits) -> Self {
        Self::with(Settings { limits, keep_alive_interval: None, ..Settings::default() })
    }

    fn give(&mut self, input: Input) {
        self.registrar.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.registrar.poll_output() {
            match output {
                Output::Send { association, bytes } => {
                    let message = wire::decode(&bytes).unwrap().message;
                    self.sent.entry(association).or_default().push(message);
                }
                Output::Abort { association, reason } => self.aborted.push((association, reason)),
                Output::Connect { remote } => panic!("nobody is to be adopted: {remote:?}"),
                Output::Event(event) => self.events.push(event),
            }
        }
        if self.checked {
            self.registrar.check();
        }
    }

    fn up(&mut self, association: Association, addresses: &[&str]) {
        let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
        self.give(Input::Up { association, from: addresses[0], port: 5000, addresses });
    }

    fn down(&mut self, association: Association) {
        self.give(Input::Down { association });
    }

    fn say(&mut self, association: Association, message: &Message) {
        self.bytes(association, message.encode());
    }

    fn bytes(&mut self, association: Association, bytes: Vec<u8>) {
        self.give(Input::Message { association, ppid: wire::PPID, bytes });
    }

    /// Lets time pass, every timer at its moment.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.registrar.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.registrar.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// What was sent over an association since the last look.
    fn heard(&mut self, association: Association) -> Vec<Message> {
        self.sent.remove(&association).unwrap_or_default()
    }

    fn one(&mut self, association: Association) -> Message {
        let mut heard = self.heard(association);
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    fn register(&mut self, association: Association, pool: &str, element: PoolElement) -> Message {
        self.say(association, &Message::Registration { handle: handle(pool), element });
        self.one_of(association, |m| matches!(m, Message::RegistrationResponse { .. }))
    }

    /// The only message of a kind; takes the others too.
    fn one_of(&mut self, association: Association, kind: impl Fn(&Message) -> bool) -> Message {
        let mut found: Vec<_> = self.heard(association).into_iter().filter(kind).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    fn registered(&mut self, association: Association, pool: &str, element: PoolElement) {
        let id = element.id;
        let answer = self.register(association, pool, element);
        assert_eq!(answer, accepted(pool, id));
    }

    fn resolve(&mut self, association: Association, pool: &str, items: Option<u32>) -> Message {
        self.say(association, &Message::HandleResolution { subscribe: false, handle: handle(pool), items });
        self.one(association)
    }

    fn subscribe(&mut self, association: Association, pool: &str) -> Message {
        let message = Message::HandleResolution { subscribe: true, handle: handle(pool), items: None };
        self.say(association, &message);
        self.one(association)
    }

    /// The addresses at which a pool's elements are, as a user over a fresh look sees them.
    fn seen(&self, pool: &str) -> Vec<(u32, Vec<IpAddr>)> {
        let pool = self.registrar.handlespace().pool(&handle(pool));
        pool.into_iter().flat_map(|p| p.elements()).map(|e| (e.id, e.user.addresses().to_vec())).collect()
    }
}

fn accepted(pool: &str, id: u32) -> Message {
    Message::RegistrationResponse { rejected: false, handle: handle(pool), id, error: None }
}

fn cause_of(message: &Message) -> Option<u16> {
    match message {
        Message::RegistrationResponse { error: Some(causes), .. }
        | Message::DeregistrationResponse { error: Some(causes), .. }
        | Message::HandleResolutionResponse { error: Some(causes), .. }
        | Message::Error(causes) => causes.first().map(|c| c.code),
        _ => None,
    }
}

/// The identifiers in a response, in its order.
fn ids(message: &Message) -> Vec<u32> {
    match message {
        Message::HandleResolutionResponse { elements, .. } => elements.iter().map(|e| e.id).collect(),
        other => panic!("no response: {other:?}"),
    }
}
