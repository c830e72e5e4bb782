//! Leaving: our elements are handed to other registrars before we stop.
//!
//! RFC 5353 knows only how the dead are taken over. Each element is offered to one peer by a HANDLE_UPDATE with the T
//! flag (draft-dreibholz-rserpool-enrp-takeover): the peer tells the element that it is its home now (KEEP_ALIVE, H
//! set), and, when that one has answered, everybody (ADD_PE). Until then the element is ours, and everybody has it in
//! the books; nobody is told that it is gone because it closed its association with us. Elements that register
//! meanwhile are let in, and offered like all others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use asap_client::wire::PoolHandle;

use super::machine::{Enrp, Timer};
use super::wire::{Profile, UpdateAction};
use super::{Effect, Event};
use crate::handlespace::{ElementKey, Handlespace};

/// Elements that are offered at a time.
const AT_A_TIME: usize = 256;

/// How long a peer may take for an element before it is offered to another, or once more.
const PATIENCE: Duration = Duration::from_secs(5);

/// After so many offers an element that has left us and turned up nowhere is gone.
const OFFERS: u32 = 2;

/// How often it is looked whether there is something to do that nothing else has shown.
const PERIOD: Duration = Duration::from_millis(250);

/// There is nobody who could take the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no other registrar is there that could take the pool elements")]
pub struct NoPeer;

/// An element was offered.
#[derive(Clone, Copy, Debug)]
struct Offer {
    to: u32,
    at: Instant,
}

/// Our elements are being handed over.
#[derive(Clone, Debug)]
pub(super) struct Drain {
    until: Instant,
    offers: BTreeMap<ElementKey, Offer>,
    /// Elements that were offered in vain: to whom, and how often.
    vain: BTreeMap<ElementKey, (BTreeSet<u32>, u32)>,
    /// The last element that was offered: all others come before it is its turn again.
    after: Option<(PoolHandle, u32)>,
    /// When offers are looked at that came to nothing.
    next_look: Instant,
    handed_over: usize,
    /// It is over, and was told.
    over: bool,
}

impl Enrp {
    /// Begins to hand our elements to other registrars, for `patience` at most. [`Event::Drained`] tells the end.
    ///
    /// # Errors
    /// There are elements, and no peer that lives. Nothing has changed then.
    pub fn drain(&mut self, now: Instant, patience: Duration, space: &Handlespace) -> Result<(), NoPeer> {
        let elements = space.count_of_home(self.settings.server);
        if elements > 0 && self.takers().next().is_none() {
            return Err(NoPeer);
        }
        let until = now + patience;
        let (offers, vain) = (BTreeMap::new(), BTreeMap::new());
        let (after, next_look) = (None, now);
        self.drain = Some(Drain { until, offers, vain, after, next_look, handed_over: 0, over: false });
        self.event(Event::Draining { elements });
        self.hand_over(now, space);
        Ok(())
    }

