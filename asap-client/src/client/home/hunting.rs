//! Looking for a registrar: whom to connect to, from which port, and what of it is given up.

use std::net::SocketAddr;
use std::time::Instant;

use super::{Home, Link, Output, State};
use crate::client::LinkId;
use crate::hunt;

impl Home {
    pub(super) fn listed(&mut self, now: Instant, place: usize, addresses: Vec<SocketAddr>) {
        let is_there = !addresses.is_empty();
        match self.registrars.get_mut(place) {
            Some(listed) => *listed = addresses,
            None => self.registrars.push(addresses),
        }
        if is_there {
            self.steer(now, hunt::Input::Found(place));
            // It may be the first of all.
            if self.home.is_none() && !self.local.is_empty() {
                self.steer(now, hunt::Input::Start { prefer: self.last, avoid: None });
            }
        }
    }

    pub(super) fn hunt_beside_home(&mut self, now: Instant) {
        if self.hunt.is_running() || self.local.is_empty() {
            return;
        }
        let avoid = self.home.and_then(|home| self.links.get(&home)?.registrar);
        if self.home.is_some() {
            // One endpoint cannot have two associations to the same peer.
            self.bind();
        }
        self.steer(now, hunt::Input::Start { prefer: None, avoid });
    }

    pub(super) fn steer(&mut self, now: Instant, input: hunt::Input) {
        self.hunt.handle(now, input);
        self.follow_hunt(now);
    }

    pub(super) fn follow_hunt(&mut self, now: Instant) {
        while let Some(output) = self.hunt.poll_output() {
            match output {
                hunt::Output::Connect(registrar) => self.connect(now, registrar),
                hunt::Output::Abandon(registrar) => {
                    let begun = self.links.iter().find(|(_, link)| {
                        link.registrar == Some(registrar) && link.state == State::Connecting
                    });
                    if let Some((&link, _)) = begun {
                        if self.home == Some(link) {
                            self.leave_home();
                        } else {
                            self.close(link);
                        }
                    }
                }
            }
        }
    }

    fn connect(&mut self, now: Instant, registrar: usize) {
        let reachable = |remote: &&SocketAddr| self.local.iter().any(|own| own.is_ipv4() == remote.is_ipv4());
        let remote: Vec<_> = self.registrars[registrar].iter().filter(reachable).copied().collect();
        let Some(port) = self.port.filter(|_| !remote.is_empty()) else {
            return self.hunt.handle(now, hunt::Input::Failed(registrar));
        };
        let link = LinkId::Ours(self.number());
        let (registrar, state) = (Some(registrar), State::Connecting);
        self.links.insert(link, Link { port, registrar, state, peer: Vec::new() });
        self.outputs.push_back(Output::Open { link, port, remote });
        if self.home.is_none() && self.hunt.is_alone() {
            self.home = Some(link);
            self.outputs.push_back(Output::Home(link));
        }
    }
}
