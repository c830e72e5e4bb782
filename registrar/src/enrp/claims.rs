//! Whose an element is when two registrars say that it is theirs. See the module's text for the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use asap_client::wire::{PoolElement, PoolHandle, Writer};

use super::disputes::Disputes;
use super::machine::{Enrp, Timer};
use super::peers::{Peer, State};
use super::wire::{Profile, UpdateAction};
use super::{Effect, Event};
use crate::handlespace::{Deadlines, Element, ElementKey, Handlespace, Life};

/// How long a claim that was not followed is kept, and a move that may be refuted.
pub(super) const MEMORY: Duration = Duration::from_secs(60);

/// The shortest and longest time between two announcements of an element that is claimed elsewhere.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A claim that comes again after so many refutations is not one that crossed the first of them.
const INSISTS: u32 = 2;

/// From where a claim comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A HANDLE_UPDATE: something has just happened.
    Update,
    /// A table: that is how it is.
    Table,
}

/// A claim that was not followed.
#[derive(Clone, Debug)]
struct Claim {
    by: u32,
    handle: PoolHandle,
    element: Element,
    at: Instant,
    /// It is one no more; how often it was refuted still counts.
    withdrawn: bool,
    /// The element is being asked.
    verifying: bool,
    /// When, and how often, the element was announced against claims.
    refuted: Option<Instant>,
    refutations: u32,
}

/// An element that was moved on a claim, and may be claimed back.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: u32,
    to: u32,
    at: Instant,
}

/// Claims that were not followed, and moves that may be refuted.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    held: BTreeMap<ElementKey, Claim>,
    /// The same by who claims.
    by: BTreeSet<(u32, ElementKey)>,
    moves: BTreeMap<ElementKey, Move>,
    disputes: Disputes,
}

impl Claims {
    /// Forgets what is old.
    pub(super) fn age(&mut self, now: Instant) {
        let by = &mut self.by;
        self.held.retain(|key, claim| {
            let stays = now - claim.at < MEMORY;
            if !stays {
                by.remove(&(claim.by, *key));
            }
            stays
        });
        self.moves.retain(|_, moved| now - moved.at < MEMORY);
        self.disputes.age(now);
    }

    /// The element's own registration settles it.
    pub(super) fn forget(&mut self, key: ElementKey, timers: &mut Deadlines<Timer>) {
        if self.take(key).is_some() {
            timers.clear(Timer::Claim(key));
        }
    }

    /// The claimant itself says that the element is gone.
    pub(super) fn withdraw(&mut self, key: ElementKey, by: u32) {
        if self.held.get(&key).is_some_and(|claim| claim.by == by) {
            self.take(key);
        }
    }

    /// The checksum of a claimant is that of what is its own in our books: it claims nothing else any more. Whoever
    /// leaves an element to another says so in no other way; two that kept each other's claims would each give it to the
    /// other, and nobody would have it.
    pub(super) fn withdraw_all(&mut self, by: u32) {
        let its = (by, ElementKey::MIN)..=(by, ElementKey::MAX);
        for (_, key) in self.by.range(its) {
            if let Some(claim) = self.held.get_mut(key) {
                claim.withdrawn = true;
            }
        }
    }

    fn take(&mut self, key: ElementKey) -> Option<Claim> {
        // As nearly always: every registration comes by here.
        if self.held.is_empty() {
            return None;
        }
        let claim = self.held.remove(&key)?;
        self.by.remove(&(claim.by, key));
        Some(claim)
    }

    fn keep(&mut self, key: ElementKey, claim: Claim) {
        self.take(key);
        self.by.insert((claim.by, key));
        self.held.insert(key, claim);
    }
}

