//! The world of a seed before anything happens, and how everything begins.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use asap_client::Timers;
use asap_client::random::SplitMix64;
use asap_client::wire::{Policy, PoolHandle};
use roam_registrar::{asap, enrp};

use super::super::{MS, SECOND};
use super::clock::Clock;
use super::mischief::Mischief;
use super::network::Network;
use super::place::address;
use super::shape::{Acquaintance, Dice, Shape};
use super::watch::Watch;
use super::world::{Node, Station, World, origin};

/// Has lists drawn from other numbers than all else, which is the same with and without them.
const LISTS: u64 = 0x6c69_7374;

/// A policy of the pool's type, with other values.
pub(super) fn policy(pool: usize, value: u64) -> Policy {
    let value = u32::try_from(value).unwrap_or(0);
    match pool % 4 {
        0 => Policy::RoundRobin,
        1 => Policy::WeightedRoundRobin { weight: value + 1 },
        2 => Policy::LeastUsed { load: value },
        _ => Policy::Priority { priority: value },
    }
}

/// The world of a seed at its beginning: nothing runs yet.
pub(super) fn world(seed: u64, shape: &Shape, trace: bool) -> World {
    let hosts = shape.elements.div_ceil(shape.elements_per_host) + shape.users + shape.registrars;
    let mut random = SplitMix64::new(seed);
    let origin = origin();
    let delay = MS * [1, 5, 20, 80][Dice(random.clone()).below(4)];
    let mut world = World {
        net: Network::new(hosts, delay, random.draw()),
        random,
        origin,
        nodes: Vec::new(),
        stations: Vec::new(),
        pools: Vec::new(),
        facts: Vec::new(),
        numbers: Default::default(),
        timers: Timers::mobile(),
        watch: Watch::new(shape.registrars, hosts),
        trace: trace.then(Vec::new),
        wrong: None,
    };
    world.net.mischief = Mischief::of(shape.trick);
    world.pools = (0..shape.pools).filter_map(|pool| PoolHandle::new(format!("pool {pool}")).ok()).collect();
    let patience = world.one_of(&[2, 5]);
    let suggest_takeovers = world.draw(4) == 0;
    for node in 0..shape.registrars {
        let known: Vec<usize> = match shape.acquaintance {
            Acquaintance::All => (0..shape.registrars).filter(|other| *other != node).collect(),
            Acquaintance::First => (node > 0).then_some(0).into_iter().collect(),
            Acquaintance::Multicast => Vec::new(),
        };
        let contact = |other| enrp::Contact {
            addresses: vec![SocketAddr::new(address(other, 0), enrp::wire::PORT)],
            profile: None,
        };
        let enrp = enrp::Settings {
            server: 0x1001 + u32::try_from(node).unwrap_or(0),
            peers: known.into_iter().map(contact).collect(),
            multicast: shape.acquaintance == Acquaintance::Multicast,
            suggest_takeovers,
            ..enrp::Settings::default()
        };
        let limits = asap::Limits {
            associations: 2 * hosts + 100,
            elements: 2 * shape.elements + 100,
            ..asap::Limits::default()
        };
        let asap = asap::Settings {
            server: enrp.server,
            keep_alive_interval: Some(Duration::from_secs(patience)),
            keep_alive_timeout: Duration::from_secs(patience),
            adoption_timeout: Duration::from_secs(patience),
            limits,
            ..asap::Settings::default()
        };
        let (clock, links) = (Clock::new(origin, 1_000_000), Default::default());
        world.nodes.push(Node { machine: None, asap, enrp, clock, due: None, links });
    }
    let mut lists = Dice(SplitMix64::new(seed ^ LISTS));
    for _ in shape.registrars..hosts {
        let mut is_listed = |node: &usize| *node == 0 || !shape.some_listed || lists.below(2) == 0;
        world.stations.push(Station {
            machine: None,
            listed: (0..shape.registrars).filter(&mut is_listed).collect(),
            elements: Vec::new(),
            subscribed: BTreeSet::new(),
            clock: Clock::new(origin, 1_000_000),
            due: None,
            links: Default::default(),
            names: Default::default(),
            ports: Default::default(),
            next_port: 20_000,
            accepted: 0,
            home: None,
            told: 0,
        });
    }
    for number in 0..shape.elements {
        let (pool, value) = (number % shape.pools, world.draw(1000));
        let life = world.one_of(&[Some(12), Some(40), Some(300), None]).map(Duration::from_secs);
        world.add_element(number / shape.elements_per_host, pool, policy(pool, value), life);
    }
    let with_elements = hosts - shape.registrars - shape.users;
    for user in 0..shape.users {
        for _ in 0..=world.draw(3) {
            let pool = world.pick(shape.pools);
            world.stations[with_elements + user].subscribed.insert(pool);
        }
    }
    // Some hosts have both.
    for _ in 0..with_elements.min(100) / 4 {
        let (station, pool) = (world.pick(with_elements), world.pick(shape.pools));
        world.stations[station].subscribed.insert(pool);
    }
    world
}

impl World {
    pub(super) fn begin_all(&mut self, shape: &Shape) {
        for node in 0..self.nodes.len() {
            self.boot_node(node);
            if self.draw(3) == 0 {
                let pause = self.draw(SECOND);
                self.pass(pause);
            }
        }
        let pause = shape.ramp / self.stations.len().max(1) as u64;
        for station in 0..self.stations.len() {
            self.boot_station(station);
            self.pass(pause);
        }
    }
}
