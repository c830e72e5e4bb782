//! Takeover (RFC 5353 §3.5): who is dead, who takes its elements, and what if it was not.

use std::time::{Duration, Instant};

use super::claims::Source;
use super::machine::{Enrp, Timer};
use super::peers::State;
use super::sync::to_wire;
use super::wire::{Body, Profile};
use super::{Effect, Event};
use crate::handlespace::Handlespace;

/// How often acknowledgements are asked for before living peers that do not give them are asked less often.
const ATTEMPTS: u32 = 3;

/// After how many requests a rival's silence is its refusal.
const STUBBORN: u32 = 2;

/// How often a peer may have us check all our elements by claiming to have taken us over.
const CHALLENGE_SPACING: Duration = Duration::from_secs(10);

impl Enrp {
    /// A registrar is dead: asks all others for leave to take it over.
    pub(super) fn initiate(&mut self, now: Instant, target: u32, space: &mut Handlespace) {
        self.awaited_no_more(now, target);
        if space.count_of_home(target) == 0 {
            return self.drop_peer(now, target);
        }
        let waiting = self.peers.iter().filter(|(id, peer)| **id != target && peer.is_active());
        let waiting = waiting.map(|(id, _)| *id).collect();
        let Some(peer) = self.peers.get_mut(&target) else { return };
        peer.state = State::Initiating { waiting, attempts: 0, rivals: Default::default() };
        self.tell_all(&Body::InitTakeover { target });
        self.arm_takeover(now, target, 1);
        self.win_if_agreed(now, target, space);
    }

    fn arm_takeover(&mut self, now: Instant, target: u32, times: u32) {
        let pause = self.spread(self.settings.takeover_timeout * times, 2);
        self.timers.set(Timer::Peer(target), now + pause);
    }

    /// Not everybody has agreed in time.
    pub(super) fn missing_acknowledgements(&mut self, now: Instant, target: u32, space: &mut Handlespace) {
        let Some(peer) = self.peers.get_mut(&target) else { return };
        let State::Initiating { waiting, attempts, rivals } = &mut peer.state else { return };
        *attempts += 1;
        let (attempts, missing, rivals) = (*attempts, waiting.clone(), rivals.clone());
        // By the RFC a rival with a smaller identifier would have given way: it follows rsplib's rule.
        let own = self.settings.server;
        let stubborn = |id: &u32| attempts >= STUBBORN && rivals.contains(id) && *id < own;
        let stubborn = missing.iter().copied().find(stubborn);
        if let Some(rival) = stubborn {
            self.found_profile(rival, Profile::Rsplib);
            if !self.wins_against(rival) {
                return self.yield_to(now, target, rival);
            }
        }
        for id in missing {
            self.tell(id, Body::InitTakeover { target });
        }
        self.arm_takeover(now, target, if attempts < ATTEMPTS { 1 } else { 1 << attempts.min(6) });
        self.win_if_agreed(now, target, space);
    }

    fn wins_against(&self, rival: u32) -> bool {
        let profile = self.peers.get(&rival).map(|peer| peer.profile).unwrap_or_default();
        profile.wins(self.settings.server, rival)
    }

    /// A registrar is dead, or gone: nobody waits for its leave.
    pub(super) fn awaited_no_more(&mut self, now: Instant, gone: u32) {
        let mut agreed = Vec::new();
        for (id, peer) in &mut self.peers {
            if let State::Initiating { waiting, .. } = &mut peer.state
                && waiting.remove(&gone)
                && waiting.is_empty()
            {
                agreed.push(*id);
            }
        }
        // Whoever is complete by that finds it out at once.
        for id in agreed {
            self.timers.set(Timer::Peer(id), now);
        }
    }

    /// INIT_TAKEOVER.
    pub(super) fn takeover_wanted(&mut self, now: Instant, sender: u32, target: u32, space: &Handlespace) {
        if target == self.settings.server {
            let body = self.own_presence(false, space);
            return self.tell_all(&body);
        }
        let Some(peer) = self.peers.get_mut(&target) else {
            return self.tell(sender, Body::InitTakeoverAck { target });
        };
        match &mut peer.state {
            // It was heard a moment ago: it is asked, and the sender is answered when it does not answer.
            State::Active => self.probe(now, target, Some(sender), space),
            State::Probing { candidate: Some(candidate) } if *candidate != sender => {
                *candidate = (*candidate).max(sender);
            }
            State::Probing { candidate: Some(_) } => {}
            State::Probing { candidate: None } | State::Yielded { .. } => self.yield_to(now, target, sender),
            State::Initiating { rivals, .. } => {
                rivals.insert(sender);
                if !self.wins_against(sender) {
                    self.yield_to(now, target, sender);
                }
            }
        }
    }