impl Enrp {
    /// `by` says that an element is its own. Says whether it is now, by our books.
    pub(super) fn claim(
        &mut self,
        now: Instant,
        by: u32,
        handle: &PoolHandle,
        element: PoolElement,
        source: Source,
        space: &mut Handlespace,
    ) -> bool {
        let Some(element) = self.accept(by, by, handle, element, space) else {
            self.counters.updates_refused += 1;
            return false;
        };
        let own = self.settings.server;
        let known = space.key(handle, element.id).and_then(|key| Some((key, space.get(key)?.1.home)));
        let Some((key, home)) = known else {
            self.place(handle, element, space);
            return true;
        };
        // The pool's own octets are what is kept, for as long as a claim is.
        let Some(handle) = space.get(key).map(|(pool, _)| pool.handle().clone()) else { return false };
        let handle = &handle;
        if home == own {
            return self.claim_ours(now, by, key, handle, element, source, space);
        }
        if home == by {
            // It renews what it has.
        } else if self.may_move(now, by, key, home, source, space) {
            // Whoever takes back what was moved away from it refutes; it has moved nothing itself.
            if !self.refutes(now, by, home, key) {
                self.claims.moves.insert(key, Move { from: home, to: by, at: now });
            }
            self.unmark(home, key);
            if self.peers.get(&home).is_some_and(|peer| peer.state == State::Yielded { to: by })
                && source == Source::Table
            {
                // It took a registrar over and did not say so.
                self.found_profile(by, Profile::Rsplib);
            }
        } else {
            self.hold(now, by, key, handle, element);
            return false;
        }
        self.counters.updates += u64::from(source == Source::Update);
        self.unmark(by, key);
        self.claims.withdraw(key, by);
        self.place(handle, element, space);
        true
    }

    /// An entry of a table that is not the sender's own: it is believed where nothing is known.
    pub(super) fn fill_gap(
        &mut self,
        sender: u32,
        handle: &PoolHandle,
        element: PoolElement,
        space: &mut Handlespace,
    ) {
        let home = element.home;
        if home == 0 || space.key(handle, element.id).is_some() {
            return;
        }
        if let Some(element) = self.accept(sender, home, handle, element, space) {
            self.place(handle, element, space);
        }
    }

    /// The element as it is to be kept, if it fits the limits and its pool.
    fn accept(
        &self,
        sender: u32,
        home: u32,
        handle: &PoolHandle,
        wire: PoolElement,
        space: &Handlespace,
    ) -> Option<Element> {
        let limits = &self.settings.limits;
        let profile = self.peers.get(&sender).map(|peer| peer.profile).unwrap_or_default();
        let life = profile.life_from_wire(wire.life);
        Life::from_wire(life)?;
        let mut writer = Writer::new();
        wire.emit(&mut writer);
        let fits = wire.home == home
            && handle.as_bytes().len() <= limits.pool_handle_octets
            && writer.finish().is_some_and(|octets| octets.len() <= limits.element_octets);
        let pool = space.pool(handle);
        let consistent = pool.is_none_or(|pool| pool.takes(&wire.policy, &wire.user));
        let before = pool.and_then(|pool| pool.element(wire.id));
        let new = before.is_none_or(|before| before.home != home);
        let room = !new
            || (space.count_of_home(home) < limits.elements_per_peer
                && (before.is_some() || space.len() < limits.elements)
                && space.has_room(handle, wire.id, &limits.space()));
        (fits && consistent && room).then(|| Element {
            id: wire.id,
            home,
            life,
            asap: wire.asap.unwrap_or_else(|| wire.user.clone()),
            user: wire.user,
            policy: wire.policy,
            owner: None,
            expires: None,
            bad_reports: 0,
        })
    }

    /// Puts another registrar's element into its pool.
    fn place(&mut self, handle: &PoolHandle, element: Element, space: &mut Handlespace) {
        let (key, inserted) = space.insert(handle.clone(), element);
        self.suggested.remove(&key);
        match inserted {
            crate::handlespace::Inserted::Refreshed(before) => {
                if before.owner.is_some() {
                    self.effect(Effect::Gone(key));
                }
            }
            crate::handlespace::Inserted::New => self.changed(handle.clone()),
            crate::handlespace::Inserted::Changed(before) => {
                if before.owner.is_some() {
                    self.effect(Effect::Gone(key));
                }
                self.changed(handle.clone());
            }
        }
    }

