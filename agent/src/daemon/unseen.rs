//! Where the wire may not be watched, nobody tells of ASCONFs and their answers. What was asked for is known; and that it
//! was answered is taken from what an association hears: it was silent while it had no address, and the kernel sends one
//! ASCONF at a time, so that one that was asked for too early waits for the one before.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use sctp_sys::sockopt;

use super::Daemon;
use crate::associations::Key;
use crate::handover::{Action, Change, Input};

/// From one look to the next, while something is not answered.
const LOOK: Duration = Duration::from_millis(50);

/// What has not been answered, by association.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    serial: u32,
    waits: BTreeMap<Key, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    serial: u32,
    changes: Vec<(u32, Change)>,
    /// Control chunks that had come in when the last of them was asked for.
    heard: u64,
    look: Instant,
}

impl Unseen {
    /// When to look again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waits.values().map(|waiting| waiting.look).min()
    }
}

fn change(action: &Action) -> Option<Change> {
    match action {
        Action::Add(address) | Action::Swap { new: address, .. } => Some(Change::Add(*address)),
        Action::Remove(address) => Some(Change::Delete(*address)),
        Action::SetPeerPrimary(address) => Some(Change::SetPrimary(*address)),
        _ => None,
    }
}

impl Daemon {
    /// An action has been carried out; if the wire is not watched, its ASCONF is taken to have left.
    pub(super) fn note_unseen(&mut self, key: Key, action: &Action) {
        let Some(change) = change(action).filter(|_| self.unseen.is_some()) else { return };
        let Some(heard) = self.control_chunks(key) else { return };
        let Some(unseen) = &mut self.unseen else { return };
        unseen.serial += 1;
        let (serial, look) = (unseen.serial, Instant::now() + LOOK);
        let waiting = unseen.waits.entry(key).or_insert(Waiting { serial, changes: Vec::new(), heard, look });
        (waiting.serial, waiting.heard, waiting.look) = (serial, heard, look);
        waiting.changes.retain(|(_, other)| *other != change);
        waiting.changes.push((serial, change));
        let changes = waiting.changes.clone();
        if let Some(managed) = self.associations.get_mut(&key) {
            managed.planner.handle(Instant::now(), Input::OwnAsconf { serial, changes });
        }
    }

    /// Looks which associations have heard something since.
    pub(super) fn look_for_answers(&mut self, now: Instant) {
        let Some(unseen) = &self.unseen else { return };
        let due = unseen.waits.iter().filter(|(_, it)| it.look <= now).map(|(key, it)| (*key, it.heard));
        for (key, before) in due.collect::<Vec<_>>() {
            let heard = self.control_chunks(key);
            let Some(unseen) = &mut self.unseen else { return };
            match heard {
                Some(heard) if heard <= before => {
                    unseen.waits.entry(key).and_modify(|waiting| waiting.look = now + LOOK);
                }
                // It has ended, or was let go.
                None => drop(unseen.waits.remove(&key)),
                Some(_) => {
                    let Some(waiting) = unseen.waits.remove(&key) else { continue };
                    self.refresh(key);
                    self.answered(key, waiting.serial);
                }
            }
        }
    }

    fn answered(&mut self, key: Key, serial: u32) {
        let Some(managed) = self.associations.get(&key) else { return };
        let facts = managed.planner.facts();
        let from = facts.primary.or_else(|| facts.peers.first().map(|(peer, _)| *peer));
        if let (Some(from), Some(&to)) = (from, facts.local.first()) {
            self.tell(key, Input::OwnAnswer { serial, errors: Vec::new(), from, to });
        }
    }

    fn control_chunks(&self, key: Key) -> Option<u64> {
        let managed = self.associations.get(&key)?;
        let socket = managed.handle.open().ok()?;
        sockopt::assoc_stats(socket.as_fd(), managed.assoc).ok().map(|stats| stats.control_chunks_in)
    }
}
