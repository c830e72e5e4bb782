//! Where the peer is. The registrar's word is enough to *try* an address, never enough to give an association's data
//! to it: that takes an answer which the kernel has authenticated, or the peer's own ASCONF.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::types::Facts;
use crate::translate::{Pair, Rule};

/// How long an address that the registrar names is tried before the known one gets a turn, while neither answers.
const TURN_LOCATED: Duration = Duration::from_millis(400);
/// How long the known address is tried.
const TURN_KNOWN: Duration = Duration::from_millis(200);

/// The search for a peer that may have moved, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Rendezvous {
    /// What the registrar says.
    located: Vec<IpAddr>,
    /// Which of the addresses to try is having its turn, and until when.
    turn: usize,
    until: Option<Instant>,
    /// The address at which the peer has answered authentically, if that is not one that the kernel knows.
    proven: Option<IpAddr>,
}

impl Rendezvous {
    /// New word of the registrar; true if it says something new. What it says gets the next turn at once.
    pub(super) fn located(&mut self, addresses: Vec<IpAddr>) -> bool {
        let news = self.located != addresses;
        if news {
            self.located = addresses;
            self.turn = 0;
            self.until = None;
        }
        news
    }

    /// The addresses to try: what the registrar names and the kernel does not know, then the known one (`None`).
    fn candidates(&self, facts: &Facts, v6: bool) -> Vec<Option<IpAddr>> {
        let mut candidates: Vec<_> = self
            .located
            .iter()
            .filter(|address| address.is_ipv6() == v6 && !facts.has_peer(**address))
            .map(|&address| Some(address))
            .collect();
        if candidates.is_empty() || !self.located.is_empty() {
            candidates.push(None);
        }
        candidates
    }

    /// Where packets to the peer's known addresses shall go instead, while the peer has not answered.
    pub(super) fn attempt(&self, facts: &Facts, v6: bool) -> Option<IpAddr> {
        if let Some(proven) = self.proven {
            return (proven.is_ipv6() == v6).then_some(proven);
        }
        let candidates = self.candidates(facts, v6);
        candidates[self.turn % candidates.len()]
    }

    /// Moves on to the next address when a turn is over. Returns when to look again.
    pub(super) fn take_turns(&mut self, now: Instant, facts: &Facts, v6: bool) -> Option<Instant> {
        let candidates = self.candidates(facts, v6);
        if self.proven.is_some() || candidates.len() < 2 {
            return None;
        }
        match self.until {
            Some(until) if until > now => {}
            until => {
                if until.is_some() {
                    self.turn = (self.turn + 1) % candidates.len();
                }
                let turn = if self.attempt(facts, v6).is_some() { TURN_LOCATED } else { TURN_KNOWN };
                self.until = Some(now + turn);
            }
        }
        self.until
    }

    /// The peer has answered authentically at the address now tried.
    pub(super) fn prove(&mut self, facts: &Facts, v6: bool) {
        self.proven = self.attempt(facts, v6);
        self.until = None;
    }

    /// The peer has said where it is by an ASCONF that the kernel took as authentic.
    pub(super) fn met(&mut self, address: IpAddr) {
        self.proven = Some(address);
        self.until = None;
    }

    /// An earlier daemon had this proof.
    pub(super) fn restore(&mut self, address: IpAddr) {
        self.proven = Some(address);
    }

    /// Nothing is left to translate: the kernel knows where the peer is, and no longer where it was.
    pub(super) fn forget_proof(&mut self) {
        self.proven = None;
        self.turn = 0;
        self.until = None;
    }

    /// The address proven, if it still has to be translated.
    pub(super) fn proven(&self) -> Option<IpAddr> {
        self.proven
    }

    /// The translation of the peer's addresses, with `attempt` as its present one.
    pub(super) fn rules(
        &self,
        pair: Pair,
        facts: &Facts,
        attempt: Option<IpAddr>,
        rules: &mut BTreeSet<Rule>,
    ) {
        let Some(present) = attempt else { return };
        let others = || {
            facts
                .peers
                .iter()
                .map(|&(peer, _)| peer)
                .filter(|&peer| peer.is_ipv6() == present.is_ipv6() && peer != present)
        };
        for peer in others() {
            rules.insert(Rule::OutDestination { pair, from: peer, to: present });
        }
        // Once the kernel knows the present address, packets from it need no disguise; a Delete that seemed to come
        // from the address it deletes would be refused.
        if !facts.has_peer(present) {
            let primary = others().find(|&peer| facts.primary == Some(peer));
            if let Some(peer) = primary.or_else(|| others().next()) {
                rules.insert(Rule::InSource { pair, from: present, to: peer });
            }
        }
    }
}
