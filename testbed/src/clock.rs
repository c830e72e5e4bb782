//! The testbed's clock and its waiting: CLOCK_MONOTONIC in nanoseconds, the same in all processes, and
//! conditions that are looked at until they hold, a limit is over or somebody interrupts.
#![expect(
    clippy::disallowed_methods,
    reason = "the testbed drives real programs; this is where it reads the clock"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// CLOCK_MONOTONIC in nanoseconds.
pub type Nanos = u64;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Now.
pub fn now() -> Nanos {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| Duration::from(time).as_nanos() as Nanos)
}

/// Milliseconds from `from` to `to`; negative if `to` is earlier.
pub fn ms_between(from: Nanos, to: Nanos) -> f64 {
    (to as f64 - from as f64) / 1e6
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Waited {
    /// The time was over.
    #[error("{what} took longer than {} s", .limit.as_secs())]
    TooLong {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
    },
    /// SIGINT or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

/// Has all waits end: somebody wants the testbed to stop.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Looks every few milliseconds until `condition` gives something.
///
/// # Errors
/// [`Waited`].
pub fn until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Result<T, Waited> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return Ok(found);
        }
        if INTERRUPTED.load(Ordering::SeqCst) {
            return Err(Waited::Interrupted);
        }
        if Instant::now() >= end {
            return Err(Waited::TooLong { what: what.to_owned(), limit });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Lets time pass that belongs to a scenario, such as the length of an outage.
///
/// # Errors
/// [`Waited::Interrupted`].
pub fn pass(time: Duration) -> Result<(), Waited> {
    let end = Instant::now() + time;
    loop {
        if INTERRUPTED.load(Ordering::SeqCst) {
            return Err(Waited::Interrupted);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}
