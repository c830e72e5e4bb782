//! Whole registrars, pool elements and the associations between them. SCTP is modelled as it shows itself to its
//! users: messages come whole and in order or not at all, loss is delay, and an association over which nothing comes
//! through ends at each side by itself after a while. Everything follows from the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use asap_client::random::{SplitMix64, below};
use asap_client::wire::PoolHandle;

use super::element::Element;
use super::network::{Happening, Link};
use crate::machine::{Input, Output, Registrar};
use crate::{asap, enrp};

pub(super) const ENRP: u16 = 9901;
pub(super) const ASAP: u16 = 3863;
pub(super) const ELEMENT: u16 = 5000;

/// A host; registrars and elements count from 0 each. A stranger speaks ENRP as a test tells it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Host {
    Registrar(usize),
    Element(usize),
    Stranger(usize),
}

impl Host {
    pub(super) fn ip(self) -> IpAddr {
        let (net, number) = match self {
            Self::Registrar(number) => (0, number),
            Self::Element(number) => (1, number),
            Self::Stranger(number) => (2, number),
        };
        Ipv4Addr::new(10, net, 0, u8::try_from(number + 1).unwrap()).into()
    }

    pub(super) fn at(ip: IpAddr) -> Option<Self> {
        let IpAddr::V4(v4) = ip else { return None };
        let [_, net, _, number] = v4.octets();
        let number = usize::from(number).checked_sub(1)?;
        Some([Self::Registrar(number), Self::Element(number), Self::Stranger(number)][usize::from(net)])
    }
}

/// A registrar's host.
pub(super) struct Node {
    pub(super) registrar: Option<Registrar>,
    pub(super) id: u32,
    pub(super) settings: enrp::Settings,
    pub(super) incarnation: u32,
}

pub(super) struct Cluster {
    pub(super) now: Instant,
    pub(super) random: SplitMix64,
    pub(super) nodes: Vec<Node>,
    pub(super) elements: Vec<Element>,
    pub(super) events: Vec<(usize, enrp::Event)>,
    /// What strangers were sent, with the association.
    pub(super) heard: Vec<(u64, enrp::wire::Message)>,
    /// Two hosts of different groups do not reach each other.
    pub(super) groups: BTreeMap<Host, u8>,
    /// Of so many messages one is lost and comes later; 0: none.
    pub(super) loss: u64,
    pub(super) links: BTreeMap<u64, Link>,
    pub(super) next_link: u64,
    pub(super) queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    pub(super) sequence: u64,
    pub(super) sent: u64,
}

pub(super) fn pool() -> PoolHandle {
    PoolHandle::new("EchoPool").unwrap()
}

pub(super) fn enrp_settings(server: u32) -> enrp::Settings {
    enrp::Settings { server, ..enrp::Settings::default() }
}

pub(super) fn contact(host: Host) -> enrp::Contact {
    enrp::Contact { addresses: vec![SocketAddr::new(host.ip(), ENRP)], ..enrp::Contact::default() }
}

