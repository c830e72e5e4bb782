//! Whether the kernel sends from an address whose deletion was wanted and has not come about.
//!
//! The kernel lists such an address whether it was told to delete it, and never sends from it again (the peer refused), or
//! was never told: a daemon that is killed has only written down what it was about to do. Nothing that can be read tells
//! the two apart. So what comes from the other addresses is stopped for a moment, and the kernel is asked for an ASCONF: if
//! one leaves, it came from there.

use std::net::IpAddr;
use std::time::Instant;

use super::own::Own;
use super::planner::Planner;
use super::types::{Action, Change};

/// After so many trials the pause between two, doubled each time, grows no more.
const SELDOM: u32 = 8;

/// The trials of one target.
#[derive(Debug)]
pub(super) struct Trial {
    /// Since when what comes from other addresses is stopped, and the last ASCONF before that.
    running: Option<(Instant, u32)>,
    due: Instant,
    times: u32,
}

impl Planner {
    /// Begins a trial of this target, or ends one, when it is time. Returns whether one begins.
    pub(super) fn try_source(&mut self, now: Instant, target: IpAddr) -> bool {
        if self.own.get(target) != Some(Own::Kept) {
            self.trial = None;
            return false;
        }
        let (retry, first) = (self.tuning.retry, now + self.long());
        let trial = self.trial.get_or_insert(Trial { running: None, due: first, times: 0 });
        if let Some((since, _)) = trial.running
            && now >= since + retry
        {
            trial.running = None;
            trial.times += 1;
            trial.due = now + retry * (1 << (trial.times + 2).min(SELDOM));
        }
        let begins = match (trial.running, self.own.last_answered()) {
            // What is on its way may have left before.
            (None, Some(serial)) if now >= trial.due => {
                trial.running = Some((now, serial));
                true
            }
            _ => false,
        };
        let next = trial.running.map_or(trial.due, |(since, _)| since + retry);
        self.wake_at(next.max(now + retry));
        begins
    }

    /// Whether what comes from other addresses than the target is stopped.
    pub(super) fn is_trying(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.running.is_some())
    }

    /// An ASCONF leaves. In a trial that is the proof.
    pub(super) fn left_in_trial(&mut self, serial: u32, changes: &[(u32, Change)]) {
        let (Some(target), Some(trial)) = (self.target, &self.trial) else { return };
        let asked = changes.iter().any(|&(_, change)| change == Change::SetPrimary(target));
        if trial.running.is_some_and(|(_, before)| before.wrapping_add(1) == serial) && asked {
            self.trial = None;
            self.own.set(target, Own::Confirmed);
        }
    }

    /// Nothing was stopped: what leaves proves nothing.
    pub(super) fn break_off_trial(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.running = None;
        }
    }

    /// What the kernel is asked for in a trial.
    pub(super) fn ask_in_trial(&mut self, target: IpAddr) {
        self.push(
            Action::SetPeerPrimary(target),
            "does the kernel send from there? Nothing else leaves meanwhile",
        );
    }
}
