//! The network of a cluster: associations, what is on its way over them, and who reaches whom.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, ENRP, Host};
use crate::machine::Input;
use crate::{Association, asap, enrp};

/// One way through the network.
const DELAY: Duration = Duration::from_millis(5);

/// How long the kernel tries before it gives an association up.
const LOSS: Duration = Duration::from_secs(4);

/// How long a connection is tried.
const CONNECT: Duration = Duration::from_secs(1);

/// An association: two hosts with a port each, and whether each of them still has it.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [(Host, u16); 2],
    pub(super) open: [bool; 2],
    /// The hosts' incarnations: a host that was started anew has none of its old associations.
    pub(super) born: [u32; 2],
    /// What is on its way to each end, in order: when it arrives at the earliest.
    pub(super) queues: [VecDeque<(Instant, Vec<u8>)>; 2],
    /// Since when nothing comes through.
    pub(super) blocked: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
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

impl Cluster {
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
    pub(super) fn close(&mut self, id: u64, side: usize, silent: bool) {
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

    pub(super) fn happen(&mut self, what: Happening) {
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
}
