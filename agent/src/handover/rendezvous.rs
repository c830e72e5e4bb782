//! Where the peer is. What the registrar says and where the peer's ASCONFs seem to come from is enough to *try* an
//! address, never enough to give an association's data to it: that takes an answer which the kernel has
//! authenticated, or the peer's own ASCONF that the kernel has accepted.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::types::Facts;
use crate::translate::{Pair, Rule};

/// How long an address that news speak of is tried before the next one gets a turn, while none answers.
const TURN_NEWS: Duration = Duration::from_millis(400);
/// How long a known address is tried.
const TURN_KNOWN: Duration = Duration::from_millis(200);
/// How many addresses of which only others speak have their turns before the known ones have theirs again: a registrar
/// that names very many, or others every moment, must not keep the peer from being found where it has always been.
const HURRIED: u8 = 4;
/// How many addresses are taken from the registrar. More would not have their turns in any time that matters.
const MOST: usize = 64;
/// How long answers go where the peer's last ASCONF came from. An unanswered one is repeated sooner.
const SIGHTED: Duration = Duration::from_secs(2);

/// The search for a peer that may have moved, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendezvous {
    /// What the registrar says.
    located: Vec<IpAddr>,
    /// It has known of the peer.
    was_located: bool,
    /// Where the peer's last ASCONF came from, and when.
    sighted: Option<(IpAddr, Instant)>,
    /// The address that the peer added by its own ASCONF while this end was stranded.
    met: Option<IpAddr>,
    /// The address at which the peer has answered authentically.
    proven: Option<IpAddr>,
    /// Which of the addresses to try is having its turn, and until when.
    turn: Option<IpAddr>,
    until: Option<Instant>,
    /// How many addresses had a turn of which only others speak since the known ones had theirs.
    hurried: u8,
    /// Which address the known ones had their turns before.
    interrupted: Option<IpAddr>,
    /// An address had its turn of which only others say that it is the peer's.
    exposed: bool,
}

impl Rendezvous {
    /// New word of the registrar. What it says gets the next turn at once, unless the peer itself was heard, or this has
    /// happened too often.
    pub(super) fn located(&mut self, mut addresses: Vec<IpAddr>) {
        addresses.truncate(MOST);
        if self.located != addresses {
            self.was_located |= !addresses.is_empty();
            self.located = addresses;
            if self.proven.is_none() && self.met.is_none() && self.hurried < HURRIED {
                self.try_now(None);
            }
        }
    }

    /// Whether a registrar knows of the peer, which an agent then has registered; or has known of it: who is away for a
    /// few seconds is in no pool for so long.
    pub(super) fn is_located(&self) -> bool {
        self.was_located
    }

    /// How many addresses of the peer are remembered.
    pub(super) fn remembers(&self) -> usize {
        self.located.len()
    }

    /// An ASCONF of the peer came from here.
    pub(super) fn sighted(&mut self, now: Instant, from: IpAddr) {
        let news = self.sighted.is_none_or(|(address, at)| address != from || now >= at + SIGHTED);
        self.sighted = Some((from, now));
        if news {
            self.proven = self.proven.filter(|&proven| proven == from);
            self.met = self.met.filter(|&met| met == from);
            self.try_now(Some(from));
        }
    }

    /// The peer has said where it is by an ASCONF that the kernel took as authentic.
    pub(super) fn met(&mut self, address: IpAddr) {
        self.met = Some(address);
        self.try_now(Some(address));
    }

    /// Whether the peer has made itself known since the last own move.
    pub(super) fn has_met(&self) -> bool {
        self.met.is_some()
    }

    /// This end has moved: that the peer reached it before proves nothing now.
    pub(super) fn moved(&mut self) {
        self.met = None;
        self.exposed = false;
        self.hurried = 0;
    }

    /// The peer has answered authentically from there.
    pub(super) fn prove(&mut self, address: IpAddr) {
        self.proven = Some(address);
        self.try_now(Some(address));
    }

    /// Nothing is left to translate: the kernel knows where the peer is, or nobody does.
    pub(super) fn forget_proof(&mut self) {
        self.proven = None;
    }

    /// The address proven, if it still has to be translated.
    pub(super) fn proven(&self) -> Option<IpAddr> {
        self.proven
    }

    fn try_now(&mut self, address: Option<IpAddr>) {
        self.turn = address;
        self.until = None;
    }

    /// The addresses to try, the likeliest first: where the peer was heard, where it answered, what the registrar names
    /// (of that first what the kernel knows, too: a peer that is still there needs no search), what the kernel knows.
    fn candidates(&self, now: Instant, facts: &Facts, v6: bool) -> Vec<IpAddr> {
        let mut candidates: Vec<IpAddr> = Vec::new();
        let heard = self.sighted.filter(|&(_, at)| now < at + SIGHTED).map(|(address, _)| address);
        let known = facts.peers.iter().rev().map(|&(peer, _)| peer);
        let all = heard.into_iter().chain(self.met).chain(self.proven);
        let certain = self.located.iter().copied().filter(|&address| facts.has_peer(address));
        let all = all.chain(certain).chain(self.located.iter().copied());
        for address in all.chain(facts.primary).chain(known) {
            if address.is_ipv6() == v6 && !candidates.contains(&address) {
                candidates.push(address);
            }
        }
        candidates
    }

