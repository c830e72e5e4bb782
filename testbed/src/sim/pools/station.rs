//! A program with pool elements and pool users: the real client machine, and what its driver does.

use std::net::SocketAddr;

use asap_client::client::{Client, Config, ElementConfig, Event, Input, LinkId, Output};
use asap_client::wire::TransportUse;

use super::network::What;
use super::world::World;

/// Where elements serve.
pub(super) const SERVICE: u16 = 7;

impl World {
    /// Starts a station's program, with nothing in its memory but what it is for.
    pub(super) fn boot_station(&mut self, station: usize) {
        let (seed, clock, host) = (self.random.draw(), self.any_clock(), self.host(station));
        // Every fourth follows the list of registrars in its order.
        let seed = (seed % 4 > 0).then_some(seed);
        let all = self.registrar_list();
        let listed = self.stations[station].listed.iter();
        let registrars = listed.filter_map(|node| all.get(*node).cloned()).collect();
        let config = Config { registrars, timers: self.timers.clone(), seed };
        let it = &mut self.stations[station];
        it.machine = Some(Client::new(config));
        (it.clock, it.due, it.home) = (clock, None, None);
        it.links.clear();
        it.names.clear();
        it.ports.clear();
        self.net.begin(host);
        self.trouble(host);
        self.note(|| format!("station {station} begins"));
        let addresses = self.addresses(host);
        self.give_station(station, Input::Local(addresses));
        for number in self.stations[station].elements.clone() {
            if self.facts[number].wanted {
                self.give_station(station, self.register(number));
            }
        }
        for pool in self.stations[station].subscribed.clone() {
            let handle = self.pools[pool].clone();
            self.give_station(station, Input::Subscribe(handle));
        }
    }

    /// Ends a station's program, or, without `power`, its host.
    pub(super) fn end_station(&mut self, station: usize, power: bool) {
        let host = self.host(station);
        self.note(|| {
            format!("station {station} ends, {}", if power { "its kernel says so" } else { "silently" })
        });
        self.stations[station].machine = None;
        self.stations[station].home = None;
        self.net.end(host, power);
        self.trouble(host);
    }

    /// What registers an element.
    pub(super) fn register(&self, number: usize) -> Input {
        let fact = &self.facts[number];
        Input::Register(ElementConfig {
            handle: self.pools[fact.pool].clone(),
            id: fact.id,
            port: SERVICE,
            use_: TransportUse::DataOnly,
            policy: fact.policy.clone(),
            life: fact.life,
            addresses: None,
        })
    }

    pub(super) fn take_at_station(&mut self, station: usize, what: What) {
        let host = self.host(station);
        let it = &mut self.stations[station];
        let input = match what {
            What::Up { link, own, peer } => match it.names.get(&link) {
                Some(name) => Input::Up(*name),
                // One that was given up as it came up.
                None if !self.net.is_open_at(link, host) => return,
                None => {
                    let Some(port) = it.ports.iter().find(|(_, at)| **at == own).map(|(port, _)| *port)
                    else {
                        return self.net.close(link, host);
                    };
                    it.accepted += 1;
                    let name = LinkId::Theirs(it.accepted);
                    it.links.insert(name, link);
                    it.names.insert(link, name);
                    Input::Accepted { link: name, port, peer: vec![peer] }
                }
            },
            What::Message { link, bytes, .. } => match it.names.get(&link) {
                Some(name) => Input::Received(*name, bytes.to_vec()),
                None => return,
            },
            What::Down { link, .. } | What::Unreachable { link, .. } => match it.names.remove(&link) {
                Some(name) => {
                    it.links.remove(&name);
                    Input::Down(name)
                }
                None => return,
            },
            What::Datagram { .. } => return,
            What::Wake => {
                let now = self.net.now;
                if it.due.is_some_and(|due| due <= now)
                    && let Some(machine) = &mut it.machine
                {
                    machine.handle_timeout(it.clock.at(now));
                    self.carry_out_station(station);
                }
                return;
            }
        };
        self.give_station(station, input);
    }

    pub(super) fn give_station(&mut self, station: usize, input: Input) {
        let it = &mut self.stations[station];
        if let Some(machine) = &mut it.machine {
            machine.handle(it.clock.at(self.net.now), input);
            self.carry_out_station(station);
        }
    }

    fn carry_out_station(&mut self, station: usize) {
        let host = self.host(station);
        while let Some(output) = self.stations[station].machine.as_mut().and_then(Client::poll_output) {
            let it = &mut self.stations[station];
            match output {
                Output::Bind { port, local } => {
                    it.next_port = if it.next_port >= 60_000 { 20_000 } else { it.next_port + 1 };
                    if let Some(ip) = local.first() {
                        let at = SocketAddr::new(*ip, it.next_port);
                        it.ports.insert(port, at);
                        self.net.listen(host, at);
                    }
                }
                Output::Unbind(port) => {
                    if let Some(at) = it.ports.remove(&port) {
                        self.net.close_port(at);
                    }
                }
                Output::Open { link, port, remote } => {
                    let Some(own) = it.ports.get(&port) else { continue };
                    let number = self.net.connect(host, *own, remote);
                    it.links.insert(link, number);
                    it.names.insert(number, link);
                }
                // Nobody's host moves here.
                Output::Carry { .. } => {}
                Output::Send { link, bytes } => {
                    if let Some(number) = it.links.get(&link) {
                        self.net.send(*number, host, bytes.into());
                    }
                }
                Output::Close(link) => {
                    if let Some(number) = it.links.remove(&link) {
                        it.names.remove(&number);
                        self.net.close(number, host);
                    }
                }
                Output::Event(event) => self.station_event(station, event),
            }
        }
        self.plan(host);
    }

    fn station_event(&mut self, station: usize, event: Event) {
        if let Event::Pool { .. } = event {
            self.stations[station].told += 1;
            return;
        }
        self.note(|| format!("station {station}: {event:?}"));
        match event {
            Event::Home { registrar } => {
                let list = self.registrar_list();
                self.stations[station].home = list.iter().position(|listed| *listed == registrar);
            }
            Event::HomeLost => self.stations[station].home = None,
            Event::Rejected { handle, id, causes } => {
                let names: Vec<_> = causes.iter().map(|cause| cause.name()).collect();
                self.rejected(station, id, &format!("{handle}: {}", names.join(", ")));
            }
            Event::Error(causes) => {
                self.violation(|| format!("station {station} is told of errors: {causes:?}"));
            }
            Event::Nonsense { why } => {
                self.violation(|| format!("station {station} is told nonsense: {why}"));
            }
            _ => {}
        }
    }
}
