//! What is the case with hosts, and who reaches whom by that.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::super::{MS, Time};
use super::network::{Happening, Host, LOSS, Network};
use super::place::host_at;

/// What is the case with a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Condition {
    /// It has power.
    pub(super) up: bool,
    pub(super) born: u32,
    /// Hosts of different groups do not reach each other.
    pub(super) group: u8,
    /// The network that it is in; `None`: in none.
    pub(super) place: Option<u8>,
    /// Its program does not run before this.
    pub(super) stalled: Time,
    /// So long it takes to read one message.
    pub(super) slow: Time,
}

impl Network {
    pub(super) fn group(&self, host: Host) -> u8 {
        self.hosts[host].group
    }

    pub(super) fn place(&self, host: Host) -> Option<u8> {
        self.hosts[host].place
    }

    pub(super) fn is_stalled(&self, host: Host) -> bool {
        self.hosts[host].stalled > self.now
    }

    pub(super) fn reaches(&self, one: SocketAddr, other: SocketAddr) -> bool {
        let there = |at: SocketAddr| {
            let (host, place) = host_at(at.ip())?;
            let condition = self.hosts.get(host)?;
            (condition.up && condition.place == Some(place)).then_some(condition.group)
        };
        there(one).is_some_and(|group| there(other) == Some(group))
    }

    pub(super) fn listen(&mut self, host: Host, at: SocketAddr) {
        self.listening.insert(at, host);
        self.ports[host].push(at);
    }

    pub(super) fn close_port(&mut self, at: SocketAddr) {
        if let Some(host) = self.listening.remove(&at) {
            self.ports[host].retain(|port| *port != at);
        }
    }

    /// Puts a host into a group.
    pub(super) fn set_group(&mut self, host: Host, group: u8) {
        if std::mem::replace(&mut self.hosts[host].group, group) != group {
            self.changed(host);
        }
    }

    /// Puts a host into a network, or into none.
    pub(super) fn set_place(&mut self, host: Host, place: Option<u8>) {
        if std::mem::replace(&mut self.hosts[host].place, place) != place {
            self.changed(host);
        }
    }

    /// The host's program stands still for so long; its kernel does not. If it stands still for longer already, that stays.
    pub(super) fn stall(&mut self, host: Host, time: Time) {
        let until = self.now + time;
        self.hosts[host].stalled = self.hosts[host].stalled.max(until);
    }

    pub(super) fn stalled_until(&self, host: Host) -> Time {
        self.hosts[host].stalled
    }

    /// So long the host's program takes to read one message.
    pub(super) fn slow_down(&mut self, host: Host, time: Time) {
        self.hosts[host].slow = time;
    }

    /// The program at a host ends: its kernel tells those who have associations with it, or, without `power`, nothing
    /// is ever heard of it again.
    pub(super) fn end(&mut self, host: Host, power: bool) {
        let links: Vec<_> = self.of_host[host].iter().copied().collect();
        if power {
            for link in &links {
                self.close(*link, host);
            }
        }
        self.hosts[host].up = power;
        self.hosts[host].born += 1;
        self.hosts[host].stalled = 0;
        self.held[host].clear();
        for at in std::mem::take(&mut self.ports[host]) {
            self.listening.remove(&at);
        }
        for number in links {
            if let Some(end) =
                self.links.get_mut(&number).and_then(|link| link.ends.iter_mut().find(|end| end.host == host))
            {
                (end.open, end.queue) = (false, VecDeque::new());
                self.sweep(number);
            }
        }
        self.changed(host);
    }

    /// A host has power.
    pub(super) fn begin(&mut self, host: Host) {
        self.hosts[host].up = true;
        self.changed(host);
    }

    /// Whom a host reaches is another matter now.
    fn changed(&mut self, host: Host) {
        let links: Vec<_> = self.of_host[host].iter().copied().collect();
        for number in links {
            let Some(ends) = self.links.get(&number).map(|link| link.ends.each_ref().map(|end| end.at))
            else {
                continue;
            };
            let through = self.reaches(ends[0], ends[1]);
            let now = self.now;
            let Some(link) = self.links.get_mut(&number) else { continue };
            if through && link.blocked.take().is_some() {
                let open = link.ends.each_ref().map(|end| end.open);
                // What was not acknowledged is sent again; an end that has given up answers with an ABORT.
                for side in [0, 1] {
                    let pause = 200 * MS + self.draw(800 * MS);
                    self.later(pause, Happening::Arrive(number, side));
                    if !open[1 - side] {
                        self.later(pause, Happening::Down(number, side));
                    }
                }
            } else if !through && link.blocked.is_none() {
                link.blocked = Some(now);
                self.later(LOSS, Happening::Lost(number));
            }
        }
    }
}
