//! A registrar's program: the real machine, and what its driver does.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use roam_registrar::machine::{Input, Output, Registrar};
use roam_registrar::{Association, asap, enrp};

use super::network::What;
use super::place::{address, host_at};
use super::world::{ASAP, World};

impl World {
    /// Starts a registrar's program, with nothing in its memory.
    pub(super) fn boot_node(&mut self, node: usize) {
        let (seed, clock) = (self.random.draw(), self.any_clock());
        let now = clock.at(self.net.now);
        let it = &mut self.nodes[node];
        it.asap.server = it.enrp.server;
        it.machine = Some(Registrar::new(now, it.asap.clone(), it.enrp.clone(), seed));
        (it.clock, it.due, it.links) = (clock, None, BTreeMap::new());
        let id = it.asap.server;
        self.note(|| format!("registrar {node} begins as {id:#x}"));
        self.net.begin(node);
        self.trouble(node);
        let ip = address(node, 0);
        for port in [ASAP, enrp::wire::PORT] {
            self.net.listen(node, SocketAddr::new(ip, port));
        }
        let addresses = vec![SocketAddr::new(ip, enrp::wire::PORT)];
        self.give_node(node, Input::Enrp(enrp::Input::Local { addresses }));
    }

    /// Ends a registrar's program, or, without `power`, its host.
    pub(super) fn end_node(&mut self, node: usize, power: bool) {
        self.note(|| {
            format!("registrar {node} ends, {}", if power { "its kernel says so" } else { "silently" })
        });
        self.nodes[node].machine = None;
        self.net.end(node, power);
        self.forget_node(node);
        self.trouble(node);
    }

    pub(super) fn take_at_node(&mut self, node: usize, what: What) {
        let is_enrp = |own: SocketAddr| own.port() == enrp::wire::PORT;
        let input = match what {
            What::Up { link, own, peer } => {
                let association = Association(link);
                if let Some((other, _)) = host_at(peer.ip()) {
                    self.nodes[node].links.insert(link, other);
                }
                let (from, port) = (peer.ip(), peer.port());
                match is_enrp(own) {
                    true => Input::Enrp(enrp::Input::Up { association, addresses: vec![peer] }),
                    false => Input::Asap(asap::Input::Up { association, from, port, addresses: vec![from] }),
                }
            }
            What::Down { link, own } => {
                self.nodes[node].links.remove(&link);
                let association = Association(link);
                match is_enrp(own) {
                    true => Input::Enrp(enrp::Input::Down { association }),
                    false => Input::Asap(asap::Input::Down { association }),
                }
            }
            What::Message { link, own, bytes } => {
                let (association, bytes) = (Association(link), bytes.to_vec());
                match is_enrp(own) {
                    true => {
                        let ppid = enrp::wire::PPID;
                        let touched = named(&bytes);
                        self.announced(node, &bytes);
                        let machine = self.nodes[node].machine.as_ref();
                        let believed =
                            machine.and_then(|machine| self.net.mischief.believed(machine, &bytes));
                        self.give_node(node, Input::Enrp(enrp::Input::Message { association, ppid, bytes }));
                        if let Some((association, bytes)) = believed {
                            let ppid = asap_client::wire::PPID;
                            self.net.mischief.hushed = true;
                            self.give_node(
                                node,
                                Input::Asap(asap::Input::Message { association, ppid, bytes }),
                            );
                            self.net.mischief.hushed = false;
                        }
                        for id in touched {
                            self.look(node, id);
                        }
                        return;
                    }
                    false => {
                        let ppid = asap_client::wire::PPID;
                        Input::Asap(asap::Input::Message { association, ppid, bytes })
                    }
                }
            }
            What::Unreachable { own, remote, .. } if is_enrp(own) => {
                Input::Enrp(enrp::Input::Unreachable { remote })
            }
            What::Unreachable { .. } => return,
            What::Datagram { from, bytes } => {
                Input::Enrp(enrp::Input::Announcement { from, bytes: bytes.to_vec() })
            }
            What::Wake => {
                let now = self.net.now;
                let it = &mut self.nodes[node];
                if it.due.is_some_and(|due| due <= now)
                    && let Some(machine) = &mut it.machine
                {
                    machine.handle_timeout(it.clock.at(now));
                    self.carry_out_node(node);
                }
                return;
            }
        };
        self.give_node(node, input);
    }

