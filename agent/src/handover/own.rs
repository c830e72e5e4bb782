//! What is known of an association's own addresses. The kernel's list says only which there are, not whether the
//! peer has accepted them; that is read off the wire (ASCONF and its answers) and kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::types::Change;

/// How long an ASCONF that is no longer repeated counts as unanswered: its answer was missed.
const REPEATED: Duration = Duration::from_secs(3);

/// How far an own address has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Asked for; the peer has not answered.
    Adding,
    /// Answered on the wire, not yet shown by the kernel to be authentic.
    Answered,
    /// The peer has accepted it: the kernel may send from it.
    Confirmed,
    /// Its deletion was asked for at this time; the kernel no longer sends from it.
    Deleting(Instant),
    /// Its deletion was refused: the peer still has it, but the kernel never sends from it again.
    Kept,
    /// Its addition was refused: it stays in the kernel's list and is good for nothing.
    Refused,
}

#[derive(Clone, Debug)]
struct Outstanding {
    serial: u32,
    changes: Vec<(u32, Change)>,
    seen: Instant,
}

#[derive(Clone, Debug)]
struct Answered {
    serial: u32,
    from: IpAddr,
    /// What became of each address, in case that the answer turns out not to be authentic.
    before: Vec<(IpAddr, Own)>,
}

/// The own addresses with their states, and the ASCONF that waits for its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnAddresses {
    states: BTreeMap<IpAddr, Own>,
    listed: BTreeSet<IpAddr>,
    outstanding: Option<Outstanding>,
    answered: Option<Answered>,
    /// Addresses whose deletion has been asked of the peer since they are there.
    asked_to_go: BTreeSet<IpAddr>,
    /// The kernel asks for deletions later than it is told to, or not at all: at its tick.
    lazy: bool,
    /// Where the last answer came from that is known to be authentic, or may be taken for it.
    accepted_from: Option<IpAddr>,
}

impl OwnAddresses {
    /// The addresses of an association found in its settled state: all confirmed.
    pub(super) fn settled(local: &BTreeSet<IpAddr>) -> Self {
        Self {
            states: local.iter().map(|&address| (address, Own::Confirmed)).collect(),
            listed: local.clone(),
            ..Self::default()
        }
    }

    /// The kernel itself asks for deletions, at its tick, if it then still looks.
    pub(super) fn deletes_at_ticks(&mut self) {
        self.lazy = true;
    }

    /// The deletion of this address may have been asked of the peer.
    pub(super) fn may_have_been_asked_to_go(&mut self, address: IpAddr) {
        self.asked_to_go.insert(address);
    }

    /// The state of an address.
    pub(super) fn get(&self, address: IpAddr) -> Option<Own> {
        self.states.get(&address).copied()
    }

    /// Sets the state of an address.
    pub(super) fn set(&mut self, address: IpAddr, state: Own) {
        self.states.insert(address, state);
    }

    /// The confirmed addresses, those being deleted not among them.
    pub(super) fn confirmed(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.states.iter().filter(|(_, state)| **state == Own::Confirmed).map(|(&address, _)| address)
    }

