//! Windows that are full: who takes nothing out of its own for long does not read.

use std::time::{Duration, Instant};

/// How often a full window is looked at in the time that it may stay as it is.
pub(super) const LOOKS: u32 = 4;

/// A full window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full {
    /// Since when nothing is known to have left it.
    since: Instant,
    /// What was in it when it was looked at last, as the kernel counts.
    octets: Option<u32>,
}

impl Full {
    /// Full from now on.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, octets: None }
    }

    /// It was looked at: whether nothing has left it for so long. `octets`: what is in it, as the kernel counts.
    pub(super) fn is_left(&mut self, now: Instant, octets: u32, patience: Duration) -> bool {
        let before = self.octets.replace(octets);
        if before.is_some_and(|before| octets < before) {
            self.since = now;
        }
        now.saturating_duration_since(self.since) >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_left_as_it_is_when_nothing_leaves_it_and_is_not_when_anything_does() {
        let (start, patience) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut full = Full::new(start);
        assert!(!full.is_left(at(5), 900, patience));
        assert!(!full.is_left(at(9), 900, patience));
        // Something has left it just before.
        assert!(!full.is_left(at(12), 800, patience));
        assert!(!full.is_left(at(21), 800, patience));
        assert!(full.is_left(at(22), 800, patience));
    }
}
