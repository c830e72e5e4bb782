#![expect(clippy::disallowed_methods, reason = "a beginning for the virtual clock")]

use std::time::Instant;

use super::*;
use crate::wire::{Message, PoolElement as WireElement, Transport, decode};

mod carried;
mod chaos;
mod elements;
mod moving;
mod registrars;

struct World {
    client: Client,
    now: Instant,
}

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn registrar(last: u8) -> SocketAddr {
    SocketAddr::new([10, 9, 0, last].into(), 3863)
}

fn pool() -> PoolHandle {
    "EchoPool".parse().unwrap()
}

fn peers() -> PoolHandle {
    "PeerPool".parse().unwrap()
}

fn element() -> ElementConfig {
    ElementConfig {
        handle: pool(),
        id: 9,
        port: 7,
        use_: TransportUse::DataOnly,
        policy: Policy::RoundRobin,
        life: Some(Duration::from_secs(300)),
        addresses: None,
    }
}

fn accepted() -> Message {
    Message::RegistrationResponse { rejected: false, handle: pool(), id: 9, error: None }
}

/// What was put out, with messages decoded.
#[derive(Debug, PartialEq)]
enum Seen {
    Bind(PortId, Vec<IpAddr>),
    Unbind(PortId),
    Open(LinkId, PortId, Vec<SocketAddr>),
    Say(LinkId, Message),
    Close(LinkId),
    Carry(LinkId, Vec<IpAddr>),
    Event(Event),
}

impl World {
    fn new(registrars: u8) -> Self {
        let registrars = (1..=registrars).map(|last| vec![registrar(last)]).collect();
        Self::with(Config { registrars, timers: Timers::default(), seed: Some(1) })
    }

    fn with(config: Config) -> Self {
        Self { client: Client::new(config), now: Instant::now() }
    }

    fn give(&mut self, input: Input) -> Vec<Seen> {
        self.client.handle(self.now, input);
        self.seen()
    }

    fn hear(&mut self, link: LinkId, message: &Message) -> Vec<Seen> {
        self.give(Input::Received(link, message.encode()))
    }

    fn seen(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.client.poll_output())
            .map(|output| match output {
                Output::Bind { port, local } => Seen::Bind(port, local),
                Output::Unbind(port) => Seen::Unbind(port),
                Output::Open { link, port, remote } => Seen::Open(link, port, remote),
                Output::Send { link, bytes } => Seen::Say(link, decode(&bytes).unwrap().message),
                Output::Close(link) => Seen::Close(link),
                Output::Carry { link, local } => Seen::Carry(link, local),
                Output::Event(event) => Seen::Event(event),
            })
            .collect()
    }

    fn wait(&mut self) -> (u128, Vec<Seen>) {
        let then = self.client.poll_timeout().expect("a timer runs");
        let millis = (then - self.now).as_millis();
        self.now = then;
        self.client.handle_timeout(then);
        (millis, self.seen())
    }

    /// Moves to these addresses; gives the links opened there and the port.
    fn local(&mut self, last: &[u8]) -> Vec<Seen> {
        self.give(Input::Local(last.iter().map(|last| ip(*last)).collect()))
    }

    /// Registered and subscribed at the one registrar from address 1; the elements' and the users' link.
    fn settled() -> (Self, LinkId, LinkId) {
        let mut world = Self::new(1);
        world.give(Input::Register(element()));
        world.give(Input::Subscribe(peers()));
        let links = opened(&world.local(&[1]));
        world.give(Input::Up(links[0]));
        world.give(Input::Up(links[1]));
        world.hear(links[0], &accepted());
        world.hear(links[1], &push(true, &[1]));
        (world, links[0], links[1])
    }
}

fn opened(seen: &[Seen]) -> Vec<LinkId> {
    seen.iter().filter_map(|seen| if let Seen::Open(link, ..) = seen { Some(*link) } else { None }).collect()
}

fn bound(seen: &[Seen]) -> PortId {
    seen.iter().find_map(|seen| if let Seen::Bind(port, _) = seen { Some(*port) } else { None }).unwrap()
}

fn said(seen: &[Seen], to: LinkId) -> Vec<&Message> {
    seen.iter().filter(|seen| matches!(seen, Seen::Say(link, _) if *link == to)).map(message).collect()
}

fn message(seen: &Seen) -> &Message {
    if let Seen::Say(_, message) = seen { message } else { panic!("{seen:?}") }
}

/// The addresses registered by these messages.
fn registered(messages: &[&Message]) -> Vec<Vec<IpAddr>> {
    messages
        .iter()
        .filter_map(|message| match message {
            Message::Registration { element, .. } => Some(element.user.addresses().to_vec()),
            _ => None,
        })
        .collect()
}

fn push(subscribed: bool, last: &[u8]) -> Message {
    let elements = last.iter().map(|last| WireElement {
        id: u32::from(*last),
        home: 1,
        life: 300,
        user: Transport::Sctp { port: 7, use_: TransportUse::DataOnly, addresses: vec![ip(*last)].into() },
        policy: Policy::RoundRobin,
        asap: None,
    });
    Message::HandleResolutionResponse {
        subscribed,
        handle: peers(),
        policy: Some(Policy::RoundRobin),
        elements: elements.collect(),
        error: None,
    }
}

fn keep_alive(home: bool) -> Message {
    Message::EndpointKeepAlive { home, server: 2, handle: pool(), id: None }
}
