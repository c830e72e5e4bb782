//! Whole registrars, pool elements and the associations between them. SCTP is modelled as it shows itself to its
//! users: messages come whole and in order or not at all, loss is delay, and an association over which nothing comes
//! through ends at each side by itself after a while. Everything follows from the seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use asap_client::random::{SplitMix64, below};
use asap_client::wire::PoolHandle;

use super::element::Element;
use crate::machine::{Input, Output, Registrar};
use crate::{Association, asap, enrp};

/// One way through the network.
pub(super) const DELAY: Duration = Duration::from_millis(5);

/// How long the kernel tries before it gives an association up.
const LOSS: Duration = Duration::from_secs(4);

/// How long a connection is tried.
const CONNECT: Duration = Duration::from_secs(1);

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

    fn at(ip: IpAddr) -> Option<Self> {
        let IpAddr::V4(v4) = ip else { return None };
        let [_, net, _, number] = v4.octets();
        let number = usize::from(number).checked_sub(1)?;
        Some([Self::Registrar(number), Self::Element(number), Self::Stranger(number)][usize::from(net)])
    }
}

/// An association: two hosts with a port each, and whether each of them still has it.
#[derive(Debug)]
struct Link {
    ends: [(Host, u16); 2],
    open: [bool; 2],
    /// The hosts' incarnations: a host that was started anew has none of its old associations.
    born: [u32; 2],
    /// What is on its way to each end, in order: when it arrives at the earliest.
    queues: [VecDeque<(Instant, Vec<u8>)>; 2],
    /// Since when nothing comes through.
    blocked: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    /// The head of a queue may have arrived.
    Arrive(u64, usize),
    /// Both ends come up.
    Up(u64),
    /// A connection attempt fails.
    Unreachable(Host, u32, Vec<SocketAddr>),
    /// An end finds out that its association is gone.
    Down(u64, usize),
    /// Nothing has come through for too long, if it is still so.
    Lost(u64),
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
    groups: BTreeMap<Host, u8>,
    /// Of so many messages one is lost and comes later; 0: none.
    pub(super) loss: u64,
    links: BTreeMap<u64, Link>,
    next_link: u64,
    queue: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    sequence: u64,
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

    /// As [`Self::of`], but they know only the first one beforehand.
    pub(super) fn around_one(count: usize, seed: u64) -> Self {
        let mut cluster = Self::empty(seed);
        for number in 0..count {
            let peers = (number > 0).then(|| contact(Host::Registrar(0))).into_iter().collect();
            let id = 0x1001 + u32::try_from(number).unwrap();
            cluster.start(enrp::Settings { peers, ..enrp_settings(id) });
        }
        cluster.pass(Duration::from_secs(5));
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

    fn incarnation(&self, host: Host) -> u32 {
        match host {
            Host::Registrar(number) => self.nodes[number].incarnation,
            _ => 0,
        }
    }

    fn reaches(&self, one: Host, other: Host) -> bool {
        let group = |host| self.groups.get(&host).copied().unwrap_or(0);
        group(one) == group(other)
    }

    /// Puts hosts into groups; those of different groups do not reach each other.
    pub(super) fn partition(&mut self, groups: &[(Host, u8)]) {
        self.groups = groups.iter().copied().collect();
        self.network_changed();
    }

    pub(super) fn heal(&mut self) {
        self.partition(&[]);
    }

    fn network_changed(&mut self) {
        let ids: Vec<_> = self.links.keys().copied().collect();
        for id in ids {
            let [one, other] = self.links[&id].ends.map(|end| end.0);
            let through = self.reaches(one, other);
            let now = self.now;
            let Some(link) = self.links.get_mut(&id) else { continue };
            if through && link.blocked.take().is_some() {
                let open = link.open;
                // What was not acknowledged is sent again; an end that has given up answers with an ABORT.
                for side in [0, 1] {
                    let pause = Duration::from_millis(200 + self.draw(800));
                    self.later(pause, Happening::Arrive(id, side));
                    if !open[1 - side] {
                        self.later(pause, Happening::Down(id, side));
                    }
                }
            } else if !through && link.blocked.is_none() {
                link.blocked = Some(now);
                self.later(LOSS, Happening::Lost(id));
            }
        }
    }

    fn later(&mut self, delay: Duration, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse((self.now + delay, self.sequence, what)));
    }

    /// Opens an association, or says after a while that it cannot be. Between the same two ports there is one.
    pub(super) fn connect(&mut self, from: Host, port: u16, remote: Vec<SocketAddr>) -> Option<u64> {
        let incarnation = self.incarnation(from);
        let to = remote.first().and_then(|at| Some((Host::at(at.ip())?, at.port())));
        let there = to.filter(|(host, _)| self.alive(*host) && self.reaches(from, *host) && *host != from);
        let Some((host, to_port)) = there else {
            self.later(CONNECT, Happening::Unreachable(from, incarnation, remote));
            return None;
        };
        let ends = [(from, port), (host, to_port)];
        let mirrored = [ends[1], ends[0]];
        let same = self.links.iter().filter(|(_, link)| link.ends == ends || link.ends == mirrored);
        let known: Vec<_> = same.map(|(id, link)| (*id, link.open)).collect();
        for (id, open) in known {
            if open == [true, true] {
                return Some(id);
            }
            // The new one takes the place of one that the other end still has.
            for side in [0, 1] {
                self.later(DELAY, Happening::Down(id, side));
            }
        }
        let id = self.next_link;
        self.next_link += 1;
        let born = [self.incarnation(from), self.incarnation(host)];
        let link = Link { ends, open: [true, true], born, queues: Default::default(), blocked: None };
        self.links.insert(id, link);
        self.later(2 * DELAY, Happening::Up(id));
        Some(id)
    }

