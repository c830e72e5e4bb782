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
/// How long after a handover or a deletion an ABORT may still be under way that was an answer to something sent from
/// an address which the peer did not know yet, or no longer.
pub(super) const ABORTS_LINGER: Duration = Duration::from_secs(3);
/// After so many refusals of a deletion the pause before the next doubles each time.
const REFUSALS: u32 = 8;
/// The same where the association has no other address of that family: Linux never deletes an IPv4 address over IPv6.
const REFUSALS_OVER_THE_OTHER_FAMILY: u32 = 2;
/// After what time a deletion that waits for other associations is asked for again.
const POSTPONED: Duration = Duration::from_secs(5);

impl Planner {
    /// Plans for an association with these usable confirmed addresses, the preferred first.
    pub(super) fn calm(&mut self, now: Instant, alive: &[IpAddr]) {
        let arrived = self.stranded.take().is_some();
        if arrived {
            self.arrive(now, alive);
        }
        self.forget_what_nobody_asks_for(now);
        self.follow_families(now, alive);
        // First of all: the first answer to a heartbeat that the peer's kernel gets after the deletion makes it send
        // again at once what it had sent to the old address.
        let gone = self.delete_what_is_gone(now, alive);
        let rules = self.settling_rules(now, alive);
        self.show_rules(now, rules, "the peer has answered: everything may flow");
        self.set_timers(Timers::Calm, "the association is reachable");
        if arrived {
            self.probe_all(now);
            // Of one that is its only address the peer need not be told. An answer that is still out when this address goes
            // again would be sent there by a peer without an agent, for ever, and nothing else be asked meanwhile.
            let has_another = self.own.all().any(|(other, _)| other != alive[0]);
            if !self.deletes_at_once() && has_another {
                // The old one is deleted at the kernel's next tick, or after a while; that is late.
                self.prefer(
                    alive[0],
                    "the peer shall send where the host is, before it forgets where it was",
                );
            }
        } else {
            // Where there is no address of a family, the kernel would ask from one that the host, or the peer, does not know.
            let there = |peer: IpAddr| alive.iter().any(|own| own.is_ipv6() == peer.is_ipv6());
            self.probe_what_was_given_up(now, there);
        }
        if gone {
            self.learn_of_others(now);
        }
        let _ = gone && self.gain(now, alive) && self.leave(now, alive);
        self.stop_looking(now);
        self.let_go_of_held();
        self.confirm_fresh(now);
        self.watch_backlog(now);
    }

    /// The peer has accepted a usable address of an association that had none.
    fn arrive(&mut self, now: Instant, alive: &[IpAddr]) {
        self.target = None;
        self.backlog.moved(now);
        if let Some(peer) = self.own.take_accepted_from() {
            self.rendezvous.prove(peer);
            self.peer_settles = Some(now + PEER_SETTLES);
        }
        self.deaf_to_aborts = Some(now + ABORTS_LINGER);
        self.asked = None;
        self.probed = None;
        self.swapping = None;
        self.postponed.clear();
        self.preferred = alive.first().copied();
        // What was lost is lost: no grace. A peer of which no registrar knows may have no agent and another stack than
        // Linux's: associations with usrsctp were seen to die of a deletion at once, and not of one at the kernel's tick.
        let long_ago = now.checked_sub(self.tuning.grace).unwrap_or(now);
        for since in self.vanished.values_mut() {
            *since = if self.rendezvous.is_located() { long_ago.min(*since) } else { now };
        }
    }