    /// All addresses that are in the association or asked for.
    pub(super) fn all(&self) -> impl Iterator<Item = (IpAddr, Own)> + '_ {
        self.states.iter().map(|(&address, &state)| (address, state))
    }

    /// Whether the kernel's list had the address when it was last read.
    pub(super) fn listed(&self, address: IpAddr) -> bool {
        self.listed.contains(&address)
    }

    /// When an unanswered ASCONF was last seen leaving, if it is still being repeated.
    pub(super) fn repeated(&self, now: Instant) -> Option<Instant> {
        self.outstanding.as_ref().map(|outstanding| outstanding.seen).filter(|&seen| now < seen + REPEATED)
    }

    /// The last ASCONF, if it has been answered and none has left since.
    pub(super) fn last_answered(&self) -> Option<u32> {
        self.answered.as_ref().filter(|_| self.outstanding.is_none()).map(|answered| answered.serial)
    }

    /// Whether a change waits for the peer.
    pub(super) fn busy(&self, now: Instant) -> bool {
        self.repeated(now).is_some()
            || self
                .states
                .values()
                .any(|state| matches!(state, Own::Adding | Own::Answered | Own::Deleting(_)))
    }

    /// The kernel's list was read: what is in it and unknown is being added; what has left it is gone, and so is
    /// what has not come into it, unless its addition was only just asked for.
    pub(super) fn list(&mut self, local: &BTreeSet<IpAddr>) {
        for &address in local {
            self.states.entry(address).or_insert(Own::Adding);
        }
        let listed = &self.listed;
        self.states.retain(|address, state| {
            local.contains(address) || *state == Own::Adding && !listed.contains(address)
        });
        self.asked_to_go.retain(|address| local.contains(address));
        self.listed.clone_from(local);
    }

    /// Forgets an addition that never came about.
    pub(super) fn forget(&mut self, address: IpAddr) {
        if !self.listed.contains(&address) {
            self.states.remove(&address);
        }
    }

    /// An ASCONF left. The kernel sends the next one only after it has accepted the answer to the one before
    /// (RFC 5061, section 5.1, C1), and repeats one whose answer it has not accepted; both are told here.
    pub(super) fn sent(&mut self, now: Instant, serial: u32, changes: Vec<(u32, Change)>) {
        match self.answered.take() {
            Some(answered) if answered.serial == serial => {
                for (address, state) in answered.before {
                    if self.states.contains_key(&address) {
                        self.states.insert(address, state);
                    }
                }
            }
            Some(answered) if is_older(serial, answered.serial) => {
                self.answered = Some(answered);
                return;
            }
            Some(answered) => {
                self.accepted_from = Some(answered.from);
                self.prove();
            }
            None => self.prove(),
        }
        for &(_, change) in &changes {
            if let Change::Delete(address) = change {
                self.asked_to_go.insert(address);
            }
            if let Change::Delete(address) = change
                && let Some(state) = self.states.get_mut(&address)
                && !matches!(state, Own::Deleting(_) | Own::Refused)
                && self.listed.contains(&address)
            {
                // The kernel deletes on its own where it reacts to address events.
                *state = Own::Deleting(now);
            }
        }
        self.outstanding = Some(Outstanding { serial, changes, seen: now });
    }

    /// An answer to `serial` arrived from this address. `trusted`: it needs no further proof.
    pub(super) fn answer(&mut self, serial: u32, errors: &[(u32, u16)], from: IpAddr, trusted: bool) {
        let Some(outstanding) = self.outstanding.take_if(|outstanding| outstanding.serial == serial) else {
            if let Some(answered) = self.answered.as_mut().filter(|answered| answered.serial == serial) {
                // The one that the kernel accepts is followed by its next ASCONF: the last one before that.
                answered.from = from;
                if trusted {
                    self.accepted_from = Some(from);
                    self.prove();
                }
            }
            return;
        };
        let mut before = Vec::new();
        for (correlation, change) in outstanding.changes {
            let error = errors.iter().find(|&&(refused, _)| refused == correlation).map(|&(_, cause)| cause);
            let (Change::Add(address) | Change::Delete(address) | Change::SetPrimary(address)) = change;
            let Some(state) = self.states.get_mut(&address) else { continue };
            // The kernel sends one ASCONF after the other: a deletion would have been seen before this one.
            let never_asked = trusted && self.lazy && !self.asked_to_go.contains(&address);
            let next =
                match (change, error, *state) {
                    // Only an address that the peer has can become its primary one.
                    (Change::Add(_) | Change::SetPrimary(_), None, Own::Adding | Own::Answered) => {
                        if trusted { Own::Confirmed } else { Own::Answered }
                    }
                    (Change::SetPrimary(_), None, Own::Deleting(_) | Own::Kept) if never_asked => {
                        Own::Confirmed
                    }
                    (Change::SetPrimary(_), None, Own::Deleting(_)) => Own::Kept,
                    (Change::Add(_), Some(_), Own::Adding | Own::Answered) => Own::Refused,
                    (Change::Delete(_), Some(_), Own::Deleting(_)) => Own::Kept,
                    // A deletion is done when the kernel's list says so.
                    (_, _, state) => state,
                };
            if next != *state {
                before.push((address, *state));
                *state = next;
            }
        }
        if trusted {
            self.accepted_from = Some(from);
        }
        self.answered = Some(Answered { serial, from, before });
    }

    /// Where the last accepted answer came from; told once.
    pub(super) fn take_accepted_from(&mut self) -> Option<IpAddr> {
        self.accepted_from.take()
    }

    /// The answers seen so far are authentic.
    pub(super) fn prove(&mut self) {
        for state in self.states.values_mut() {
            if *state == Own::Answered {
                *state = Own::Confirmed;
            }
        }
    }
}

/// Serial number arithmetic (RFC 5061, section 4.1.1).
fn is_older(serial: u32, than: u32) -> bool {
    than.wrapping_sub(serial).wrapping_sub(1) < 1 << 31
}
