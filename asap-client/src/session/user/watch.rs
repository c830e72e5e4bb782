//! How long an element is waited for that does not answer, that no path leads to, or from whose host nothing comes: a
//! kernel that was told to give up no association, for a peer that may only be moving, never tells that one is gone.

use std::time::{Duration, Instant};

use super::machine::User;
use super::{Loss, Output};

/// How often in [`Waits::silent`](super::Waits::silent) it is looked what has come. As many looks in a row that find
/// nothing new are what counts: a user that stood still itself has not looked.
const LOOKS: u32 = 8;

/// What is known of the present link.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// The packets that had come when it was last looked.
    packets: Option<u64>,
    /// Looks since then that found no more.
    quiet: u32,
}

impl User {
    /// Has the timer for a path to work again run as long as none does.
    pub(super) fn strand(&mut self, now: Instant) {
        let due = now + self.config.waits.stranded;
        let runs = self.here().is_some() && self.pathless && !self.offline;
        self.due.stranded = runs.then(|| self.due.stranded.unwrap_or(due));
    }

    /// Has the timer for the next answer run as long as one is missing.
    pub(super) fn await_answer(&mut self, now: Instant, anew: bool) {
        let missing = self.here().is_some() && self.ledger.awaits_answer() && !self.offline;
        let due = self.config.waits.answer.filter(|_| missing).map(|answer| now + answer);
        if anew || due.is_none() || self.due.answer.is_none() {
            self.due.answer = due;
        }
    }

    fn look_at(&self, now: Instant) -> Option<Instant> {
        let silent = self.config.waits.silent.filter(|_| self.here().is_some() && !self.offline)?;
        Some(now + (silent / LOOKS).max(Duration::from_millis(1)))
    }

    /// Something has come over the present link, or it is not to be blamed for what has not come so far.
    pub(super) fn heard(&mut self, now: Instant) {
        self.watch.quiet = 0;
        self.due.look = self.look_at(now);
    }

    /// It is time to look.
    pub(super) fn look(&mut self, now: Instant) {
        self.due.look = self.look_at(now);
        if let Some(here) = self.here() {
            let look = Output::Look(here.link);
            self.outputs.push_back(look);
        }
    }

    /// So many packets have come so far; `unacknowledged`: what was sent is not known to have come.
    pub(super) fn looked(&mut self, now: Instant, packets: u64, unacknowledged: bool) {
        if self.watch.packets.replace(packets) != Some(packets) {
            return self.heard(now);
        }
        self.watch.quiet += 1;
        if self.watch.quiet >= LOOKS {
            self.leave(now, Loss::Silent, false);
        } else if !unacknowledged && self.watch.quiet >= LOOKS / 2 {
            // Nothing is said by itself where nothing is due.
            if let Some(here) = self.here() {
                let probe = Output::Probe(here.link);
                self.outputs.push_back(probe);
            }
        }
    }
}