    /// What is still translated after the association is reachable again.
    fn settling_rules(&mut self, now: Instant, alive: &[IpAddr]) -> BTreeSet<Rule> {
        let pair = self.identity.pair;
        let mut rules = BTreeSet::new();
        for from in self.old_sources() {
            // Where the kernel still sends from an address that the host has lost, the network sees the new one.
            let to = alive.iter().find(|address| address.is_ipv6() == from.is_ipv6());
            if let Some(&to) = to.filter(|_| self.facts.local.contains(&from) && !self.usable.contains(&from))
            {
                rules.insert(Rule::OutSource { pair, from, to });
            }
        }
        // What the peer sent to an address before it forgot it must not meet a host that has the address again and no
        // association there: that would be answered with ABORT.
        for (&from, &at) in &self.deleted {
            let going = !self.own.listed(from) || matches!(self.own.get(from), Some(Own::Deleting(_)));
            let to = alive.iter().find(|address| address.is_ipv6() == from.is_ipv6());
            if let Some(&to) = to.filter(|_| going && self.usable.contains(&from) && now < at + ABORTS_LINGER)
            {
                rules.insert(Rule::InDestination { pair, from, to });
            }
        }
        self.peer_rules(now, &mut rules);
        if rules.iter().any(|rule| matches!(rule, Rule::InSource { .. })) {
            // What is sent on may go to somebody who knows nothing of it.
            self.deaf_to_aborts = Some(now + ABORTS_LINGER);
        }
        if let Some(until) = self.deaf_to_aborts.filter(|&until| until > now) {
            self.wake_at(until);
            rules.insert(Rule::NoAbortIn(pair));
        }
        rules
    }

    /// What is still translated between the kernel's addresses of the peer and its present one.
    pub(super) fn peer_rules(&mut self, now: Instant, rules: &mut BTreeSet<Rule>) {
        let pair = self.identity.pair;
        if let Some(present) = self.rendezvous.proven() {
            let known = self.facts.peers.iter().find(|&&(peer, _)| peer == present).map(|&(_, state)| state);
            let old_left = self
                .facts
                .peers
                .iter()
                .any(|&(peer, _)| peer != present && peer.is_ipv6() == present.is_ipv6());
            let settles = *self.peer_settles.get_or_insert(now + PEER_SETTLES);
            let kernel_knows = known.is_some() && !old_left || known == Some(PathState::Active);
            if kernel_knows || now >= settles {
                self.rendezvous.forget_proof();
                self.peer_settles = None;
            } else {
                self.rendezvous.rules(now, pair, &self.facts, Some(present), rules);
                self.wake_at(settles);
            }
        }
        if let Some(at) = self.rendezvous.answer_rules(now, pair, &self.facts, rules) {
            self.wake_at(at);
        }
    }

    /// Deletes addresses that are no longer usable, and those that the kernel no longer sends from. Returns whether
    /// nothing more is to be done about them.
    fn delete_what_is_gone(&mut self, now: Instant, alive: &[IpAddr]) -> bool {
        let gone: Vec<_> = self
            .own
            .all()
            .filter(|&(address, state)| match state {
                Own::Kept | Own::Deleting(_) => true,
                Own::Refused => false,
                _ => !self.usable.contains(&address),
            })
            .collect();
        let mut done = true;
        for (address, state) in gone {
            let since = *self.vanished.entry(address).or_insert(now);
            match state {
                Own::Confirmed | Own::Kept => {
                    if let Some(&until) = self.postponed.get(&address).filter(|&&until| now < until) {
                        // That may take minutes; what else there is to do goes on.
                        self.wake_at(until);
                        continue;
                    }
                    done = false;
                    // What the kernel sends from an address whose link is dead goes nowhere, an ASCONF that asks for
                    // another primary path too; from its deletion on it sends from another. An association that was
                    // stranded a moment ago has not been sending from it.
                    let silent = self.dead.contains(&address)
                        && self.held.is_empty()
                        && self.identity.binding == Binding::Explicit;
                    if silent {
                        self.preferred = self.preferred.filter(|preferred| alive.contains(preferred));
                    } else if self.preferred.is_none_or(|preferred| !alive.contains(&preferred)) {
                        self.prefer(alive[0], "the address that the peer may be sending to is gone");
                    }
                    let due = if silent { now } else { since + self.tuning.grace };
                    if due > now {
                        self.wake_at(due);
                    } else {
                        self.delete(now, address);
                    }
                }
                Own::Deleting(at) => {
                    done = false;
                    self.delete_again(now, address, at);
                }
                // Its own answer decides first; one that never comes is asked for again.
                _ => self.learn(now, address),
            }
        }
        done
    }