    /// Whether our elements are being handed over, or have been.
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The peers that can take elements.
    fn takers(&self) -> impl Iterator<Item = u32> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.is_active() && peer.association.is_some())
            .map(|(id, _)| *id)
    }

    /// It is time to look at offers that came to nothing.
    pub(super) fn drain_late(&mut self, now: Instant, space: &Handlespace) {
        let own = self.settings.server;
        if let Some(drain) = &mut self.drain {
            drain.offers.retain(|key, _| space.get(*key).is_some_and(|(_, element)| element.home == own));
            drain.next_look = now;
        }
        self.give_up_late_offers(now, space);
        self.hand_over(now, space);
    }

    /// Offers what can be offered, and says when nothing is left, or no time.
    pub(super) fn hand_over(&mut self, now: Instant, space: &Handlespace) {
        let Some(drain) = self.drain.as_mut().filter(|drain| !drain.over) else { return };
        let left = space.count_of_home(self.settings.server);
        if left == 0 || drain.until <= now {
            drain.over = true;
            let handed_over = drain.handed_over;
            self.timers.clear(Timer::Drain);
            return self.event(Event::Drained { handed_over, left });
        }
        if drain.next_look <= now {
            drain.next_look = (now + PERIOD).min(drain.until);
            self.timers.set(Timer::Drain, drain.next_look);
        }
        for key in self.next_to_offer(space) {
            self.offer(now, key, space);
        }
    }

    /// An offer that came to nothing is made to another. An element that is not with us any more is gone when nobody
    /// has found it.
    fn give_up_late_offers(&mut self, now: Instant, space: &Handlespace) {
        let Some(drain) = self.drain.as_ref().filter(|drain| !drain.over) else { return };
        let has_left = |key: &ElementKey| space.get(*key).is_some_and(|(_, element)| element.owner.is_none());
        // rsplib's registrar tells the element that it is its home now, and is so when the element registers again: in
        // half a minute, by rsplib's defaults.
        let follows = |key: &ElementKey, offer: &Offer| {
            has_left(key) && self.peers.get(&offer.to).is_some_and(|peer| peer.profile == Profile::Rsplib)
        };
        let late = drain
            .offers
            .iter()
            .filter(|(key, offer)| now - offer.at >= PATIENCE && !follows(key, offer))
            .map(|(key, offer)| (*key, offer.to));
        let late: Vec<_> = late.collect();
        let Some(drain) = &mut self.drain else { return };
        let mut lost = Vec::new();
        for (key, to) in late {
            drain.offers.remove(&key);
            let (tried, times) = drain.vain.entry(key).or_default();
            tried.insert(to);
            *times += 1;
            if has_left(&key) && *times >= OFFERS {
                lost.push(key);
            }
        }
        for key in lost {
            self.effect(Effect::Lost(key));
        }
    }

    /// Elements whose turn it is: each of the others comes before the same one again.
    fn next_to_offer(&mut self, space: &Handlespace) -> Vec<ElementKey> {
        let own = self.settings.server;
        let Some(drain) = &mut self.drain else { return Vec::new() };
        let room = AT_A_TIME.saturating_sub(drain.offers.len());
        let is_free = |key: &ElementKey| !drain.offers.contains_key(key);
        // From the last one on, and then from the start up to it.
        let after = drain.after.as_ref().map(|(handle, id)| (handle, *id));
        let mut keys = space.page(Some(own), after, room);
        keys.retain(is_free);
        if keys.len() < room {
            let first = space.page(Some(own), None, AT_A_TIME);
            let first: Vec<_> = first.into_iter().filter(|key| is_free(key) && !keys.contains(key)).collect();
            keys.extend(first);
            keys.truncate(room);
        }
        if let Some((pool, element)) = keys.last().and_then(|key| space.get(*key)) {
            drain.after = Some((pool.handle().clone(), element.id));
        }
        keys
    }

    /// Offers an element to the peer whose identifier differs most from its own, so that they spread evenly; but to
    /// one that it was not offered to yet, if there is any.
    fn offer(&mut self, now: Instant, key: ElementKey, space: &Handlespace) {
        let Some((pool, element)) = space.get(key) else { return };
        let (handle, element) = (pool.handle().clone(), element.clone());
        let Some(drain) = &self.drain else { return };
        let tried = drain.vain.get(&key).map(|(tried, _)| tried);
        let is_new = |id: &u32| tried.is_none_or(|tried| !tried.contains(id));
        let Some(to) = self.takers().max_by_key(|id| (is_new(id), id ^ element.id)) else { return };
        if let Some(drain) = &mut self.drain {
            drain.offers.insert(key, Offer { to, at: now });
        }
        self.effect(Effect::Leaving(key));
        self.tell_one(to, true, UpdateAction::Add, &handle, &element);
    }

    /// Whether an element was offered to this peer. If it claims it, that is what was wanted.
    pub(super) fn is_offered(&self, key: ElementKey, by: u32) -> bool {
        let Some(drain) = &self.drain else { return false };
        drain.offers.get(&key).is_some_and(|offer| offer.to == by)
            || drain.vain.get(&key).is_some_and(|(tried, _)| tried.contains(&by))
    }

    /// An element that was offered is its new home's.
    pub(super) fn handed_over(&mut self, now: Instant, key: ElementKey, space: &Handlespace) {
        if let Some(drain) = &mut self.drain {
            drain.offers.remove(&key);
            drain.vain.remove(&key);
            drain.handed_over += 1;
            self.hand_over(now, space);
        }
    }
}
