//! No usable confirmed address is left: **hold and translate ASCONF alone**. An old address is kept on lo, so that
//! the kernel has a valid source; what leaves with that source and carries ASCONF or its answer gets the new address
//! as its source, everything else waits; the new address is added, and once the peer has answered, all the rest may
//! leave, too, and the old addresses are deleted. This end is never mute, so both ends of an association may do it at
//! once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::own::Own;
use super::planner::Planner;
use super::types::{Action, Binding, Timers};
use crate::translate::Rule;

/// How long a peer's address counts as new.
pub(super) const FRESH: Duration = Duration::from_secs(5);

impl Planner {
    /// Plans for an association that has no usable confirmed address.
    pub(super) fn stranded(&mut self, now: Instant) {
        if self.stranded.is_none() {
            self.stranded = Some(now);
            self.peers_when_stranded = self.facts.peers.iter().map(|&(peer, _)| peer).collect();
            self.leaving.clear();
            self.preferred = None;
        }
        self.target = self.choose_target();
        if !self.identity.translate {
            self.swap(now);
            return;
        }
        self.hold_one_of_each_family();
        let Some(target) = self.target else {
            if self.events {
                // The kernel's own reaction to a vanished last address mutes the association.
                self.events = false;
                self.push(Action::EventsOff, "no address is usable");
            }
            self.set_timers(
                Timers::Stranded,
                "no address is usable: no timer shall be far away when one comes",
            );
            self.show_rules(
                self.waiting_rules(),
                "no address is usable: nothing leaves, nothing unknown enters",
            );
            return;
        };
        if let Some(at) = self.rendezvous.take_turns(now, &self.facts, target.is_ipv6()) {
            self.wake_at(at);
        }
        let known = self.facts.local.contains(&target);
        let rules = self.moving_rules(target);
        if !known {
            // The way out is laid before the address is asked for, the way in opens after it: a packet for an address
            // that the association does not have would be answered with ABORT.
            let mut guarded = rules.clone();
            guarded.insert(Rule::Guard(self.identity.pair));
            self.show_rules(guarded, "what leaves shall seem to come from where the host is");
        }
        self.set_timers(Timers::Moving, "an ASCONF is about to leave");
        self.ask_for(now, target);
        self.show_rules(rules, &format!("the association moves to {target}"));
        if known && self.own.get(target) == Some(Own::Answered) {
            self.prove(
                now,
                target,
                "the answer may come from where only the registrar sent us: does the kernel accept it?",
            );
        } else if known {
            let waited = self.asked.is_none_or(|(address, at)| {
                address != target || now.duration_since(at) >= 5 * self.tuning.retry
            });
            if waited {
                self.prove(now, target, "no answer was seen: another ASCONF shows how far the peer is");
            }
            self.wake_at(now + self.tuning.retry);
        }
    }

    /// The usable address to move to: of a family that the association has, the present target if it still is one.
    fn choose_target(&self) -> Option<IpAddr> {
        let fits = |address: &IpAddr| {
            !self.refused.contains_key(address)
                && self.own.all().any(|(own, _)| own.is_ipv6() == address.is_ipv6())
                && self.facts.peers.iter().any(|(peer, _)| peer.is_ipv6() == address.is_ipv6())
        };
        self.target
            .filter(|target| self.usable.contains(target) && fits(target))
            .or_else(|| self.usable.iter().copied().find(fits))
    }

    /// One old address of each family stays, as the source that the kernel still accepts.
    fn hold_one_of_each_family(&mut self) {
        for v6 in [false, true] {
            let via = self.target.filter(|target| target.is_ipv6() == v6);
            let held = self.held.iter().copied().find(|held| held.is_ipv6() == v6);
            let old = held.or_else(|| {
                let gone = |address: &IpAddr| address.is_ipv6() == v6 && !self.usable.contains(address);
                self.own.confirmed().find(gone)
            });
            let Some(address) = old else { continue };
            if held.is_none() || self.via.get(&address) != via.as_ref() {
                self.held.insert(address);
                match via {
                    Some(via) => self.via.insert(address, via),
                    None => self.via.remove(&address),
                };
                self.push(Action::Hold { address, via }, "the kernel needs a source that the peer knows");
            }
        }
    }

    /// Asks for the target, and again when nothing came of it.
    pub(super) fn ask_for(&mut self, now: Instant, target: IpAddr) {
        let asked = self.asked.filter(|&(address, _)| address == target).map(|(_, at)| at);
        match (self.own.get(target), self.identity.binding) {
            (None, Binding::Explicit) => {
                if asked.is_none_or(|at| now.duration_since(at) >= self.tuning.retry) {
                    self.asked = Some((target, now));
                    self.own.set(target, Own::Adding);
                    self.push(Action::Add(target), "the peer shall learn the new address");
                }
                self.wake_at(now + self.tuning.retry);
            }
            (None, Binding::Wildcard) => {
                self.asked = Some((target, now));
                self.own.set(target, Own::Adding);
                self.events = true;
                self.push(
                    Action::Add(target),
                    "the peer shall learn the new address, at the kernel's next tick",
                );
                self.wake_at(now + self.tuning.tick);
            }
            (Some(Own::Adding), Binding::Wildcard) if !self.facts.local.contains(&target) => {
                let at = asked.unwrap_or(now);
                if now.duration_since(at) >= self.tuning.tick {
                    self.asked = Some((target, now));
                    self.push(Action::MakeEvent(target), "the kernel made no event of the new address");
                    self.wake_at(now + self.tuning.tick);
                } else {
                    self.wake_at(at + self.tuning.tick);
                }
            }
            _ => {}
        }
    }

    /// Sends an ASCONF whose leaving or answer tells what the wire alone does not.
    fn prove(&mut self, now: Instant, target: IpAddr, reason: &str) {
        let due = self.probed.is_none_or(|at| now.duration_since(at) >= 5 * self.tuning.retry);
        if due {
            self.probed = Some(now);
            self.push(Action::SetPeerPrimary(target), reason);
        }
        self.wake_at(now + self.tuning.retry);
    }

    /// The held address of a family.
    fn held_of(&self, v6: bool) -> Option<IpAddr> {
        self.held.iter().copied().find(|held| held.is_ipv6() == v6)
    }

    /// While no address is usable.
    fn waiting_rules(&self) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let mut rules = BTreeSet::from([Rule::Guard(pair)]);
        rules.extend(self.held.iter().map(|&source| Rule::Block { pair, source }));
        rules
    }

    /// While the new address is being added.
    fn moving_rules(&self, target: IpAddr) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let v6 = target.is_ipv6();
        let mut rules = BTreeSet::new();
        let attempt = self.rendezvous.attempt(&self.facts, v6);
        self.rendezvous.rules(pair, &self.facts, attempt, &mut rules);
        if let Some(held) = self.held_of(v6) {
            rules.insert(Rule::OutSource { pair, from: held, to: target });
            // Where the peer's own ASCONF came from, it knows us: there, data may flow at once.
            if self.rendezvous.proven().is_none() {
                for &destination in self.peers_when_stranded.iter().filter(|peer| peer.is_ipv6() == v6) {
                    rules.insert(Rule::Restrict { pair, source: held, destination });
                }
            }
            if !self.facts.local.contains(&target) && self.identity.binding == Binding::Wildcard {
                rules.insert(Rule::InDestination { pair, from: target, to: held });
            }
        }
        rules.insert(Rule::NoAbortIn(pair));
        rules
    }
}
