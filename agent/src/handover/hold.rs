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

/// How long it takes at most until rules that were planned are in force.
pub(super) const RULES_TAKE: Duration = Duration::from_millis(20);

impl Planner {
    /// Plans for an association that has no usable confirmed address.
    pub(super) fn stranded(&mut self, now: Instant) {
        if self.stranded.is_none() {
            self.stranded = Some(now);
            self.peers_when_stranded = self.facts.peers.iter().map(|&(peer, _)| peer).collect();
            self.leaving.clear();
            self.preferred = None;
            self.peer_settles = None;
            self.rendezvous.moved();
        }
        let target = self.choose_target();
        if target != self.target {
            self.target = target;
            self.probed = None;
            self.trial = None;
            self.carried = false;
            self.own.take_accepted_from();
            self.rendezvous.moved();
        }
        if !self.identity.translate {
            self.swap(now);
            return;
        }
        self.hold_old_addresses();
        let Some(target) = target else {
            if self.events {
                // The kernel's own reaction to a vanished last address mutes the association.
                self.events_off("no address is usable");
            }
            self.set_timers(
                Timers::Stranded,
                "no address is usable: no timer shall be far away when one comes",
            );
            self.show_rules(
                now,
                self.waiting_rules(),
                "no address is usable: nothing leaves, nothing unknown enters",
            );
            return;
        };
        if self.own.get(target) != Some(Own::Kept) {
            self.carried = false;
        } else if let Some(peer) = self.own.take_accepted_from() {
            // Found: each knows where the other is.
            self.carried = true;
            self.rendezvous.prove(peer);
            self.peer_settles = None;
        }
        self.probe_what_was_given_up(now, |_| true);
        if self.carried {
            // No more looking for it.
        } else if let Some(at) = self.rendezvous.take_turns(now, &self.facts, target.is_ipv6()) {
            self.wake_at(at);
        }
        let known = self.own.listed(target);
        let tries = self.try_source(now, target);
        let rules = self.moving_rules(now, target);
        if self.own.get(target).is_none() {
            // The way out is laid before the address is asked for, the way in opens after it: a packet for an address
            // that the association does not have would be answered with ABORT.
            let mut guarded = rules.clone();
            guarded.insert(Rule::Guard(self.identity.pair));
            self.show_rules(now, guarded, "what leaves shall seem to come from where the host is");
        }
        self.set_timers(Timers::Moving, "an ASCONF is about to leave");
        self.ask_for(now, target);
        self.show_rules(now, rules, &format!("the association moves to {target}"));
        if known {
            self.learn(now, target);
            self.stop_looking(now);
        }
        if self.own.get(target) == Some(Own::Kept) && self.preferred != Some(target) {
            self.prefer(target, "the peer has it and may have given it up");
        }
        if tries {
            self.ask_in_trial(target);
        }
    }

    /// The usable address to move to: of a family that the association has. One that the peer still knows is best,
    /// then the present target if it still is one.
    fn choose_target(&self) -> Option<IpAddr> {
        let fits = |address: &IpAddr| {
            self.own.get(*address) != Some(Own::Refused)
                && self.own.all().any(|(own, _)| own.is_ipv6() == address.is_ipv6())
                && self.facts.peers.iter().any(|(peer, _)| peer.is_ipv6() == address.is_ipv6())
        };
        let usable = || self.usable.iter().copied().filter(fits);
        usable()
            .find(|&address| self.own.get(address) == Some(Own::Kept))
            .or_else(|| self.target.filter(|target| self.usable.contains(target) && fits(target)))
            .or_else(|| usable().next())
    }

