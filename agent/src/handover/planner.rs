//! The machine: what is known of one association, and the next actions.

mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use super::backlog::Backlog;
use super::families::Families;
use super::make_before_break::ABORTS_LINGER;
use super::own::{Own, OwnAddresses};
use super::rendezvous::Rendezvous;
use super::trial::Trial;
use super::types::{Action, Binding, Facts, Identity, Input, PathState, Planned, State, Timers, Tuning};
use crate::translate::Rule;

pub use saved::Saved;

/// One association's handover planner.
#[derive(Debug)]
pub struct Planner {
    pub(super) identity: Identity,
    pub(super) tuning: Tuning,
    pub(super) usable: Vec<IpAddr>,
    /// Usable addresses that are in the association beside the preferred one, and those that are not.
    pub(super) warm: BTreeSet<IpAddr>,
    pub(super) cold: BTreeSet<IpAddr>,
    /// Addresses whose link is dead.
    pub(super) dead: BTreeSet<IpAddr>,
    pub(super) facts: Facts,
    pub(super) own: OwnAddresses,
    pub(super) rendezvous: Rendezvous,
    /// Addresses kept on lo for this association.
    pub(super) held: BTreeSet<IpAddr>,
    /// Which usable address each held one shares its routes with.
    pub(super) via: BTreeMap<IpAddr, IpAddr>,
    /// The peer's addresses when the last usable own one went.
    pub(super) peers_when_stranded: BTreeSet<IpAddr>,
    /// Since when there is no usable confirmed address.
    pub(super) stranded: Option<Instant>,
    /// The address that a stranded association moves to.
    pub(super) target: Option<IpAddr>,
    /// The target is one that the peer refused to forget, and the peer has been found.
    pub(super) carried: bool,
    /// The address of which an event was made by a copy that is still there.
    pub(super) copied: Option<IpAddr>,
    /// When own addresses stopped being usable.
    pub(super) vanished: BTreeMap<IpAddr, Instant>,
    /// The association had one address when the newest one came: it moves, rather than gains a path.
    pub(super) leaving: BTreeSet<IpAddr>,
    /// The own address that the peer was last asked to prefer.
    pub(super) preferred: Option<IpAddr>,
    /// When an addition was last asked for, and of what.
    pub(super) asked: Option<(IpAddr, Instant)>,
    /// When an ASCONF was last sent for the sole purpose of an answer, and how many there were since one was seen.
    pub(super) probed: Option<(Instant, u32)>,
    /// A wildcard socket reacts to address events at present.
    pub(super) events: bool,
    /// Until when the kernel has an event that asks for the deletion of an address that is still needed.
    pub(super) rest: Option<Instant>,
    /// Whether the kernel sends from the target is being tried.
    pub(super) trial: Option<Trial>,
    /// When deletions were last asked for.
    pub(super) deleted: BTreeMap<IpAddr, Instant>,
    /// Until when deletions wait for other associations.
    pub(super) postponed: BTreeMap<IpAddr, Instant>,
    /// Addresses whose deletion was refused before it was asked for again, and how often in a row.
    pub(super) refused_to_go: BTreeMap<IpAddr, u32>,
    /// Until when packets to the peer's old addresses are sent on to its new one.
    pub(super) peer_settles: Option<Instant>,
    /// When packets were last kept out.
    guarded: Option<Instant>,
    /// Until when an ABORT may be an answer to what was sent before the peer knew the new address.
    pub(super) deaf_to_aborts: Option<Instant>,
    /// What is known of paths by their families.
    pub(super) families: Families,
    /// A swap is under way.
    pub(super) swapping: Option<(IpAddr, Instant)>,
    timers: Option<Timers>,
    pub(super) fresh_peer: Option<Instant>,
    /// Whether data still arrives after a move.
    pub(super) backlog: Backlog,
    /// When a path was last probed because the peer was heard there.
    heartbeat: Option<Instant>,
    rules: BTreeSet<Rule>,
    /// What is installed is known.
    rules_shown: bool,
    /// When rules that the host did not take are given to it again.
    rules_due: Option<Instant>,
    released: bool,
    outputs: VecDeque<Planned>,
    wake: Option<Instant>,
}

