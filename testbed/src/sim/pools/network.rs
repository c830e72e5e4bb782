//! The network, and SCTP as it shows itself to its users: messages come whole and in order or not at all, loss is
//! delay, and an association over which nothing comes through ends at each side by itself after a while.

use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;

use asap_client::random::{SplitMix64, below};

use super::super::{MS, Time};
use super::mischief::Mischief;
use super::reach::Condition;
use super::timeline::Timeline;

/// How long a kernel tries before it gives an association up.
pub(super) const LOSS: Time = 4000 * MS;

/// How long a connection is tried.
const CONNECT: Time = 1000 * MS;

/// A host. Registrars come first.
pub(super) type Host = usize;

/// An association's number.
pub(super) type LinkNumber = u64;

/// What comes to a host's program.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// An association is up. `own` and `peer` are its two ends.
    Up { link: LinkNumber, own: SocketAddr, peer: SocketAddr },
    /// A message came.
    Message { link: LinkNumber, own: SocketAddr, bytes: Bytes },
    /// An association has ended.
    Down { link: LinkNumber, own: SocketAddr },
    /// What was to be connected to cannot be reached.
    Unreachable { link: LinkNumber, own: SocketAddr, remote: Vec<SocketAddr> },
    /// A datagram from the multicast group.
    Datagram { from: SocketAddr, bytes: Bytes },
    /// It wanted to be woken.
    Wake,
}

/// Something that comes to a program, if that is still the one that it was for.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) host: Host,
    born: u32,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// The head of a queue may have arrived.
    Arrive(LinkNumber, usize),
    /// A connection is there, or not.
    Try(LinkNumber),
    /// An end finds out that its association is gone.
    Down(LinkNumber, usize),
    /// Nothing has come through for too long, if it is still so.
    Lost(LinkNumber),
    Deliver(Box<Delivery>),
    Wake(Host, u32),
    /// A program that stands still may run again.
    Resume(Host),
}

/// One end of an association.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: Host,
    pub(super) at: SocketAddr,
    pub(super) open: bool,
    /// The program's incarnation: one that was started anew has none of its old associations.
    born: u32,
    /// What is on its way to here, in order, and when it arrives at the earliest.
    pub(super) queue: VecDeque<(Time, Bytes)>,
    /// Until then the program is busy with what it read last.
    busy: Time,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) ends: [End; 2],
    /// Since when nothing comes through.
    pub(super) blocked: Option<Time>,
}

#[derive(Debug)]
struct Attempt {
    host: Host,
    born: u32,
    own: SocketAddr,
    remote: Vec<SocketAddr>,
    queue: Vec<(Time, Bytes)>,
}

pub(super) struct Network {
    pub(super) now: Time,
    pub(super) random: SplitMix64,
    /// One way through.
    pub(super) delay: Time,
    /// Of so many messages one is lost and comes later; 0: none.
    pub(super) loss: u64,
    pub(super) sent: u64,
    pub(super) happened: u64,
    pub(super) mischief: Mischief,
    pub(super) hosts: Vec<Condition>,
    pub(super) links: HashMap<LinkNumber, Link>,
    attempts: HashMap<LinkNumber, Attempt>,
    by_ends: HashMap<(SocketAddr, SocketAddr), LinkNumber>,
    pub(super) of_host: Vec<BTreeSet<LinkNumber>>,
    pub(super) listening: HashMap<SocketAddr, Host>,
    /// Where each host listens.
    pub(super) ports: Vec<Vec<SocketAddr>>,
    timeline: Timeline<Happening>,
    next_link: LinkNumber,
    ready: VecDeque<Delivery>,
    /// What has come to each host's program while it stands still, in order.
    pub(super) held: Vec<VecDeque<Delivery>>,
}

/// Two ends, whoever began.
fn pair(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    (one.min(other), one.max(other))
}

impl Network {
    pub(super) fn new(hosts: usize, delay: Time, seed: u64) -> Self {
        Self {
            now: 0,
            random: SplitMix64::new(seed),
            delay,
            loss: 0,
            sent: 0,
            happened: 0,
            mischief: Mischief::default(),
            hosts: vec![Condition { up: true, place: Some(0), ..Condition::default() }; hosts],
            links: HashMap::new(),
            attempts: HashMap::new(),
            by_ends: HashMap::new(),
            of_host: vec![BTreeSet::new(); hosts],
            listening: HashMap::new(),
            ports: vec![Vec::new(); hosts],
            timeline: Timeline::default(),
            next_link: 1,
            ready: VecDeque::new(),
            held: vec![VecDeque::new(); hosts],
        }
    }

    pub(super) fn draw(&mut self, bound: u64) -> u64 {
        below(self.random.draw(), bound)
    }

    pub(super) fn later(&mut self, delay: Time, what: Happening) {
        self.timeline.add(self.now + delay, what);
    }