    /// One old address of each family stays, as the source that the kernel still accepts. For a wildcard socket all
    /// stay: what has vanished the kernel deletes when it looks next, and not what has come back.
    fn hold_old_addresses(&mut self) {
        for v6 in [false, true] {
            let via = self.target.filter(|target| target.is_ipv6() == v6);
            let fits = |address: &IpAddr| address.is_ipv6() == v6 && !self.usable.contains(address);
            let mut sources: Vec<_> = self.own.confirmed().filter(fits).collect();
            sources.sort_by_key(|source| !self.held.contains(source));
            if self.identity.binding == Binding::Explicit {
                sources.truncate(1);
            }
            for address in sources {
                if self.held.contains(&address) && self.via.get(&address) == via.as_ref() {
                    continue;
                }
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
        if self.identity.binding == Binding::Wildcard && !self.own.listed(target) && self.held.remove(&target)
        {
            // With a copy of it there already, no event can be made of it.
            self.via.remove(&target);
            self.rest = Some(now + self.tuning.tick);
            self.push(Action::Release(target), "it is to be added anew");
        }
        if self.must_rest(now) {
            return;
        }
        match (self.own.get(target), self.identity.binding) {
            (None, binding) => {
                let due = asked.map_or(now, |at| at + self.tuning.retry);
                if due <= now {
                    self.asked = Some((target, now));
                    self.own.set(target, Own::Adding);
                    self.events |= binding == Binding::Wildcard;
                    self.push(Action::Add(target), "the peer shall learn the new address");
                }
                self.wake_at(due.max(now + self.tuning.retry));
            }
            (Some(Own::Adding), binding) if !self.own.listed(target) => {
                let wildcard = binding == Binding::Wildcard;
                let due = asked.map_or(now, |at| at + if wildcard { self.tuning.tick } else { self.long() });
                if due > now {
                    self.wake_at(due);
                    return;
                }
                self.asked = Some((target, now));
                self.wake_at(now + self.tuning.tick);
                if wildcard && self.copied.is_some() {
                    // The event that the copy made is spent, and another takes another copy.
                    self.events_off("the kernel has not taken the new address up: once more");
                    self.rest = Some(now + self.tuning.tick);
                    return;
                }
                self.events |= wildcard;
                self.push(Action::Add(target), "the kernel has not taken the new address up: once more");
                if wildcard {
                    self.copied = Some(target);
                    self.push(Action::MakeEvent(target), "the kernel made no event of the new address");
                }
            }
            _ => {}
        }
    }

    /// Whether the kernel has an event, or may have, that asks for the deletion of an address that is not to be
    /// deleted now: until it has passed over that, a wildcard socket must not look.
    pub(super) fn must_rest(&mut self, now: Instant) -> bool {
        if self.identity.binding == Binding::Explicit {
            return false;
        }
        let gone = self.own.confirmed().filter(|address| !self.held.contains(address));
        let events = gone.filter_map(|address| self.vanished.get(&address)).map(|&at| at + self.tuning.tick);
        let Some(until) = events.chain(self.rest).max().filter(|&until| now < until) else { return false };
        if self.events {
            self.events_off("an address that is still needed would be deleted");
        }
        self.wake_at(until);
        true
    }

    /// How long to wait for what ought to have happened at once.
    pub(super) fn long(&self) -> Duration {
        5 * self.tuning.retry
    }

    /// An address that the kernel has taken up, and nothing says whether the peer has: another ASCONF tells. One that
    /// is being repeated tells by itself, and what is sent behind it would only pile up.
    pub(super) fn learn(&mut self, now: Instant, address: IpAddr) {
        let (due, reason) = match self.own.get(address) {
            Some(Own::Answered) => {
                (now, "the answer came from where only others sent us: does the kernel accept it?")
            }
            Some(Own::Adding) => {
                let asked = self.asked.filter(|&(asked, _)| asked == address).map(|(_, at)| at);
                let last = asked.max(self.own.repeated(now));
                (
                    last.map_or(now, |at| at + self.long()),
                    "no answer was seen: another ASCONF shows how far the peer is",
                )
            }
            Some(Own::Deleting(at)) => (
                at.max(self.own.repeated(now).unwrap_or(at)) + self.long(),
                "it is usable again: was it deleted?",
            ),
            _ => return,
        };
        let (due, tries) = self
            .probed
            .map_or((due, 0), |(at, tries)| (due.max(at + self.long() * (1 << tries.min(6))), tries));
        if due <= now {
            self.probed = Some((now, tries + 1));
            self.push(Action::SetPeerPrimary(address), reason);
        }
        self.wake_at(due.max(now + self.tuning.retry));
    }

    /// Whether the old address is deleted the moment the new one works. Only where the peer has an agent: without one
    /// its kernel sends a single heartbeat for a long time, which had better be answered.
    pub(super) fn deletes_at_once(&self) -> bool {
        self.identity.binding == Binding::Explicit && self.rendezvous.is_located()
    }

    /// While no address is usable.
    fn waiting_rules(&self) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let mut rules = BTreeSet::from([Rule::Guard(pair), Rule::NoAbortIn(pair)]);
        rules.extend(self.old_sources().into_iter().map(|source| Rule::Block { pair, source }));
        rules
    }

    /// What the kernel may send from though the host has it no more: for IPv6 it takes any of the association's
    /// addresses, not only one that is held.
    pub(super) fn old_sources(&self) -> BTreeSet<IpAddr> {
        let holds = |v6: bool| self.held.iter().any(|held| held.is_ipv6() == v6);
        let lost = |address: &IpAddr| holds(address.is_ipv6()) && !self.usable.contains(address);
        let lost = self.facts.local.iter().copied().filter(lost);
        self.held.iter().copied().chain(lost).collect()
    }

    /// While the new address is being added.
    fn moving_rules(&mut self, now: Instant, target: IpAddr) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let v6 = target.is_ipv6();
        let mut rules = BTreeSet::from([Rule::NoAbortIn(pair)]);
        if self.deletes_at_once() && self.own.get(target) != Some(Own::Kept) {
            rules.insert(Rule::NoHeartbeatAckOut(pair));
        }
        if self.carried {
            self.peer_rules(now, &mut rules);
        } else {
            let attempt = self.rendezvous.attempt(now, &self.facts, v6);
            self.rendezvous.rules(now, pair, &self.facts, attempt, &mut rules);
            if let Some(at) = self.rendezvous.answer_rules(now, pair, &self.facts, &mut rules) {
                self.wake_at(at);
            }
        }
        // Where the peer's own ASCONF came from, it knows us; and an address that it refused to forget, it knows.
        let open = self.rendezvous.has_met() || self.own.get(target) == Some(Own::Kept);
        for source in self.old_sources().into_iter().filter(|source| source.is_ipv6() == v6) {
            rules.insert(Rule::OutSource { pair, from: source, to: target });
            if self.is_trying() {
                rules.insert(Rule::Block { pair, source });
            }
            let peers = self.facts.peers.iter().map(|&(peer, _)| peer).filter(|peer| peer.is_ipv6() == v6);
            if !open {
                rules.extend(peers.map(|destination| Rule::Restrict { pair, source, destination }));
            }
        }
        // Whoever has our other addresses from the registrar reaches the association there, too.
        let inside =
            self.held.iter().copied().find(|held| held.is_ipv6() == v6 && self.facts.local.contains(held));
        if let Some(to) = inside {
            let here = |address: &&IpAddr| address.is_ipv6() == v6 && !self.own.listed(**address);
            let asked = |address: &IpAddr| *address == target && self.identity.binding == Binding::Explicit;
            for &from in self.usable.iter().filter(here).filter(|address| !asked(address)) {
                rules.insert(Rule::InDestination { pair, from, to });
            }
        }
        rules
    }
}