    /// Deletes an address. A deletion that the peer refused is asked for again, but not at once: what made it refuse
    /// has to pass first.
    fn delete(&mut self, now: Instant, address: IpAddr) {
        // Some are refused for ever: those are asked for ever more rarely.
        let refusals = self.refused_to_go.get(&address).copied().unwrap_or_default();
        let has_another = self.own.all().any(|(other, state)| {
            other != address && other.is_ipv6() == address.is_ipv6() && state == Own::Confirmed
        });
        let patience = if has_another { REFUSALS } else { REFUSALS_OVER_THE_OTHER_FAMILY };
        let pause = self.tuning.retry * (1 << refusals.saturating_sub(patience).min(8));
        if let Some(&at) = self.deleted.get(&address)
            && now < at + pause
        {
            self.wake_at(at + pause);
            return;
        }
        if self.identity.binding == Binding::Wildcard && !self.held.contains(&address) {
            self.prepare_to_vanish(now, address);
            return;
        }
        if self.must_rest(now) {
            return;
        }
        self.being_deleted(now, address);
        self.push(Action::Remove(address), "the address is gone, the peer shall forget it");
        self.wake_at(now + self.tuning.retry);
    }

    fn being_deleted(&mut self, now: Instant, address: IpAddr) {
        self.postponed.remove(&address);
        self.deleted.insert(address, now);
        if self.own.get(address) == Some(Own::Kept) {
            *self.refused_to_go.entry(address).or_default() += 1;
        } else {
            self.refused_to_go.remove(&address);
        }
        self.own.set(address, Own::Deleting(now));
        if self.identity.binding == Binding::Wildcard {
            // That the copy goes is the event.
            self.events = true;
            self.held.remove(&address);
            self.via.remove(&address);
        }
        self.deaf_to_aborts = Some(now + ABORTS_LINGER);
    }

    /// The kernel itself deletes, at its next tick, what vanishes while a wildcard socket looks; behind an ASCONF that is
    /// not answered nothing on the wire tells of that. So it counts as being deleted at once, unless no other address
    /// is left to send from: that one is held, which undoes the event.
    pub(super) fn see_deletions(&mut self, now: Instant, usable: &[IpAddr]) {
        if self.identity.binding == Binding::Explicit || !self.events {
            return;
        }
        let (stay, go): (Vec<IpAddr>, Vec<IpAddr>) =
            self.own.confirmed().partition(|own| usable.contains(own) || self.held.contains(own));
        for address in go {
            if self.usable.contains(&address) && !stay.is_empty() {
                self.being_deleted(now, address);
            }
        }
    }

    /// What the association still holds for a deletion that had to wait goes now.
    pub(super) fn vanishes(&mut self, now: Instant, address: IpAddr) {
        if self.held.contains(&address) {
            self.being_deleted(now, address);
        }
    }

    /// A deletion waits for other associations. Whichever of them is ready last makes the event for all; asking again
    /// is for the case that it ends before.
    pub(super) fn postponed(&mut self, now: Instant, address: IpAddr) {
        self.not_deleted(address);
        self.events = false;
        self.postponed.insert(address, now + POSTPONED);
    }

    /// An address whose deletion was asked for in vain is as it was before.
    pub(super) fn not_deleted(&mut self, address: IpAddr) {
        if let Some(Own::Deleting(_)) = self.own.get(address) {
            let kept = self.refused_to_go.contains_key(&address);
            self.own.set(address, if kept { Own::Kept } else { Own::Confirmed });
            if self.identity.binding == Binding::Wildcard {
                self.held.insert(address);
            }
        }
    }

