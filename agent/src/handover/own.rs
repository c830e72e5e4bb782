//! What is known of an association's own addresses. The kernel's list says only which there are, not whether the
//! peer has accepted them; that is read off the wire (ASCONF and its answers) and kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use super::types::Change;

/// How far an own address has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Asked for; the peer has not answered.
    Adding,
    /// Answered on the wire, not yet shown by the kernel to be authentic.
    Answered,
    /// The peer has accepted it: the kernel may send from it.
    Confirmed,
    /// Its deletion was asked for at this time.
    Deleting(Instant),
}

#[derive(Clone, Debug)]
struct Outstanding {
    serial: u32,
    changes: Vec<(u32, Change)>,
}

/// The own addresses with their states, and the ASCONF that waits for its answer.
#[derive(Clone, Debug, Default)]
pub struct OwnAddresses {
    states: BTreeMap<IpAddr, Own>,
    outstanding: Option<Outstanding>,
    answered: Option<u32>,
}

/// What an answer on the wire changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Changes that the peer accepted.
    pub accepted: Vec<Change>,
    /// Changes that the peer refused, with the cause.
    pub refused: Vec<(Change, u16)>,
}

impl OwnAddresses {
    /// The addresses of an association found in its settled state: all confirmed.
    pub fn settled(local: &BTreeSet<IpAddr>) -> Self {
        Self { states: local.iter().map(|&address| (address, Own::Confirmed)).collect(), ..Self::default() }
    }

    /// The state of an address.
    pub fn get(&self, address: IpAddr) -> Option<Own> {
        self.states.get(&address).copied()
    }

    /// Sets the state of an address.
    pub fn set(&mut self, address: IpAddr, state: Own) {
        self.states.insert(address, state);
    }

    /// The confirmed addresses, those being deleted not among them.
    pub fn confirmed(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.states.iter().filter(|(_, state)| **state == Own::Confirmed).map(|(&address, _)| address)
    }

    /// All addresses that are in the association or asked for.
    pub fn all(&self) -> impl Iterator<Item = (IpAddr, Own)> + '_ {
        self.states.iter().map(|(&address, &state)| (address, state))
    }

    /// Whether a change waits for the peer.
    pub fn busy(&self) -> bool {
        self.outstanding.is_some()
            || self
                .states
                .values()
                .any(|state| matches!(state, Own::Adding | Own::Answered | Own::Deleting(_)))
    }

    /// The kernel's list was read: what is in it and unknown is being added; what has left it is gone, unless its
    /// addition was asked for and has not come about yet.
    pub fn list(&mut self, local: &BTreeSet<IpAddr>) {
        for &address in local {
            self.states.entry(address).or_insert(Own::Adding);
        }
        self.states.retain(|address, state| local.contains(address) || *state == Own::Adding);
    }

    /// Forgets an addition that never came about.
    pub fn forget(&mut self, address: IpAddr) {
        self.states.remove(&address);
    }

    /// An ASCONF left. Returns true when it shows that the kernel has accepted an earlier answer as authentic: it
    /// sends the next ASCONF only after the one before was answered (RFC 5061, section 5.1, C1).
    pub fn sent(&mut self, serial: u32, changes: Vec<(u32, Change)>) -> bool {
        let proof = self.answered.is_some_and(|answered| serial == answered.wrapping_add(1));
        if proof {
            self.prove();
        }
        self.outstanding = Some(Outstanding { serial, changes });
        proof
    }

    /// An answer to `serial` arrived. `trusted`: it needs no further proof.
    pub fn answer(&mut self, serial: u32, errors: &[(u32, u16)], trusted: bool) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(outstanding) = self.outstanding.take_if(|outstanding| outstanding.serial == serial) else {
            return outcome;
        };
        self.answered = Some(serial);
        for (correlation, change) in outstanding.changes {
            let error = errors.iter().find(|&&(refused, _)| refused == correlation).map(|&(_, cause)| cause);
            match (change, error) {
                (Change::Add(address), None) => {
                    if self.states.get(&address) == Some(&Own::Adding) {
                        self.states.insert(address, if trusted { Own::Confirmed } else { Own::Answered });
                    }
                }
                (Change::Add(_) | Change::SetPrimary(_), _) => {}
                (Change::Delete(address), None) => {
                    self.states.remove(&address);
                }
                (Change::Delete(address), Some(_)) => {
                    // The kernel puts a refused deletion back into use.
                    if let Some(state @ Own::Deleting(_)) = self.states.get_mut(&address) {
                        *state = Own::Confirmed;
                    }
                }
            }
            match error {
                None => outcome.accepted.push(change),
                Some(cause) => outcome.refused.push((change, cause)),
            }
        }
        // All that was asked for before an answered change has been answered too: the peer works in order.
        outcome
    }

    /// The answers seen so far are authentic.
    pub fn prove(&mut self) {
        for state in self.states.values_mut() {
            if *state == Own::Answered {
                *state = Own::Confirmed;
            }
        }
    }
}