    /// Whether the element of one living registrar moves to another.
    fn may_move(
        &self,
        now: Instant,
        by: u32,
        key: ElementKey,
        home: u32,
        source: Source,
        space: &Handlespace,
    ) -> bool {
        let Some(peer) = self.peers.get(&home).filter(|peer| peer.is_active()) else { return true };
        match source {
            _ if self.claims.disputes.is_disbelieved(now, by, key) => false,
            Source::Update => true,
            // Its checksum is that of our books, so that it claims the element too.
            Source::Table => peer.checksum != Some(space.checksum(home)),
        }
    }

    /// Keeps a claim that is not followed, for when the element leaves its home.
    fn hold(&mut self, now: Instant, by: u32, key: ElementKey, handle: &PoolHandle, element: Element) {
        self.counters.claims += 1;
        let full = self.claims.held.len() >= self.settings.limits.claims;
        match self.claims.take(key) {
            Some(claim) => self.claims.keep(key, Claim { by, element, at: now, withdrawn: false, ..claim }),
            None if full => {}
            None => {
                let id = element.id;
                let claim = Claim {
                    by,
                    handle: handle.clone(),
                    element,
                    at: now,
                    withdrawn: false,
                    verifying: false,
                    refuted: None,
                    refutations: 0,
                };
                self.claims.keep(key, claim);
                self.event(Event::Claimed { handle: handle.clone(), id, by });
            }
        }
    }

    /// An element of our own is claimed. Says whether it is the claimant's now.
    #[expect(clippy::too_many_arguments, reason = "what a claim is made of")]
    fn claim_ours(
        &mut self,
        now: Instant,
        by: u32,
        key: ElementKey,
        handle: &PoolHandle,
        element: Element,
        source: Source,
        space: &mut Handlespace,
    ) -> bool {
        let offered = self.is_offered(key, by);
        if offered || space.get(key).is_none_or(|(_, ours)| ours.owner.is_none()) {
            // Perhaps the claimant has as little to do with it as we. If both gave it to each other at the same
            // moment, it would be nobody's: the larger identifier first finds out whether the element answers it.
            if !offered && source == Source::Table && by < self.settings.server {
                self.hold(now, by, key, handle, element);
                return false;
            }
            self.effect(Effect::Gone(key));
            self.concede(by, handle, element, space);
            if offered {
                self.handed_over(now, key, space);
            }
            return true;
        }
        if space.is_adopted(key) && self.yields(now, by, key) {
            self.effect(Effect::Gone(key));
            if let Some(owner) = space.get(key).and_then(|(_, ours)| ours.owner) {
                self.effect(Effect::Yielded { handle: handle.clone(), id: element.id, owner });
            }
            self.concede(by, handle, element, space);
            return true;
        }
        self.hold(now, by, key, handle, element);
        let Some(claim) = self.claims.held.get_mut(&key) else { return false };
        if !claim.verifying {
            claim.verifying = true;
            self.effect(Effect::Verify(key));
        }
        false
    }

    /// Whether an element that has answered us, and has not registered here, is left to a claimant. Who answers need not
    /// follow, and where it registered it is at home. If it has only answered both, one of them keeps it: the larger
    /// identifier gives it up only to somebody who goes on claiming it when it was announced again.
    fn yields(&self, now: Instant, by: u32, key: ElementKey) -> bool {
        let lives = self.peers.get(&by).is_some_and(Peer::is_active);
        let trusted = lives && !self.claims.disputes.is_disbelieved(now, by, key);
        let insists = |claim: &Claim| claim.by == by && claim.refutations >= INSISTS;
        trusted && (by > self.settings.server || self.claims.held.get(&key).is_some_and(insists))
    }

    fn concede(&mut self, by: u32, handle: &PoolHandle, element: Element, space: &mut Handlespace) {
        self.counters.conceded += 1;
        self.event(Event::Conceded { handle: handle.clone(), id: element.id, by });
        self.place(handle, element, space);
    }