    /// A wildcard socket's deletion needs an address that vanishes while the kernel looks: held again, with events
    /// off, it can vanish once more.
    fn prepare_to_vanish(&mut self, now: Instant, address: IpAddr) {
        if self.own.all().any(|(other, state)| state == Own::Adding && !self.own.listed(other)) {
            // An event is awaited.
            self.wake_at(now + self.tuning.retry);
            return;
        }
        if self.events {
            self.events_off("an address event has to be prepared");
        }
        self.held.insert(address);
        self.push(Action::Prepare(address), "so that it can vanish while the kernel looks");
        self.deleted.insert(address, now + self.tuning.tick);
        self.wake_at(now + self.tuning.tick + self.tuning.retry);
    }

    /// A deletion of which nothing has come.
    fn delete_again(&mut self, now: Instant, address: IpAddr, asked: Instant) {
        let patience = if self.identity.binding == Binding::Wildcard {
            self.tuning.tick + self.tuning.retry
        } else {
            5 * self.tuning.retry
        };
        let due = asked.max(self.own.repeated(now).unwrap_or(asked)) + patience;
        if due <= now {
            self.own.set(address, Own::Kept);
            self.delete(now, address);
        } else {
            self.wake_at(due);
        }
    }

    /// Adds the newest usable address. Returns whether nothing more is to be done about it.
    fn gain(&mut self, now: Instant, alive: &[IpAddr]) -> bool {
        let Some(&newest) = self.usable.iter().find(|address| {
            self.own.get(**address) != Some(Own::Refused)
                && self.facts.peers.iter().any(|(peer, _)| peer.is_ipv6() == address.is_ipv6())
        }) else {
            return true;
        };
        match self.own.get(newest) {
            None => {
                // An address of another family stays as long as the host has it: its deletion would be asked for from itself, or
                // over the other family, and the peer's kernel refuses both.
                let moves = self.leaving.is_empty()
                    && self.identity.binding == Binding::Explicit
                    && alive.iter().all(|address| address.is_ipv6() == newest.is_ipv6());
                if moves && alive.len() == 1 && !self.warm.contains(&alive[0]) && !self.warm.contains(&newest)
                {
                    self.leaving.insert(alive[0]);
                }
                self.preferred = None;
                self.ask_for(now, newest);
                false
            }
            Some(Own::Adding | Own::Answered) => {
                self.ask_for(now, newest);
                if self.own.listed(newest) {
                    self.learn(now, newest);
                }
                false
            }
            Some(Own::Confirmed) if self.preferred.is_none() => {
                self.prefer(newest, "the newest network is where the host is going");
                true
            }
            Some(Own::Confirmed) if self.preferred.is_some_and(|preferred| self.is_backup(preferred)) => {
                if self.preferred != Some(newest) {
                    self.prefer(newest, "a better network than the backup is there");
                }
                self.gain_others(now)
            }
            Some(_) => self.gain_others(now),
        }
    }

    /// An addition that the kernel never took up, of an address that is not to be gone to any more: nothing comes of it, and
    /// a wildcard socket would be waiting for it for ever.
    fn forget_what_nobody_asks_for(&mut self, now: Instant) {
        let ready = self.of_the_other_family();
        let wanted = |address: IpAddr| {
            self.usable.first() == Some(&address) || self.warm.contains(&address) || ready == Some(address)
        };
        let unlisted = self.own.all().filter(|&(address, state)| {
            state == Own::Adding && !self.own.listed(address) && !wanted(address)
        });
        for address in unlisted.map(|(address, _)| address).collect::<Vec<_>>() {
            match self.asked.filter(|&(asked, _)| asked == address).map(|(_, at)| at + self.tuning.tick) {
                Some(due) if now < due => self.wake_at(due),
                _ => self.own.forget(address),
            }
        }
    }

