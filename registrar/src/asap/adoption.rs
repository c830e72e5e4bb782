//! Elements that become ours without registering: those of a dead registrar, and those that another registrar would
//! rather not keep (RFC 5353 §3.5.2; KEEP_ALIVE with H set, RFC 5352 §3.4). And what ENRP wants of elements else.

use asap_client::wire::{PoolHandle, Transport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::event::Why;
use super::service::Registrar;
use super::timers::Timer;
use super::{Event, Output};
use crate::Association;
use crate::enrp::{Change, Effect};
use crate::handlespace::{Element, ElementKey, Life};

/// How often an element is told that we are its home now.
const ATTEMPTS: u32 = 2;

/// An element that has not answered for so long holds up no others, beside which it goes on being waited for: of those
/// whose registrar has died many may have died with it.
const HOLDS_UP: Duration = Duration::from_millis(100);

/// So often it is in a second.
const PARTS: u32 = 10;

/// One element.
#[derive(Clone, Debug)]
struct Adoption {
    remote: Vec<SocketAddr>,
    attempts: u32,
    /// Over which it was told.
    told: Option<Association>,
}

/// Elements of one association that were told that they are ours, and left to other registrars; as they were, those that
/// are gone there, and are asked.
pub(super) type Yielded = BTreeMap<(PoolHandle, u32), Option<Box<Element>>>;

/// All elements that are to be told, or have been, that we are their home now.
#[derive(Clone, Debug, Default)]
pub(super) struct Adoptions {
    under_way: BTreeMap<ElementKey, Adoption>,
    /// Those under way by where they are.
    places: BTreeSet<(SocketAddr, ElementKey)>,
    waiting: BTreeSet<ElementKey>,
    /// When those were begun with that hold others up.
    asked: VecDeque<Instant>,
}

impl Adoptions {
    pub(super) fn forget(&mut self, key: ElementKey) {
        if let Some(adoption) = self.under_way.remove(&key) {
            for at in adoption.remote {
                self.places.remove(&(at, key));
            }
        }
        self.waiting.remove(&key);
    }

    fn begin(&mut self, now: Instant, key: ElementKey, remote: Vec<SocketAddr>) {
        self.places.extend(remote.iter().map(|at| (*at, key)));
        self.under_way.insert(key, Adoption { remote, attempts: 0, told: None });
        self.asked.push_back(now);
    }

    /// Over which association an element was told.
    pub(super) fn told(&self, key: ElementKey) -> Option<Association> {
        self.under_way.get(&key).and_then(|adoption| adoption.told)
    }

    /// One is answered: the next may be asked.
    fn answered(&mut self) {
        self.asked.pop_front();
    }

    /// The next to begin with, if no more are asked than these, and no more under way.
    fn next(&mut self, now: Instant, at_a_time: usize, most: usize) -> Option<ElementKey> {
        while self.asked.front().is_some_and(|at| now - *at >= HOLDS_UP) {
            self.asked.pop_front();
        }
        let free = self.asked.len() < at_a_time && self.under_way.len() < most;
        free.then(|| self.waiting.pop_first()).flatten()
    }

    /// When those that wait are held up no more.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.asked.front().filter(|_| !self.waiting.is_empty()).map(|at| *at + HOLDS_UP)
    }

    /// Those under way at one of these addresses, that have not been told.
    fn at(&self, port: u16, addresses: &[IpAddr]) -> BTreeSet<ElementKey> {
        let here = addresses.iter().flat_map(|address| {
            let at = SocketAddr::new(*address, port);
            self.places.range((at, ElementKey::MIN)..=(at, ElementKey::MAX))
        });
        let untold = |key: &ElementKey| self.under_way.get(key).is_some_and(|it| it.told.is_none());
        here.map(|(_, key)| *key).filter(untold).collect()
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
                self.has_changed(handle);
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
                self.displaced.remove(key);
                self.earlier.remove(key);
                self.newcomers.release(key);
                self.yield_told(key);
                self.adoptions.forget(key);
                self.verifying.remove(&key);
                self.forget_reports(key);
            }
            Effect::Dropped { handle, element } => {
                if !self.asks_back(&handle, &element) {
                    self.tell_gone(&handle, &element);
                }
            }
            Effect::Yielded { handle, id, owner } => self.yielded_to_another(handle, id, owner),
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
            self.displaced.remove(key);
            self.earlier.remove(key);
            self.verifying.remove(&key);
            self.space.set_home(key, self.settings.server, None);
        }
        leaving
    }

    fn yielded_to_another(&mut self, handle: PoolHandle, id: u32, owner: Association) {
        if self.clients.contains_key(&owner) {
            self.yielded.entry(owner).or_default().insert((handle, id), None);
        }
    }

    /// An element is another registrar's now: if it has just been told that it is ours, it may follow that.
    fn yield_told(&mut self, key: ElementKey) {
        let told = self.adoptions.under_way.get(&key).and_then(|adoption| adoption.told);
        if let Some(owner) = told
            && let Some((pool, element)) = self.space.get(key)
            && element.home != self.settings.server
        {
            let (handle, id) = (pool.handle().clone(), element.id);
            self.yielded_to_another(handle, id, owner);
        }
    }

    /// An element that was left to another registrar is gone, says that one. If it was told that it is ours, and there
    /// still is the association over which it was, it is asked: it may have followed us. Says whether it is. Until it
    /// answers it is gone: of many registrars that had it, each would else say in its turn that it has it again.
    fn asks_back(&mut self, handle: &PoolHandle, element: &Element) -> bool {
        let Some(to) = self.places.at(&remote(&element.asap)) else { return false };
        if self.space.key(handle, element.id).is_some() {
            return false;
        }
        let left = self.yielded.get_mut(&to).and_then(|ids| ids.get_mut(&(handle.clone(), element.id)));
        let Some(left) = left else { return false };
        *left = Some(Box::new(element.clone()));
        self.send_keep_alive(to, handle.clone(), element.id, true);
        true
    }

    /// An element that is in nobody's books answers: if it was asked whether it has followed us, it has, and is ours.
    /// Says whether it is.
    pub(super) fn comes_back(
        &mut self,
        now: Instant,
        association: Association,
        handle: &PoolHandle,
        id: u32,
    ) -> bool {
        let left = self.yielded.get_mut(&association).and_then(|ids| ids.get_mut(&(handle.clone(), id)));
        let Some(element) = left.and_then(Option::take) else { return false };
        let Some(client) = self.clients.get(&association) else { return false };
        let limits = &self.settings.limits;
        let has = self.space.count_owned_by(association) + self.newcomers.count(association);
        let fits = self.space.pool(handle).is_none_or(|pool| pool.takes(&element.policy, &element.user))
            && self.space.count_of_home(self.settings.server) < limits.elements
            && has < limits.elements_per_association
            && self.space.has_room(handle, id, &limits.space());
        if !fits {
            return false;
        }
        let (home, owner, asap) = (self.settings.server, Some(association), client.asap_transport());
        let expires = Life::from_wire(element.life).and_then(|life| life.end(now));
        let (key, _) = self
            .space
            .insert(handle.clone(), Element { home, owner, asap, expires, bad_reports: 0, ..*element });
        self.has_changed(handle.clone());
        self.is_adopted(now, association, key);
        true
    }

    /// An element is ours since it has answered that it follows us.
    fn is_adopted(&mut self, now: Instant, association: Association, key: ElementKey) {
        let Some((pool, element)) = self.space.get(key) else { return };
        let (handle, id) = (pool.handle().clone(), element.id);
        self.counters.keep_alives_answered += 1;
        self.space.set_adopted(key);
        self.plan_keep_alive(now, key);
        self.change(Change::Updated(key));
        self.event(Event::Registered { handle, id, owner: association });
    }

    /// Begins with those that wait, at the pace of keep-alives.
    pub(super) fn adopt_waiting(&mut self, now: Instant) {
        let at_a_time = usize::try_from(self.settings.keep_alives_per_second / PARTS).unwrap_or(usize::MAX);
        let most = self.settings.limits.associations;
        while let Some(key) = self.adoptions.next(now, at_a_time.max(1), most) {
            self.adopt(now, key);
        }
    }

    fn adopt(&mut self, now: Instant, key: ElementKey) {
        let Some((_, element)) = self.space.get(key) else { return };
        if element.owner.is_some() || self.adoptions.under_way.contains_key(&key) {
            return;
        }
        let remote = remote(&element.asap);
        self.adoptions.begin(now, key, remote);
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
        let keys =
            if client.tcp { BTreeSet::new() } else { self.adoptions.at(client.port, &client.addresses) };
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
        if self.adoptions.told(key) != Some(association) {
            return false;
        }
        let Some((pool, element)) = self.space.get(key) else { return false };
        let handle = pool.handle().clone();
        // Its life begins anew; when it registers again it says so itself.
        let expires = Life::from_wire(element.life).and_then(|life| life.end(now));
        let (home, owner) = (self.settings.server, Some(association));
        let element = Element { home, owner, expires, ..element.clone() };
        self.adoptions.forget(key);
        self.adoptions.answered();
        self.timers.clear((Timer::Adopt, key));
        self.space.insert(handle, element);
        self.is_adopted(now, association, key);
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