impl Planner {
    /// A planner for an association that was found with these lists and is taken to be settled.
    #[must_use]
    pub fn new(_now: Instant, identity: Identity, facts: Facts, tuning: Tuning) -> Self {
        let mut own = OwnAddresses::settled(&facts.local);
        if identity.binding == Binding::Wildcard {
            own.deletes_at_ticks();
        }
        Self {
            identity,
            tuning,
            usable: Vec::new(),
            warm: BTreeSet::new(),
            cold: BTreeSet::new(),
            dead: BTreeSet::new(),
            own,
            facts,
            rendezvous: Rendezvous::default(),
            held: BTreeSet::new(),
            via: BTreeMap::new(),
            peers_when_stranded: BTreeSet::new(),
            stranded: None,
            target: None,
            carried: false,
            copied: None,
            vanished: BTreeMap::new(),
            leaving: BTreeSet::new(),
            preferred: None,
            asked: None,
            probed: None,
            events: false,
            rest: None,
            trial: None,
            deleted: BTreeMap::new(),
            postponed: BTreeMap::new(),
            refused_to_go: BTreeMap::new(),
            peer_settles: None,
            guarded: None,
            deaf_to_aborts: None,
            families: Families::default(),
            swapping: None,
            timers: Some(Timers::Calm),
            fresh_peer: None,
            backlog: Backlog::default(),
            heartbeat: None,
            rules: BTreeSet::new(),
            rules_shown: true,
            rules_due: None,
            released: false,
            outputs: VecDeque::new(),
            wake: None,
        }
    }

    /// How long a vanished address is waited for from now on, while another path works.
    pub fn set_grace(&mut self, grace: std::time::Duration) {
        self.tuning.grace = grace;
    }