    /// One end gives an association up; the other finds out when it is told, if ever.
    fn close(&mut self, id: u64, side: usize, silent: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !std::mem::replace(&mut link.open[side], false) {
            return;
        }
        link.queues[side].clear();
        if !silent {
            link.queues[1 - side].clear();
        }
        let ends = link.ends.map(|end| end.0);
        let told = !silent && self.reaches(ends[0], ends[1]);
        self.later(if told { DELAY } else { LOSS }, Happening::Down(id, 1 - side));
    }

    pub(super) fn send(&mut self, id: u64, from: Host, bytes: Vec<u8>) {
        self.sent += 1;
        let lost = self.loss > 0 && self.draw(self.loss) == 0;
        let jitter = Duration::from_micros(self.draw(1000));
        let delay = DELAY + jitter + if lost { Duration::from_millis(250) } else { Duration::ZERO };
        let Some(link) = self.links.get_mut(&id) else { return };
        let Some(side) = link.ends.iter().position(|end| end.0 == from) else { return };
        if !link.open[side] {
            return;
        }
        let last = link.queues[1 - side].back().map_or(self.now, |(at, _)| *at);
        let at = last.max(self.now + delay);
        link.queues[1 - side].push_back((at, bytes));
        self.later(at - self.now, Happening::Arrive(id, 1 - side));
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive(id, side) => self.arrive(id, side),
            Happening::Up(id) => self.established(id),
            Happening::Unreachable(host, incarnation, remote) => {
                if !self.alive(host) || self.incarnation(host) != incarnation {
                    return;
                }
                match host {
                    Host::Registrar(number) => {
                        self.give(number, Input::Enrp(enrp::Input::Unreachable { remote }));
                    }
                    Host::Element(number) => self.element_unreachable(number),
                    Host::Stranger(_) => {}
                }
            }
            Happening::Down(id, side) => self.ended(id, side),
            Happening::Lost(id) => {
                let since = self.links.get(&id).and_then(|link| link.blocked);
                if since.is_some_and(|since| self.now - since >= LOSS) {
                    self.ended(id, 0);
                    self.ended(id, 1);
                }
            }
        }
    }

    fn established(&mut self, id: u64) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let (ends, born) = (link.ends, link.born);
        let gone = |side: &usize| {
            let (host, _) = ends[*side];
            !self.alive(host) || self.incarnation(host) != born[*side]
        };
        if let Some(side) = [0, 1].iter().find(|side| gone(side)).copied() {
            if let Some(link) = self.links.get_mut(&id) {
                link.open[side] = false;
            }
            return self.ended(id, 1 - side);
        }
        for side in [1, 0] {
            let ((host, own), (peer, port)) = (ends[side], ends[1 - side]);
            self.came_up(id, host, own, SocketAddr::new(peer.ip(), port));
        }
    }

    fn came_up(&mut self, id: u64, host: Host, port: u16, peer: SocketAddr) {
        let association = Association(id);
        match (host, port) {
            (Host::Registrar(number), ENRP) => {
                let addresses = vec![peer];
                self.give(number, Input::Enrp(enrp::Input::Up { association, addresses }));
            }
            (Host::Registrar(number), _) => {
                let (from, addresses) = (peer.ip(), vec![peer.ip()]);
                let input = asap::Input::Up { association, from, port: peer.port(), addresses };
                self.give(number, Input::Asap(input));
            }
            (Host::Element(number), _) => {
                if let Some(Host::Registrar(registrar)) = Host::at(peer.ip()) {
                    self.element_up(number, id, registrar);
                }
            }
            (Host::Stranger(_), _) => {}
        }
    }

    fn arrive(&mut self, id: u64, side: usize) {
        loop {
            let Some(link) = self.links.get_mut(&id) else { return };
            let due = link.queues[side].front().is_some_and(|(at, _)| *at <= self.now);
            if link.blocked.is_some() || !link.open[side] || !due {
                return;
            }
            let Some((_, bytes)) = link.queues[side].pop_front() else { return };
            let ((host, port), association) = (link.ends[side], Association(id));
            match (host, port) {
                (Host::Registrar(number), ENRP) => {
                    let ppid = enrp::wire::PPID;
                    self.give(number, Input::Enrp(enrp::Input::Message { association, ppid, bytes }));
                }
                (Host::Registrar(number), _) => {
                    let ppid = asap_client::wire::PPID;
                    self.give(number, Input::Asap(asap::Input::Message { association, ppid, bytes }));
                }
                (Host::Element(number), _) => self.element_message(number, id, &bytes),
                (Host::Stranger(_), _) => {
                    self.heard.push((id, enrp::wire::decode(&bytes).unwrap().message));
                }
            }
        }
    }

    /// An end notices that its association is gone.
    fn ended(&mut self, id: u64, side: usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !std::mem::replace(&mut link.open[side], false) {
            return;
        }
        let ((host, port), born, association) = (link.ends[side], link.born[side], Association(id));
        if !link.open[1 - side] {
            self.links.remove(&id);
        }
        if !self.alive(host) || self.incarnation(host) != born {
            return;
        }
        match (host, port) {
            (Host::Registrar(number), ENRP) => {
                self.give(number, Input::Enrp(enrp::Input::Down { association }));
            }
            (Host::Registrar(number), _) => {
                self.give(number, Input::Asap(asap::Input::Down { association }));
            }
            (Host::Element(number), _) => self.element_down(number, id),
            (Host::Stranger(_), _) => {}
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
