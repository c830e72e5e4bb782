//! A usable confirmed address remains: changes are made calmly, one ASCONF at a time. The last confirmed address is
//! never deleted. This is also how a handover ends that began without one.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::own::Own;
use super::planner::Planner;
use super::types::{Action, Binding, PathState, Timers};
use crate::translate::Rule;

/// How long the peer gets to delete its old address, before packets to it are no longer sent on.
const PEER_SETTLES: Duration = Duration::from_secs(5);

impl Planner {
    /// Plans for an association with these usable confirmed addresses, the preferred first.
    pub(super) fn calm(&mut self, now: Instant, alive: &[IpAddr]) {
        let arrived = self.stranded.take().is_some();
        if arrived {
            self.arrive(now, alive);
        }
        let rules = self.settling_rules(now);
        self.show_rules(rules, "the peer has answered: everything may flow");
        if arrived {
            self.set_timers(Timers::Calm, "the association is reachable again");
            if let Some(primary) = self.facts.primary {
                self.push(Action::Heartbeat(primary), "a path that answers is used at once");
            }
        }
        let done = self.delete_vanished(now, alive) && self.gain(now, alive) && self.leave(alive);
        self.let_go_of_held();
        if done && self.events && self.held.is_empty() && !self.own.busy() {
            self.events = false;
            self.push(Action::EventsOff, "the association has settled");
        }
    }

    /// The peer has accepted a usable address of an association that had none.
    fn arrive(&mut self, now: Instant, alive: &[IpAddr]) {
        if let Some(target) = self.target.take()
            && self.rendezvous.attempt(&self.facts, target.is_ipv6()).is_some()
        {
            self.rendezvous.prove(&self.facts, target.is_ipv6());
            self.peer_settles = Some(now + PEER_SETTLES);
        }
        self.asked = None;
        self.probed = None;
        self.swapping = None;
        self.preferred = alive.first().copied();
        // What was lost is lost: no grace.
        let long_ago = now.checked_sub(self.tuning.grace).unwrap_or(now);
        for since in self.vanished.values_mut() {
            *since = long_ago.min(*since);
        }
    }