    /// Has a host's program called at a time, not before the next moment.
    pub(super) fn wake(&mut self, host: Host, at: Time) {
        let born = self.hosts[host].born;
        self.later(at.saturating_sub(self.now).max(1), Happening::Wake(host, born));
    }

    /// Whether an association is open at both ends, and something comes through.
    pub(super) fn is_whole(&self, link: LinkNumber) -> bool {
        self.links
            .get(&link)
            .is_some_and(|link| link.blocked.is_none() && link.ends.iter().all(|end| end.open))
    }

    /// Whether a host has this association.
    pub(super) fn is_open_at(&self, link: LinkNumber, host: Host) -> bool {
        self.links.get(&link).is_some_and(|link| link.ends.iter().any(|end| end.host == host && end.open))
    }

    /// How many associations are open at a host.
    pub(super) fn open_at(&self, host: Host) -> usize {
        self.of_host[host].iter().filter(|link| self.is_open_at(**link, host)).count()
    }

    /// How long a packet takes now.
    fn way(&mut self) -> Time {
        let mut way = self.delay + self.draw(self.delay / 4 + MS);
        let mut again = 200 * MS;
        while self.loss > 0 && again < LOSS && self.draw(self.loss) == 0 {
            way += again;
            again *= 2;
        }
        way
    }

    /// Opens an association, or says after a while that it cannot be. Between the same two ends there is one.
    pub(super) fn connect(&mut self, host: Host, own: SocketAddr, remote: Vec<SocketAddr>) -> LinkNumber {
        let number = self.next_link;
        self.next_link += 1;
        // There and back, and there and back: by then each has the other's cookie.
        let wait = match remote.iter().any(|at| self.reaches(own, *at)) {
            true => self.way() + self.way(),
            false => CONNECT + self.draw(MS),
        };
        let born = self.hosts[host].born;
        self.attempts.insert(number, Attempt { host, born, own, remote, queue: Vec::new() });
        self.later(wait, Happening::Try(number));
        number
    }

    fn connected(&mut self, number: LinkNumber) {
        let Some(attempt) = self.attempts.remove(&number) else { return };
        let Attempt { host, born, own, remote, queue } = attempt;
        if self.hosts[host].born != born {
            return;
        }
        let there = remote.iter().find_map(|at| {
            let listening = *self.listening.get(at)?;
            (self.reaches(own, *at) && listening != host).then_some((listening, *at))
        });
        let Some((other, at)) = there else {
            return self.deliver(host, What::Unreachable { link: number, own, remote });
        };
        if let Some(old) = self.by_ends.get(&pair(own, at)).copied() {
            if self.links.get(&old).is_some_and(|link| link.ends.iter().all(|end| end.open)) {
                // Both have begun: it is one association, and came up already.
                return;
            }
            // The new one takes the place of one that an end still has.
            self.down(old, 0);
            self.down(old, 1);
        }
        let end = |host: Host, at, hosts: &[Condition]| End {
            host,
            at,
            open: true,
            born: hosts[host].born,
            queue: VecDeque::new(),
            busy: 0,
        };
        let mut ends = [end(host, own, &self.hosts), end(other, at, &self.hosts)];
        ends[1].queue.extend(queue);
        for (side, end) in ends.iter_mut().enumerate() {
            let haunting = self.mischief.haunting([host, other][1 - side], end.host);
            let now = self.now;
            end.queue.extend(haunting.into_iter().map(|bytes| (now, bytes)));
        }
        self.links.insert(number, Link { ends, blocked: None });
        self.by_ends.insert(pair(own, at), number);
        self.of_host[host].insert(number);
        self.of_host[other].insert(number);
        self.deliver(other, What::Up { link: number, own: at, peer: own });
        self.deliver(host, What::Up { link: number, own, peer: at });
        for side in [0, 1] {
            self.later(0, Happening::Arrive(number, side));
        }
    }

