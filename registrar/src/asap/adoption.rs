//! Elements that become ours without registering: those of a dead registrar, and those that another registrar would
//! rather not keep (RFC 5353 §3.5.2; KEEP_ALIVE with H set, RFC 5352 §3.4). And what ENRP wants of elements else.

use asap_client::wire::Transport;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use super::event::Why;
use super::keepalive::Timer;
use super::service::Registrar;
use super::{Event, Output};
use crate::Association;
use crate::enrp::{Change, Effect};
use crate::handlespace::{Element, ElementKey, Life};

/// How often an element is told that we are its home now.
const ATTEMPTS: u32 = 2;

/// To how many elements associations are opened at a time.
const AT_A_TIME: usize = 256;

/// One element.
#[derive(Clone, Debug)]
struct Adoption {
    remote: Vec<SocketAddr>,
    attempts: u32,
    /// Over which it was told.
    told: Option<Association>,
}

/// All elements that are to be told, or have been, that we are their home now.
#[derive(Clone, Debug, Default)]
pub(super) struct Adoptions {
    under_way: BTreeMap<ElementKey, Adoption>,
    waiting: BTreeSet<ElementKey>,
}

impl Adoptions {
    pub(super) fn forget(&mut self, key: ElementKey) {
        self.under_way.remove(&key);
        self.waiting.remove(&key);
    }
}

pub(super) fn remote(transport: &Transport) -> Vec<SocketAddr> {
    let port = transport.port().unwrap_or_default();
    transport.addresses().iter().map(|address| SocketAddr::new(*address, port)).collect()
}

impl Registrar {
    /// Does what ENRP wants.
    pub fn effect(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Changed(handle) => {
                self.changed.insert(handle);
            }
            Effect::Leaving(key) => {
                self.leaving.insert(key);
            }
            Effect::Lost(key) => {
                if self.space.get(key).is_some_and(|(_, element)| element.owner.is_none()) {
                    self.remove(key, Why::OwnerLost);
                }
                self.push(now);
            }
            Effect::Gone(key) => {
                self.leaving.remove(&key);
                for timer in Timer::ALL {
                    self.timers.clear((timer, key));
                }
                self.displaced.remove(&key);
                self.newcomers.release(key);
                self.adoptions.forget(key);
                self.verifying.remove(&key);
            }
            Effect::Dropped { handle, element } => self.tell_gone(&handle, &element),
            Effect::Adopt(key) => {
                self.adoptions.waiting.insert(key);
                self.adopt_waiting(now);
            }
            Effect::Verify(key) => self.verify(now, key),
        }
        self.register_freed(now);
        self.push(now);
    }

    /// The association of an element that was offered to another registrar has ended: the element has followed that
    /// one, or is gone; ENRP finds out. Says whether it was offered.
    pub(super) fn has_left(&mut self, key: ElementKey) -> bool {
        let leaving = self.leaving.contains(&key);
        if leaving {
            for timer in Timer::ALL {
                self.timers.clear((timer, key));
            }
            self.displaced.remove(&key);
            self.verifying.remove(&key);
            self.space.set_home(key, self.settings.server, None);
        }
        leaving
    }

    fn adopt_waiting(&mut self, now: Instant) {
        while self.adoptions.under_way.len() < AT_A_TIME
            && let Some(key) = self.adoptions.waiting.pop_first()
        {
            self.adopt(now, key);
        }
    }

    fn adopt(&mut self, now: Instant, key: ElementKey) {
        let Some((_, element)) = self.space.get(key) else { return };
        if element.owner.is_some() || self.adoptions.under_way.contains_key(&key) {
            return;
        }
        let remote = remote(&element.asap);
        let adoption = Adoption { remote, attempts: 0, told: None };
        self.adoptions.under_way.insert(key, adoption);
        self.try_to_adopt(now, key);
    }

    /// Tells the element over an association that there is, or opens one.
    fn try_to_adopt(&mut self, now: Instant, key: ElementKey) {
        self.timers.set((Timer::Adopt, key), now + self.settings.adoption_timeout);
        let Some(adoption) = self.adoptions.under_way.get_mut(&key) else { return };
        adoption.attempts += 1;
        let remote = adoption.remote.clone();
        match self.places.at(&remote) {
            Some(association) => self.tell_home(now, association, key),
            None => self.output(Output::Connect { remote }),
        }
    }

    fn tell_home(&mut self, now: Instant, association: Association, key: ElementKey) {
        let Some((pool, element)) = self.space.get(key) else { return };
        let (handle, id) = (pool.handle().clone(), element.id);
        // An element that is told follows: from now on it has the time to answer, however long the way to it took.
        self.timers.set((Timer::Adopt, key), now + self.settings.adoption_timeout);
        if let Some(adoption) = self.adoptions.under_way.get_mut(&key) {
            adoption.told = Some(association);
        }
        self.send_keep_alive(association, handle, id, true);
    }

    /// An association is up: perhaps it is one to elements that have to be told.
    pub(super) fn greet(&mut self, now: Instant, association: Association) {
        let Some(client) = self.clients.get(&association) else { return };
        let here = |adoption: &Adoption| adoption.told.is_none() && client.is_at(&adoption.remote);
        let keys: Vec<_> =
            self.adoptions.under_way.iter().filter(|(_, a)| here(a)).map(|(key, _)| *key).collect();
        for key in keys {
            self.tell_home(now, association, key);
        }
    }

    /// The time of an element to answer is over.
    pub(super) fn adoption_late(&mut self, now: Instant, key: ElementKey) {
        let Some(adoption) = self.adoptions.under_way.get_mut(&key) else { return };
        if adoption.attempts < ATTEMPTS {
            adoption.told = None;
            return self.try_to_adopt(now, key);
        }
        self.adoptions.forget(key);
        if self.space.get(key).is_some_and(|(_, element)| element.home == self.settings.server) {
            self.remove(key, Why::NoAnswer);
        }
        self.adopt_waiting(now);
    }

    /// An acknowledgement that makes an element ours. Says whether it did.
    pub(super) fn adopted(&mut self, now: Instant, association: Association, key: ElementKey) -> bool {
        if self.adoptions.under_way.get(&key).and_then(|adoption| adoption.told) != Some(association) {
            return false;
        }
        let Some((pool, element)) = self.space.get(key) else { return false };
        let (handle, id) = (pool.handle().clone(), element.id);
        // Its life begins anew; when it registers again it says so itself.
        let expires = Life::from_wire(element.life).and_then(|life| life.end(now));
        let (home, owner) = (self.settings.server, Some(association));
        let element = Element { home, owner, expires, ..element.clone() };
        self.adoptions.forget(key);
        self.timers.clear((Timer::Adopt, key));
        self.counters.keep_alives_answered += 1;
        self.space.insert(handle.clone(), element);
        self.plan_keep_alive(now, key);
        self.change(Change::Updated(key));
        self.event(Event::Registered { handle, id, owner: association });
        self.adopt_waiting(now);
        true
    }

    /// Asks an element for ENRP whether it is still there.
    fn verify(&mut self, now: Instant, key: ElementKey) {
        let owner = self.space.get(key).and_then(|(_, element)| element.owner);
        let Some(owner) = owner.filter(|owner| self.clients.contains_key(owner)) else {
            return self.change(Change::Denied(key));
        };
        let Some((pool, element)) = self.space.get(key) else { return };
        let (handle, id) = (pool.handle().clone(), element.id);
        self.verifying.insert(key);
        self.timers.set((Timer::Verify, key), now + self.settings.verify_timeout);
        self.send_keep_alive(owner, handle, id, false);
    }
}