impl Cluster {
    pub(super) fn empty(seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "where the test's clock starts does not matter")]
        let now = Instant::now();
        Self {
            now,
            random: SplitMix64::new(seed),
            nodes: Vec::new(),
            elements: Vec::new(),
            events: Vec::new(),
            heard: Vec::new(),
            groups: BTreeMap::new(),
            loss: 0,
            links: BTreeMap::new(),
            next_link: 1,
            queue: BinaryHeap::new(),
            sequence: 0,
            sent: 0,
        }
    }

    /// Registrars with identifiers 0x1001, 0x1002, ... that know each other's addresses, in service.
    pub(super) fn of(count: usize, seed: u64) -> Self {
        let mut cluster = Self::empty(seed);
        for number in 0..count {
            let others = (0..count).filter(|other| *other != number);
            let peers = others.map(|other| contact(Host::Registrar(other))).collect();
            let id = 0x1001 + u32::try_from(number).unwrap();
            cluster.start(enrp::Settings { peers, ..enrp_settings(id) });
        }
        cluster.pass(Duration::from_secs(5));
        assert!((0..count).all(|number| cluster.at(number).enrp().is_ready()));
        cluster
    }

    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        below(self.random.draw(), bound)
    }

    pub(super) fn at(&self, number: usize) -> &Registrar {
        self.nodes[number].registrar.as_ref().unwrap()
    }

    /// Adds a registrar's host and starts it.
    pub(super) fn start(&mut self, settings: enrp::Settings) -> usize {
        let number = self.nodes.len();
        self.nodes.push(Node { registrar: None, id: settings.server, settings, incarnation: 0 });
        self.boot(number);
        number
    }

    /// Starts a registrar's program, with nothing in its memory.
    pub(super) fn boot(&mut self, number: usize) {
        let seed = self.random.draw();
        let node = &mut self.nodes[number];
        node.id = node.settings.server;
        node.incarnation += 1;
        let asap = asap::Settings {
            server: node.id,
            keep_alive_interval: Some(Duration::from_secs(2)),
            keep_alive_timeout: Duration::from_secs(2),
            adoption_timeout: Duration::from_secs(2),
            ..asap::Settings::default()
        };
        node.registrar = Some(Registrar::new(self.now, asap, node.settings.clone(), seed));
        let addresses = vec![SocketAddr::new(Host::Registrar(number).ip(), ENRP)];
        self.give(number, Input::Enrp(enrp::Input::Local { addresses }));
    }

    /// Ends a registrar: its kernel tells its peers, or, `silent`, nothing is ever heard of it again.
    pub(super) fn crash(&mut self, number: usize, silent: bool) {
        self.nodes[number].registrar = None;
        self.end_host(Host::Registrar(number), silent);
    }

    pub(super) fn end_host(&mut self, host: Host, silent: bool) {
        let links: Vec<_> = self.links.iter().map(|(id, link)| (*id, link.ends.map(|end| end.0))).collect();
        for (id, ends) in links {
            if let Some(side) = ends.iter().position(|end| *end == host) {
                self.close(id, side, silent);
            }
        }
    }

    pub(super) fn alive(&self, host: Host) -> bool {
        match host {
            Host::Registrar(number) => self.nodes.get(number).is_some_and(|node| node.registrar.is_some()),
            Host::Element(number) => self.elements.get(number).is_some_and(|element| element.alive),
            Host::Stranger(_) => true,
        }
    }

    pub(super) fn incarnation(&self, host: Host) -> u32 {
        match host {
            Host::Registrar(number) => self.nodes[number].incarnation,
            _ => 0,
        }
    }

    pub(super) fn give(&mut self, number: usize, input: Input) {
        let now = self.now;
        if let Some(registrar) = &mut self.nodes[number].registrar {
            registrar.handle(now, input);
            self.carry_out(number);
        }
    }

    pub(super) fn carry_out(&mut self, number: usize) {
        let host = Host::Registrar(number);
        while let Some(output) = self.nodes[number].registrar.as_mut().and_then(Registrar::poll_output) {
            match output {
                Output::Enrp(enrp::Output::Send { association, bytes })
                | Output::Asap(asap::Output::Send { association, bytes }) => {
                    self.send(association.0, host, bytes.to_vec());
                }
                Output::Enrp(enrp::Output::Connect { remote }) => {
                    self.connect(host, ENRP, remote);
                }
                Output::Asap(asap::Output::Connect { remote }) => {
                    self.connect(host, ASAP, remote);
                }
                Output::Enrp(enrp::Output::Abort { association, .. })
                | Output::Asap(asap::Output::Abort { association, .. }) => self.abort(association.0, host),
                Output::Enrp(enrp::Output::Event(event)) => {
                    assert!(!event.to_string().is_empty());
                    self.events.push((number, event));
                }
                Output::Enrp(enrp::Output::Announce { .. }) | Output::Asap(asap::Output::Event(_)) => {}
            }
        }
    }

    pub(super) fn abort(&mut self, id: u64, host: Host) {
        let side = self.links.get(&id).and_then(|link| link.ends.iter().position(|end| end.0 == host));
        if let Some(side) = side {
            self.close(id, side, false);
        }
    }

    /// Lets time pass, everything at its moment.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let registrars = self.nodes.iter().map(|node| node.registrar.as_ref()?.poll_timeout());
            let registrars: Vec<_> = registrars.collect();
            let elements: Vec<_> = self.elements.iter().map(Element::next).collect();
            let network = self.queue.peek().map(|Reverse((at, ..))| *at);
            let all = registrars.iter().chain(&elements).chain([&network]);
            let Some(at) = all.copied().flatten().min().filter(|at| *at <= end) else { break };
            self.now = at.max(self.now);
            if network == Some(at) {
                let Some(Reverse((.., what))) = self.queue.pop() else { break };
                self.happen(what);
            } else if let Some(number) = registrars.iter().position(|due| *due == Some(at)) {
                if let Some(registrar) = &mut self.nodes[number].registrar {
                    registrar.handle_timeout(self.now);
                }
                self.carry_out(number);
            } else if let Some(number) = elements.iter().position(|due| *due == Some(at)) {
                self.element_wakes(number);
            }
        }
        self.now = end;
    }
}
