//! Whether associations are well again after whatever has happened.

use std::time::Duration;

use anyhow::{Result, bail};

use super::agents::Agents;
use super::programs::Running;
use crate::clock::{self, Nanos, Waited, ms_between};

/// From one question to the daemons to the next, in milliseconds: they have other things to do.
const ASKED: f64 = 40.0;

/// A recovery that is waited for, from its making on.
pub(super) struct Recovery {
    since: Nanos,
    reached: bool,
    asked: Nanos,
}

impl Recovery {
    pub(super) fn new() -> Self {
        Self { since: clock::now(), reached: false, asked: 0 }
    }

    /// For [`clock::until`]: whether in every association a message has come back that was sent since, and the daemons are at
    /// rest.
    pub(super) fn look(&mut self, running: &mut Running, agents: &Agents<'_>) -> Option<Result<()>> {
        self.reached = self.reached || running.reached(self.since);
        if running.look().is_some_and(|progress| progress.lost > 0) || running.over() {
            return Some(Err(anyhow::anyhow!("an association is lost")));
        }
        if !self.reached || ms_between(self.asked, clock::now()) < ASKED {
            return None;
        }
        let settled = agents.settled(running.at_hosts());
        self.asked = clock::now();
        settled.then_some(Ok(()))
    }

    /// What became of it, of which so long was waited for at most.
    ///
    /// # Errors
    /// What is not well, or interrupted.
    pub(super) fn outcome(self, waited: Result<Result<()>, Waited>, limit: Duration) -> Result<()> {
        match waited {
            Ok(result) => result,
            Err(Waited::Interrupted) => Err(Waited::Interrupted.into()),
            Err(_) if self.reached => bail!("the daemons do not come to rest"),
            Err(_) => bail!("an association is silent for {} s", limit.as_secs()),
        }
    }
}
