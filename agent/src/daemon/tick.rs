//! The kernel gathers address events for 500 ms after the first of them, and a wildcard socket that has lost its last
//! address waits for all of that. While one waits for an address, the timer is kept running: the event then meets it
//! half-way on average.

use std::time::{Duration, Instant};

use super::Daemon;

/// From one start of the timer to the next: 500 ms, and the kernel's clock tick.
const CYCLE: Duration = Duration::from_millis(508);

/// From the loss to the first start: the kernel's own events of the loss have been acted on by then. It also decides where
/// in a cycle an address finds the timer that comes a whole second after the loss, as in the testbed's scenarios: at
/// half. One that comes as the timer has just ended waits for all of the next one.
const FIRST: Duration = Duration::from_millis(750);

/// For how long after the loss. Who is offline for longer than this does not mind half a second, and is left in peace.
const PATIENCE: Duration = Duration::from_secs(60);

/// When the timer is to be started again.
#[derive(Debug, Default)]
pub(super) struct Tick {
    next: Option<Instant>,
    /// The kernel refused.
    refused: bool,
}

impl Daemon {
    /// When the timer is to be started, if somebody waits.
    pub(super) fn tick_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let waits = self.associations.values().filter_map(|managed| managed.planner.awaits_event());
        let since = waits.filter(|since| now.duration_since(*since) < PATIENCE).min()?;
        let due = self.tick.next.filter(|next| *next > since).unwrap_or(since + FIRST);
        (!self.tick.refused).then_some(due)
    }

    /// Starts it if it is time.
    pub(super) fn keep_ticking(&mut self, now: Instant) {
        if self.tick_due().is_some_and(|due| due <= now) {
            self.tick.next = Some(now + CYCLE);
            if let Err(error) = self.host.tick() {
                tracing::debug!(%error, "the timer for address events cannot be started beforehand");
                self.tick.refused = true;
            }
        }
    }
}