    /// Of an address of which a daemon before this one did not see whether the peer has taken it, and that is not the
    /// one to go to, nobody else would ask.
    fn learn_of_others(&mut self, now: Instant) {
        let unfinished = |state: Own| matches!(state, Own::Adding | Own::Answered);
        let others = self.own.all().filter(|&(address, state)| {
            unfinished(state)
                && self.own.listed(address)
                && self.usable.iter().skip(1).any(|it| *it == address)
        });
        let others: Vec<IpAddr> = others.map(|(address, _)| address).collect();
        let Some(&other) = others.first() else { return };
        // What the kernel has just begun to add by itself is answered in a moment.
        if let Some(due) = self.asked.map(|(_, at)| at + self.long()).filter(|&due| now < due) {
            return self.wake_at(due);
        }
        let before = self.probed;
        self.learn(now, other);
        if self.probed != before {
            // To ask means to ask the peer to prefer it.
            self.preferred = None;
        }
    }

    fn is_backup(&self, address: IpAddr) -> bool {
        self.warm.contains(&address) || self.cold.contains(&address)
    }

    /// Adds what is to be ready: backups, and an address of the other family. Returns whether nothing more is to be done about
    /// them.
    fn gain_others(&mut self, now: Instant) -> bool {
        let family =
            |address: IpAddr| self.facts.peers.iter().any(|(peer, _)| peer.is_ipv6() == address.is_ipv6());
        let warm = self.usable.iter().copied().filter(|backup| self.warm.contains(backup));
        let mut wanted = warm.chain(self.of_the_other_family()).filter(|address| family(*address));
        let unfinished = |own: Option<Own>| matches!(own, None | Some(Own::Adding | Own::Answered));
        let Some(address) = wanted.find(|address| unfinished(self.own.get(*address))) else { return true };
        self.ask_for(now, address);
        if self.own.listed(address) {
            self.learn(now, address);
        }
        false
    }

    /// Leaves the address that a single-homed association came from, now that the new one works.
    fn leave(&mut self, now: Instant, alive: &[IpAddr]) -> bool {
        if self.own.busy(now) {
            self.wake_at(now + self.tuning.retry);
            return false;
        }
        let spare = |own: &IpAddr| self.cold.contains(own) && self.preferred.is_some_and(|it| it != *own);
        let spare =
            (self.identity.binding == Binding::Explicit).then(|| self.own.confirmed().find(spare)).flatten();
        let Some(old) = self.leaving.pop_first().or(spare) else { return true };
        if alive.contains(&old) && alive.iter().any(|&other| other != old) && self.preferred != Some(old) {
            self.own.set(old, Own::Deleting(now));
            self.deaf_to_aborts = Some(now + ABORTS_LINGER);
            self.push(Action::Remove(old), "the association has moved on before this network goes");
        }
        false
    }

    pub(super) fn prefer(&mut self, address: IpAddr, reason: &str) {
        self.preferred = Some(address);
        self.push(Action::SetPeerPrimary(address), reason);
    }

    /// Lets go of held addresses that the association no longer has, or that the host has again. That one of the
    /// latter goes would be an event that asks for a deletion, so no socket may be looking. And of one that the peer never
    /// forgets, as it is asked over the other family alone: the kernel does not send from it any more.
    fn let_go_of_held(&mut self) {
        let stays = |held: &IpAddr| {
            self.identity.binding == Binding::Explicit
                && self.own.get(*held) == Some(Own::Kept)
                && !self.usable.iter().any(|usable| usable.is_ipv6() == held.is_ipv6())
        };
        let needless = |held: &IpAddr| {
            !self.facts.local.contains(held)
                || stays(held)
                || self.usable.contains(held) && self.own.get(*held) == Some(Own::Confirmed) && !self.events
        };
        let gone: Vec<_> = self.held.iter().copied().filter(needless).collect();
        for address in gone {
            self.held.remove(&address);
            self.via.remove(&address);
            self.push(Action::Release(address), "nothing needs it any more");
        }
    }
}
