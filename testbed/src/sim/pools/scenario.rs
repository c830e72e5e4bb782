//! What happens in a run, drawn from its seed.

use std::time::Duration;

use asap_client::client::Input;

use super::super::MS;
use super::beginning::policy;
use super::rest::PROOF;
use super::shape::{Seen, Shape};
use super::watch::LONGEST_STALL;
use super::world::World;

impl World {
    /// Something goes wrong, or right.
    fn step(&mut self) {
        let node = self.pick(self.nodes.len());
        let some = 1 + self.stations.len() / 50;
        match self.draw(20) {
            0 if self.nodes[node].machine.is_some() => {
                let power = self.draw(2) == 0;
                self.end_node(node, power);
            }
            0..=2 => self.boot_again(node),
            3 if self.nodes[node].machine.is_some() => {
                let power = self.draw(2) == 0;
                self.end_node(node, power);
                self.boot_again(node);
            }
            4 | 5 => self.partition(),
            6 | 7 => self.heal(),
            8 => (0..some).for_each(|_| self.migrate()),
            9 => (0..some).for_each(|_| self.end_or_begin()),
            10 | 11 => (0..some).for_each(|_| self.leave_or_join()),
            12 => {
                self.net.loss = self.one_of(&[0, 0, 30, 5]);
                self.watch.everywhere = self.now();
            }
            13 => {
                let time = self.draw(LONGEST_STALL);
                self.note(|| format!("registrar {node} stands still for {time} us"));
                self.net.stall(node, time);
            }
            14 => (0..some).for_each(|_| self.stall_station()),
            15 | 16 => (0..some).for_each(|_| self.change_policy()),
            17 => (0..some).for_each(|_| self.use_pools()),
            _ => {}
        }
        let pause = self.one_of(&[1, 10, 50, 200, 1000, 2500, 6000]);
        self.pass(pause * MS);
    }

    fn boot_again(&mut self, node: usize) {
        if self.nodes[node].machine.is_none() {
            // Half of them choose a new identifier, as by default; half keep theirs.
            if self.draw(2) == 0 {
                self.nodes[node].enrp.server += 0x100;
            }
            self.boot_node(node);
        }
    }

    fn partition(&mut self) {
        let groups = 2 + self.draw(2);
        self.note(|| format!("{groups} parts do not reach each other"));
        for host in 0..self.nodes.len() + self.stations.len() {
            let group = u8::try_from(self.draw(groups)).unwrap_or(0);
            if self.net.group(host) != group {
                self.trouble(host);
            }
            self.net.set_group(host, group);
        }
        // Whoever stays is apart from others, too.
        self.watch.everywhere = self.now();
    }

    fn heal(&mut self) {
        self.note(|| "all reach each other".to_owned());
        for host in 0..self.nodes.len() + self.stations.len() {
            self.net.set_group(host, 0);
        }
        self.watch.everywhere = self.now();
    }

    /// A station whose program can be told something.
    fn station(&mut self) -> Option<usize> {
        let station = self.pick(self.stations.len());
        let host = self.host(station);
        (self.stations[station].machine.is_some() && !self.net.is_stalled(host)).then_some(station)
    }

    /// A host goes to another network, or leaves them all.
    fn migrate(&mut self) {
        let Some(station) = self.station() else { return };
        let place = u8::try_from(self.draw(5)).ok().filter(|place| *place < 4);
        self.move_to(station, place);
    }

    fn move_to(&mut self, station: usize, place: Option<u8>) {
        let host = self.host(station);
        self.note(|| format!("station {station} is in network {place:?}"));
        self.net.set_place(host, place);
        self.trouble(host);
        let addresses = self.addresses(host);
        self.give_station(station, Input::Local(addresses));
    }

    fn end_or_begin(&mut self) {
        let station = self.pick(self.stations.len());
        if self.stations[station].machine.is_none() {
            return self.boot_station(station);
        }
        let power = self.draw(2) == 0;
        self.end_station(station, power);
        if self.draw(3) == 0 {
            self.boot_station(station);
        }
    }