    /// One end gives an association, or the try at one, up; the other finds out when it is told.
    pub(super) fn close(&mut self, number: LinkNumber, host: Host) {
        if self.attempts.get(&number).is_some_and(|attempt| attempt.host == host) {
            self.attempts.remove(&number);
            return;
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(side) = link.ends.iter().position(|end| end.host == host && end.open) else { return };
        link.ends[side].open = false;
        let through = link.blocked.is_none();
        for end in &mut link.ends {
            end.queue.clear();
        }
        if through {
            let way = self.way();
            self.later(way, Happening::Down(number, 1 - side));
        }
        self.sweep(number);
    }

    /// Forgets an association that no end has any more.
    pub(super) fn sweep(&mut self, number: LinkNumber) {
        let Some(link) = self.links.get(&number) else { return };
        if link.ends.iter().any(|end| end.open) {
            return;
        }
        let ends = link.ends.each_ref().map(|end| (end.host, end.at));
        self.links.remove(&number);
        self.by_ends.remove(&pair(ends[0].1, ends[1].1));
        for (host, _) in ends {
            self.of_host[host].remove(&number);
        }
    }

    pub(super) fn send(&mut self, number: LinkNumber, host: Host, bytes: Bytes) {
        self.sent += 1;
        let at = self.now + self.way();
        if let Some(attempt) = self.attempts.get_mut(&number) {
            attempt.queue.push((at, bytes));
            return;
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(side) = link.ends.iter().position(|end| end.host == host) else { return };
        let other = &link.ends[1 - side];
        let passed = self.mischief.pass(host, other.host, other.at.port(), bytes);
        let Some(bytes) = passed.filter(|_| link.ends[side].open) else { return };
        let queue = &mut link.ends[1 - side].queue;
        let (last, first) = (queue.back().map_or(0, |(at, _)| *at), queue.is_empty());
        let at = last.max(at);
        queue.push_back((at, bytes));
        if first {
            self.later(at - self.now, Happening::Arrive(number, 1 - side));
        }
    }

    /// A datagram to whoever of these hosts is reached; as likely lost as any packet.
    pub(super) fn datagram(&mut self, from: SocketAddr, to: &[SocketAddr], bytes: &Bytes) {
        for at in to.iter().filter(|at| **at != from) {
            let Some(host) = self.listening.get(at).copied().filter(|_| self.reaches(from, *at)) else {
                continue;
            };
            if self.loss > 0 && self.draw(self.loss) == 0 {
                continue;
            }
            let (way, born) = (self.way(), self.hosts[host].born);
            let what = What::Datagram { from, bytes: bytes.clone() };
            self.later(way, Happening::Deliver(Box::new(Delivery { host, born, what })));
        }
    }

    fn deliver(&mut self, host: Host, what: What) {
        let born = self.hosts[host].born;
        self.ready.push_back(Delivery { host, born, what });
    }

    fn arrive(&mut self, number: LinkNumber, side: usize) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&number) else { return };
        let end = &mut link.ends[side];
        let Some((at, _)) = end.queue.front().filter(|_| link.blocked.is_none() && end.open) else { return };
        let at = (*at).max(end.busy);
        if at > now {
            let wait = at - now;
            return self.later(wait, Happening::Arrive(number, side));
        }
        let Some((_, bytes)) = end.queue.pop_front() else { return };
        let (host, own) = (end.host, end.at);
        end.busy = now + self.hosts[host].slow;
        if let Some((at, _)) = end.queue.front() {
            let wait = (*at).max(end.busy) - now;
            self.later(wait, Happening::Arrive(number, side));
        }
        let from = self.links.get(&number).map(|link| link.ends[1 - side].host);
        self.mischief.seen(from, host, own.port(), &bytes);
        self.deliver(host, What::Message { link: number, own, bytes });
    }

    /// An end finds out that its association is gone.
    fn down(&mut self, number: LinkNumber, side: usize) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let end = &mut link.ends[side];
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        end.queue.clear();
        let (host, own, born) = (end.host, end.at, end.born);
        self.ready.push_back(Delivery { host, born, what: What::Down { link: number, own } });
        self.sweep(number);
    }

    /// What waits for a host's program comes to it, if it does not stand still any more.
    fn resume(&mut self, host: Host) {
        let wait = self.hosts[host].stalled.saturating_sub(self.now);
        match wait {
            0 => self.ready.append(&mut self.held[host]),
            _ => self.later(wait, Happening::Resume(host)),
        }
    }

    /// The next thing that comes to a program, up to a time.
    pub(super) fn next(&mut self, until: Time) -> Option<Delivery> {
        loop {
            while let Some(delivery) = self.ready.pop_front() {
                let condition = &self.hosts[delivery.host];
                if !condition.up || condition.born != delivery.born {
                    continue;
                }
                let held = &mut self.held[delivery.host];
                if condition.stalled > self.now || !held.is_empty() {
                    let (first, host) = (held.is_empty(), delivery.host);
                    held.push_back(delivery);
                    if first {
                        self.later(0, Happening::Resume(host));
                    }
                    continue;
                }
                self.happened += 1;
                return Some(delivery);
            }
            let Some((at, what)) = self.timeline.next(until) else {
                self.now = until;
                return None;
            };
            self.now = at;
            match what {
                Happening::Arrive(number, side) => self.arrive(number, side),
                Happening::Try(number) => self.connected(number),
                Happening::Down(number, side) => self.down(number, side),
                Happening::Lost(number) => {
                    let since = self.links.get(&number).and_then(|link| link.blocked);
                    if since.is_some_and(|since| self.now - since >= LOSS) {
                        self.down(number, 0);
                        self.down(number, 1);
                    }
                }
                Happening::Deliver(delivery) => self.ready.push_back(*delivery),
                Happening::Resume(host) => self.resume(host),
                Happening::Wake(host, born) => {
                    self.ready.push_back(Delivery { host, born, what: What::Wake });
                }
            }
        }
    }
}