    /// The element is still here: it is announced again, soon or, if that goes on, after a while.
    pub(super) fn confirmed(&mut self, now: Instant, key: ElementKey, space: &Handlespace) {
        let Some(claim) = self.claims.held.get_mut(&key) else { return };
        claim.verifying = false;
        let pause = SHORTEST_PAUSE.saturating_mul(1 << claim.refutations.min(8)).min(LONGEST_PAUSE);
        match claim.refuted.map(|at| at + pause).filter(|at| *at > now) {
            Some(at) => self.timers.set(Timer::Claim(key), at),
            None => self.refute(now, key, space),
        }
    }

    /// Announces an element that is claimed elsewhere.
    pub(super) fn refute(&mut self, now: Instant, key: ElementKey, space: &Handlespace) {
        let Some(claim) = self.claims.held.get_mut(&key) else { return };
        let Some((pool, element)) = space.get(key) else { return };
        if element.home != self.settings.server {
            return;
        }
        claim.refuted = Some(now);
        claim.refutations += 1;
        self.counters.claims_refuted += 1;
        let (handle, element) = (pool.handle().clone(), element.clone());
        self.tell_update(UpdateAction::Add, &handle, &element);
    }

    /// The element does not answer over its association: it is where it is claimed.
    pub(super) fn denied(&mut self, key: ElementKey, space: &mut Handlespace) {
        let own = self.settings.server;
        let Some(claim) = self.claims.take(key) else { return };
        self.timers.clear(Timer::Claim(key));
        let is_ours = space.get(key).is_some_and(|(_, element)| element.home == own);
        let lives = self.peers.get(&claim.by).is_some_and(|peer| peer.is_active());
        if is_ours && lives && !claim.withdrawn {
            self.effect(Effect::Gone(key));
            // It may only be slow, and then nobody else has it either.
            if let Some((pool, element)) = space.get(key) {
                let (handle, element) = (pool.handle().clone(), Box::new(element.clone()));
                self.effect(Effect::Dropped { handle, element });
            }
            self.concede(claim.by, &claim.handle, claim.element, space);
        }
    }

    /// An element that left its home goes to whoever claims it; says whether there is somebody.
    pub(super) fn give_to_claimant(
        &mut self,
        now: Instant,
        key: ElementKey,
        space: &mut Handlespace,
    ) -> bool {
        let Some(claim) = self.claims.take(key) else { return false };
        self.timers.clear(Timer::Claim(key));
        let lives = self.peers.get(&claim.by).is_some_and(|peer| peer.is_active());
        let fresh = now - claim.at < MEMORY;
        let Element { policy, user, .. } = &claim.element;
        let fits = space.pool(&claim.handle).is_none_or(|pool| pool.takes(policy, user));
        if !(lives && fresh && fits) || claim.withdrawn {
            return false;
        }
        self.concede(claim.by, &claim.handle, claim.element, space);
        true
    }

    /// Another registrar's element is gone, by that one's word.
    pub(super) fn let_go(&mut self, now: Instant, key: ElementKey, space: &mut Handlespace) {
        let Some(removed) = space.remove(key) else { return };
        self.unmark(removed.element.home, key);
        self.effect(Effect::Gone(key));
        self.changed(removed.handle.clone());
        if !self.give_to_claimant(now, key, space) {
            self.effect(Effect::Dropped { handle: removed.handle, element: Box::new(removed.element) });
        }
    }

    /// Whether `by` announces an element that is `home`'s on a claim against `by`: the claim was wrong then.
    fn refutes(&mut self, now: Instant, by: u32, home: u32, key: ElementKey) -> bool {
        let refuted = self
            .claims
            .moves
            .get(&key)
            .is_some_and(|moved| moved.from == by && moved.to == home && now - moved.at < MEMORY);
        if !refuted {
            return false;
        }
        self.claims.moves.remove(&key);
        self.claims.disputes.refuted(now, home, key, self.settings.limits.claims);
        true
    }
}