    /// Leaves a registrar to another, and looks later whether it was taken over.
    pub(super) fn yield_to(&mut self, now: Instant, target: u32, candidate: u32) {
        let Some(peer) = self.peers.get_mut(&target) else { return };
        peer.state = State::Yielded { to: candidate };
        self.awaited_no_more(now, target);
        self.arm_takeover(now, target, 4);
        self.tell(candidate, Body::InitTakeoverAck { target });
    }

    /// INIT_TAKEOVER_ACK.
    pub(super) fn takeover_allowed(
        &mut self,
        now: Instant,
        sender: u32,
        target: u32,
        space: &mut Handlespace,
    ) {
        let own = self.settings.server;
        let state = self.peers.get_mut(&target).map(|peer| &mut peer.state);
        let Some(State::Initiating { waiting, rivals, .. }) = state else {
            self.counters.unexpected += 1;
            return;
        };
        if !waiting.remove(&sender) {
            self.counters.unexpected += 1;
            return;
        }
        // By the RFC a rival with a larger identifier would not have agreed.
        if rivals.contains(&sender) && sender > own {
            self.found_profile(sender, Profile::Rsplib);
        }
        self.win_if_agreed(now, target, space);
    }

    /// Takes a registrar over as soon as everybody agrees; with nobody to ask, at once.
    fn win_if_agreed(&mut self, now: Instant, target: u32, space: &mut Handlespace) {
        let Some(peer) = self.peers.get(&target) else { return };
        let State::Initiating { waiting, .. } = &peer.state else { return };
        if !waiting.is_empty() {
            return;
        }
        self.drop_peer(now, target);
        self.tell_all(&Body::TakeoverServer { target });
        let own = self.settings.server;
        let keys: Vec<_> = space.of_home(target).collect();
        self.counters.takeovers += 1;
        self.event(Event::TookOver { target, elements: keys.len() });
        for key in keys {
            space.set_home(key, own, None);
            self.effect(Effect::Adopt(key));
        }
    }

    /// TAKEOVER_SERVER.
    pub(super) fn taken_over(&mut self, now: Instant, sender: u32, target: u32, space: &mut Handlespace) {
        if target == self.settings.server {
            return self.challenged(now, sender, space);
        }
        if sender == target {
            return;
        }
        if self.peers.get(&target).is_some_and(|peer| peer.is_active()) {
            return self.event(Event::TakeoverRefused { target, by: sender });
        }
        self.drop_peer(now, target);
        let keys: Vec<_> = space.of_home(target).collect();
        let room = self.settings.limits.elements_per_peer.saturating_sub(space.count_of_home(sender));
        self.event(Event::TakenOver { target, by: sender, elements: keys.len() });
        for key in keys.into_iter().take(room) {
            space.set_home(key, sender, None);
        }
    }

    /// Somebody has taken us over, and we live: shows it, and finds out which elements are still here. Those answer,
    /// and are announced again; the others are the sender's.
    fn challenged(&mut self, now: Instant, sender: u32, space: &mut Handlespace) {
        let body = self.own_presence(false, space);
        self.tell_all(&body);
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        if peer.next_challenge.is_some_and(|at| at > now) {
            return;
        }
        peer.next_challenge = Some(now + CHALLENGE_SPACING);
        let profile = peer.profile;
        self.event(Event::TakeoverRefused { target: self.settings.server, by: sender });
        let own: Vec<_> = space.of_home(self.settings.server).collect();
        for key in own {
            let Some((pool, element)) = space.get(key) else { continue };
            let handle = pool.handle().clone();
            let mut claimed = to_wire(element, profile);
            claimed.home = sender;
            self.claim(now, sender, &handle, claimed, Source::Table, space);
        }
    }
}
