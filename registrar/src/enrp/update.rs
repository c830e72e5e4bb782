//! HANDLE_UPDATE (RFC 5353 §3.3): elements that are new, changed or gone, told and heard.

use std::time::{Duration, Instant};

use asap_client::wire::{PoolElement, PoolHandle};

use super::machine::Enrp;
use super::sync::to_wire;
use super::wire::{Body, UpdateAction};
use super::{Effect, claims::Source};
use crate::handlespace::{Element, ElementKey, Handlespace};

impl Enrp {
    /// Tells all peers of an element of ours.
    pub(super) fn announce_update(&mut self, key: ElementKey, space: &Handlespace) {
        // It registered here: whoever claimed it before is of the past.
        self.claims.forget(key, &mut self.timers);
        if self.peers.is_empty() {
            return;
        }
        let Some((pool, element)) = space.get(key) else { return };
        let handle = pool.handle();
        self.tell_update(UpdateAction::Add, handle, element);
        if self.settings.suggest_takeovers && !self.is_draining() {
            self.suggest(key, handle, element, space);
        }
    }

    pub(super) fn tell_update(&mut self, action: UpdateAction, handle: &PoolHandle, element: &Element) {
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.tell_one(peer, false, action, handle, element);
        }
    }

    pub(super) fn tell_one(
        &mut self,
        peer: u32,
        takeover_suggested: bool,
        action: UpdateAction,
        handle: &PoolHandle,
        element: &Element,
    ) {
        let Some(profile) = self.peers.get(&peer).map(|peer| peer.profile) else { return };
        let element = Box::new(to_wire(element, profile));
        self.counters.updates_sent += 1;
        self.tell(peer, Body::HandleUpdate { takeover_suggested, action, handle: handle.clone(), element });
    }

    /// Suggests the registrar whose identifier differs most from the element's as its home, if that is not us: so the
    /// elements spread evenly (draft-dreibholz-rserpool-enrp-takeover). Elements that share an association have one
    /// home: the first of them decides, or they would pull their program to and fro for ever. Each is suggested once:
    /// whoever has not followed, as one that does not list that registrar, will not the next time it registers.
    fn suggest(&mut self, key: ElementKey, handle: &PoolHandle, element: &Element, space: &Handlespace) {
        let together = element.owner.into_iter().flat_map(|owner| space.owned_by(owner));
        let mut others = together.filter_map(|key| space.get(key));
        if others.any(|(pool, other)| (other.id, pool.handle()) < (element.id, handle)) {
            return;
        }
        let active = self.peers.iter().filter(|(_, peer)| peer.is_active()).map(|(id, _)| *id);
        let best = active.max_by_key(|id| id ^ element.id);
        if let Some(best) = best.filter(|best| best ^ element.id > self.settings.server ^ element.id)
            && self.suggested.insert(key, best) != Some(best)
        {
            self.tell_one(best, true, UpdateAction::Add, handle, element);
        }
    }

    /// An element has left. If another registrar claims it, it is that one's now, and is not gone.
    pub(super) fn removed(
        &mut self,
        now: Instant,
        key: ElementKey,
        handle: &PoolHandle,
        element: &Element,
        space: &mut Handlespace,
    ) {
        let own = self.settings.server;
        self.suggested.remove(&key);
        // It has registered again since, as one that waited for its place does: that settles whose it is, and is told next.
        let again = space.pool(handle).and_then(|pool| pool.element(element.id));
        if again.is_some_and(|again| again.home == own) {
            return self.claims.forget(key, &mut self.timers);
        }
        if self.give_to_claimant(now, key, space) {
            return;
        }
        if element.home == own {
            return self.tell_update(UpdateAction::Delete, handle, element);
        }
        // Another registrar's element deregistered here. Only its home's word takes it out, so that it is ours first.
        let element = Element { home: own, ..element.clone() };
        self.tell_update(UpdateAction::Add, handle, &element);
        self.tell_update(UpdateAction::Delete, handle, &element);
    }

    /// HANDLE_UPDATE from a peer.
    #[expect(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn update(
        &mut self,
        now: Instant,
        sender: u32,
        takeover_suggested: bool,
        action: UpdateAction,
        handle: PoolHandle,
        element: PoolElement,
        space: &mut Handlespace,
    ) {
        if !self.within_budget(now, sender) {
            self.counters.updates_dropped += 1;
            return;
        }
        match action {
            UpdateAction::Add => {
                let id = element.id;
                let is_its = self.claim(now, sender, &handle, element, Source::Update, space);
                let key = space.key(&handle, id);
                if takeover_suggested
                    && is_its
                    && self.settings.accept_takeover_suggestions
                    && !self.is_draining()
                    && let Some(key) = key
                {
                    self.effect(Effect::Adopt(key));
                }
            }
            UpdateAction::Delete => self.delete(now, sender, &handle, element.id, space),
        }
    }

    fn delete(&mut self, now: Instant, sender: u32, handle: &PoolHandle, id: u32, space: &mut Handlespace) {
        let Some(key) = space.key(handle, id) else { return };
        let home = space.get(key).map(|(_, element)| element.home);
        self.claims.withdraw(key, sender);
        if home == Some(sender) {
            self.counters.updates += 1;
            self.let_go(now, key, space);
        } else {
            self.counters.updates_refused += 1;
        }
    }

    /// Whether a peer may send one more update this second. What is dropped is asked for later.
    fn within_budget(&mut self, now: Instant, sender: u32) -> bool {
        let Some(peer) = self.peers.get_mut(&sender) else { return false };
        let (since, left) = &mut peer.budget;
        if now - *since >= Duration::from_secs(1) {
            (*since, *left) = (now, self.settings.limits.updates_per_second);
        }
        let within = *left > 0;
        *left = left.saturating_sub(1);
        peer.stale |= !within;
        within
    }
}
