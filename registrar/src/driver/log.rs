//! The log. What clients can cause is bounded, so that none of them fills it.

use std::time::{Duration, Instant};

use crate::{asap, enrp};

/// Lines in a [`PERIOD`].
const LINES: u32 = 100;

const PERIOD: Duration = Duration::from_secs(1);

/// Writes events, up to a number in each period, and says how many it kept to itself.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// When this period ends.
    until: Option<Instant>,
    lines: u32,
    silent: u64,
}

impl Log {
    pub(super) fn asap(&mut self, now: Instant, event: &asap::Event) {
        use asap::Event;
        if self.has_room(now) {
            match event {
                Event::Contested { .. } | Event::Refused { .. } | Event::NotDeregistered { .. } => {
                    tracing::warn!("{event}");
                }
                Event::Malformed { .. } => tracing::debug!("{event}"),
                _ => tracing::info!("{event}"),
            }
        }
    }

    pub(super) fn enrp(&mut self, now: Instant, event: &enrp::Event) {
        use enrp::Event;
        if self.has_room(now) {
            match event {
                Event::PeerDead { .. }
                | Event::TookOver { .. }
                | Event::TakenOver { .. }
                | Event::TakeoverRefused { .. }
                | Event::Claimed { .. }
                | Event::Impostor { .. } => tracing::warn!("{event}"),
                // One whose heartbeats are slower than ours is asked again and again, and answers.
                Event::PeerSilent { .. } | Event::Malformed { .. } => tracing::debug!("{event}"),
                _ => tracing::info!("{event}"),
            }
        }
    }

    /// A question was dropped, since too many wait.
    pub(super) fn unheard(&mut self, now: Instant) {
        if self.has_room(now) {
            tracing::warn!("a resolution was dropped: more wait than can be answered");
        }
    }

    /// Whether another line may be written; what was kept back is told.
    fn has_room(&mut self, now: Instant) -> bool {
        let (admitted, silent) = self.admit(now);
        if silent > 0 {
            tracing::warn!("{silent} events were not logged: more than {LINES} came within a second");
        }
        admitted
    }

    /// Whether another line may be written, and how many were kept back in the period that has just ended.
    fn admit(&mut self, now: Instant) -> (bool, u64) {
        let mut silent = 0;
        if self.until.is_none_or(|until| until <= now) {
            silent = std::mem::take(&mut self.silent);
            self.until = Some(now + PERIOD);
            self.lines = 0;
        }
        if self.lines >= LINES {
            self.silent += 1;
            return (false, silent);
        }
        self.lines += 1;
        (true, silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_counted() {
        let now = Instant::now();
        let mut log = Log::default();
        let written = (0..1_000).filter(|_| log.admit(now).0).count();
        assert_eq!(written, 100);
        assert_eq!(log.admit(now + PERIOD), (true, 900));
        assert_eq!(log.admit(now + PERIOD), (true, 0));
    }
}