    /// Whether our ASCONFs may have gone to somebody of whom only others say that it is the peer: somebody like that
    /// could forge an answer, from whatever address.
    pub(super) fn exposed(&self) -> bool {
        self.exposed
    }

    /// Where packets to the peer's addresses go now, while the peer has not answered.
    pub(super) fn attempt(&self, now: Instant, facts: &Facts, v6: bool) -> Option<IpAddr> {
        let candidates = self.candidates(now, facts, v6);
        self.turn.filter(|turn| candidates.contains(turn)).or_else(|| candidates.first().copied())
    }

    /// Moves on to the next address when a turn is over. Returns when to look again.
    pub(super) fn take_turns(&mut self, now: Instant, facts: &Facts, v6: bool) -> Option<Instant> {
        let candidates = self.candidates(now, facts, v6);
        let at = self.turn.and_then(|turn| candidates.iter().position(|&candidate| candidate == turn));
        match (at, self.until) {
            (Some(_), Some(until)) if until > now => {}
            (at, until) => {
                let next = match (at, until) {
                    (Some(at), None) => at,
                    (at, _) => self.after(at, &candidates, facts)?,
                };
                let next = *candidates.get(next)?;
                let known = facts.has_peer(next);
                self.exposed |= !known;
                self.turn = Some(next);
                let news = !known || self.located.contains(&next);
                self.until = Some(now + if news { TURN_NEWS } else { TURN_KNOWN });
            }
        }
        self.until.filter(|_| candidates.len() > 1)
    }

    /// Whose turn it is after that of the candidate at this place, or after one that is a candidate no more: the next
    /// one's, but however many there are of which only others speak, the known ones have theirs in between.
    fn after(&mut self, at: Option<usize>, candidates: &[IpAddr], facts: &Facts) -> Option<usize> {
        let is_known = |at: usize| candidates.get(at).is_some_and(|&candidate| facts.has_peer(candidate));
        let was_known = at.is_some_and(is_known);
        let mut next = at.map_or(0, |at| at + 1) % candidates.len().max(1);
        if self.hurried >= HURRIED {
            let from = at.filter(|_| was_known).map_or(0, |at| at + 1);
            if let Some(known) = (from..candidates.len()).find(|&at| is_known(at)) {
                if !was_known {
                    self.interrupted = candidates.get(next).copied();
                }
                return Some(known);
            }
            let interrupted = self.interrupted.take();
            let again = candidates.iter().position(|&candidate| interrupted == Some(candidate));
            next = again.unwrap_or(next);
        }
        if is_known(next) {
            return Some(next);
        }
        self.hurried = if was_known { 1 } else { self.hurried.saturating_add(1) };
        (next < candidates.len()).then_some(next)
    }

    /// The rules that bring packets to the peer at `present` and let in what comes from where it may be.
    pub(super) fn rules(
        &self,
        now: Instant,
        pair: Pair,
        facts: &Facts,
        present: Option<IpAddr>,
        rules: &mut BTreeSet<Rule>,
    ) {
        let Some(present) = present else { return };
        let v6 = present.is_ipv6();
        for from in known(facts, v6).filter(|&peer| peer != present) {
            rules.insert(Rule::OutDestination { pair, from, to: present });
        }
        for from in self.candidates(now, facts, v6) {
            let_in(pair, facts, from, rules);
        }
    }

    /// Answers go where the peer's last ASCONF came from: the kernel knows better only when it answers for the first
    /// time. And an ASCONF from there is let in, whose address parameter may be an address that the peer has deleted
    /// since it made it. Returns when to look again.
    pub(super) fn answer_rules(
        &self,
        now: Instant,
        pair: Pair,
        facts: &Facts,
        rules: &mut BTreeSet<Rule>,
    ) -> Option<Instant> {
        let (to, at) = self.sighted.filter(|&(_, at)| now < at + SIGHTED)?;
        let translated = rules.iter().any(|rule| matches!(rule, Rule::OutDestination { .. }));
        if facts.has_peer(to) && !translated {
            return None;
        }
        for from in known(facts, to.is_ipv6()) {
            rules.insert(Rule::AnswerTo { pair, from, to });
        }
        let_in(pair, facts, to, rules);
        Some(at + SIGHTED)
    }
}

/// What comes from an address that the kernel does not know seems to come from one that it does. One that it knows
/// needs no disguise, and a Delete that seemed to come from the address it deletes would be refused.
fn let_in(pair: Pair, facts: &Facts, from: IpAddr, rules: &mut BTreeSet<Rule>) {
    let v6 = from.is_ipv6();
    let primary = facts.primary.filter(|primary| primary.is_ipv6() == v6);
    if let Some(to) = primary.or_else(|| known(facts, v6).next()).filter(|_| !facts.has_peer(from)) {
        rules.insert(Rule::InSource { pair, from, to });
    }
}

fn known(facts: &Facts, v6: bool) -> impl Iterator<Item = IpAddr> + '_ {
    facts.peers.iter().map(|&(peer, _)| peer).filter(move |peer| peer.is_ipv6() == v6)
}