    /// Takes an input and plans what follows from it.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Usable(usable) => self.take_usable(now, usable),
            Input::About { warm, cold, dead } => {
                (self.warm, self.cold, self.dead) = (warm, cold, dead);
                return;
            }
            Input::Facts(facts) => self.take_facts(now, facts),
            Input::OwnAsconf { serial, changes } => {
                self.left_in_trial(serial, &changes);
                self.own.sent(now, serial, changes);
                self.probed = self.probed.map(|(at, _)| (at, 0));
            }
            Input::OwnAnswer { serial, errors, from, to } => {
                let let_in = |rule: &Rule| matches!(rule, Rule::InDestination { from, .. } if *from == to);
                let trusted = self.facts.has_peer(from)
                    && (self.facts.local.contains(&to) || self.rules.iter().any(let_in))
                    && !self.guarded(now)
                    && !self.rendezvous.exposed();
                self.own.answer(serial, &errors, from, trusted);
            }
            Input::PeerAsconf { from, arrives } => {
                if arrives {
                    self.backlog.arrived(now);
                }
                self.rendezvous.sighted(now, from);
                self.probe(now, from);
            }
            Input::Located(addresses) => self.rendezvous.located(addresses),
            Input::Postponed(address) => self.postponed(now, address),
            Input::Vanishes(address) => self.vanishes(now, address),
            Input::Failed(action) => self.failed(now, &action),
        }
        self.evaluate(now);
    }

    /// Looks again when a waiting time is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.wake.is_some_and(|wake| wake <= now) {
            self.evaluate(now);
        }
    }

    /// The next action, in the order in which they have to be carried out.
    pub fn poll_output(&mut self) -> Option<Planned> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    /// How the association stands.
    #[must_use]
    pub fn state(&self) -> State {
        match (self.stranded, self.target) {
            (Some(_), Some(_)) => State::Moving,
            (Some(_), None) => State::Stranded,
            (None, _) if !self.held.is_empty() || !self.all_settled() => State::Changing,
            (None, _) => State::Settled,
        }
    }

    /// Since when it has been waiting for an address, if the kernel will have to act on an event of it.
    #[must_use]
    pub fn awaits_event(&self) -> Option<Instant> {
        let waits = self.identity.binding == Binding::Wildcard && self.state() == State::Stranded;
        self.stranded.filter(|_| waits)
    }

    /// The rules that the association wants at present.
    #[must_use]
    pub fn rules(&self) -> &BTreeSet<Rule> {
        &self.rules
    }

    /// How many things it remembers of addresses, its own and the peer's: what grows with an association that lives
    /// for long.
    #[must_use]
    pub fn remembers(&self) -> usize {
        let of_own =
            self.vanished.len() + self.deleted.len() + self.postponed.len() + self.refused_to_go.len();
        let now =
            self.held.len() + self.via.len() + self.leaving.len() + self.rules.len() + self.outputs.len();
        of_own
            + now
            + self.own.all().count()
            + self.peers_when_stranded.len()
            + self.rendezvous.remembers()
            + self.families.remembers()
    }

    /// The kernel's lists as last told.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What never changes in the life of the association.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the association's socket reacts to address events at present.
    #[must_use]
    pub fn looks(&self) -> bool {
        self.events
    }

    /// Gives up everything that was added to the host for this association: what the daemon does before it stops or
    /// lets the association go.
    pub fn release(&mut self) {
        self.rules.clear();
        self.push(Action::Rules(BTreeSet::new()), "the association is let go");
        for address in std::mem::take(&mut self.held) {
            self.push(Action::Release(address), "the association is let go");
        }
        if self.events {
            self.events_off("the association is let go");
        }
        self.set_timers(Timers::Calm, "the association is let go");
        self.wake = None;
        self.released = true;
    }

    fn take_usable(&mut self, now: Instant, usable: Vec<IpAddr>) {
        let vanishes = |copy: &IpAddr| self.usable.contains(copy) && !usable.contains(copy);
        if self.identity.binding == Binding::Wildcard && self.held.iter().chain(&self.copied).any(vanishes) {
            // The copy that is there already makes no event that would undo this one.
            self.rest = Some(now + self.tuning.tick);
        }
        self.see_deletions(now, &usable);
        for (address, _) in self.own.all() {
            if usable.contains(&address) {
                self.vanished.remove(&address);
            } else {
                self.vanished.entry(address).or_insert(now);
            }
        }
        if self.usable.is_empty() && self.stranded.is_none() {
            // Where an association is found is where its peer sends to.
            self.preferred =
                usable.first().copied().filter(|first| self.own.get(*first) == Some(Own::Confirmed));
        }
        self.usable = usable;
    }

    fn take_facts(&mut self, now: Instant, facts: Facts) {
        let gained = facts.peers.iter().any(|&(peer, _)| !self.facts.has_peer(peer));
        if gained && !self.facts.peers.is_empty() {
            self.fresh_peer = Some(now);
            self.backlog.gained();
        }
        let moved = self.peer_moves_to(now, &facts);
        self.own.list(&facts.local);
        if self.stranded.is_some() {
            // An address that the peer has added by its own, authenticated ASCONF is where it is now.
            let news = |peer: &&(IpAddr, _)| {
                !self.facts.has_peer(peer.0) && !self.peers_when_stranded.contains(&peer.0)
            };
            if let Some(&(peer, _)) = facts.peers.iter().rev().find(news) {
                self.rendezvous.met(peer);
            }
        }
        self.facts = facts;
        self.forget_the_gone(now);
        if let Some(peer) = moved {
            self.hasten(now, peer);
        }
    }

    /// Of addresses that the association no longer has nothing is remembered, except for a while that they were deleted:
    /// one that lives for months has had very many.
    fn forget_the_gone(&mut self, now: Instant) {
        let own = &self.own;
        let has = |address: &IpAddr| own.get(*address).is_some();
        self.vanished.retain(|address, _| has(address));
        self.postponed.retain(|address, _| has(address));
        self.refused_to_go.retain(|address, _| has(address));
        self.deleted.retain(|address, at| has(address) || now < *at + ABORTS_LINGER);
    }

    /// The peer was heard at an address of its that the kernel has given up, and would not look at for long.
    fn probe(&mut self, now: Instant, from: IpAddr) {
        let given_up =
            self.facts.peers.iter().any(|&(peer, state)| peer == from && state == PathState::Inactive);
        if given_up && self.heartbeat.is_none_or(|at| now >= at + self.tuning.retry) {
            self.heartbeat = Some(now);
            self.push(Action::Heartbeat(from), "the peer was heard there");
        }
    }

    /// A path that answers is used at once.
    pub(super) fn probe_all(&mut self, now: Instant) {
        self.heartbeat = Some(now);
        for (peer, _) in self.facts.peers.clone() {
            self.push(Action::Heartbeat(peer), "a path that answers is used at once");
        }
    }

    /// Something waits to be acknowledged, and of these paths there are some that the kernel has given up: one of them may be
    /// the one that works by now.
    pub(super) fn probe_what_was_given_up(&mut self, now: Instant, of: impl Fn(IpAddr) -> bool) {
        let peers = self.facts.peers.iter();
        let given_up = peers.filter(|&&(peer, state)| state == PathState::Inactive && of(peer));
        let given_up: Vec<_> = given_up.map(|&(peer, _)| peer).collect();
        if given_up.is_empty() || !self.facts.unacknowledged {
            return;
        }
        let due = self.heartbeat.map_or(now, |at| at + 5 * self.tuning.retry);
        if due <= now {
            self.heartbeat = Some(now);
            for peer in given_up {
                self.push(Action::Heartbeat(peer), "something waits, and this path may work again");
            }
        }
        self.wake_at(due.max(now + self.tuning.retry));
    }

    fn failed(&mut self, now: Instant, action: &Action) {
        match action {
            Action::Add(address) => {
                self.own.forget(*address);
                self.asked = Some((*address, now));
            }
            Action::Remove(address) => {
                self.not_deleted(*address);
                self.deleted.insert(*address, now);
            }
            Action::Swap { .. } => self.swapping = None,
            Action::SendTo { .. } => self.families.not_led(),
            Action::Rules(_) => {
                self.rules_shown = false;
                self.rules_due = Some(now + self.tuning.retry);
                self.break_off_trial();
            }
            Action::Hold { address, .. } | Action::Prepare(address) => {
                self.held.remove(address);
            }
            _ => {}
        }
        self.wake_at(now + self.tuning.retry);
    }

    /// Compares what is with what ought to be and plans the difference.
    fn evaluate(&mut self, now: Instant) {
        self.wake = None;
        if self.facts.local.is_empty() || self.released {
            // Not established yet, or gone, or let go: nothing to decide.
            return;
        }
        self.forget_what_cannot_come();
        let alive: Vec<IpAddr> = {
            let confirmed: BTreeSet<_> = self.own.confirmed().collect();
            self.usable.iter().copied().filter(|address| confirmed.contains(address)).collect()
        };
        if alive.is_empty() {
            self.stranded(now);
        } else {
            self.calm(now, &alive);
        }
    }

    /// Additions of addresses that vanished before the kernel had taken them up.
    fn forget_what_cannot_come(&mut self) {
        let gone: Vec<_> = self
            .own
            .all()
            .filter(|&(address, state)| state == Own::Adding && !self.usable.contains(&address))
            .collect();
        for (address, _) in gone {
            self.own.forget(address);
        }
    }

    /// Nothing is left to do: an address that nobody can get rid of is no work.
    fn all_settled(&self) -> bool {
        self.own.all().all(|(_, state)| matches!(state, Own::Confirmed | Own::Refused | Own::Kept))
    }

    pub(super) fn events_off(&mut self, reason: &str) {
        self.events = false;
        self.copied = None;
        self.push(Action::EventsOff, reason);
    }

    /// A wildcard socket looks no longer than until the kernel has acted on the event that was made for it.
    pub(super) fn stop_looking(&mut self, now: Instant) {
        if !self.events {
            return;
        }
        let awaited: Vec<Instant> = self
            .own
            .all()
            .filter_map(|(address, state)| match state {
                Own::Adding if !self.own.listed(address) => Some(now + self.tuning.retry),
                Own::Deleting(at) => Some(at + self.tuning.tick).filter(|&until| now < until),
                _ => None,
            })
            .collect();
        match awaited.into_iter().min() {
            Some(at) => self.wake_at(at),
            None => self.events_off("the kernel has acted on the event"),
        }
    }

    pub(super) fn push(&mut self, action: Action, reason: impl Into<String>) {
        self.outputs.push_back(Planned { action, reason: reason.into() });
    }

    pub(super) fn wake_at(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    pub(super) fn show_rules(&mut self, now: Instant, mut rules: BTreeSet<Rule>, mut reason: &str) {
        let at_rest = rules.is_empty();
        rules.extend(self.restrictions_by_family());
        if at_rest && !rules.is_empty() {
            reason = "the peer knows no address of one of its families";
        }
        if !self.identity.translate {
            // The host would take none, and the next daemon would be left with what there never was.
            return;
        }
        if let Some(due) = self.rules_due.filter(|&due| !self.rules_shown && now < due && rules == self.rules)
        {
            self.wake_at(due);
        } else if rules != self.rules || !self.rules_shown {
            self.rules_shown = true;
            if self.rules.contains(&Rule::Guard(self.identity.pair)) {
                self.guarded = Some(now);
            }
            self.rules = rules.clone();
            self.push(Action::Rules(rules), reason);
        }
    }

    /// Whether the kernel may not have got what was seen on the wire, because it was kept out.
    fn guarded(&self, now: Instant) -> bool {
        self.rules.contains(&Rule::Guard(self.identity.pair))
            || self.guarded.is_some_and(|until| now < until + super::hold::RULES_TAKE)
    }

    pub(super) fn set_timers(&mut self, timers: Timers, reason: &str) {
        if self.timers != Some(timers) {
            self.timers = Some(timers);
            self.push(Action::Timers(timers), reason);
        }
    }
}
