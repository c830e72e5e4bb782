//! Registrations from elsewhere: an element's identifier, over another association, from none of the addresses of the
//! one that owns the element.
//!
//! That is a host that has moved, or somebody who takes the same identifier by accident or on purpose. The owner is
//! asked. If it answers in time the newcomer is refused; if it does not, or its association ends, the newcomer is let
//! in. Until then pool users see the element where it was. The owner is asked once for however many newcomers: a
//! flood of them costs it one message in [`move_timeout`](super::Settings::move_timeout), and puts nothing off.

use asap_client::wire::{Cause, PoolElement, PoolHandle};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::event::Event;
use super::registration::Known;
use super::service::Registrar;
use super::timers::Timer;
use crate::Association;
use crate::handlespace::ElementKey;

/// A registration that waits for the owner's answer.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) association: Association,
    pub(super) handle: PoolHandle,
    pub(super) asked: PoolElement,
}

/// All that wait, one for an element: the last that came.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers {
    waiting: BTreeMap<ElementKey, Newcomer>,
    by_association: BTreeSet<(Association, ElementKey)>,
    /// Their element is gone, or has another owner: they are to be looked at anew.
    freed: Vec<Newcomer>,
}

impl Newcomers {
    fn insert(&mut self, key: ElementKey, newcomer: Newcomer) -> Option<Newcomer> {
        let association = newcomer.association;
        let before = self.take(key);
        self.waiting.insert(key, newcomer);
        self.by_association.insert((association, key));
        before
    }

    fn take(&mut self, key: ElementKey) -> Option<Newcomer> {
        let newcomer = self.waiting.remove(&key)?;
        self.by_association.remove(&(newcomer.association, key));
        Some(newcomer)
    }

    /// Whether one waits for this element.
    pub(super) fn has(&self, key: ElementKey) -> bool {
        self.waiting.contains_key(&key)
    }

    /// Whether this one waits for this element.
    pub(super) fn is(&self, key: ElementKey, association: Association) -> bool {
        self.by_association.contains(&(association, key))
    }

    /// For which elements an association waits.
    fn of(&self, association: Association) -> Vec<ElementKey> {
        let all = (association, ElementKey::MIN)..=(association, ElementKey::MAX);
        self.by_association.range(all).map(|(_, key)| *key).collect()
    }

    /// For how many elements an association waits.
    pub(super) fn count(&self, association: Association) -> usize {
        if self.by_association.is_empty() {
            return 0;
        }
        let all = (association, ElementKey::MIN)..=(association, ElementKey::MAX);
        self.by_association.range(all).count()
    }

    /// Whatever they wait for is settled otherwise.
    pub(super) fn release(&mut self, key: ElementKey) {
        let newcomer = self.take(key);
        self.freed.extend(newcomer);
    }

    /// The elements that are waited for, each with who waits; for tests.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (ElementKey, Association)> {
        assert_eq!(self.waiting.len(), self.by_association.len());
        assert!(self.freed.is_empty());
        self.waiting.iter().map(|(key, newcomer)| (*key, newcomer.association))
    }
}

impl Registrar {
    /// The owner of the element that is to be asked before `association` may have it, if there is one.
    pub(super) fn to_be_asked(
        &self,
        association: Association,
        before: Option<Known>,
    ) -> Option<(ElementKey, Association)> {
        let (key, owner) = before?;
        if self.settings.move_timeout.is_zero() {
            return None;
        }
        let owner = owner.filter(|owner| *owner != association)?;
        self.are_apart(owner, association).then_some((key, owner))
    }

    /// Asks the owner, and has the newcomer wait.
    pub(super) fn ask_owner(
        &mut self,
        now: Instant,
        key: ElementKey,
        owner: Association,
        newcomer: Newcomer,
    ) {
        let (association, handle, id) = (newcomer.association, newcomer.handle.clone(), newcomer.asked.id);
        if let Some(other) = self.newcomers.insert(key, newcomer).filter(|it| it.association != association) {
            self.refuse(other.association, other.handle, id, Cause::bare(Cause::NON_UNIQUE_PE_IDENTIFIER));
        }
        if self.timers.get((Timer::Newcomer, key)).is_none() {
            self.timers.set((Timer::Newcomer, key), now + self.settings.move_timeout);
            self.send_keep_alive(owner, handle, id, false);
        }
    }

    /// The owner lives: whoever waits for its element is refused.
    pub(super) fn owner_lives(&mut self, key: ElementKey, owner: Association) {
        let Some(Newcomer { association, handle, asked }) = self.take_newcomer(key) else { return };
        self.counters.contested += 1;
        self.event(Event::Contested { handle: handle.clone(), id: asked.id, owner, other: association });
        self.refuse(association, handle, asked.id, Cause::bare(Cause::NON_UNIQUE_PE_IDENTIFIER));
    }

    /// The owner is silent, or gone, or is the newcomer itself: lets in whoever waits.
    pub(super) fn let_in(&mut self, now: Instant, key: ElementKey) {
        let Some(Newcomer { association, handle, asked }) = self.take_newcomer(key) else { return };
        match self.accept(association, &handle, &asked) {
            Ok(accepted) => self.confirm(now, association, handle, asked, accepted),
            Err(cause) => self.refuse(association, handle, asked.id, cause),
        }
    }

    /// Who waits for an element waits no more.
    pub(super) fn take_newcomer(&mut self, key: ElementKey) -> Option<Newcomer> {
        let newcomer = self.newcomers.take(key)?;
        self.timers.clear((Timer::Newcomer, key));
        Some(newcomer)
    }

    /// An association has ended: it waits for nothing any more.
    pub(super) fn forget_newcomer(&mut self, association: Association) {
        for key in self.newcomers.of(association) {
            self.take_newcomer(key);
        }
    }

    /// An association has other addresses: perhaps it has one in common now with the one that it is asked about.
    pub(super) fn look_at_newcomers(&mut self, now: Instant, association: Association) {
        let owned = self.space.owned_by(association).filter(|key| self.newcomers.has(*key));
        let keys: Vec<_> = owned.chain(self.newcomers.of(association)).collect();
        for key in keys {
            let owner = self.space.get(key).and_then(|(_, element)| element.owner);
            let newcomer = self.newcomers.waiting.get(&key).map(|newcomer| newcomer.association);
            if let (Some(owner), Some(newcomer)) = (owner, newcomer)
                && !self.are_apart(owner, newcomer)
            {
                self.let_in(now, key);
            }
        }
    }

    /// Registrations that need not wait any more, in whatever way.
    pub(super) fn register_freed(&mut self, now: Instant) {
        while let Some(Newcomer { association, handle, asked }) = self.newcomers.freed.pop() {
            self.register(now, association, handle, asked);
        }
    }
}