    /// An element leaves its pool, or comes back to it.
    fn leave_or_join(&mut self) {
        let Some(station) = self.station() else { return };
        let elements = self.stations[station].elements.len();
        if elements == 0 {
            return;
        }
        let place = self.pick(elements);
        let number = self.stations[station].elements[place];
        let wanted = !self.facts[number].wanted;
        let (id, handle) = (self.facts[number].id, self.pools[self.facts[number].pool].clone());
        (self.facts[number].wanted, self.facts[number].since) = (wanted, self.now());
        self.note(|| {
            format!("element {id:#x} of station {station} {}", if wanted { "joins" } else { "leaves" })
        });
        let input = if wanted { self.register(number) } else { Input::Deregister { handle, id } };
        self.give_station(station, input);
    }

    fn stall_station(&mut self) {
        let station = self.pick(self.stations.len());
        let (host, time) = (self.host(station), self.draw(LONGEST_STALL));
        self.note(|| format!("station {station} stands still for {time} us"));
        self.net.stall(host, time);
    }

    fn change_policy(&mut self) {
        let Some(station) = self.station() else { return };
        let value = self.draw(1000);
        for number in self.stations[station].elements.clone() {
            if self.facts[number].wanted {
                self.facts[number].policy = policy(self.facts[number].pool, value);
                self.give_station(station, self.register(number));
            }
        }
    }

    /// A pool user does what it can.
    fn use_pools(&mut self) {
        let Some(station) = self.station() else { return };
        let pool = self.pick(self.pools.len());
        let handle = self.pools[pool].clone();
        let input = match self.draw(3) {
            0 => Input::Resolve { handle, fresh: Duration::from_millis(self.draw(1000)) },
            1 => {
                let number = self.pick(self.facts.len());
                let fact = &self.facts[number];
                Input::Unreachable { handle: self.pools[fact.pool].clone(), id: fact.id }
            }
            _ if self.stations[station].subscribed.remove(&pool) => Input::Unsubscribe(handle),
            _ => {
                self.stations[station].subscribed.insert(pool);
                Input::Subscribe(handle)
            }
        };
        self.give_station(station, input);
    }

    /// The end of it: all that is apart comes together, and of what is down some comes back.
    fn recover(&mut self) {
        self.heal();
        for node in 0..self.nodes.len() {
            if node == 0 || self.draw(2) == 0 {
                self.boot_again(node);
            }
        }
        for station in 0..self.stations.len() {
            let host = self.host(station);
            if self.stations[station].machine.is_none() {
                if self.draw(2) == 0 {
                    self.boot_station(station);
                }
            } else if self.net.place(host).is_none() && self.draw(2) == 0 && !self.net.is_stalled(host) {
                self.move_to(station, Some(0));
            }
        }
    }

    /// All of it.
    pub(super) fn play(&mut self, shape: &Shape) -> Seen {
        let mut seen = Seen::default();
        self.begin_all(shape);
        for _ in 0..shape.steps {
            self.step();
            if self.draw(12) == 0 {
                seen.slowest = seen.slowest.max(self.rest(shape, 0));
            }
            if self.wrong.is_some() {
                break;
            }
        }
        if self.wrong.is_none() {
            self.recover();
            seen.slowest = seen.slowest.max(self.rest(shape, PROOF));
        }
        for node in 0..self.nodes.len() {
            self.scan(node, true);
        }
        (seen.messages, seen.steps) = (self.net.sent, self.net.happened);
        (seen.looks, seen.time) = (self.watch.looks, self.now());
        for machine in self.nodes.iter().filter_map(|node| node.machine.as_ref()) {
            let counters = machine.enrp().counters();
            seen.takeovers += counters.takeovers;
            seen.resyncs += counters.resyncs;
            seen.purged += counters.purged;
            seen.conceded += counters.conceded;
            seen.refuted += counters.claims_refuted;
            seen.refused += counters.updates_refused;
            seen.dropped += counters.updates_dropped;
        }
        seen
    }
}