    /// What is still translated after the association is reachable again.
    fn settling_rules(&mut self, now: Instant) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let mut rules = BTreeSet::new();
        for &held in &self.held {
            // Where the kernel still sends from the held address, the network sees the new one.
            if let Some(&to) = self.via.get(&held).filter(|_| self.facts.local.contains(&held)) {
                rules.insert(Rule::OutSource { pair, from: held, to });
            }
        }
        if let Some(present) = self.rendezvous.proven() {
            let known = self.facts.peers.iter().find(|&&(peer, _)| peer == present).map(|&(_, state)| state);
            let old_left = self
                .facts
                .peers
                .iter()
                .any(|&(peer, _)| peer != present && peer.is_ipv6() == present.is_ipv6());
            let settles = *self.peer_settles.get_or_insert(now + PEER_SETTLES);
            if known.is_some() && !old_left || known == Some(PathState::Active) && now >= settles {
                self.rendezvous.forget_proof();
                self.peer_settles = None;
            } else {
                self.rendezvous.rules(pair, &self.facts, Some(present), &mut rules);
                if known.is_some() {
                    self.wake_at(settles.max(now + self.tuning.retry));
                }
            }
        }
        rules
    }

    /// Deletes addresses that are no longer usable. Returns whether nothing more is to be done about them.
    fn delete_vanished(&mut self, now: Instant, alive: &[IpAddr]) -> bool {
        let gone: Vec<_> = self.own.all().filter(|(address, _)| !self.usable.contains(address)).collect();
        let mut done = true;
        for (address, state) in gone {
            done = false;
            let since = *self.vanished.entry(address).or_insert(now);
            match state {
                Own::Confirmed => {
                    if self.preferred.is_none_or(|preferred| !alive.contains(&preferred)) {
                        self.prefer(alive[0], "the address that the peer may be sending to is gone");
                    }
                    let due = since + self.tuning.grace;
                    if due > now {
                        self.wake_at(due);
                    } else if self.asked_to_delete(now, address) {
                        self.own.set(address, Own::Deleting(now));
                        self.events |= self.identity.binding == Binding::Wildcard;
                        self.push(Action::Remove(address), "the address is gone, the peer shall forget it");
                        self.wake_at(now + self.tuning.retry);
                    }
                }
                Own::Deleting(at) => self.delete_again(now, address, at),
                // Its own answer decides first; one that never comes is asked for again.
                Own::Adding | Own::Answered => self.wake_at(now + self.tuning.retry),
            }
        }
        done
    }

    /// A deletion that the peer refused is asked for again, but not at once: what made it refuse has to pass first.
    fn asked_to_delete(&mut self, now: Instant, address: IpAddr) -> bool {
        match self.deleted.get(&address) {
            Some(&at) if now.duration_since(at) < self.tuning.retry => {
                self.wake_at(at + self.tuning.retry);
                false
            }
            _ => {
                self.deleted.insert(address, now);
                true
            }
        }
    }

    /// A wildcard socket's deletion needs an address event; where none came about, one is made.
    fn delete_again(&mut self, now: Instant, address: IpAddr, asked: Instant) {
        if self.identity.binding == Binding::Explicit {
            return;
        }
        if now.duration_since(asked) < self.tuning.tick {
            self.wake_at(asked + self.tuning.tick);
        } else if self.held.contains(&address) {
            self.own.set(address, Own::Deleting(now));
            self.push(Action::Remove(address), "the kernel has not acted on the event: once more");
            self.wake_at(now + self.tuning.tick);
        } else if !self.own.all().any(|(_, state)| state == Own::Adding) {
            // Held again, with events off, it can vanish again.
            self.events = false;
            self.push(Action::EventsOff, "an address event has to be prepared");
            self.held.insert(address);
            self.push(Action::Hold { address, via: None }, "so that it can vanish once more");
            self.own.set(address, Own::Deleting(now));
            self.wake_at(now + self.tuning.tick);
        }
    }

    /// Adds the newest usable address. Returns whether nothing more is to be done about it.
    fn gain(&mut self, now: Instant, alive: &[IpAddr]) -> bool {
        let Some(&newest) = self.usable.iter().find(|address| {
            !self.refused.contains_key(*address)
                && self.facts.peers.iter().any(|(peer, _)| peer.is_ipv6() == address.is_ipv6())
        }) else {
            return true;
        };
        match self.own.get(newest) {
            None => {
                if self.leaving.is_empty() && alive.len() == 1 && self.identity.binding == Binding::Explicit {
                    self.leaving.insert(alive[0]);
                }
                self.preferred = None;
                self.ask_for(now, newest);
                false
            }
            Some(Own::Adding | Own::Answered) => {
                self.ask_for(now, newest);
                self.own_answered_late(now, newest);
                false
            }
            Some(Own::Confirmed) if self.preferred.is_none() => {
                self.prefer(newest, "the newest network is where the host is going");
                true
            }
            Some(_) => true,
        }
    }

    /// No answer was seen: another ASCONF shows how far the peer is.
    fn own_answered_late(&mut self, now: Instant, address: IpAddr) {
        if !self.facts.local.contains(&address) {
            return;
        }
        if self.own.get(address) == Some(Own::Answered) {
            // Nothing but the registrar's word made it wait for a proof, and a confirmed path remains.
            self.own.prove();
            self.wake_at(now);
        } else if self.asked.is_none_or(|(_, at)| now.duration_since(at) >= 10 * self.tuning.retry) {
            self.asked = Some((address, now));
            self.push(
                Action::SetPeerPrimary(address),
                "no answer was seen: another ASCONF shows how far the peer is",
            );
            self.wake_at(now + 10 * self.tuning.retry);
        } else {
            self.wake_at(now + self.tuning.retry);
        }
    }

    /// Leaves the address that a single-homed association came from, now that the new one works.
    fn leave(&mut self, alive: &[IpAddr]) -> bool {
        if self.own.busy() {
            return false;
        }
        let Some(old) = self.leaving.pop_first() else { return true };
        if alive.contains(&old) && alive.iter().any(|&other| other != old) && self.preferred != Some(old) {
            self.own.set(old, Own::Deleting(self.asked.map_or_else(|| self.begun, |(_, at)| at)));
            self.push(Action::Remove(old), "the association has moved on before this network goes");
        }
        false
    }

    fn prefer(&mut self, address: IpAddr, reason: &str) {
        self.preferred = Some(address);
        self.push(Action::SetPeerPrimary(address), reason);
    }

    /// Lets go of held addresses that the association no longer has.
    fn let_go_of_held(&mut self) {
        let gone: Vec<_> =
            self.held.iter().copied().filter(|held| !self.facts.local.contains(held)).collect();
        for address in gone {
            self.held.remove(&address);
            self.via.remove(&address);
            self.push(Action::Release(address), "the peer has forgotten it");
        }
    }
}
