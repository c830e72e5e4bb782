//! Start-up (RFC 5353 §3.2): a mentor is found, and gives the list of registrars and the handlespace.

use std::collections::BTreeSet;
use std::time::Instant;

use asap_client::wire::ServerInformation;

use super::Event;
use super::machine::{Enrp, Timer, addresses};
use super::peers::ADDRESSES;
use super::wire::Body;
use crate::handlespace::Handlespace;

/// What is waited for from a mentor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    List,
    Table,
}

/// How far the start-up is.
#[derive(Clone, Debug, Default)]
pub(super) struct Startup {
    ready: bool,
    /// Without a mentor by then, there is none.
    deadline: Option<Instant>,
    /// The mentor, and what it owes us.
    mentor: Option<(u32, Wanted)>,
    /// These did not answer, or went away while they did.
    failed: BTreeSet<u32>,
    /// These are starting themselves.
    starting: BTreeSet<u32>,
}

impl Startup {
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}

impl Enrp {
    /// Whether the handlespace is as complete as it can be, so that others may have it from here.
    pub fn is_ready(&self) -> bool {
        self.startup.is_ready()
    }

    pub(super) fn begin(&mut self, now: Instant) {
        self.timers.set(Timer::Heartbeat, now);
        self.timers.set(Timer::Connect, now);
        // Without anybody to ask, it is alone, and complete at once.
        let alone = self.settings.peers.is_empty() && !self.settings.multicast;
        let deadline = if alone { now } else { now + self.settings.mentor_discovery };
        self.startup.deadline = Some(deadline);
        self.timers.set(Timer::Startup, deadline);
    }

    /// A peer has shown itself: perhaps it can be our mentor.
    pub(super) fn mentor_seen(&mut self, now: Instant, peer: u32) {
        if !self.startup.ready && self.startup.mentor.is_none() && !self.startup.failed.contains(&peer) {
            self.choose_mentor(now);
        }
    }

    /// Takes the first mentor of those that have not failed; configured ones in their order, then others.
    fn choose_mentor(&mut self, now: Instant) {
        let rank = |id: &u32| {
            let its = self.peers.get(id).map(|peer| peer.addresses.clone()).unwrap_or_default();
            let place = self.settings.peers.iter().position(|c| super::peers::overlap(&c.addresses, &its));
            (place.unwrap_or(usize::MAX), *id)
        };
        let usable = |id: &&u32| !self.startup.failed.contains(id) && !self.startup.starting.contains(id);
        let living = self.peers.iter().filter(|(_, peer)| peer.is_active() && peer.association.is_some());
        let mentor = living.map(|(id, _)| id).filter(usable).min_by_key(|id| rank(id)).copied();
        match mentor {
            Some(mentor) => self.ask_mentor(now, mentor, Wanted::List),
            None => {
                self.startup.mentor = None;
                if let Some(deadline) = self.startup.deadline {
                    let retry = now + self.settings.mentor_retry;
                    let waits = !self.startup.starting.is_empty();
                    let at = if waits { retry.min(deadline.max(now)) } else { deadline };
                    self.timers.set(Timer::Startup, at);
                }
            }
        }
    }

    fn ask_mentor(&mut self, now: Instant, mentor: u32, wanted: Wanted) {
        self.startup.mentor = Some((mentor, wanted));
        self.timers.set(Timer::Startup, now + self.settings.max_time_no_response);
        let body = match wanted {
            Wanted::List => Body::ListRequest,
            Wanted::Table => Body::HandleTableRequest { own: false },
        };
        self.tell(mentor, body);
    }

    /// Nobody has shown itself, or the mentor does not answer.
    pub(super) fn startup_late(&mut self, now: Instant, space: &mut Handlespace) {
        if self.startup.ready {
            return;
        }
        if let Some((mentor, _)) = self.startup.mentor.take() {
            self.startup.failed.insert(mentor);
        }
        if self.startup.deadline.is_none_or(|deadline| deadline <= now) {
            return self.ready(now, None, space);
        }
        self.startup.starting.clear();
        self.choose_mentor(now);
    }

