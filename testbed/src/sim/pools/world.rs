//! Registrars, hosts with pool elements and pool users, and the network between them, under one virtual clock.

use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use asap_client::client::{Client, LinkId, PortId};
use asap_client::random::{SplitMix64, below};
use asap_client::wire::{Policy, PoolHandle};
use roam_registrar::machine::Registrar;
use roam_registrar::{asap, enrp};

use super::super::Time;
use super::clock::Clock;
use super::network::{Delivery, Host, LinkNumber, Network};
use super::place::address;
use super::watch::Watch;

/// Where registrars serve ASAP.
pub(super) const ASAP: u16 = 3863;

/// Where all clocks begin. Only differences count.
pub(super) fn origin() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "an Instant can be had no other way")]
    Instant::now()
}

/// A registrar's host.
pub(super) struct Node {
    pub(super) machine: Option<Registrar>,
    pub(super) asap: asap::Settings,
    pub(super) enrp: enrp::Settings,
    pub(super) clock: Clock,
    pub(super) due: Option<Time>,
    /// The associations that the program was told of, and with whom.
    pub(super) links: BTreeMap<LinkNumber, Host>,
}

/// A host with pool elements and pool users.
pub(super) struct Station {
    pub(super) machine: Option<Client>,
    /// Its elements, by their numbers in [`World::facts`].
    pub(super) elements: Vec<usize>,
    /// The registrars in its list.
    pub(super) listed: Vec<usize>,
    /// The pools that it subscribes to.
    pub(super) subscribed: BTreeSet<usize>,
    pub(super) clock: Clock,
    pub(super) due: Option<Time>,
    pub(super) links: BTreeMap<LinkId, LinkNumber>,
    pub(super) names: BTreeMap<LinkNumber, LinkId>,
    pub(super) ports: BTreeMap<PortId, SocketAddr>,
    pub(super) next_port: u16,
    pub(super) accepted: u64,
    /// The registrar that is its home.
    pub(super) home: Option<usize>,
    /// So many changes of pools its users were told.
    pub(super) told: u64,
}

/// What is the case with a pool element, whatever anybody believes.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) id: u32,
    pub(super) pool: usize,
    pub(super) host: Host,
    pub(super) policy: Policy,
    pub(super) life: Option<Duration>,
    /// It is to be in its pool.
    pub(super) wanted: bool,
    /// Since when that is so, or not.
    pub(super) since: Time,
}

/// Everything there is.
pub(super) struct World {
    pub(super) net: Network,
    pub(super) random: SplitMix64,
    pub(super) origin: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) stations: Vec<Station>,
    pub(super) pools: Vec<PoolHandle>,
    pub(super) facts: Vec<Fact>,
    pub(super) numbers: HashMap<u32, usize>,
    pub(super) timers: asap_client::Timers,
    pub(super) watch: Watch,
    pub(super) trace: Option<Vec<String>>,
    /// The first thing that must not be.
    pub(super) wrong: Option<String>,
}

impl World {
    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        below(self.random.draw(), bound)
    }

    pub(super) fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(below(self.random.draw(), bound as u64)).unwrap_or(0)
    }

    pub(super) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.pick(choices.len())].clone()
    }

    pub(super) fn now(&self) -> Time {
        self.net.now
    }

    /// Tells of something that happens.
    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:11.6} {}", self.net.now as f64 / 1e6, what()));
        }
    }

    /// Something is that must not be.
    pub(super) fn violation(&mut self, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            let what = format!("at {:.3} s: {}", self.net.now as f64 / 1e6, what());
            self.note(|| format!("WRONG {what}"));
            self.wrong = Some(what);
        }
    }

    /// The host of a station.
    pub(super) fn host(&self, station: usize) -> Host {
        self.nodes.len() + station
    }

    /// The station at a host, if it is one's.
    pub(super) fn station_at(&self, host: Host) -> Option<usize> {
        host.checked_sub(self.nodes.len()).filter(|station| *station < self.stations.len())
    }

    /// A clock that is up to a fiftieth too fast or too slow, and began within the last day.
    pub(super) fn any_clock(&mut self) -> Clock {
        let begin = self.origin + Duration::from_secs(self.draw(86_400));
        let rate = 980_000 + self.draw(40_001);
        Clock::new(begin, rate)
    }

    /// Adds an element to a station, to be registered when that begins.
    pub(super) fn add_element(
        &mut self,
        station: usize,
        pool: usize,
        policy: Policy,
        life: Option<Duration>,
    ) {
        let number = self.facts.len();
        // As elements choose them: at random. Regular ones have checksums that agree where the elements do not.
        let mut ids = SplitMix64::new(number as u64);
        let id = loop {
            let id = u32::try_from(ids.draw() >> 32).unwrap_or(0);
            if id != 0 && !self.numbers.contains_key(&id) {
                break id;
            }
        };
        let host = self.host(station);
        self.facts.push(Fact { id, pool, host, policy, life, wanted: true, since: self.net.now });
        self.numbers.insert(id, number);
        self.stations[station].elements.push(number);
        self.watch.add_element();
    }

    /// Where the registrars serve ASAP.
    pub(super) fn registrar_list(&self) -> Vec<Vec<SocketAddr>> {
        (0..self.nodes.len()).map(|host| vec![SocketAddr::new(address(host, 0), ASAP)]).collect()
    }

    /// The registrar's identifier, as of now.
    pub(super) fn id_of(&self, node: usize) -> u32 {
        self.nodes[node].asap.server
    }

    /// The addresses that a host has.
    pub(super) fn addresses(&self, host: Host) -> Vec<IpAddr> {
        self.net.place(host).map(|place| address(host, place)).into_iter().collect()
    }

    /// Lets time pass, everything at its moment; ends early when something is wrong.
    pub(super) fn pass(&mut self, time: Time) {
        let until = self.net.now + time;
        while self.wrong.is_none()
            && let Some(delivery) = self.net.next(until)
        {
            self.take(delivery);
            self.sample();
        }
    }

    fn take(&mut self, delivery: Delivery) {
        let Delivery { host, what, .. } = delivery;
        if host < self.nodes.len() {
            self.take_at_node(host, what);
        } else if let Some(station) = self.station_at(host) {
            self.take_at_station(station, what);
        }
    }

    /// When a program is to be called next.
    pub(super) fn plan(&mut self, host: Host) {
        let now = self.net.now;
        let (wanted, due) = if let Some(node) = self.nodes.get_mut(host) {
            let at = node.machine.as_ref().and_then(Registrar::poll_timeout);
            (at.map(|at| node.clock.when(at)), &mut node.due)
        } else if let Some(station) =
            host.checked_sub(self.nodes.len()).and_then(|station| self.stations.get_mut(station))
        {
            let at = station.machine.as_ref().and_then(Client::poll_timeout);
            (at.map(|at| station.clock.when(at)), &mut station.due)
        } else {
            return;
        };
        let Some(at) = wanted.map(|at| at.max(now + 1)) else { return };
        if due.is_none_or(|due| due <= now || at < due) {
            *due = Some(at);
            self.net.wake(host, at);
        }
    }

    /// A datagram to the multicast group of the registrars.
    pub(super) fn multicast(&mut self, node: usize, bytes: &Bytes) {
        let at = |host| SocketAddr::new(address(host, 0), enrp::wire::PORT);
        let all: Vec<_> = (0..self.nodes.len()).map(at).collect();
        self.net.datagram(at(node), &all, bytes);
    }
}