    fn give_node(&mut self, node: usize, input: Input) {
        let it = &mut self.nodes[node];
        if let Some(machine) = &mut it.machine {
            machine.handle(it.clock.at(self.net.now), input);
            self.carry_out_node(node);
        }
    }

    fn carry_out_node(&mut self, node: usize) {
        let mut all = false;
        let mut touched = Vec::new();
        while let Some(output) = self.nodes[node].machine.as_mut().and_then(Registrar::poll_output) {
            match output {
                Output::Enrp(enrp::Output::Send { association, bytes })
                | Output::Asap(asap::Output::Send { association, bytes }) => {
                    self.net.send(association.0, node, bytes);
                }
                Output::Enrp(enrp::Output::Connect { remote }) => {
                    self.net.connect(node, SocketAddr::new(address(node, 0), enrp::wire::PORT), remote);
                }
                Output::Asap(asap::Output::Connect { remote }) => {
                    self.net.connect(node, SocketAddr::new(address(node, 0), ASAP), remote);
                }
                Output::Enrp(enrp::Output::Abort { association, reason }) => {
                    self.note(|| format!("registrar {node} aborts ENRP association {association}: {reason}"));
                    self.nodes[node].links.remove(&association.0);
                    self.net.close(association.0, node);
                }
                Output::Asap(asap::Output::Abort { association, reason }) => {
                    self.note(|| format!("registrar {node} aborts association {association}: {reason}"));
                    self.nodes[node].links.remove(&association.0);
                    self.net.close(association.0, node);
                }
                Output::Enrp(enrp::Output::Announce { bytes }) => self.multicast(node, &bytes),
                Output::Enrp(enrp::Output::Event(event)) => {
                    self.note(|| format!("registrar {node}: {event}"));
                    match event {
                        enrp::Event::Conceded { id, .. } => touched.push((id, None)),
                        enrp::Event::TookOver { .. }
                        | enrp::Event::TakenOver { .. }
                        | enrp::Event::Purged { .. } => all = true,
                        _ => {}
                    }
                }
                Output::Asap(asap::Output::Event(event)) => {
                    self.note(|| format!("registrar {node}: {event}"));
                    match event {
                        asap::Event::Registered { id, .. } | asap::Event::Reregistered { id, .. } => {
                            touched.push((id, None));
                        }
                        asap::Event::Removed { id, why, .. } => touched.push((id, Some(why))),
                        asap::Event::Malformed { what, .. } => {
                            self.violation(|| {
                                format!("registrar {node} understands something wrongly: {what}")
                            });
                        }
                        _ => {}
                    }
                }
            }
        }
        for (id, why) in touched {
            self.look(node, id);
            if let Some(why) = why {
                self.removed(node, id, why);
            }
        }
        if all {
            self.scan(node, false);
        }
        self.plan(node);
    }
}

/// The elements that an ENRP message names.
fn named(bytes: &[u8]) -> Vec<u32> {
    use enrp::wire::{Body, MessageType};
    let type_ = bytes.first().map(|type_| MessageType(*type_));
    if !matches!(type_, Some(MessageType::HANDLE_UPDATE | MessageType::HANDLE_TABLE_RESPONSE)) {
        return Vec::new();
    }
    match enrp::wire::decode(bytes).map(|decoded| decoded.message.body) {
        Ok(Body::HandleUpdate { element, .. }) => vec![element.id],
        Ok(Body::HandleTableResponse { entries, .. }) => {
            entries.iter().flat_map(|entry| entry.elements.iter().map(|element| element.id)).collect()
        }
        _ => Vec::new(),
    }
}