    /// A peer's association is gone; if it was the mentor, another is needed.
    pub(super) fn mentor_lost(&mut self, now: Instant, peer: u32) {
        if self.startup.mentor.is_some_and(|(mentor, _)| mentor == peer) {
            self.startup.failed.insert(peer);
            self.choose_mentor(now);
        }
    }

    /// LIST_RESPONSE. What was not asked for is ignored; and hearsay fills half of the places at most, so that whoever
    /// speaks for itself has one.
    pub(super) fn list(&mut self, now: Instant, sender: u32, rejected: bool, servers: &[ServerInformation]) {
        if !self.peers.get_mut(&sender).is_some_and(|peer| std::mem::take(&mut peer.list_asked)) {
            self.counters.unexpected += 1;
            return;
        }
        for server in servers {
            // rsplib lists configured peers that it has not heard yet with identifier 0.
            if server.server == 0 {
                continue;
            }
            let mut addresses = addresses(&server.transport);
            addresses.truncate(ADDRESSES);
            let room = self.peers.len() < self.settings.limits.peers.div_ceil(2);
            if room && self.add_peer(now, server.server, addresses.clone()) {
                self.timers.set(Timer::Connect, now);
            } else if let Some(peer) = self.peers.get_mut(&server.server).filter(|p| p.addresses.is_empty()) {
                peer.addresses = addresses;
                self.timers.set(Timer::Connect, now);
            }
        }
        if self.startup.mentor == Some((sender, Wanted::List)) {
            if rejected {
                return self.mentor_starting(now, sender);
            }
            self.ask_mentor(now, sender, Wanted::Table);
        }
    }

    /// Our mentor is itself starting. If all are, the one with the smallest identifier begins.
    fn mentor_starting(&mut self, now: Instant, mentor: u32) {
        self.startup.starting.insert(mentor);
        let own = self.settings.server;
        let others = self.peers.iter().filter(|(_, peer)| peer.is_active()).map(|(id, _)| *id);
        let first = others.clone().all(|id| own < id);
        if first && others.clone().all(|id| self.startup.starting.contains(&id)) {
            self.startup.deadline = Some(now);
            self.startup.mentor = None;
            return self.timers.set(Timer::Startup, now);
        }
        self.choose_mentor(now);
    }

    /// Whether a table from this peer is the one that it gives us as our mentor.
    pub(super) fn is_mentor_table(&self, sender: u32) -> bool {
        self.startup.mentor == Some((sender, Wanted::Table))
    }

    /// A part of the mentor's table has been taken.
    pub(super) fn mentor_table(
        &mut self,
        now: Instant,
        mentor: u32,
        rejected: bool,
        more: bool,
        empty: bool,
        space: &mut Handlespace,
    ) {
        if rejected {
            self.mentor_starting(now, mentor);
        } else if more && empty {
            // It says that there is more and gives nothing: that would go on for ever.
            self.startup.failed.insert(mentor);
            self.choose_mentor(now);
        } else if more {
            self.ask_mentor(now, mentor, Wanted::Table);
        } else {
            self.ready(now, Some(mentor), space);
        }
    }

    fn ready(&mut self, now: Instant, mentor: Option<u32>, space: &mut Handlespace) {
        self.startup = Startup { ready: true, ..Startup::default() };
        self.timers.clear(Timer::Startup);
        self.event(Event::Ready { mentor });
        // Elements that we owned before a restart, under the same identifier: they may still be there.
        let own = self.settings.server;
        let lost: Vec<_> = space
            .of_home(own)
            .filter(|key| space.get(*key).is_some_and(|(_, element)| element.owner.is_none()))
            .collect();
        for key in lost {
            self.effect(super::Effect::Adopt(key));
        }
        // Registrars that own elements and are not known: they get the time to show themselves.
        let homes: Vec<_> = space.homes().collect();
        for home in homes {
            self.add_peer(now, home, Vec::new());
        }
        // What the mentor said of others' elements may have changed on the way.
        for (id, peer) in self.peers.iter_mut().filter(|(id, _)| Some(**id) != mentor) {
            peer.stale |= space.count_of_home(*id) > 0;
        }
        let body = self.own_presence(true, space);
        self.tell_all(&body);
    }
}
